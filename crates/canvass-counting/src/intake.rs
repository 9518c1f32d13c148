//! Reading ballots: which of a profile a method can count, which are blank, and which it must reject.

use crate::{
    BallotCounts, Figure, Profile,
    packed::{PackedBallot, Ranks},
};

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
    reading: impl Fn(PackedBallot<'a>) -> Reading<T>,
) -> (BallotCounts, Vec<(T, i128)>) {
    let (mut votes, mut counted, mut blank, mut rejected) = (Vec::with_capacity(profile.len()), 0, 0, 0);
    let all_known = profile.names_known_options();
    let option_count = profile.option_count();
    for (ballot, total) in profile.packed() {
        let weight = total.signed_millionths();
        let known = all_known || ballot.option_max().is_none_or(|option| usize::from(option) < option_count);
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

/// The ranks of a ranked ballot up to the last that is not skipped.
pub(crate) fn ranking(ballot: PackedBallot<'_>) -> Reading<Ranks<'_>> {
    let PackedBallot::Ranking(ranks) = ballot else { return Reading::Rejected };
    ranks.trimmed().map_or(Reading::Blank, Reading::Vote)
}
