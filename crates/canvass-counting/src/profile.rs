//! A profile: every distinct ballot of an election with how much of it was cast.
//!
//! A count never needs to know who cast a ballot or when, and elections have far fewer distinct ballots than
//! voters, so every method counts a profile.

use std::{
    hash::{BuildHasher as _, RandomState},
    ops::Range,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use hashbrown::HashTable;

use crate::{
    Ballot, OptionIndex, Total, WEIGHT_UNIT, Weight,
    findings::Findings,
    packed::{PackedBallot, Ranks, pack},
};

/// The most votes that a profile holds: a million million ballots of the heaviest weight. Every rule's arithmetic has
/// room for so many.
pub const PROFILE_VOTES_MAX: Total =
    Total::from_millionths(1_000_000_000_000_000_000_000 * WEIGHT_UNIT as u128);

/// Ballots that nobody casts any more are kept up to so many before they are cleared away, if they are the larger part.
const UNUSED_KEPT_MAX: usize = 1_024;

/// Distinct ballots and their weights, for a number of options.
///
/// A ballot takes 2 bytes a mark (6 where marks are numbers), 30 bytes besides, and 5 to 9 in the table that finds it
/// when it is cast again: about 58 bytes where ten options are ranked, and up to twice that just after the lists have
/// grown. Of a ballot that was taken away so often that
/// nobody casts it any more, the place is kept, until these are the larger part of all.
///
/// A copy has no such table until something is added to it, and a copy over an earlier copy of the same profile takes
/// only what is new or was changed, so that copying a profile to count it is quick. Where the earlier copy was counted
/// in rounds, the next count goes on from that count.
#[derive(Debug, Default)]
pub struct Profile {
    option_count: usize,
    /// All ballots' codes, one after another.
    codes: Vec<u16>,
    /// Where each ballot's codes begin; they end where the next one's begin.
    starts: Vec<usize>,
    /// How much of each was cast.
    totals: Vec<Total>,
    /// For each the bundle that it is in, or [`NONE`].
    bundle_of: Vec<u32>,
    /// Rankings by their first ranks.
    bundles: Vec<Bundle>,
    /// The ballots that are in no bundle.
    single: Vec<u32>,
    /// Finds ballots and bundles; none in a copy.
    finder: Option<Finder>,
    /// How many ballots' totals are no whole votes.
    fractional: usize,
    /// Drawn at random, so that no voters can choose ballots that take long to find. Nothing that is counted or shown
    /// depends on it.
    hash_key: RandomState,
    /// Ballots of which nothing is cast.
    unused: usize,
    /// The sum of all weights, so that the limit is checked without a walk over the ballots.
    total: Total,
    /// The highest option that any ballot names.
    option_max: Option<OptionIndex>,
    /// Whether on any ballot options share a rank.
    shares_ranks: bool,
    /// The ballots of each bundle as they were when they were asked for first.
    members: OnceLock<Members>,
    /// Those that came after these.
    new_members: OnceLock<Members>,
    /// A bit for each ballot of which one vote was cast, as of most of many that are hardly alike: totals are large to
    /// look up one by one.
    ones: Vec<u64>,
    /// Whose totals were changed last, one after another; what is too long ago is dropped. A copy has none.
    changed: Vec<u32>,
    /// How many changes were dropped; of a copy, how many there were when it was made.
    changes_dropped: u64,
    /// What counts in rounds found out, and what has changed since.
    findings: Mutex<Findings>,
    /// The codes of the ballot in hand.
    scratch: Vec<u16>,
    /// Whose ballots these are: the same in a copy until something is added to it. Ballots keep their places, so of two
    /// profiles with one origin, the shorter is how the longer began, but for the totals that were changed since.
    origin: Arc<()>,
}

/// Rankings that agree in their first ranks. Of a million ballots that rank ten options hardly two are alike, but there
/// are only 30,240 ways to rank the first five, and most counts in rounds end before many ballots get further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bundle {
    /// How much of them was cast.
    pub(crate) total: Total,
    /// One of the ballots.
    pub(crate) first: u32,
    key: u64,
}

/// The ranks in which the ballots of a bundle agree.
const SHARED_RANKS: u32 = 5;
/// No bundle.
pub(crate) const NONE: u32 = u32::MAX;
/// What is kept from one copy to the next is made anew when this part of the ballots is new or was changed.
const NEW_PART: usize = 8;

/// The ballots of each bundle, of a range of ballots. What a count reads of them lies together, because a look at one
/// ballot after another in the order in which they were cast is a wait for memory each time.
#[derive(Debug, Default)]
struct Members {
    /// Where the ballots of each bundle end in the list; they begin where those of the one before end.
    ends: Vec<u32>,
    list: Vec<u32>,
    /// The codes of the ranks after those in which a bundle agrees, ballot by ballot as listed.
    tails: Vec<u16>,
    /// Where each ballot's end; they begin where those of the one before end.
    tail_ends: Vec<u32>,
    /// The ballot after the range.
    end: usize,
}

/// Finds ballots by their codes, and bundles by their keys.
#[derive(Debug, Default)]
struct Finder {
    ballots: HashTable<u32>,
    bundles: HashTable<u32>,
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
            + (self.bundle_of.capacity() + self.single.capacity() + self.changed.capacity())
                * size_of::<u32>()
            + self.ones.capacity() * size_of::<u64>()
            + self.bundles.capacity() * size_of::<Bundle>()
            + self
                .finder
                .as_ref()
                .map_or(0, |finder| finder.ballots.allocation_size() + finder.bundles.allocation_size())
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
        let index = match self.find(ballot) {
            Some(index) => index,
            None => self.push_scratch(),
        };
        self.change(index, |sum| Total::from_millionths(sum.millionths() + total.millionths()));
    }

    /// Takes away one ballot that was added before, as a changed or withdrawn vote does.
    ///
    /// # Panics
    /// If the ballot was never added.
    pub fn remove(&mut self, ballot: &Ballot, weight: Weight) {
        let index = self.find(ballot).expect("only a ballot that was added is taken away");
        self.change(index, |mut sum| {
            sum.remove(weight);
            sum
        });
        if self.unused > UNUSED_KEPT_MAX && self.unused > self.starts.len() / 2 {
            self.clear_unused();
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

    /// The distinct ballots that are in no bundle.
    pub(crate) fn single(&self) -> impl Iterator<Item = (PackedBallot<'_>, Total)> {
        self.single
            .iter()
            .map(|&index| (self.ballot(index), self.totals[index as usize]))
            .filter(|(_, total)| *total > Total::ZERO)
    }

    /// The bundles of which anything is cast.
    pub(crate) fn bundles(&self) -> impl Iterator<Item = (u32, Bundle)> {
        (0..).zip(self.bundles.iter().copied()).filter(|(_, bundle)| bundle.total > Total::ZERO)
    }

    /// The ballots of a bundle of which anything is cast: of each the ranks after those in which they agree.
    pub(crate) fn bundled(&self, bundle: u32) -> impl Iterator<Item = (Ranks<'_>, Total)> {
        let members = self.members.get_or_init(|| self.members_of(0..self.starts.len()));
        let new = self.new_members.get_or_init(|| self.members_of(members.end..self.starts.len()));
        [members, new]
            .into_iter()
            .flat_map(move |members| members.of_bundle(bundle))
            .map(|(index, tail)| (Ranks::of(tail), self.total_of(index)))
            .filter(|(_, total)| *total > Total::ZERO)
    }

    /// How much was cast of each ballot that is in a bundle.
    pub(crate) fn bundled_totals(&self) -> impl Iterator<Item = Total> {
        self.totals
            .iter()
            .zip(&self.bundle_of)
            .filter(|(_, bundle)| **bundle != NONE)
            .map(|(total, _)| *total)
    }

    /// The ranks in which the ballots of a bundle agree.
    pub(crate) fn shared_ranks(&self) -> usize {
        SHARED_RANKS.min(u64::BITS / self.key_bits()) as usize
    }

    /// Whether all ballots' totals are whole votes.
    pub(crate) fn has_whole_votes(&self) -> bool {
        self.fractional == 0
    }

    /// What counts in rounds found out, and what has changed since; it is kept no longer.
    pub(crate) fn take_findings(&self) -> Findings {
        std::mem::take(&mut *self.findings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what a count found out, for the next one.
    pub(crate) fn keep_findings(&self, findings: Findings) {
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = findings;
    }

    /// Whether on any ballot options share a rank, as far as ballots are known.
    pub(crate) fn has_shared_ranks(&self) -> bool {
        self.shares_ranks
    }

    fn total_of(&self, index: u32) -> Total {
        let index = index as usize;
        if self.ones[index / 64] & (1 << (index % 64)) != 0 {
            Total::from_votes(1)
        } else {
            self.totals[index]
        }
    }

    pub(crate) fn ballot(&self, index: u32) -> PackedBallot<'_> {
        PackedBallot::of(self.codes_of(index as usize))
    }

    /// Gives the ballot whose codes are in `scratch` another total.
    fn change(&mut self, index: usize, change: impl Fn(Total) -> Total) {
        let (before, after) = (self.totals[index], change(self.totals[index]));
        self.totals[index] = after;
        let (word, bit) = (&mut self.ones[index / 64], 1 << (index % 64));
        *word = if after == Total::from_votes(1) { *word | bit } else { *word & !bit };
        let apply =
            |sum: Total| Total::from_millionths(sum.millionths() + after.millionths() - before.millionths());
        self.total = apply(self.total);
        if let Some(bundle) = self.bundle_of_scratch() {
            self.bundles[bundle].total = apply(self.bundles[bundle].total);
        }
        self.note_change(index);
        let findings = self.findings.get_mut().unwrap_or_else(PoisonError::into_inner);
        findings.note(number(index), before, after, self.starts.len());
        let is_fractional =
            |total: Total| usize::from(!total.millionths().is_multiple_of(WEIGHT_UNIT.into()));
        let is_unused = |total: Total| usize::from(total == Total::ZERO);
        self.fractional = self.fractional + is_fractional(after) - is_fractional(before);
        self.unused = self.unused + is_unused(after) - is_unused(before);
    }

    /// Keeps a later copy over an earlier one from looking at every total.
    fn note_change(&mut self, index: usize) {
        if self.changed.len() >= self.starts.len() / NEW_PART {
            let old = self.changed.len().div_ceil(2);
            self.changed.drain(..old);
            self.changes_dropped += old as u64;
        }
        self.changed.push(number(index));
    }

    /// How many changes there were.
    fn changes(&self) -> u64 {
        self.changes_dropped + self.changed.len() as u64
    }

    /// The changes since there were so many; none where some of them were dropped, or there never were so many.
    fn changes_since(&self, changes: u64) -> Option<&[u32]> {
        self.changed.get(usize::try_from(changes.checked_sub(self.changes_dropped)?).ok()?..)
    }

    /// The ballot's place, if it has one; its codes are in `scratch` then, in any case.
    fn find(&mut self, ballot: &Ballot) -> Option<usize> {
        self.scratch.clear();
        pack(ballot, &mut self.scratch);
        if self.finder.is_none() {
            self.finder = Some(self.make_finder());
            self.origin = Arc::default();
        }
        self.find_packed(&self.scratch, self.finder.as_ref()?)
    }

    fn find_packed(&self, codes: &[u16], finder: &Finder) -> Option<usize> {
        let is_same = |index: &u32| self.codes_of(*index as usize) == codes;
        finder.ballots.find(self.hash(codes), is_same).map(|index| *index as usize)
    }

    fn bundle_of_scratch(&self) -> Option<usize> {
        let key = self.key(&self.scratch)?;
        let is_same = |bundle: &u32| self.bundles[*bundle as usize].key == key;
        let found = self.finder.as_ref()?.bundles.find(self.hash_key.hash_one(key), is_same);
        found.map(|bundle| *bundle as usize)
    }

    /// What tells the bundle of a ballot; none where it is in none.
    fn key(&self, codes: &[u16]) -> Option<u64> {
        match PackedBallot::of(codes) {
            PackedBallot::Ranking(ranks) => ranks.key(self.shared_ranks(), self.key_bits()),
            _ => None,
        }
    }

    /// Bits that tell the options apart; an option that the poll does not have is told apart from none.
    fn key_bits(&self) -> u32 {
        (usize::BITS - self.option_count.leading_zeros()).max(1)
    }

    fn make_finder(&self) -> Finder {
        let mut finder = Finder {
            ballots: HashTable::with_capacity(self.starts.len()),
            bundles: HashTable::with_capacity(self.bundles.len()),
        };
        for index in 0..self.starts.len() {
            let hash_of = |index: &u32| self.hash(self.codes_of(*index as usize));
            finder.ballots.insert_unique(self.hash(self.codes_of(index)), number(index), hash_of);
        }
        for (index, bundle) in self.bundles.iter().enumerate() {
            let hash_of = |index: &u32| self.hash_key.hash_one(self.bundles[*index as usize].key);
            finder.bundles.insert_unique(self.hash_key.hash_one(bundle.key), number(index), hash_of);
        }
        finder
    }

    /// A place for the ballot whose codes are in `scratch`, and in its bundle.
    fn push_scratch(&mut self) -> usize {
        let index = self.starts.len();
        self.starts.push(self.codes.len());
        self.codes.extend_from_slice(&self.scratch);
        self.totals.push(Total::ZERO);
        self.ones.resize(self.starts.len().div_ceil(64), 0);
        self.new_members.take();
        self.unused += 1;
        self.option_max = self.option_max.max(PackedBallot::of(&self.scratch).option_max());
        self.shares_ranks |= PackedBallot::of(&self.scratch).shares_ranks();
        let (bundle, key) = (self.bundle_of_scratch(), self.key(&self.scratch));
        let mut finder = self.finder.take().unwrap_or_default();
        let hash_of = |index: &u32| self.hash(self.codes_of(*index as usize));
        finder.ballots.insert_unique(self.hash(&self.scratch), number(index), hash_of);
        match (bundle, key) {
            (Some(bundle), _) => self.bundle_of.push(number(bundle)),
            (None, Some(key)) => {
                let bundle = number(self.bundles.len());
                self.bundle_of.push(bundle);
                self.bundles.push(Bundle { total: Total::ZERO, first: number(index), key });
                let hash_of = |index: &u32| self.hash_key.hash_one(self.bundles[*index as usize].key);
                finder.bundles.insert_unique(self.hash_key.hash_one(key), bundle, hash_of);
            }
            (None, None) => {
                self.bundle_of.push(NONE);
                self.single.push(number(index));
            }
        }
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

    /// The ballots of each bundle among these.
    fn members_of(&self, range: Range<usize>) -> Members {
        let end = range.end;
        let of_range = || range.clone().map(|index| (index, self.bundle_of[index]));
        let bundled = || of_range().filter(|(_, bundle)| *bundle != NONE);
        let mut ends = vec![0; self.bundles.len()];
        bundled().for_each(|(_, bundle)| ends[bundle as usize] += 1);
        let mut begin = 0;
        for end in &mut ends {
            begin += std::mem::replace(end, begin);
        }
        let mut list = vec![0; begin as usize];
        for (index, bundle) in bundled() {
            let end = &mut ends[bundle as usize];
            list[*end as usize] = number(index);
            *end += 1;
        }
        let mut members =
            Members { ends, tail_ends: Vec::with_capacity(list.len()), list, end, ..Members::default() };
        // The form's code comes before the ranks.
        let shared_codes = 1 + self.shared_ranks();
        for index in &members.list {
            members.tails.extend_from_slice(&self.codes_of(*index as usize)[shared_codes..]);
            members.tail_ends.push(number(members.tails.len()));
        }
        members
    }

    /// Gives back the memory of ballots that nobody casts any more.
    fn clear_unused(&mut self) {
        let mut kept = Self { finder: Some(Finder::default()), ..Self::new(self.option_count) };
        for index in 0..self.starts.len() {
            if self.totals[index] > Total::ZERO {
                kept.scratch.clear();
                kept.scratch.extend_from_slice(self.codes_of(index));
                let place = kept.push_scratch();
                kept.change(place, |_| self.totals[index]);
            }
        }
        *self = kept;
    }
}

impl Members {
    /// Nothing of a bundle that came later.
    fn of_bundle(&self, bundle: u32) -> impl Iterator<Item = (u32, &[u16])> {
        let bundle = bundle as usize;
        let range = self.ends.get(bundle).map_or(0..0, |end| begin(&self.ends, bundle)..*end as usize);
        range.map(|place| {
            (self.list[place], &self.tails[begin(&self.tail_ends, place)..self.tail_ends[place] as usize])
        })
    }
}

/// Where something begins in a list whose parts' ends are given.
fn begin(ends: &[u32], part: usize) -> usize {
    part.checked_sub(1).map_or(0, |before| ends[before] as usize)
}

impl Clone for Profile {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.option_count);
        copy.clone_from(self);
        copy
    }

    /// Copies into the memory that is there.
    fn clone_from(&mut self, source: &Self) {
        let begins_alike =
            Arc::ptr_eq(&self.origin, &source.origin) && self.starts.len() <= source.starts.len();
        let changed = if begins_alike { source.changes_since(self.changes()) } else { None };
        let few_are_new =
            |members: &Members| source.starts.len() - members.end <= source.starts.len() / NEW_PART;
        if !begins_alike || !self.members.get().is_some_and(few_are_new) {
            self.members.take();
        }
        self.new_members.take();
        if !begins_alike {
            self.codes.clear();
            self.starts.clear();
            self.bundle_of.clear();
            self.single.clear();
        }
        let findings = self.findings.get_mut().unwrap_or_else(PoisonError::into_inner);
        if changed.is_none() {
            *findings = Findings::default();
        }
        extend(&mut self.codes, &source.codes);
        extend(&mut self.starts, &source.starts);
        extend(&mut self.bundle_of, &source.bundle_of);
        extend(&mut self.single, &source.single);
        if let Some(changed) = changed {
            // Whose ballots are new has changed as well.
            self.totals.resize(source.totals.len(), Total::ZERO);
            for index in changed {
                let after = source.totals[*index as usize];
                let before = std::mem::replace(&mut self.totals[*index as usize], after);
                findings.note(*index, before, after, source.starts.len());
            }
        } else {
            self.totals.clone_from(&source.totals);
        }
        self.ones.clone_from(&source.ones);
        self.changed.clear();
        self.changes_dropped = source.changes();
        self.option_count = source.option_count;
        self.origin = Arc::clone(&source.origin);
        self.bundles.clone_from(&source.bundles);
        self.fractional = source.fractional;
        self.finder = None;
        self.unused = source.unused;
        self.total = source.total;
        self.option_max = source.option_max;
        self.shares_ranks = source.shares_ranks;
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

/// Adds what a longer list has after a shorter one, which is how it begins.
fn extend<T: Copy>(shorter: &mut Vec<T>, longer: &[T]) {
    shorter.extend_from_slice(&longer[shorter.len()..]);
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("more distinct ballots than memory can hold")
}
