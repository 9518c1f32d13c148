//! Ties: a first-class part of every result, and the ways to break one that the rule itself leaves open.
//!
//! A count never decides by the accident of an option's place in the list. It asks here, and what was asked, how it was
//! answered and by what is kept in the result, so that anyone can check it.

use sha2::{Digest, Sha256};

use crate::OptionIndex;

/// How to break a tie that a rule leaves to a lot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TieBreak {
    /// Not at all: the count ends with the tie as its result.
    #[default]
    Report,
    /// By an order given beforehand, the most favoured option first. Options that it leaves out come last, in the
    /// order of the poll.
    Order(Vec<OptionIndex>),
    /// By an order given beforehand in which the lot falls on options: of those that are tied, the first in it is elected,
    /// transferred or eliminated, whatever the lot is about. Options that it leaves out come last, in the order of the
    /// poll. So programs do that fix their lots by the order of the candidates.
    DrawOrder(Vec<OptionIndex>),
    /// By lot from a seed that was published beforehand.
    ///
    /// For the n-th lot of a count, each tied option gets the SHA-256 of the text `SEED/n/OPTION`, where OPTION is its
    /// number from 1 in the poll's list; the smaller the hash (as 64 hex digits), the more favoured the option. Anyone
    /// can repeat it: `printf 'SEED/1/3' | sha256sum`.
    Lot {
        /// Best a text that nobody can foresee or choose, drawn in public after the votes are in.
        seed: String,
    },
    /// By decisions of the chair, each a list of tied options from the most favoured down. A tie takes the first
    /// decision that lists exactly its options; without one it is reported.
    Chair(Vec<Vec<OptionIndex>>),
}

/// One step in breaking a tie. A tie that takes several steps has several of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tie {
    /// The round it arose in, from 1.
    pub round: usize,
    /// What had to be decided.
    pub purpose: TiePurpose,
    /// The options between which it had to be decided, ascending.
    pub tied: Vec<OptionIndex>,
    /// What decided.
    pub by: TieRule,
    /// The options that the decision fell on: still several where a further step is needed, none where it stays open.
    pub chosen: Vec<OptionIndex>,
}

/// What a tie is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TiePurpose {
    /// Who is elected.
    Election,
    /// Who is eliminated.
    Elimination,
    /// Whose surplus is transferred first.
    SurplusOrder,
    /// Who goes on to the runoff.
    Finalist,
}

/// What broke a tie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TieRule {
    /// The votes in an earlier round, from 1.
    EarlierRound(usize),
    /// The ballots that prefer one of the tied options to another.
    HeadToHead,
    /// The higher total score.
    Score,
    /// The number of highest scores given.
    TopScores,
    /// The order given beforehand.
    Order,
    /// A lot from the published seed: the n-th of this count.
    Lot(usize),
    /// A decision of the chair.
    Chair,
    /// Nothing: the tie stays.
    Open,
}

/// The ties of one count, and what breaks them.
pub(crate) struct Ties<'a> {
    tie_break: &'a TieBreak,
    lots: usize,
    /// What the count has met so far.
    pub(crate) met: Vec<Tie>,
}

impl<'a> Ties<'a> {
    pub(crate) fn new(tie_break: &'a TieBreak) -> Self {
        Self { tie_break, lots: 0, met: Vec::new() }
    }

    /// Records a step that the counting rule itself took.
    pub(crate) fn record(
        &mut self,
        round: usize,
        purpose: TiePurpose,
        tied: &[OptionIndex],
        by: TieRule,
        chosen: &[OptionIndex],
    ) {
        self.met.push(Tie { round, purpose, tied: tied.to_vec(), by, chosen: chosen.to_vec() });
    }

    /// Chooses so many of the tied options: the most favoured, or for an elimination the least favoured. Nothing where
    /// the tie stays open.
    pub(crate) fn choose(
        &mut self,
        round: usize,
        purpose: TiePurpose,
        tied: &[OptionIndex],
        needed: usize,
    ) -> Option<Vec<OptionIndex>> {
        let ordered = self.order(tied);
        let (by, chosen) = match ordered {
            Some((by, mut favoured_first)) => {
                let is_drawn = matches!(self.tie_break, TieBreak::DrawOrder(_));
                if purpose == TiePurpose::Elimination && !is_drawn {
                    favoured_first.reverse();
                }
                favoured_first.truncate(needed);
                (by, favoured_first)
            }
            None => (TieRule::Open, Vec::new()),
        };
        self.record(round, purpose, tied, by, &chosen);
        (by != TieRule::Open).then_some(chosen)
    }

    /// All of the tied options, the most favoured first.
    pub(crate) fn order(&mut self, tied: &[OptionIndex]) -> Option<(TieRule, Vec<OptionIndex>)> {
        let mut ordered = tied.to_vec();
        match self.tie_break {
            TieBreak::Report => None,
            TieBreak::Order(order) | TieBreak::DrawOrder(order) => {
                let place = |option| order.iter().position(|&listed| listed == option).unwrap_or(usize::MAX);
                ordered.sort_by_key(|&option| (place(option), option));
                Some((TieRule::Order, ordered))
            }
            TieBreak::Lot { seed } => {
                self.lots += 1;
                ordered.sort_by_cached_key(|&option| (draw(seed, self.lots, option), option));
                Some((TieRule::Lot(self.lots), ordered))
            }
            TieBreak::Chair(decisions) => {
                let same = |decision: &&Vec<OptionIndex>| {
                    let mut sorted = (*decision).clone();
                    sorted.sort_unstable();
                    ordered.sort_unstable();
                    sorted == ordered
                };
                decisions.iter().find(same).map(|decision| (TieRule::Chair, decision.clone()))
            }
        }
    }
}

/// The hash that ranks an option in a lot, as [`TieBreak::Lot`] publishes it.
fn draw(seed: &str, lot: usize, option: OptionIndex) -> [u8; 32] {
    Sha256::digest(format!("{seed}/{lot}/{}", u32::from(option) + 1)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tie_break: &TieBreak, purpose: TiePurpose, expected: (TieRule, &[OptionIndex])) {
        let mut ties = Ties::new(tie_break);
        let chosen = ties.choose(1, purpose, &[0, 1, 2], 1);
        assert_eq!((ties.met[0].by, ties.met[0].chosen.as_slice()), expected);
        assert_eq!(chosen.is_none(), expected.0 == TieRule::Open);
    }

    #[test]
    fn a_tie_is_broken_as_was_published() {
        let lot = TieBreak::Lot { seed: "canvass".to_owned() };
        let chair = TieBreak::Chair(vec![vec![0, 1], vec![1, 2, 0]]);
        check(&TieBreak::Report, TiePurpose::Election, (TieRule::Open, &[]));
        check(&TieBreak::Order(vec![2, 0]), TiePurpose::Election, (TieRule::Order, &[2]));
        check(&TieBreak::Order(vec![2, 0]), TiePurpose::Elimination, (TieRule::Order, &[1]));
        check(&TieBreak::DrawOrder(vec![2, 0]), TiePurpose::Election, (TieRule::Order, &[2]));
        check(&TieBreak::DrawOrder(vec![2, 0]), TiePurpose::Elimination, (TieRule::Order, &[2]));
        check(&chair, TiePurpose::Election, (TieRule::Chair, &[1]));
        check(&TieBreak::Chair(vec![vec![0, 1]]), TiePurpose::Election, (TieRule::Open, &[]));
        // printf 'canvass/1/1' | sha256sum and so on, sorted.
        check(&lot, TiePurpose::Election, (TieRule::Lot(1), &[2]));
        check(&lot, TiePurpose::Elimination, (TieRule::Lot(1), &[0]));
    }
}
