//! A profile: every distinct ballot of an election with how much of it was cast.
//!
//! A count never needs to know who cast a ballot or when, and elections have far fewer distinct ballots than
//! voters, so every method counts a profile.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use crate::{
    Ballot, OptionIndex, Total, WEIGHT_UNIT, Weight,
    packed::{PackedBallot, pack},
};

/// The most votes that a profile holds: a million million ballots of the heaviest weight. Every rule's arithmetic has
/// room for so many.
pub const PROFILE_VOTES_MAX: Total =
    Total::from_millionths(1_000_000_000_000_000_000_000 * WEIGHT_UNIT as u128);

/// Ballots that nobody casts any more are kept up to so many before they are cleared away, if they are the larger part.
const UNUSED_KEPT_MAX: usize = 1_024;

/// Distinct ballots and their weights, for a number of options.
///
/// A ballot takes 2 bytes a mark (6 where marks are numbers), 26 bytes besides, and 5 to 9 in the table that finds it
/// when it is cast again: about 52 bytes where ten options are ranked. Of a ballot that was taken away so often that
/// nobody casts it any more, the place is kept, until these are the larger part of all.
///
/// A copy has no such table until something is added to it, so that copying a profile to count it is quick.
#[derive(Debug, Default)]
pub struct Profile {
    option_count: usize,
    /// All ballots' codes, one after another.
    codes: Vec<u16>,
    /// Where each ballot's codes begin; they end where the next one's begin.
    starts: Vec<usize>,
    /// How much of each was cast.
    totals: Vec<Total>,
    /// Finds a ballot by its codes; none in a copy.
    finder: Option<HashTable<u32>>,
    /// Drawn at random, so that no voters can choose ballots that take long to find. Nothing that is counted or shown
    /// depends on it.
    hash_key: RandomState,
    /// Ballots of which nothing is cast.
    unused: usize,
    /// The sum of all weights, so that the limit is checked without a walk over the ballots.
    total: Total,
    /// The highest option that any ballot names.
    option_max: Option<OptionIndex>,
    /// The codes of the ballot in hand.
    scratch: Vec<u16>,
}

impl Profile {
    /// A profile without ballots. There are at most as many options as an index can name.
    pub fn new(option_count: usize) -> Self {
        let option_count = option_count.min(usize::from(OptionIndex::MAX));
        Self { option_count, ..Self::default() }
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
        self.starts.len() - self.unused
    }

    /// Whether no ballot was cast.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.codes.capacity() * size_of::<u16>()
            + self.starts.capacity() * size_of::<usize>()
            + self.totals.capacity() * size_of::<Total>()
            + self.finder.as_ref().map_or(0, HashTable::allocation_size)
    }

    /// Adds one ballot.
    pub fn add(&mut self, ballot: &Ballot, weight: Weight) {
        self.add_total(ballot, weight.into());
    }

    /// Adds as much of one ballot as a total says, as a file that gives counts does.
    ///
    /// What would lift the profile over [`PROFILE_VOTES_MAX`] is not added: a reader of files refuses such counts by
    /// comparing with [`Profile::total`] first, and votes that were cast one by one never come near it.
    ///
    /// # Panics
    /// If there are more than 4,294,967,295 distinct ballots, which take over 100 GB.
    pub fn add_total(&mut self, ballot: &Ballot, total: Total) {
        let room = PROFILE_VOTES_MAX.millionths() - self.total.millionths();
        let total = Total::from_millionths(total.millionths().min(room));
        if total == Total::ZERO {
            return;
        }
        self.total = Total::from_millionths(self.total.millionths() + total.millionths());
        let index = match self.find(ballot) {
            Some(index) => index,
            None => self.push_scratch(),
        };
        let sum = &mut self.totals[index];
        self.unused -= usize::from(*sum == Total::ZERO);
        *sum = Total::from_millionths(sum.millionths() + total.millionths());
    }

    /// Takes away one ballot that was added before, as a changed or withdrawn vote does.
    ///
    /// # Panics
    /// If the ballot was never added.
    pub fn remove(&mut self, ballot: &Ballot, weight: Weight) {
        let index = self.find(ballot).expect("only a ballot that was added is taken away");
        self.totals[index].remove(weight);
        self.total.remove(weight);
        if self.totals[index] == Total::ZERO {
            self.unused += 1;
            if self.unused > UNUSED_KEPT_MAX && self.unused > self.starts.len() / 2 {
                self.clear_unused();
            }
        }
    }

    /// The distinct ballots in no particular order, each with its weight.
    pub fn iter(&self) -> impl Iterator<Item = (Ballot, Total)> {
        self.packed().map(|(ballot, total)| (ballot.unpack(), total))
    }

    /// The distinct ballots in a stable order, for reports and for rules that read ballots one after another.
    pub fn sorted(&self) -> Vec<(Ballot, Total)> {
        let mut ballots: Vec<_> = self.iter().collect();
        ballots.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        ballots
    }

    /// The distinct ballots as they are kept.
    pub(crate) fn packed(&self) -> impl Iterator<Item = (PackedBallot<'_>, Total)> {
        let ends = self.starts.iter().skip(1).copied().chain([self.codes.len()]);
        let places = self.starts.iter().copied().zip(ends).zip(&self.totals);
        places
            .filter(|(_, total)| **total > Total::ZERO)
            .map(|((start, end), total)| (PackedBallot::of(&self.codes[start..end]), *total))
    }

    /// Whether no ballot names an option that there is not, so that no ballot needs to be looked at for it.
    pub(crate) fn names_known_options(&self) -> bool {
        self.option_max.is_none_or(|option| usize::from(option) < self.option_count)
    }

    /// The ballot's place, if it has one; its codes are in `scratch` then, in any case.
    fn find(&mut self, ballot: &Ballot) -> Option<usize> {
        self.scratch.clear();
        pack(ballot, &mut self.scratch);
        if self.finder.is_none() {
            self.finder = Some(self.make_finder());
        }
        self.find_packed(&self.scratch, self.finder.as_ref()?)
    }

    fn find_packed(&self, codes: &[u16], finder: &HashTable<u32>) -> Option<usize> {
        let is_same = |index: &u32| self.codes_of(*index as usize) == codes;
        finder.find(self.hash(codes), is_same).map(|index| *index as usize)
    }

    fn make_finder(&self) -> HashTable<u32> {
        let mut finder = HashTable::with_capacity(self.starts.len());
        for index in 0..self.starts.len() {
            let hash_of = |index: &u32| self.hash(self.codes_of(*index as usize));
            finder.insert_unique(self.hash(self.codes_of(index)), number(index), hash_of);
        }
        finder
    }

    /// A place for the ballot whose codes are in `scratch`.
    fn push_scratch(&mut self) -> usize {
        let index = self.starts.len();
        self.starts.push(self.codes.len());
        self.codes.extend_from_slice(&self.scratch);
        self.totals.push(Total::ZERO);
        self.unused += 1;
        self.option_max = self.option_max.max(PackedBallot::of(&self.scratch).option_max());
        let mut finder = self.finder.take().unwrap_or_default();
        let hash_of = |index: &u32| self.hash(self.codes_of(*index as usize));
        finder.insert_unique(self.hash(&self.scratch), number(index), hash_of);
        self.finder = Some(finder);
        index
    }

    fn hash(&self, codes: &[u16]) -> u64 {
        self.hash_key.hash_one(codes)
    }

    fn codes_of(&self, index: usize) -> &[u16] {
        let end = self.starts.get(index + 1).copied().unwrap_or(self.codes.len());
        &self.codes[self.starts[index]..end]
    }

    /// Gives back the memory of ballots that nobody casts any more.
    fn clear_unused(&mut self) {
        let mut kept = Self { option_count: self.option_count, total: self.total, ..Self::default() };
        for index in 0..self.starts.len() {
            if self.totals[index] > Total::ZERO {
                kept.starts.push(kept.codes.len());
                kept.codes.extend_from_slice(self.codes_of(index));
                kept.totals.push(self.totals[index]);
            }
        }
        kept.option_max = self.option_max;
        *self = kept;
    }
}

impl Clone for Profile {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.option_count);
        copy.clone_from(self);
        copy
    }

    /// Copies into the memory that is there.
    fn clone_from(&mut self, source: &Self) {
        self.option_count = source.option_count;
        self.codes.clone_from(&source.codes);
        self.starts.clone_from(&source.starts);
        self.totals.clone_from(&source.totals);
        self.finder = None;
        self.unused = source.unused;
        self.total = source.total;
        self.option_max = source.option_max;
    }
}

impl PartialEq for Profile {
    /// Equal as counts are: the same ballots with the same weights, in whatever order they came.
    fn eq(&self, other: &Self) -> bool {
        if (self.option_count, self.total, self.len()) != (other.option_count, other.total, other.len()) {
            return false;
        }
        let made = other.finder.is_none().then(|| other.make_finder());
        let Some(finder) = other.finder.as_ref().or(made.as_ref()) else { return false };
        (0..self.starts.len()).all(|index| {
            let found = other.find_packed(self.codes_of(index), finder);
            self.totals[index] == found.map_or(Total::ZERO, |index| other.totals[index])
        })
    }
}

impl Eq for Profile {}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("more distinct ballots than memory can hold")
}
