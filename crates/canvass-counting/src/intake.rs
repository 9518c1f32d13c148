//! Reading ballots: which of a profile a method can count, which are blank, and which it must reject.

use std::ops::AddAssign;

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

/// How many ballots were read, in millionths of a vote.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cast {
    pub(crate) counted: i128,
    blank: i128,
    rejected: i128,
}

impl Cast {
    /// Notes a ballot; gives its vote, if it counts.
    pub(crate) fn take<T>(&mut self, reading: Reading<T>, weight: i128) -> Option<T> {
        match reading {
            Reading::Vote(vote) => {
                self.counted += weight;
                return Some(vote);
            }
            Reading::Blank => self.blank += weight,
            Reading::Rejected => self.rejected += weight,
        }
        None
    }

    pub(crate) fn figures(self) -> BallotCounts {
        BallotCounts {
            cast: Figure::millionths(self.counted + self.blank + self.rejected),
            counted: Figure::millionths(self.counted),
            blank: Figure::millionths(self.blank),
            rejected: Figure::millionths(self.rejected),
        }
    }
}

impl AddAssign for Cast {
    fn add_assign(&mut self, other: Self) {
        self.counted += other.counted;
        self.blank += other.blank;
        self.rejected += other.rejected;
    }
}

/// The ballots that count, each with its weight in millionths of a vote, and the numbers of all.
pub(crate) fn read<'a, T>(
    profile: &'a Profile,
    reading: impl Fn(PackedBallot<'a>) -> Reading<T>,
) -> (BallotCounts, Vec<(T, i128)>) {
    let (mut votes, mut cast) = (Vec::with_capacity(profile.len()), Cast::default());
    let all_known = profile.names_known_options();
    let option_count = profile.option_count();
    for (ballot, total) in profile.packed() {
        let weight = total.signed_millionths();
        let known = all_known || ballot.option_max().is_none_or(|option| usize::from(option) < option_count);
        let reading = if known { reading(ballot) } else { Reading::Rejected };
        votes.extend(cast.take(reading, weight).map(|vote| (vote, weight)));
    }
    (cast.figures(), votes)
}

/// The ranks of a ranked ballot up to the last that is not skipped.
pub(crate) fn ranking(ballot: PackedBallot<'_>) -> Reading<Ranks<'_>> {
    let PackedBallot::Ranking(ranks) = ballot else { return Reading::Rejected };
    ranks.trimmed().map_or(Reading::Blank, Reading::Vote)
}
