//! Plurality and approval: choices are added up.

use crate::{
    Ballot, Count, Elected, ElectedBecause, Figure, Method, OptionIndex, Profile, Rank, Round, Step,
    TieBreak,
    election::elect,
    intake::{self, Reading},
    tie_break::Ties,
};

/// Counts one choice a ballot; a ballot with several is rejected.
pub(crate) fn count_plurality(
    profile: &Profile,
    method: &Method,
    seats: usize,
    tie_break: &TieBreak,
) -> Count {
    count_choices(profile, method, seats, tie_break, |ballot| match ballot {
        Ballot::Choices(options) if options.len() <= 1 => choices(options),
        Ballot::Ranking(ranks) => first_preference(ranks),
        _ => Reading::Rejected,
    })
}

/// Counts every choice of every ballot once.
pub(crate) fn count_approval(
    profile: &Profile,
    method: &Method,
    seats: usize,
    tie_break: &TieBreak,
) -> Count {
    count_choices(profile, method, seats, tie_break, |ballot| match ballot {
        Ballot::Choices(options) => choices(options),
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

fn first_preference(ranks: &[Rank]) -> Reading<Vec<OptionIndex>> {
    match ranks.first() {
        Some(Rank::One(option)) => Reading::Vote(vec![*option]),
        None => Reading::Blank,
        Some(Rank::Skipped) if ranks.iter().all(|rank| *rank == Rank::Skipped) => Reading::Blank,
        Some(_) => Reading::Rejected,
    }
}

fn count_choices(
    profile: &Profile,
    method: &Method,
    seats: usize,
    tie_break: &TieBreak,
    reading: impl Fn(&Ballot) -> Reading<Vec<OptionIndex>>,
) -> Count {
    let (ballots, votes) = intake::read(profile, reading);
    let mut count = Count::new(method, profile.option_count(), seats, ballots);
    if votes.is_empty() {
        return count;
    }
    let mut tally = vec![0i128; profile.option_count()];
    for (options, weight) in votes {
        for option in options {
            tally[usize::from(option)] += weight;
        }
    }
    let tally: Vec<(OptionIndex, i128)> = (0..).zip(tally).collect();
    let mut ties = Ties::new(tie_break);
    let election = elect(tally.iter().copied().filter(|&(_, votes)| votes > 0), seats, 1, &mut ties);
    let figures = tally.iter().map(|&(option, votes)| (option, Figure::millionths(votes))).collect();
    let because = ElectedBecause::Most;
    let mut round = Round::new(Step::FirstCount, figures);
    round.elected = election.elected.iter().map(|&option| Elected { option, because }).collect();
    count.rounds = vec![round];
    count.winners = election.elected;
    count.tied = election.tied;
    count.ties = ties.met;
    count
}
