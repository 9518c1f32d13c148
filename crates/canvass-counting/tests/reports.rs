//! The story of a count as a person reads it: one golden text for each method.

use canvass_counting::{
    Ballot, BordaPoints, IrvRules, Method, MinimaxMeasure, OptionIndex, PairStrength, Profile, Rank,
    ScoreAggregate, TieBreak, Total, WigmRules, count,
};

const NAMES: [&str; 5] = ["Ada", "Ben", "Cleo", "Dora", "Émile"];

/// Counts and compares the whole text with the golden one of that name.
#[track_caller]
fn check(name: &str, method: &Method, seats: usize, tie_break: &TieBreak, ballots: &[(u64, Ballot)]) {
    let mut profile = Profile::new(NAMES.len());
    for (votes, ballot) in ballots {
        profile.add_total(ballot, Total::from_votes(*votes));
    }
    let count = count(&profile, method, seats, tie_break);
    insta::assert_snapshot!(name, count.report(&NAMES).to_string());
}

fn ranked(votes: u64, options: &[OptionIndex]) -> (u64, Ballot) {
    (votes, Ballot::Ranking(options.iter().copied().map(Rank::One).collect()))
}

fn rankings() -> Vec<(u64, Ballot)> {
    vec![
        ranked(16, &[0, 1, 2]),
        ranked(9, &[0, 2]),
        ranked(11, &[1, 2, 3]),
        ranked(7, &[2, 1, 4]),
        ranked(5, &[3, 2, 0]),
        ranked(5, &[4, 3]),
        ranked(2, &[3, 4, 1]),
        (3, Ballot::Ranking(vec![Rank::Equal(vec![1, 4]), Rank::One(3)])),
        (1, Ballot::Ranking(vec![Rank::Skipped, Rank::One(4)])),
        (2, Ballot::Ranking(vec![])),
    ]
}

fn cycle() -> Vec<(u64, Ballot)> {
    vec![ranked(40, &[0, 1, 2, 3, 4]), ranked(33, &[1, 2, 0, 3, 4]), ranked(27, &[2, 0, 1, 4, 3])]
}

fn scores() -> Vec<(u64, Ballot)> {
    vec![
        (4, Ballot::Scores(vec![(0, 5), (1, 3), (2, 0)])),
        (3, Ballot::Scores(vec![(1, 5), (2, 4)])),
        (2, Ballot::Scores(vec![(2, 5), (3, 5), (4, 1)])),
        (1, Ballot::Scores(vec![])),
    ]
}

fn allocations() -> Vec<(u64, Ballot)> {
    vec![
        (3, Ballot::Allocation(vec![(0, 3), (1, 1)])),
        (2, Ballot::Allocation(vec![(2, 2), (4, -1)])),
        (1, Ballot::Allocation(vec![(1, 9)])),
    ]
}

fn lot() -> TieBreak {
    TieBreak::Lot { seed: "2026-11-22 evening draw: 3 14 15 92 65 35".to_owned() }
}

#[test]
fn choices() {
    let choices =
        [(3, Ballot::Choices(vec![0])), (3, Ballot::Choices(vec![4])), (1, Ballot::Choices(vec![1]))];
    check("plurality", &Method::Plurality, 1, &lot(), &choices);
    check("plurality_tied", &Method::Plurality, 1, &TieBreak::Report, &choices);
    check("approval", &Method::Approval, 2, &TieBreak::Report, &choices);
    check("nobody", &Method::Approval, 2, &TieBreak::Report, &[]);
}

#[test]
fn points() {
    check("score_sum", &Method::Score(ScoreAggregate::Sum), 1, &TieBreak::Report, &scores());
    let mean = Method::Score(ScoreAggregate::Mean { raters_min: 3 });
    check("score_mean", &mean, 1, &TieBreak::Report, &scores());
    check("star", &Method::Star { score_max: 5 }, 1, &TieBreak::Report, &scores());
    check("borda", &Method::Borda(BordaPoints::UnrankedShareAverage), 2, &TieBreak::Report, &rankings());
    check("dot", &Method::Dot { dots: 5, per_option_max: None }, 1, &TieBreak::Report, &allocations());
    let quadratic = Method::Quadratic { credits: 16, negative_votes: true };
    check("quadratic", &quadratic, 1, &TieBreak::Report, &allocations());
}

#[test]
fn pairs() {
    check("schulze", &Method::Schulze, 1, &TieBreak::Report, &cycle());
    check("ranked_pairs", &Method::RankedPairs(PairStrength::Margins), 1, &TieBreak::Report, &cycle());
    check("minimax", &Method::Minimax(MinimaxMeasure::WinningVotes), 1, &TieBreak::Report, &cycle());
    let equal = [ranked(1, &[0, 1, 2]), ranked(1, &[1, 2, 0]), ranked(1, &[2, 0, 1])];
    check("ranked_pairs_tied", &Method::RankedPairs(PairStrength::WinningVotes), 1, &lot(), &equal);
}

#[test]
fn rounds() {
    check("irv", &Method::Irv(IrvRules::default()), 1, &TieBreak::Report, &rankings());
    let batch = IrvRules { batch_elimination: true, continue_until_two: true, ..IrvRules::default() };
    let uneven =
        [ranked(35, &[0]), ranked(30, &[1, 0]), ranked(5, &[2, 1]), ranked(3, &[3, 1]), ranked(2, &[4])];
    check("irv_batch", &Method::Irv(batch), 1, &TieBreak::Report, &uneven);
    let chair = TieBreak::Chair(vec![vec![2, 3]]);
    let equal =
        [ranked(10, &[0, 1]), ranked(4, &[1]), ranked(4, &[2, 1]), ranked(4, &[3]), ranked(1, &[4, 0])];
    check("stv_scottish", &Method::StvScottish, 2, &chair, &equal);
    check("stv_meek", &Method::StvMeek, 2, &TieBreak::Order(vec![]), &rankings());
    check("stv_wigm", &Method::StvWigm(WigmRules::default()), 2, &TieBreak::Report, &rankings());
}
