//! Plurality and approval: choices are added up.

use crate::{
    Count, ElectedBecause, Figure, OptionIndex, Round, Step,
    election::elect,
    intake::{self, Reading},
    method::Task,
    packed::{PackedBallot, PackedRank, Ranks},
    tie_break::Ties,
};

/// Counts one choice a ballot; a ballot with several is rejected.
pub(crate) fn count_plurality(task: &Task<'_>) -> Count {
    count_choices(task, |ballot| match ballot {
        PackedBallot::Choices(options) if options.len() <= 1 => choices(options),
        PackedBallot::Ranking(ranks) => first_preference(ranks),
        _ => Reading::Rejected,
    })
}

/// Counts every choice of every ballot once.
pub(crate) fn count_approval(task: &Task<'_>) -> Count {
    count_choices(task, |ballot| match ballot {
        PackedBallot::Choices(options) => choices(options),
        _ => Reading::Rejected,
    })
}

fn choices(options: &[OptionIndex]) -> Reading<Vec<OptionIndex>> {
    if options.is_empty() {
        return Reading::Blank;
    }
    let mut distinct = options.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    Reading::Vote(distinct)
}

fn first_preference(ranks: Ranks<'_>) -> Reading<Vec<OptionIndex>> {
    match ranks.trimmed().and_then(|ranks| ranks.iter().next()) {
        Some(PackedRank::One([option])) => Reading::Vote(vec![*option]),
        None => Reading::Blank,
        Some(_) => Reading::Rejected,
    }
}

fn count_choices(task: &Task<'_>, reading: impl Fn(PackedBallot<'_>) -> Reading<Vec<OptionIndex>>) -> Count {
    let (ballots, votes) = intake::read(task.profile, reading);
    let mut count = Count::new(task, ballots);
    if votes.is_empty() {
        return count;
    }
    let mut tally = vec![0i128; count.option_count];
    for (options, weight) in votes {
        for option in options {
            tally[usize::from(option)] += weight;
        }
    }
    let tally: Vec<(OptionIndex, i128)> = (0..).zip(tally).collect();
    let mut ties = Ties::new(task.tie_break);
    let election = elect(tally.iter().copied().filter(|&(_, votes)| votes > 0), task.seats, 1, &mut ties);
    let figures = tally.iter().map(|&(option, votes)| (option, Figure::millionths(votes))).collect();
    let mut round = Round::new(Step::FirstCount, figures);
    round.elect(&election.elected, ElectedBecause::Most);
    count.rounds = vec![round];
    count.close(election, ties)
}
