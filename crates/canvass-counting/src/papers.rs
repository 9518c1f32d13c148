//! Ballots on their way through the options, for rules that move them from one option to the next.
//!
//! Of a million ballots that rank ten options hardly two are alike, but there are only 30,240 ways to rank the first
//! five. So ballots that agree in their first ranks move together as one paper, until these ranks are used up: most
//! counts end before many are. The figures are the same, because whatever moves, moves at the same value.

use crate::{
    Profile, Total, WEIGHT_UNIT,
    intake::{Cast, Reading},
    packed::{PackedBallot, PackedRank, Ranks},
    profile::NONE,
};

/// All papers of a count.
pub(crate) struct Papers<'a> {
    profile: &'a Profile,
    list: Vec<Paper<'a>>,
    /// Whether all papers' weights are whole votes.
    pub(crate) are_whole_votes: bool,
}

/// Ballots that move together.
#[derive(Clone, Copy)]
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
    /// The bundle of its ballots, if there are several.
    bundle: u32,
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
    /// The papers of a profile's ballots, and the numbers of all; `value` is one vote. Where `alone`, each ballot is a
    /// paper of its own.
    ///
    /// A `reading` takes every ranking whose first ranks are single options that the profile has.
    pub(crate) fn read(
        profile: &'a Profile,
        reading: impl Fn(PackedBallot<'a>) -> Reading<Ranks<'a>>,
        value: u64,
        alone: bool,
    ) -> (Cast, Self) {
        let weighed = |(ballot, total): (PackedBallot<'a>, Total)| (ballot, total.signed_millionths());
        if alone || !profile.names_known_options() {
            return Self::of(profile, profile.packed().map(weighed), reading, value);
        }
        let (mut cast, mut made) = Self::of(profile, profile.single().map(weighed), reading, value);
        made.take_bundles(value);
        // Where all are whole, so are those in bundles; else it takes a look at each of these.
        made.are_whole_votes &= profile.has_whole_votes()
            || profile.bundled_totals().all(|total| is_whole(total.signed_millionths()));
        cast.counted += profile.bundles().map(|(_, bundle)| bundle.total.signed_millionths()).sum::<i128>();
        (cast, made)
    }

    /// A paper for each of some ballots of a profile with their weights in millionths of a vote, and the numbers of all.
    pub(crate) fn of(
        profile: &'a Profile,
        ballots: impl Iterator<Item = (PackedBallot<'a>, i128)>,
        reading: impl Fn(PackedBallot<'a>) -> Reading<Ranks<'a>>,
        value: u64,
    ) -> (Cast, Self) {
        let mut made = Self { profile, list: Vec::new(), are_whole_votes: true };
        let mut cast = Cast::default();
        for (ballot, weight) in ballots {
            let option_count = profile.option_count();
            let is_known = ballot.option_max().is_none_or(|option| usize::from(option) < option_count);
            let reading = if is_known { reading(ballot) } else { Reading::Rejected };
            if let Some(ranks) = cast.take(reading, weight) {
                made.are_whole_votes &= is_whole(weight);
                made.list.push(Paper::new(ranks, weight, value));
            }
        }
        (cast, made)
    }

    fn take_bundles(&mut self, value: u64) {
        for (number, bundle) in self.profile.bundles() {
            let PackedBallot::Ranking(ranks) = self.profile.ballot(bundle.first) else { continue };
            let paper = Paper::new(ranks, bundle.total.signed_millionths(), value);
            let shared = self.profile.shared_ranks();
            self.list.push(Paper { shared, bundle: number, ..paper });
        }
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
        let mut list = std::mem::take(&mut self.list);
        self.apart(list[index as usize], |paper| list.push(paper));
        self.list = list;
        begin..small(self.list.len())
    }

    /// Gives each ballot of a paper as a paper of its own, of the ranks from the place on where they differ.
    pub(crate) fn apart(&self, paper: Paper<'a>, each: impl FnMut(Paper<'a>)) {
        let alone =
            |(ranks, total): (Ranks<'a>, Total)| Paper::new(ranks, total.signed_millionths(), paper.value);
        self.profile.bundled(paper.bundle).map(alone).for_each(each);
    }
}

impl<'a> Paper<'a> {
    /// A paper of one ballot.
    fn new(ranks: Ranks<'a>, weight: i128, value: u64) -> Self {
        Self { ranks, weight, place: 0, value, shared: usize::MAX, bundle: NONE }
    }
}

fn is_whole(weight: i128) -> bool {
    weight % i128::from(WEIGHT_UNIT) == 0
}

/// A number of ballots in memory.
fn small(number: usize) -> u32 {
    u32::try_from(number).expect("ballots fit in memory")
}
