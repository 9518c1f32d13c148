//! The course of a count, which the next count of the same poll most often takes too.
//!
//! While votes come in, a poll is counted again and again, and hardly ever does a new vote change who is eliminated
//! when. So a count keeps what its ballots did at each move. The next one moves only the ballots that came or went
//! since, along the same eliminations, and adds. Every round is decided anew on the figures so made, which are the
//! figures that all ballots would give; where a decision is another than before, all ballots are taken up.

use crate::{
    OptionIndex, Profile, RankingRules, RepeatedRankingRule,
    intake::{self, Cast},
    papers::Papers,
    piles::{Moved, Onward, Piles, Release, State},
};

/// What the ballots of a count did.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// What marks meant in it.
    rules: RankingRules,
    cast: Cast,
    /// Each move in order. The first is that to the first options.
    moves: Vec<Move>,
}

#[derive(Clone, Debug)]
struct Move {
    /// The options whose ballots moved.
    options: Vec<OptionIndex>,
    /// What came of each option's.
    moved: Vec<Moved>,
}

/// The last count of a profile, and what has changed since.
#[derive(Debug, Default)]
pub(crate) struct LastCount {
    pub(crate) course: Option<Course>,
    /// Ballots by their place, and by how much more of each is cast, in millionths of a vote.
    pub(crate) changed: Vec<(u32, i128)>,
}

/// The ballots of a count in rounds: all of them, or those that make the difference to an earlier count.
pub(crate) struct Moving<'a> {
    profile: &'a Profile,
    rules: &'a RankingRules,
    /// One vote of weight one.
    one: u64,
    piles: Piles<'a>,
    /// What the ballots that are not in the piles did.
    before: Option<Course>,
    /// What all ballots did, if the next count may need it.
    course: Option<Course>,
    /// How many ballots were cast.
    pub(crate) cast: Cast,
    /// Whether all weights are whole votes.
    pub(crate) are_whole_votes: bool,
}

impl<'a> Moving<'a> {
    /// The ballots of a profile. Where `goes_on`, ballots move at their whole value always, so that a count can go on
    /// from the one before.
    pub(crate) fn new(profile: &'a Profile, rules: &'a RankingRules, one: u64, goes_on: bool) -> Self {
        // Where some weights are no whole votes, it matters whose they are.
        let goes_on = goes_on && profile.has_whole_votes();
        let LastCount { course, changed } =
            if goes_on { profile.take_last_count() } else { LastCount::default() };
        let fits = |course: &Course| {
            let first = course.moves.first().and_then(|first| first.moved.first());
            course.rules == *rules
                && first.is_some_and(|first| first.to_options.len() == profile.option_count())
        };
        let before = course.filter(fits);
        let (mut cast, papers) = if before.is_some() {
            let changed = changed.into_iter().map(|(index, weight)| (profile.ballot(index), weight));
            Papers::of(profile, changed, intake::ranking, one)
        } else {
            all(profile, rules, one)
        };
        if let Some(before) = &before {
            cast += before.cast;
        }
        let course = goes_on.then(|| Course { rules: rules.clone(), cast, moves: Vec::new() });
        let are_whole_votes = papers.are_whole_votes;
        let piles = Piles::new(rules, one, papers, profile.option_count());
        Self { profile, rules, one, piles, before, course, cast, are_whole_votes }
    }

    /// Puts every ballot with the first option that it counts for.
    pub(crate) fn deal(&mut self) -> Moved {
        let states = vec![State::Continuing; self.profile.option_count()];
        let mut moved = self.piles.deal(&states);
        if let Some(before) = self.before.as_ref().and_then(|before| before.moves[0].moved.first()) {
            moved += before;
        }
        self.note(&[], std::slice::from_ref(&moved));
        moved
    }

    /// Moves the ballots of options that left the running; gives what came of each option's.
    pub(crate) fn release(&mut self, releases: &[Release], states: &[State], onward: Onward) -> Vec<Moved> {
        let number = self.course.as_ref().map_or(0, |course| course.moves.len());
        if self.before.take_if(|before| !before.goes_so(number, releases)).is_some() {
            self.take_up_all();
        }
        let mut moves = self.piles.release(releases, states, onward);
        if let Some(before) = &self.before {
            moves.iter_mut().zip(&before.moves[number].moved).for_each(|(moved, before)| *moved += before);
        }
        self.note(releases, &moves);
        moves
    }

    /// Leaves the course of the count before: brings all ballots to where they lie by now.
    fn take_up_all(&mut self) {
        let (_, papers) = all(self.profile, self.rules, self.one);
        let option_count = self.profile.option_count();
        self.piles = Piles::new(self.rules, self.one, papers, option_count);
        let mut states = vec![State::Continuing; option_count];
        self.piles.deal(&states);
        let moves = self.course.as_ref().map_or(&[][..], |course| &course.moves[1..]);
        for options in moves.iter().map(|one| &one.options) {
            options.iter().for_each(|&option| states[usize::from(option)] = State::Eliminated);
            let release = |&option| Release { option, fraction: self.one, is_winner: false };
            let releases: Vec<_> = options.iter().map(release).collect();
            self.piles.release(&releases, &states, Onward::Next);
        }
    }

    /// Leaves the course to the next count.
    pub(crate) fn finish(self) {
        if let Some(course) = self.course {
            self.profile.keep_course(course);
        }
    }

    fn note(&mut self, releases: &[Release], moved: &[Moved]) {
        if let Some(course) = &mut self.course {
            let options = releases.iter().map(|release| release.option).collect();
            course.moves.push(Move { options, moved: moved.to_vec() });
        }
    }
}

impl Course {
    /// Whether the ballots of these options were those that moved then.
    fn goes_so(&self, number: usize, releases: &[Release]) -> bool {
        let options = releases.iter().map(|release| release.option);
        self.moves.get(number).is_some_and(|one| one.options.iter().copied().eq(options))
    }
}

/// A paper for all ballots, those that begin alike together. Where a repeated option ends a ballot, that may be
/// anywhere, so each is a paper of its own.
fn all<'a>(profile: &'a Profile, rules: &RankingRules, one: u64) -> (Cast, Papers<'a>) {
    let exhausts = rules.repeated_ranking == RepeatedRankingRule::Exhaust;
    Papers::read(profile, intake::ranking, one, exhausts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ballot, Rank, Weight};

    const OPTIONS: OptionIndex = 6;

    /// Five of all six options ranked, in an order that the number tells.
    fn ranking(mut number: usize) -> Ballot {
        let mut options: Vec<_> = (0..OPTIONS).collect();
        let ranks = (2..=usize::from(OPTIONS)).rev().map(|left| {
            let option = options.remove(number % left);
            number /= left;
            Rank::One(option)
        });
        Ballot::Ranking(ranks.collect())
    }

    /// Eliminates options one by one; gives what moved, and how many ballots were looked at first and last.
    fn eliminate(profile: &Profile, options: &[OptionIndex]) -> (String, [usize; 2]) {
        let rules = RankingRules::default();
        let mut moving = Moving::new(profile, &rules, 1, true);
        let first = moving.piles.len();
        let mut moved = vec![moving.deal()];
        let mut states = [State::Continuing; OPTIONS as usize];
        for &option in options {
            states[usize::from(option)] = State::Eliminated;
            let release = Release { option, fraction: 1, is_winner: false };
            moved.extend(moving.release(&[release], &states, Onward::Next));
        }
        let last = moving.piles.len();
        moving.finish();
        (format!("{moved:?}"), [first, last])
    }

    #[test]
    fn only_what_changed_moves_until_another_option_is_eliminated() {
        let mut profile = Profile::new(usize::from(OPTIONS));
        (0..700).for_each(|number| profile.add(&ranking(number), Weight::ONE));
        let mut copy = profile.clone();
        eliminate(&copy, &[3, 4, 5]);
        profile.add(&ranking(700), Weight::ONE);
        profile.add(&ranking(1), Weight::ONE);
        profile.remove(&ranking(2), Weight::ONE);
        for (options, looked_at) in [([3, 4, 5], [3, 3]), ([3, 4, 1], [0, 700])] {
            copy.clone_from(&profile);
            let (moved, looked_at_now) = eliminate(&copy, &options);
            assert_eq!(moved, eliminate(&profile.clone(), &options).0);
            assert_eq!(looked_at_now, looked_at);
        }
    }
}
