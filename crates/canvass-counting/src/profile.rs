//! A profile: every distinct ballot of an election with how much of it was cast.
//!
//! A count never needs to know who cast a ballot or when, and elections have far fewer distinct ballots than
//! voters, so every method counts a profile.

use rustc_hash::FxHashMap;

use crate::{Ballot, OptionIndex, Total, WEIGHT_UNIT, Weight};

/// The most votes that a profile holds: a million million ballots of the heaviest weight. Every rule's arithmetic has
/// room for so many.
pub const PROFILE_VOTES_MAX: Total =
    Total::from_millionths(1_000_000_000_000_000_000_000 * WEIGHT_UNIT as u128);

/// Distinct ballots and their weights, for a number of options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    option_count: usize,
    ballots: FxHashMap<Ballot, Total>,
    /// The sum of all weights, so that the limit is checked without a walk over the ballots.
    total: Total,
}

impl Profile {
    /// A profile without ballots. There are at most as many options as an index can name.
    pub fn new(option_count: usize) -> Self {
        let option_count = option_count.min(usize::from(OptionIndex::MAX));
        Self { option_count, ballots: FxHashMap::default(), total: Total::ZERO }
    }

    /// How many options can be marked.
    pub fn option_count(&self) -> usize {
        self.option_count
    }

    /// How much was cast in all.
    pub fn total(&self) -> Total {
        self.total
    }

    /// How many distinct ballots there are.
    pub fn len(&self) -> usize {
        self.ballots.len()
    }

    /// Whether no ballot was cast.
    pub fn is_empty(&self) -> bool {
        self.ballots.is_empty()
    }

    /// Adds one ballot.
    pub fn add(&mut self, ballot: &Ballot, weight: Weight) {
        self.add_total(ballot, weight.into());
    }

    /// Adds as much of one ballot as a total says, as a file that gives counts does.
    ///
    /// What would lift the profile over [`PROFILE_VOTES_MAX`] is not added: a reader of files refuses such counts by
    /// comparing with [`Profile::total`] first, and votes that were cast one by one never come near it.
    pub fn add_total(&mut self, ballot: &Ballot, total: Total) {
        let room = PROFILE_VOTES_MAX.millionths() - self.total.millionths();
        let total = Total::from_millionths(total.millionths().min(room));
        if total == Total::ZERO {
            return;
        }
        self.total = Total::from_millionths(self.total.millionths() + total.millionths());
        let sum = match self.ballots.get_mut(ballot) {
            Some(sum) => sum,
            None => self.ballots.entry(ballot.clone()).or_default(),
        };
        *sum = Total::from_millionths(sum.millionths() + total.millionths());
    }

    /// Takes away one ballot that was added before, as a changed or withdrawn vote does.
    ///
    /// # Panics
    /// If the ballot was never added.
    pub fn remove(&mut self, ballot: &Ballot, weight: Weight) {
        let sum = self.ballots.get_mut(ballot).expect("only a ballot that was added is taken away");
        sum.remove(weight);
        self.total.remove(weight);
        if *sum == Total::ZERO {
            self.ballots.remove(ballot);
        }
    }

    /// The distinct ballots in no particular order, each with its weight.
    pub fn iter(&self) -> impl Iterator<Item = (&Ballot, Total)> {
        self.ballots.iter().map(|(ballot, total)| (ballot, *total))
    }

    /// The distinct ballots in a stable order, for reports and for rules that read ballots one after another.
    pub fn sorted(&self) -> Vec<(&Ballot, Total)> {
        let mut ballots: Vec<_> = self.iter().collect();
        ballots.sort_unstable_by(|a, b| a.0.cmp(b.0));
        ballots
    }
}
