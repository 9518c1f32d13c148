//! Reading ballots: which of a profile a method can count, which are blank, and which it must reject.

use crate::{Ballot, BallotCounts, Figure, OptionIndex, Profile, Rank};

/// What a method makes of one ballot.
pub(crate) enum Reading<T> {
    /// A vote to be counted.
    Vote(T),
    /// No mark at all.
    Blank,
    /// Marks that the method does not allow.
    Rejected,
}

/// The ballots that count, each with its weight in millionths of a vote, and the numbers of all.
pub(crate) fn read<'a, T>(
    profile: &'a Profile,
    reading: impl Fn(&'a Ballot) -> Reading<T>,
) -> (BallotCounts, Vec<(T, i128)>) {
    let (mut votes, mut counted, mut blank, mut rejected) = (Vec::with_capacity(profile.len()), 0, 0, 0);
    for (ballot, total) in profile.iter() {
        let weight = total.signed_millionths();
        let known = names_known_options(ballot, profile.option_count());
        match if known { reading(ballot) } else { Reading::Rejected } {
            Reading::Vote(vote) => {
                counted += weight;
                votes.push((vote, weight));
            }
            Reading::Blank => blank += weight,
            Reading::Rejected => rejected += weight,
        }
    }
    let ballots = BallotCounts {
        cast: Figure::millionths(counted + blank + rejected),
        counted: Figure::millionths(counted),
        blank: Figure::millionths(blank),
        rejected: Figure::millionths(rejected),
    };
    (ballots, votes)
}

fn names_known_options(ballot: &Ballot, option_count: usize) -> bool {
    let known = |option: &OptionIndex| usize::from(*option) < option_count;
    match ballot {
        Ballot::Choices(options) => options.iter().all(known),
        Ballot::Ranking(ranks) => ranks.iter().all(|rank| match rank {
            Rank::One(option) => known(option),
            Rank::Equal(options) => options.iter().all(known),
            Rank::Skipped | Rank::Overvote => true,
        }),
        Ballot::Scores(marks) | Ballot::Allocation(marks) => marks.iter().all(|(option, _)| known(option)),
    }
}

/// The ranks of a ranked ballot up to the last that is not skipped.
pub(crate) fn ranking(ballot: &Ballot) -> Reading<&[Rank]> {
    let Ballot::Ranking(ranks) = ballot else { return Reading::Rejected };
    match ranks.iter().rposition(|rank| *rank != Rank::Skipped) {
        Some(last) => Reading::Vote(&ranks[..=last]),
        None => Reading::Blank,
    }
}
