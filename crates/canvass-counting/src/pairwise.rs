//! The matrix of pairs: how many ballots prefer one option to another, and what follows from it alone.

use crate::{
    Figure, OptionIndex, PROFILE_VOTES_MAX, Profile, Total, intake,
    preference::{self, Order},
};

/// For each two options, how much of the profile ranks the first above the second. Ranked is above unranked; an equal
/// rank, or neither ranked, is no preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairwise {
    option_count: usize,
    /// Millionths of a vote, row by row.
    preferred: Vec<i128>,
}

impl Pairwise {
    /// A published matrix: `rows[x][y]` prefers x to y. Nothing if it is not square, has more options than an index
    /// can name, or holds more than [`PROFILE_VOTES_MAX`] in a field; the diagonal is not looked at.
    pub fn from_rows(rows: &[Vec<Total>]) -> Option<Self> {
        let option_count = rows.len();
        let fits = |row: &Vec<Total>| {
            row.len() == option_count && row.iter().all(|votes| *votes <= PROFILE_VOTES_MAX)
        };
        if option_count > usize::from(OptionIndex::MAX) || !rows.iter().all(fits) {
            return None;
        }
        let mut preferred: Vec<_> = rows.iter().flatten().map(|votes| votes.signed_millionths()).collect();
        (0..option_count).for_each(|option| preferred[option * (option_count + 1)] = 0);
        Some(Self { option_count, preferred })
    }

    /// The matrix of a profile's ranked ballots, for any method's result; other ballots add nothing.
    pub fn of(profile: &Profile) -> Self {
        let (_, orders) = intake::read(profile, preference::order);
        Self::from_orders(profile.option_count(), orders.into_iter())
    }

    /// The matrix of weighted orders of preference.
    ///
    /// Only pairs of ranked options are visited: that a ranked option beats all unranked ones is added once for the
    /// option, and taken off again for the pairs where the other is ranked as well.
    pub(crate) fn from_orders(option_count: usize, orders: impl Iterator<Item = (Order, i128)>) -> Self {
        let mut ranked = vec![0i128; option_count];
        let mut not_preferred = vec![0i128; option_count * option_count];
        for (order, weight) in orders {
            let mut above_or_equal: Vec<OptionIndex> = Vec::with_capacity(option_count);
            for group in &order {
                above_or_equal.extend(group);
                for &option in group {
                    ranked[usize::from(option)] += weight;
                    let row = &mut not_preferred[usize::from(option) * option_count..][..option_count];
                    for &other in &above_or_equal {
                        row[usize::from(other)] += weight;
                    }
                }
            }
        }
        let place = |index: usize| (index / option_count, index % option_count);
        let mut preferred: Vec<i128> =
            not_preferred.iter().enumerate().map(|(index, not)| ranked[place(index).0] - not).collect();
        (0..option_count).for_each(|option| preferred[option * (option_count + 1)] = 0);
        Self { option_count, preferred }
    }

    /// How many options there are.
    pub fn option_count(&self) -> usize {
        self.option_count
    }

    /// The votes that prefer one option to another; nothing for options that there are not.
    pub fn votes(&self, preferred: OptionIndex, other: OptionIndex) -> Figure {
        Figure::millionths(self.millionths(preferred, other))
    }

    /// The option that beats every other, if there is one.
    pub fn condorcet_winner(&self) -> Option<OptionIndex> {
        self.options()
            .find(|&option| self.options().all(|other| option == other || self.beats(option, other)))
    }

    /// The smallest set of options that beat every option outside it, ascending. Of no votes at all it is empty.
    pub fn smith_set(&self) -> Vec<OptionIndex> {
        if self.is_empty() {
            return Vec::new();
        }
        // By descending number of options beaten or tied with, each prefix is a candidate; the set is the first
        // prefix that nobody outside it beats or ties.
        let reach = |option| self.options().filter(|&other| !self.beats(other, option)).count();
        let mut sorted: Vec<_> = self.options().collect();
        sorted.sort_by_cached_key(|&option| (std::cmp::Reverse(reach(option)), option));
        let mut size = 1;
        let mut checked = 0;
        while checked < size {
            let inside = sorted[checked];
            let last = (size..sorted.len()).rev().find(|&place| !self.beats(inside, sorted[place]));
            size = last.map_or(size, |place| place + 1);
            checked += 1;
        }
        sorted.truncate(size);
        sorted.sort_unstable();
        sorted
    }

    /// Whether nobody prefers any option.
    pub(crate) fn is_empty(&self) -> bool {
        self.preferred.iter().all(|&votes| votes == 0)
    }

    pub(crate) fn options(&self) -> impl Iterator<Item = OptionIndex> + use<> {
        (0..OptionIndex::MAX).take(self.option_count)
    }

    pub(crate) fn beats(&self, option: OptionIndex, other: OptionIndex) -> bool {
        self.millionths(option, other) > self.millionths(other, option)
    }

    pub(crate) fn millionths(&self, preferred: OptionIndex, other: OptionIndex) -> i128 {
        let (row, column) = (usize::from(preferred), usize::from(other));
        if row.max(column) < self.option_count { self.preferred[row * self.option_count + column] } else { 0 }
    }
}
