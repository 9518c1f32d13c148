//! Breakdowns: what they show, and that no hidden figure can be had by subtraction.

use canvass_domain::{
    Ballot, Poll, Weight,
    results::{BreakdownView, breakdown},
    tally::Tally,
    vote::Marked,
};
use proptest::prelude::*;

use crate::support::{at, poll};

const OPTIONS: usize = 4;
const VALUES: [&str; 4] = ["v0", "v1", "v2", "v3"];

/// Ballots for each option by each value; the last row gives no value.
type Table = Vec<[u64; OPTIONS]>;

fn asked(minimum: u64, fields: &str) -> Poll {
    poll(&format!(
        r#"{{"demographics": {{"by": ["v0", "v1", "v2", "v3"]}}, "minimumCell": {minimum}{fields}}}"#
    ))
}

fn view(table: &Table, minimum: u64) -> BreakdownView {
    let poll = asked(minimum, "");
    let mut tally = Tally::new(&poll);
    for (row, counts) in table.iter().enumerate() {
        for (option, count) in counts.iter().enumerate() {
            let answers = VALUES.get(row).map(|value| (0, (*value).into())).into_iter().collect();
            let ballot = Ballot::Choices(vec![u16::try_from(option).unwrap()]);
            let marked = Marked { ballot, weight: Weight::ONE, answers };
            for _ in 0..*count {
                tally.fold_vote(tally.sequence.next(), at("01T00:00"), None, Some(&marked));
            }
        }
    }
    breakdown(&poll, &tally, "by").unwrap()
}

/// The table as it is shown: for each row the ballots and the options, hidden figures as none. What the last row gave
/// to each option is never shown, but where it is empty nobody need be told.
fn shown(view: &BreakdownView) -> Vec<Vec<Option<u64>>> {
    let row = |votes: Option<u64>, options: &[Option<u64>]| [&[votes], options].concat();
    let mut rows: Vec<_> = view.values.iter().map(|value| row(value.votes, &value.options)).collect();
    rows.push(row(view.unanswered, &[view.unanswered.filter(|votes| *votes == 0); OPTIONS]));
    rows
}

fn check(table: &Table, minimum: u64, expected: &[&str]) {
    let text = |row: &Vec<Option<u64>>| {
        row.iter()
            .map(|cell| cell.map_or("?".to_owned(), |cell| cell.to_string()))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(shown(&view(table, minimum)).iter().map(text).collect::<Vec<_>>(), expected);
}

#[test]
fn nothing_is_hidden_where_nothing_is_small() {
    let table = vec![[1, 0, 2, 0], [0, 0, 0, 0], [9, 9, 9, 9], [5, 0, 0, 0], [0, 0, 0, 1]];
    let all = ["3 1 0 2 0", "0 0 0 0 0", "36 9 9 9 9", "5 5 0 0 0", "1 ? ? ? ?"];
    check(&table, 0, &all);
    check(&table, 1, &all);
    check(
        &vec![[5, 5, 0, 0], [0; 4], [9, 9, 9, 9], [5, 0, 0, 0], [0; 4]],
        5,
        &["10 5 5 0 0", "0 0 0 0 0", "36 9 9 9 9", "5 5 0 0 0", "0 0 0 0 0"],
    );
}

#[test]
fn other_dimensions_are_none() {
    let poll = asked(0, "");
    assert!(breakdown(&poll, &Tally::new(&poll), "age").is_none());
}

/// Values of an open dimension beyond the limit are counted together, and taken away from where they were added.
#[test]
fn endless_values_count_as_other() {
    let poll = poll(r#"{"demographics": {"city": null}}"#);
    let mut tally = Tally::new(&poll);
    let marked = |number: usize| Marked {
        ballot: Ballot::Choices(vec![0]),
        weight: Weight::ONE,
        answers: vec![(0, format!("city {number}").into())],
    };
    for number in 0..300 {
        tally.fold_vote(tally.sequence.next(), at("01T00:00"), None, Some(&marked(number)));
    }
    let others = |tally: &Tally| {
        let view = breakdown(&poll, tally, "city").unwrap();
        let other = view.values.iter().find(|row| row.value == "other").unwrap().votes;
        (view.values.len(), other)
    };
    assert_eq!(others(&tally), (257, Some(44)));
    for number in 0..300 {
        tally.fold_vote(tally.sequence.next(), at("01T00:00"), Some(&marked(number)), None);
    }
    assert_eq!(others(&tally), (257, Some(0)));
}

/// What everybody knows of the figures that are not shown, as equations over them: each row's ballots are the sum of
/// its options, and each option's ballots over all rows are in the results. Gives the unknowns that have just one
/// solution.
fn solved(rows: &[Vec<Option<u64>>]) -> Vec<(usize, usize)> {
    let width = OPTIONS + 1;
    let unknowns: Vec<(usize, usize)> = (0..rows.len())
        .flat_map(|row| (0..width).map(move |column| (row, column)))
        .filter(|(row, column)| rows[*row][*column].is_none())
        .collect();
    let equation = |of: &dyn Fn(usize, usize) -> i64| {
        unknowns.iter().map(|(row, column)| of(*row, *column).rem_euclid(PRIME)).collect::<Vec<i64>>()
    };
    let mut equations = Vec::new();
    for this in 0..rows.len() {
        equations.push(equation(&|row, column| i64::from(row == this) * if column == 0 { -1 } else { 1 }));
    }
    for this in 0..width {
        equations.push(equation(&|_, column| i64::from(column == this)));
    }
    let reduced = reduce(equations);
    let alone = reduced.iter().filter_map(|equation| {
        let mut places = equation.iter().enumerate().filter(|(_, factor)| **factor != 0);
        let (first, second) = (places.next(), places.next());
        first.filter(|_| second.is_none()).map(|(place, _)| unknowns[place])
    });
    alone.collect()
}

/// A prime: arithmetic modulo it solves what small whole numbers solve.
const PRIME: i64 = 1_000_003;

/// Gauss and Jordan's elimination.
fn reduce(mut equations: Vec<Vec<i64>>) -> Vec<Vec<i64>> {
    let mut done = 0;
    for column in 0..equations.first().map_or(0, Vec::len) {
        let Some(pivot) = (done..equations.len()).find(|row| equations[*row][column] != 0) else { continue };
        equations.swap(done, pivot);
        let inverse = power(equations[done][column], PRIME - 2);
        equations[done].iter_mut().for_each(|factor| *factor = *factor * inverse % PRIME);
        let lead = equations[done].clone();
        for (row, equation) in equations.iter_mut().enumerate() {
            let factor = equation[column];
            if row != done && factor != 0 {
                let pairs = equation.iter_mut().zip(&lead);
                pairs.for_each(|(value, lead)| *value = (*value - factor * lead).rem_euclid(PRIME));
            }
        }
        done += 1;
    }
    equations
}

fn power(base: i64, exponent: i64) -> i64 {
    (0..62).rev().fold(1, |result, bit| {
        let squared = result * result % PRIME;
        if exponent >> bit & 1 == 1 { squared * base % PRIME } else { squared }
    })
}

/// The small figures that a reader can work out.
fn given_away(table: &Table, minimum: u64) -> Vec<(usize, usize, u64)> {
    let rows = shown(&view(table, minimum));
    let truth = |row: usize, column: usize| match column {
        0 => table[row].iter().sum::<u64>(),
        _ => table[row][column - 1],
    };
    let readable = (0..rows.len()).flat_map(|row| (0..=OPTIONS).map(move |column| (row, column)));
    let told = readable.filter(|(row, column)| rows[*row][*column].is_some()).chain(solved(&rows));
    told.map(|(row, column)| (row, column, truth(row, column)))
        .filter(|(_, _, votes)| *votes > 0 && *votes < minimum)
        .collect()
}

/// A small figure among those who gave no answer is one like any other.
#[test]
fn the_unanswered_are_protected_too() {
    let table = vec![[20, 20, 20, 20], [20, 20, 20, 20], [0; 4], [0; 4], [9, 1, 0, 0]];
    assert_eq!(given_away(&table, 5), []);
}

/// Two blocks of hidden figures that one more figure joins: what joins them is what the sums of one block leave.
#[test]
fn a_figure_between_two_blocks_is_protected() {
    let table = vec![[2, 2, 9, 9], [2, 2, 3, 9], [9, 9, 2, 2], [9, 9, 2, 2], [0; 4]];
    assert_eq!(given_away(&table, 5), []);
}

proptest! {
    #[test]
    fn no_small_figure_is_given_away(
        table in proptest::collection::vec(proptest::array::uniform4(0_u64..9), 5),
        minimum in 0_u64..7,
    ) {
        // A poll of fewer ballots than that shows them in its results.
        prop_assume!(table.iter().flatten().sum::<u64>() >= minimum);
        prop_assert_eq!(given_away(&table, minimum), []);
    }

    /// Hiding is for small figures: a table without them is shown whole.
    #[test]
    fn large_figures_are_shown(
        table in proptest::collection::vec(proptest::array::uniform4(5_u64..9), 5),
    ) {
        let hidden = shown(&view(&table, 5)).iter().take(4).flatten().filter(|cell| cell.is_none()).count();
        prop_assert_eq!(hidden, 0);
    }
}
