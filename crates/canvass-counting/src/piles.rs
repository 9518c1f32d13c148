//! Ballots in piles: each lies with the option that it counts for, and moves on when that option leaves the running.
//!
//! What ballots do depends on who is in the running alone, and what moves is a sum over ballots; so what some of a
//! profile's ballots do can be added to what the others did.

use std::ops::AddAssign;

use crate::{
    OptionIndex, OvervoteRule, RankingRules, RepeatedRankingRule,
    packed::{PackedRank, Ranks},
    papers::{Next, Paper, Papers},
};

/// The state of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In the running; also the winner of a count that goes on until two are left.
    Continuing,
    /// Elected, and its surplus moves on.
    Elected,
    Eliminated,
}

/// What the ballots of an option that is out of the running do next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release {
    pub(crate) option: OptionIndex,
    /// The part of each ballot's value that moves on, in units of the last place; the rest stays.
    pub(crate) fraction: u64,
    pub(crate) is_winner: bool,
}

/// Where released ballots go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Onward {
    /// To the next option that they count for.
    Next,
    /// The same, and no ballot moves again after these, so that none need be kept.
    Last,
    /// Nowhere: everyone is elected, and they are the final surplus.
    FinalSurplus,
}

/// The votes that one move brings. All votes are in units of the last place, times millionths.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) to_options: Vec<i128>,
    pub(crate) to_inactive: InactiveVotes,
    /// What stays with the option whose ballots moved.
    pub(crate) kept: i128,
}

/// Votes that no longer count for an option, by why.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InactiveVotes {
    pub(crate) exhausted_choices: i128,
    pub(crate) overvotes: i128,
    pub(crate) repeated_rankings: i128,
    pub(crate) skipped_rankings: i128,
    pub(crate) final_surplus: i128,
}

/// The ballots of a profile, or some of them, by the options that they count for.
pub(crate) struct Piles<'a> {
    rules: &'a RankingRules,
    /// One vote of weight one.
    one: u64,
    papers: Papers<'a>,
    /// The place of the first rank that repeats an option; only where that exhausts the ballot.
    repeats: Vec<usize>,
    /// The papers that lie with each option, by index.
    of_options: Vec<Vec<u32>>,
}

/// Where a ballot goes.
enum Landing {
    On(OptionIndex),
    Exhausted,
    Overvote,
    Repeated,
    Skipped,
    /// Its ballots go different ways.
    Apart,
}

/// What a ballot's ranks mean as things stand.
#[derive(Clone, Copy)]
struct Reader<'a> {
    rules: &'a RankingRules,
    states: &'a [State],
}

impl Moved {
    fn new(option_count: usize) -> Self {
        Self { to_options: vec![0; option_count], to_inactive: InactiveVotes::default(), kept: 0 }
    }

    /// Adds votes where they go.
    fn add(&mut self, votes: i128, landing: &Landing) {
        let inactive = &mut self.to_inactive;
        *match landing {
            Landing::On(option) => &mut self.to_options[usize::from(*option)],
            Landing::Exhausted | Landing::Apart => &mut inactive.exhausted_choices,
            Landing::Overvote => &mut inactive.overvotes,
            Landing::Repeated => &mut inactive.repeated_rankings,
            Landing::Skipped => &mut inactive.skipped_rankings,
        } += votes;
    }
}

impl AddAssign<&Self> for Moved {
    fn add_assign(&mut self, other: &Self) {
        self.to_options.iter_mut().zip(&other.to_options).for_each(|(votes, more)| *votes += more);
        self.to_inactive += other.to_inactive;
        self.kept += other.kept;
    }
}

impl AddAssign for InactiveVotes {
    fn add_assign(&mut self, other: Self) {
        self.exhausted_choices += other.exhausted_choices;
        self.overvotes += other.overvotes;
        self.repeated_rankings += other.repeated_rankings;
        self.skipped_rankings += other.skipped_rankings;
        self.final_surplus += other.final_surplus;
    }
}

impl InactiveVotes {
    pub(crate) fn sum(&self) -> i128 {
        self.exhausted_choices
            + self.overvotes
            + self.repeated_rankings
            + self.skipped_rankings
            + self.final_surplus
    }
}

impl<'a> Piles<'a> {
    /// Papers that lie nowhere yet; one vote is `one`.
    pub(crate) fn new(rules: &'a RankingRules, one: u64, papers: Papers<'a>, option_count: usize) -> Self {
        let repeats = if rules.repeated_ranking == RepeatedRankingRule::Exhaust {
            (0..papers.len())
                .map(|index| first_repeat(papers.get(small(index)).ranks, option_count))
                .collect()
        } else {
            Vec::new()
        };
        Self { rules, one, papers, repeats, of_options: vec![Vec::new(); option_count] }
    }

    /// How many papers there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.papers.len()
    }

    /// Puts every ballot with the first option that it counts for.
    pub(crate) fn deal(&mut self, states: &[State]) -> Moved {
        let mut moved = Moved::new(self.of_options.len());
        for index in 0..small(self.papers.len()) {
            self.advance(index, states, Onward::Next, &mut moved);
        }
        moved
    }

    /// Moves the ballots of options that left the running; gives what came of each option's.
    pub(crate) fn release(&mut self, releases: &[Release], states: &[State], onward: Onward) -> Vec<Moved> {
        let of = |release: &Release| std::mem::take(&mut self.of_options[usize::from(release.option)]);
        let piles: Vec<_> = releases.iter().map(of).collect();
        let mut moves = Vec::new();
        for (release, pile) in releases.iter().zip(&piles) {
            let mut moved = Moved::new(self.of_options.len());
            for &index in pile {
                moved.kept += self.reduce_value(index, release.fraction);
                if onward == Onward::FinalSurplus {
                    moved.to_inactive.final_surplus += self.papers.get(index).votes();
                } else {
                    self.advance(index, states, onward, &mut moved);
                }
            }
            moves.push(moved);
        }
        moves
    }

    /// Leaves a ballot only the part of its value that moves on; gives the votes that stay.
    fn reduce_value(&mut self, index: u32, fraction: u64) -> i128 {
        if fraction == self.one {
            return 0;
        }
        let paper = self.papers.get_mut(index);
        let product = u128::from(paper.value) * u128::from(fraction) / u128::from(self.one);
        let moving = u64::try_from(product).unwrap_or(paper.value);
        let kept = paper.value - moving;
        paper.value = moving;
        i128::from(kept) * paper.weight
    }

    /// Moves a paper to where it counts next.
    fn advance(&mut self, index: u32, states: &[State], onward: Onward, moved: &mut Moved) {
        let reader = Reader { rules: self.rules, states };
        let repeats_at = self.repeats.get(index as usize).copied().unwrap_or(usize::MAX);
        let paper = *self.papers.get(index);
        match reader.land(&paper, repeats_at) {
            (Landing::Apart, _) if onward == Onward::Last => {
                self.papers.apart(paper, |paper| {
                    let (landing, _) = reader.land(&paper, usize::MAX);
                    moved.add(paper.votes(), &landing);
                });
            }
            (Landing::Apart, _) => {
                for index in self.papers.take_apart(index) {
                    let landing = reader.land(self.papers.get(index), usize::MAX);
                    self.put(index, landing, moved);
                }
            }
            landing => self.put(index, landing, moved),
        }
    }

    /// Puts a paper where it goes.
    fn put(&mut self, index: u32, (landing, next): (Landing, usize), moved: &mut Moved) {
        let paper = self.papers.get_mut(index);
        paper.place = next;
        moved.add(paper.votes(), &landing);
        if let Landing::On(option) = landing {
            self.of_options[usize::from(option)].push(index);
        }
    }
}

impl Reader<'_> {
    /// Where a paper goes from its place on, and the place after the rank that says so.
    fn land(self, paper: &Paper<'_>, repeats_at: usize) -> (Landing, usize) {
        let mut place = paper.place;
        let mut skipped = 0;
        loop {
            let (rank, next) = match paper.at(place) {
                Next::Rank(rank, next) => (rank, next),
                Next::Apart => return (Landing::Apart, place),
                Next::End => return (Landing::Exhausted, place),
            };
            if rank == PackedRank::Skipped {
                skipped += 1;
                place = next;
                continue;
            }
            if self.rules.skipped_ranks_max.is_some_and(|most| skipped > most) {
                return (Landing::Skipped, next);
            }
            skipped = 0;
            if place >= repeats_at {
                return (Landing::Repeated, next);
            }
            if let Some(landing) = self.read_rank(rank) {
                return (landing, next);
            }
            place = next;
        }
    }

    /// What one rank does with the ballot; nothing where the next rank counts.
    fn read_rank(self, rank: PackedRank<'_>) -> Option<Landing> {
        match (rank, self.rules.overvote) {
            (PackedRank::One([option]), _) => self.is_continuing(*option).then_some(Landing::On(*option)),
            (PackedRank::Skipped, _)
            | (PackedRank::Equal(_) | PackedRank::Overvote, OvervoteRule::AlwaysSkipToNext) => None,
            (PackedRank::Equal(options), OvervoteRule::ExhaustIfMultipleContinuing) => {
                let mut continuing = options.iter().filter(|&&option| self.is_continuing(option));
                match (continuing.next(), continuing.next()) {
                    (None, _) => None,
                    (Some(option), None) => Some(Landing::On(*option)),
                    (Some(_), Some(_)) => Some(Landing::Overvote),
                }
            }
            (PackedRank::Equal(_), OvervoteRule::ExhaustImmediately) | (PackedRank::Overvote, _) => {
                Some(Landing::Overvote)
            }
        }
    }

    fn is_continuing(self, option: OptionIndex) -> bool {
        self.states[usize::from(option)] == State::Continuing
    }
}

/// The place of the first rank that holds an option which an earlier rank holds too.
fn first_repeat(ranks: Ranks<'_>, option_count: usize) -> usize {
    let mut seen = vec![false; option_count];
    let mut repeats = |&option: &OptionIndex| std::mem::replace(&mut seen[usize::from(option)], true);
    let mut place = 0;
    while let Some((rank, next)) = ranks.at(place) {
        if rank.options().iter().any(&mut repeats) {
            return place;
        }
        place = next;
    }
    usize::MAX
}

/// A number of papers in memory.
fn small(number: usize) -> u32 {
    u32::try_from(number).expect("papers fit in memory")
}
