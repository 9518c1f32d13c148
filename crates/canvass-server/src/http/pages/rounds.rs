//! How a count came about: its rounds as a table, and its comparisons in pairs.

use canvass_counting::{ElectedBecause, Inactive, Round, Step};
use canvass_domain::{Count, Poll, method::Method};

use super::{flow::Flow, said::Said};
use crate::limits::{PAIRS_OPTIONS_MAX, ROUND_FIGURES_MAX};

/// The rounds of a count, each a column.
pub(super) struct Rounds {
    pub(super) left_out: Option<String>,
    pub(super) flow: Option<Flow>,
    pub(super) headings: Vec<String>,
    pub(super) rows: Vec<RoundRow>,
    pub(super) inactive: Vec<String>,
    pub(super) thresholds: Vec<String>,
    pub(super) has_threshold: bool,
}

pub(super) struct RoundRow {
    pub(super) label: String,
    pub(super) cells: Vec<RoundCell>,
}

pub(super) struct RoundCell {
    pub(super) votes: String,
    pub(super) word: &'static str,
    pub(super) is_out: bool,
}

impl Rounds {
    /// None where the method has no rounds, or nobody has voted.
    pub(super) fn new(said: &Said, poll: &Poll, count: &Count) -> Option<Self> {
        if count.rounds.is_empty() {
            return None;
        }
        let shown_max = (ROUND_FIGURES_MAX / poll.options.len().max(1)).max(1);
        let left_out = count.rounds.len().saturating_sub(shown_max);
        let shown = &count.rounds[left_out..];
        let headings: Vec<_> =
            (left_out + 1..).zip(shown).map(|(place, round)| heading(said, place, round)).collect();
        let threshold = |round: &Round| round.threshold.map(|votes| said.decimal(votes)).unwrap_or_default();
        let row = |(index, label): (u16, &str)| round_row(said, index, label, shown);
        let labels = || (0..).zip(poll.options.iter().map(|option| option.label.as_str()));
        Some(Self {
            left_out: (left_out > 0).then(|| said.t.count(&said.t.rounds.left_out, left_out as u64)),
            flow: Flow::new(said, labels(), &count.rounds, &headings),
            rows: labels().map(row).collect(),
            inactive: shown.iter().map(|round| said.decimal(inactive(&round.inactive))).collect(),
            thresholds: shown.iter().map(threshold).collect(),
            has_threshold: shown.iter().any(|round| round.threshold.is_some()),
            headings,
        })
    }
}

fn heading(said: &Said, place: usize, round: &Round) -> String {
    match round.step {
        Step::Runoff => said.t.rounds.runoff.clone(),
        _ => said.t.rounds.round.fill(&[("place", &place.to_string())]),
    }
}

fn round_row(said: &Said, index: u16, label: &str, rounds: &[Round]) -> RoundRow {
    let cells = rounds.iter().map(|round| round_cell(said, index, round)).collect();
    RoundRow { label: label.to_owned(), cells }
}

fn round_cell(said: &Said, index: u16, round: &Round) -> RoundCell {
    let votes = round.tally.iter().find(|(option, _)| *option == index);
    let elected = round.elected.iter().find(|elected| elected.option == index);
    let is_out = round.eliminated.iter().any(|gone| gone.option == index);
    let word = match elected.map(|elected| elected.because) {
        Some(ElectedBecause::Finalist) => &said.t.rounds.finalist,
        Some(_) => said.leads,
        None if is_out => &said.t.rounds.out,
        None => "",
    };
    let votes = votes.map(|(_, votes)| said.decimal(votes)).unwrap_or_default();
    RoundCell { votes, word, is_out }
}

/// All votes that count for nobody any more; the API tells the reasons apart.
fn inactive(inactive: &Inactive) -> f64 {
    let parts = [
        inactive.exhausted_choices,
        inactive.overvotes,
        inactive.repeated_rankings,
        inactive.skipped_rankings,
        inactive.final_surplus,
        inactive.residual,
    ];
    parts.iter().filter_map(|part| part.to_string().parse::<f64>().ok()).sum()
}

/// Every two options compared: what methods of Condorcet's kind decide by.
pub(super) struct Pairs {
    pub(super) rows: Vec<PairRow>,
}

pub(super) struct PairRow {
    pub(super) label: String,
    pub(super) cells: Vec<Option<Pair>>,
}

/// How many prefer the option of the row, and how many that of the column.
pub(super) struct Pair {
    pub(super) own: String,
    pub(super) other: String,
    pub(super) wins: bool,
}

impl Pairs {
    /// None for other methods, and where a table would be too large to read.
    pub(super) fn new(said: &Said, poll: &Poll, count: &Count) -> Option<Self> {
        let compares =
            matches!(poll.method, Method::Schulze {} | Method::RankedPairs { .. } | Method::Minimax { .. });
        let pairwise = count.pairwise.as_ref().filter(|_| compares)?;
        if poll.options.len() > PAIRS_OPTIONS_MAX || pairwise.option_count() != poll.options.len() {
            return None;
        }
        let pair = |row: u16, column: u16| {
            let (own, other) = (pairwise.votes(row, column), pairwise.votes(column, row));
            (row != column).then(|| Pair {
                own: said.decimal(own),
                other: said.decimal(other),
                wins: own > other,
            })
        };
        let options = || (0..).zip(&poll.options);
        let row = |(row, option): (u16, &canvass_domain::poll::PollOption)| PairRow {
            label: option.label.clone(),
            cells: options().map(|(column, _)| pair(row, column)).collect(),
        };
        Some(Self { rows: options().map(row).collect() })
    }
}
