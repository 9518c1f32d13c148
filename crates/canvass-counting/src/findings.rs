//! What earlier counts of a poll found out, so that the next one need not find it out again.
//!
//! While votes come in, a poll is counted again and again, and a few new votes hardly ever change who is eliminated
//! when. So what came of each move of ballots is kept. Where the next count makes the same move, only the ballots that
//! came or went since are moved, and what comes of them is added. Every round is decided anew on these figures, which
//! are those that all ballots would give; for a move that no count made before, all ballots are taken up.
//!
//! Where a ballot lies depends on who is out of the running and not on who went first, unless options share a rank. So
//! counts that eliminate two options in different orders go on alike after both.

use rustc_hash::FxHashMap;

use crate::{
    OptionIndex, Profile, RankingRules, RepeatedRankingRule, Total,
    intake::{self, Cast},
    papers::Papers,
    piles::{Moved, Onward, Piles, Release, State},
};

/// Moves are kept of about so many counts that differ.
const COUNTS_KEPT: usize = 8;
/// Changes are kept until they are this part of all ballots; then the older half is forgotten, with what was found out
/// before them.
const CHANGED_PART: usize = 8;

/// What the counts of a profile found out, and what has changed since.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What marks meant in these counts.
    rules: RankingRules,
    /// Whether it matters in which order options left the running.
    is_ordered: bool,
    /// The move to the first options, and how many ballots made it.
    deal: Option<Found<(Cast, Moved)>>,
    moves: FxHashMap<Move, Found<Vec<Moved>>>,
    /// Ballots by their place, and by how much more of each is cast, in millionths of a vote, as they changed.
    changes: Vec<(u32, i128)>,
}

/// A move of ballots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Move {
    /// Who was out of the running before: together, or in the order in which they left it.
    before: Vec<Vec<OptionIndex>>,
    /// The options whose ballots moved.
    released: Vec<OptionIndex>,
}

/// What is known as things stood after so many changes.
#[derive(Clone, Debug)]
struct Found<T> {
    after: usize,
    what: T,
}

/// The ballots of a count in rounds.
pub(crate) struct Moving<'a> {
    profile: &'a Profile,
    rules: &'a RankingRules,
    /// One vote of weight one.
    one: u64,
    /// All ballots, under none, and those that changed after so many changes, each once they are needed.
    parts: FxHashMap<Option<usize>, Part<'a>>,
    /// The options that left the running, move by move.
    path: Vec<Vec<OptionIndex>>,
    /// Where something can be kept.
    findings: Option<Findings>,
    dealt: Moved,
    pub(crate) cast: Cast,
    /// Whether all weights are whole votes.
    pub(crate) are_whole_votes: bool,
}

/// Some of the ballots.
struct Part<'a> {
    piles: Piles<'a>,
    cast: Cast,
    dealt: Moved,
    are_whole_votes: bool,
    /// How far along the path they have moved.
    moves: usize,
}

impl<'a> Moving<'a> {
    /// The ballots of a profile, each with the first option that it counts for. Where `goes_on`, ballots always move at
    /// their whole value, so that a count can go on from earlier ones.
    pub(crate) fn new(profile: &'a Profile, rules: &'a RankingRules, one: u64, goes_on: bool) -> Self {
        // Where some weights are no whole votes, it matters whose they are.
        let goes_on = goes_on && profile.has_whole_votes();
        let findings = goes_on.then(|| profile.take_findings().fitting(profile, rules));
        let known = findings.as_ref().and_then(|findings| findings.deal.clone());
        let since = known.as_ref().map(|known| known.after);
        let part = Part::new(profile, rules, one, since.map(|since| changes_after(findings.as_ref(), since)));
        let (mut cast, mut dealt) = (part.cast, part.dealt.clone());
        if let Some(known) = known {
            cast += known.what.0;
            dealt += &known.what.1;
        }
        let are_whole_votes = part.are_whole_votes;
        let parts = FxHashMap::from_iter([(since, part)]);
        Self { profile, rules, one, parts, path: Vec::new(), findings, dealt, cast, are_whole_votes }
    }

    /// What came of putting every ballot with the first option that it counts for.
    pub(crate) fn dealt(&self) -> Moved {
        self.dealt.clone()
    }

    /// Moves the ballots of options that left the running; gives what came of each option's.
    pub(crate) fn release(&mut self, releases: &[Release], states: &[State], onward: Onward) -> Vec<Moved> {
        let released: Vec<_> = releases.iter().map(|release| release.option).collect();
        let this = self
            .findings
            .as_ref()
            .map(|findings| Move { before: findings.name(&self.path), released: released.clone() });
        let known = this.as_ref().zip(self.findings.as_mut());
        let known = known.and_then(|(this, findings)| findings.moves.remove(this));
        let since = known.as_ref().map(|known| known.after);
        let part = self.parts.entry(since).or_insert_with(|| {
            let changes = since.map(|since| changes_after(self.findings.as_ref(), since));
            Part::new(self.profile, self.rules, self.one, changes)
        });
        part.catch_up(&self.path, self.one);
        let mut moves = part.piles.release(releases, states, onward);
        part.moves += 1;
        for (moved, known) in moves.iter_mut().zip(known.iter().flat_map(|known| &known.what)) {
            *moved += known;
        }
        if let Some((this, findings)) = this.zip(self.findings.as_mut()) {
            findings.moves.insert(this, Found { after: findings.changes.len(), what: moves.clone() });
        }
        self.path.push(released);
        moves
    }

    /// Leaves to the next count what was found out.
    pub(crate) fn finish(self) {
        if let Some(mut findings) = self.findings {
            let after = findings.changes.len();
            findings.deal = Some(Found { after, what: (self.cast, self.dealt) });
            findings.forget(self.profile);
            self.profile.keep_findings(findings);
        }
    }
}

/// What changed after so many changes.
fn changes_after(findings: Option<&Findings>, since: usize) -> &[(u32, i128)] {
    findings.and_then(|findings| findings.changes.get(since..)).unwrap_or_default()
}

impl<'a> Part<'a> {
    /// The ballots that changed, or all: those that begin alike are one paper, but where a repeated option ends a
    /// ballot, which may be anywhere.
    fn new(profile: &'a Profile, rules: &'a RankingRules, one: u64, changes: Option<&[(u32, i128)]>) -> Self {
        let (cast, papers) = if let Some(changes) = changes {
            let changed = changes.iter().map(|(index, weight)| (profile.ballot(*index), *weight));
            Papers::of(profile, changed, intake::ranking, one)
        } else {
            let alone = rules.repeated_ranking == RepeatedRankingRule::Exhaust;
            Papers::read(profile, intake::ranking, one, alone)
        };
        let are_whole_votes = papers.are_whole_votes;
        let mut piles = Piles::new(rules, one, papers, profile.option_count());
        let dealt = piles.deal(&vec![State::Continuing; profile.option_count()]);
        Self { piles, cast, dealt, are_whole_votes, moves: 0 }
    }

    /// Brings ballots of eliminated options to where they lie by now.
    fn catch_up(&mut self, path: &[Vec<OptionIndex>], one: u64) {
        if self.moves == path.len() {
            return;
        }
        let mut states = vec![State::Continuing; self.dealt.to_options.len()];
        for (number, options) in path.iter().enumerate() {
            options.iter().for_each(|&option| states[usize::from(option)] = State::Eliminated);
            if number >= self.moves {
                let release = |&option| Release { option, fraction: one, is_winner: false };
                let releases: Vec<_> = options.iter().map(release).collect();
                self.piles.release(&releases, &states, Onward::Next);
            }
        }
        self.moves = path.len();
    }
}

impl Findings {
    /// These, where they are of counts of such a profile by these rules; else none.
    fn fitting(self, profile: &Profile, rules: &RankingRules) -> Self {
        let is_ordered = profile.has_shared_ranks();
        let option_count = self.deal.as_ref().map(|deal| deal.what.1.to_options.len());
        let fits = option_count == Some(profile.option_count());
        if fits && self.is_ordered == is_ordered && self.rules == *rules {
            self
        } else {
            Self { rules: rules.clone(), is_ordered, ..Self::default() }
        }
    }

    /// Notes how a ballot changed. With as many changes as there are ballots, nothing that was found out is of use.
    pub(crate) fn note(&mut self, ballot: u32, before: Total, after: Total, ballot_count: usize) {
        if self.deal.is_none() || before == after {
            return;
        }
        self.changes.push((ballot, after.signed_millionths() - before.signed_millionths()));
        if self.changes.len() > ballot_count {
            *self = Self::default();
        }
    }

    /// What tells who is out of the running.
    fn name(&self, path: &[Vec<OptionIndex>]) -> Vec<Vec<OptionIndex>> {
        if self.is_ordered {
            return path.to_vec();
        }
        let mut together = path.concat();
        together.sort_unstable();
        vec![together]
    }

    /// Forgets what has not been of use for long. A count that ends notes all its moves as after the last change.
    fn forget(&mut self, profile: &Profile) {
        let end = self.changes.len();
        if self.moves.len() > COUNTS_KEPT * (profile.option_count() + 1) {
            self.moves.retain(|_, found| found.after == end);
        }
        if end > profile.len() / CHANGED_PART {
            let gone = end.div_ceil(2);
            self.changes.drain(..gone);
            self.moves.retain(|_, found| found.after >= gone);
            let afters = self.moves.values_mut().map(|found| &mut found.after);
            afters.chain(self.deal.iter_mut().map(|deal| &mut deal.after)).for_each(|after| *after -= gone);
        }
    }
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

    /// Eliminates options one by one; gives what moved, and how many papers were moved in all.
    fn eliminate(profile: &Profile, options: &[OptionIndex]) -> (String, usize) {
        let rules = RankingRules::default();
        let mut moving = Moving::new(profile, &rules, 1, true);
        let mut moved = vec![moving.dealt()];
        let mut states = [State::Continuing; OPTIONS as usize];
        for &option in options {
            states[usize::from(option)] = State::Eliminated;
            let release = Release { option, fraction: 1, is_winner: false };
            moved.extend(moving.release(&[release], &states, Onward::Next));
        }
        let papers = moving.parts.values().map(|part| part.piles.len()).sum();
        moving.finish();
        (format!("{moved:?}"), papers)
    }

    #[test]
    fn only_what_changed_moves_until_an_option_is_eliminated_that_never_was() {
        let mut profile = Profile::new(usize::from(OPTIONS));
        (0..700).for_each(|number| profile.add(&ranking(number), Weight::ONE));
        let mut copy = profile.clone();
        assert_eq!(eliminate(&copy, &[3, 4, 5, 0]).1, 700);
        profile.add(&ranking(700), Weight::ONE);
        profile.add(&ranking(1), Weight::ONE);
        profile.remove(&ranking(2), Weight::ONE);
        for (options, papers) in [
            ([3, 4, 5, 0], 3),
            // The last move was never made.
            ([3, 4, 5, 1], 700),
            // The first two were not, but what follows on both was.
            ([4, 3, 5, 0], 700),
            ([4, 3, 5, 1], 0),
        ] {
            copy.clone_from(&profile);
            let (moved, papers_now) = eliminate(&copy, &options);
            assert_eq!(moved, eliminate(&profile.clone(), &options).0, "{options:?}");
            assert_eq!(papers_now, papers, "{options:?}");
        }
        profile.add(&ranking(3), Weight::ONE);
        copy.clone_from(&profile);
        assert_eq!(eliminate(&copy, &[4, 3, 5, 1]).1, 1);
        profile.add(&ranking(4), Weight::ONE);
        copy.clone_from(&profile);
        // Its first two moves and its last were made before both votes came, and the other after the first.
        assert_eq!(eliminate(&copy, &[3, 4, 5, 0]).1, 1 + 2);
    }

    #[test]
    fn what_was_found_out_long_ago_is_forgotten() {
        let mut profile = Profile::new(usize::from(OPTIONS));
        (0..700).for_each(|number| profile.add(&ranking(number), Weight::ONE));
        let mut copy = profile.clone();
        eliminate(&copy, &[3, 4, 5, 1]);
        for round in 0..10 {
            (0..20).for_each(|number| profile.add(&ranking(20 * round + number), Weight::ONE));
            copy.clone_from(&profile);
            assert_eq!(eliminate(&copy, &[3, 4, 5, 0]).0, eliminate(&profile.clone(), &[3, 4, 5, 0]).0);
        }
        let (moved, papers) = eliminate(&copy, &[3, 4, 5, 1]);
        assert_eq!(moved, eliminate(&profile.clone(), &[3, 4, 5, 1]).0);
        assert_eq!(papers, 700, "the last move is found out anew");
    }
}
