//! Ballots on their way through the options, for rules that move them from one option to the next.
//!
//! Of a million ballots that rank ten options hardly two are alike, but there are only 30,240 ways to rank the first
//! five. So ballots that agree in their first ranks move together as one paper, until these ranks are used up: most
//! counts end before many are. The figures are the same, because whatever moves, moves at the same value.

use hashbrown::{HashTable, hash_table::Entry};

use crate::{
    Weight,
    packed::{PackedRank, Ranks},
};

/// The ranks in which ballots of one paper agree.
const SHARED_RANKS: u32 = 5;
/// No further ballot.
const NONE: u32 = u32::MAX;

/// All papers of a count.
pub(crate) struct Papers<'a> {
    list: Vec<Paper<'a>>,
    ballots: Vec<(Ranks<'a>, i128)>,
    /// For each ballot the next one of the same paper.
    next: Vec<u32>,
}

/// Ballots that move together.
pub(crate) struct Paper<'a> {
    pub(crate) ranks: Ranks<'a>,
    /// Of all its ballots, in millionths of a vote.
    pub(crate) weight: i128,
    /// The place in the ranks where it goes on from.
    pub(crate) place: usize,
    /// What is left of one vote, in units of the last place.
    pub(crate) value: u64,
    /// Up to where its ballots agree.
    shared: usize,
    /// The first of its ballots.
    first: u32,
}

/// A paper in the making. All that a further ballot changes lies together: there are a million of them to add.
struct Bundle {
    key: u64,
    weight: i128,
    first: u32,
}

/// What comes next on a paper.
pub(crate) enum Next<'a> {
    /// A rank, and the place after it.
    Rank(PackedRank<'a>, usize),
    /// Its ballots go different ways from here.
    Apart,
    /// No rank.
    End,
}

impl Paper<'_> {
    /// The paper's votes, in units of the last place, times millionths.
    pub(crate) fn votes(&self) -> i128 {
        self.weight * i128::from(self.value)
    }

    /// What comes at a place, which is not before the paper's own.
    #[inline]
    pub(crate) fn at(&self, place: usize) -> Next<'_> {
        if place >= self.shared {
            return Next::Apart;
        }
        self.ranks.at(place).map_or(Next::End, |(rank, next)| Next::Rank(rank, next))
    }
}

impl<'a> Papers<'a> {
    /// The papers of ballots, each with its weight in millionths; `value` is one vote. Where `alone`, each ballot is a
    /// paper of its own.
    pub(crate) fn new(ballots: Vec<(Ranks<'a>, i128)>, option_count: usize, value: u64, alone: bool) -> Self {
        let bits = usize::BITS - option_count.leading_zeros();
        let shared_ranks = if alone { 0 } else { SHARED_RANKS.min(u64::BITS / bits.max(1)) as usize };
        let next = vec![NONE; ballots.len()];
        let mut made = Self { list: Vec::new(), ballots, next };
        let mut bundles: HashTable<Bundle> = HashTable::new();
        for index in 0..made.ballots.len() {
            let (ranks, weight) = made.ballots[index];
            let number = small(index);
            let Some(key) = ranks.key(shared_ranks, bits) else {
                made.list.push(Paper::new(ranks, weight, value, usize::MAX, number));
                continue;
            };
            match bundles.entry(spread(key), |bundle| bundle.key == key, |bundle| spread(bundle.key)) {
                Entry::Occupied(mut bundle) => {
                    let bundle = bundle.get_mut();
                    bundle.weight += weight;
                    made.next[index] = std::mem::replace(&mut bundle.first, number);
                }
                Entry::Vacant(bundle) => {
                    bundle.insert(Bundle { key, weight, first: number });
                }
            }
        }
        for Bundle { weight, first, .. } in bundles {
            let is_alone = made.next[first as usize] == NONE;
            let shared = if is_alone { usize::MAX } else { shared_ranks };
            made.list.push(Paper::new(made.ballots[first as usize].0, weight, value, shared, first));
        }
        made
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn get(&self, index: u32) -> &Paper<'a> {
        &self.list[index as usize]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Paper<'a> {
        &mut self.list[index as usize]
    }

    /// Makes each ballot of a paper a paper of its own, from the place on where they differ; gives their numbers. The
    /// paper itself is used no more.
    pub(crate) fn take_apart(&mut self, index: u32) -> std::ops::Range<u32> {
        let begin = small(self.list.len());
        let Paper { value, shared, mut first, .. } = *self.get(index);
        while first != NONE {
            let (ranks, weight) = self.ballots[first as usize];
            let alone = Paper { place: shared, ..Paper::new(ranks, weight, value, usize::MAX, first) };
            self.list.push(alone);
            first = self.next[first as usize];
        }
        begin..small(self.list.len())
    }

    /// Whether all weights are whole votes.
    pub(crate) fn are_whole_votes(&self) -> bool {
        let one = i128::from(Weight::ONE.millionths());
        self.ballots.iter().all(|(_, weight)| weight % one == 0)
    }
}

impl<'a> Paper<'a> {
    fn new(ranks: Ranks<'a>, weight: i128, value: u64, shared: usize, ballot: u32) -> Self {
        Self { ranks, weight, place: 0, value, shared, first: ballot }
    }
}

/// Mixes a key's bits, which are all in its lower end (the finaliser of MurmurHash3).
fn spread(key: u64) -> u64 {
    let key = (key ^ (key >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    (key ^ (key >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53)
}

/// A number of ballots in memory.
fn small(number: usize) -> u32 {
    u32::try_from(number).expect("ballots fit in memory")
}
