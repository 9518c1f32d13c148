//! Ballots packed into 16-bit codes, and the way to read them there.
//!
//! A profile of a million ballots must be small, quick to copy and read in order; a `Vec` in each ballot is none of
//! that. So all ballots lie one after another in one list of codes, about one code a mark:
//! the form first, and then options, ranks, or three codes for each option with its number.

use crate::{Ballot, OptionIndex, Rank};

const CHOICES: u16 = 1;
const RANKING: u16 = 2;
const SCORES: u16 = 3;
const ALLOCATION: u16 = 4;

/// In a ranking, codes from here on are no options.
const MARKERS: u16 = 0xFFFC;
const SKIPPED: u16 = 0xFFFF;
const OVERVOTE: u16 = 0xFFFE;
/// The number of options that share the rank and these options follow.
const EQUAL: u16 = 0xFFFD;
/// An option with the number of a marker follows.
const ESCAPED: u16 = 0xFFFC;

/// Appends a ballot's codes.
pub(crate) fn pack(ballot: &Ballot, into: &mut Vec<u16>) {
    match ballot {
        Ballot::Choices(options) => {
            into.push(CHOICES);
            into.extend(options);
        }
        Ballot::Ranking(ranks) => {
            into.push(RANKING);
            ranks.iter().for_each(|rank| pack_rank(rank, into));
        }
        Ballot::Scores(marks) => pack_marks(SCORES, marks, into),
        Ballot::Allocation(marks) => pack_marks(ALLOCATION, marks, into),
    }
}

fn pack_rank(rank: &Rank, into: &mut Vec<u16>) {
    match rank {
        Rank::One(option) if *option < MARKERS => into.push(*option),
        Rank::One(option) => into.extend([ESCAPED, *option]),
        Rank::Equal(options) => {
            let count = u16::try_from(options.len()).unwrap_or(u16::MAX);
            into.extend([EQUAL, count]);
            into.extend(options.iter().take(usize::from(count)));
        }
        Rank::Skipped => into.push(SKIPPED),
        Rank::Overvote => into.push(OVERVOTE),
    }
}

fn pack_marks(form: u16, marks: &[(OptionIndex, i32)], into: &mut Vec<u16>) {
    into.push(form);
    for (option, number) in marks {
        let [a, b, c, d] = number.to_le_bytes();
        into.extend([*option, u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]);
    }
}

/// A packed ballot.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PackedBallot<'a> {
    Choices(&'a [OptionIndex]),
    Ranking(Ranks<'a>),
    Scores(Marks<'a>),
    Allocation(Marks<'a>),
}

impl<'a> PackedBallot<'a> {
    /// The ballot that was packed into these codes.
    pub(crate) fn of(codes: &'a [u16]) -> Self {
        match codes {
            [RANKING, ranks @ ..] => Self::Ranking(Ranks(ranks)),
            [SCORES, marks @ ..] => Self::Scores(Marks(marks)),
            [ALLOCATION, marks @ ..] => Self::Allocation(Marks(marks)),
            [_, options @ ..] => Self::Choices(options),
            [] => Self::Choices(&[]),
        }
    }

    pub(crate) fn unpack(self) -> Ballot {
        match self {
            Self::Choices(options) => Ballot::Choices(options.to_vec()),
            Self::Ranking(ranks) => Ballot::Ranking(ranks.iter().map(PackedRank::unpack).collect()),
            Self::Scores(marks) => Ballot::Scores(marks.iter().collect()),
            Self::Allocation(marks) => Ballot::Allocation(marks.iter().collect()),
        }
    }

    /// Whether options share a rank, as far as they are known.
    pub(crate) fn shares_ranks(self) -> bool {
        let Self::Ranking(ranks) = self else { return false };
        ranks.iter().any(|rank| matches!(rank, PackedRank::Equal(_)))
    }

    /// The highest option that it names.
    pub(crate) fn option_max(self) -> Option<OptionIndex> {
        match self {
            Self::Choices(options) => options.iter().copied().max(),
            Self::Ranking(ranks) => {
                ranks.iter().filter_map(|rank| rank.options().iter().copied().max()).max()
            }
            Self::Scores(marks) | Self::Allocation(marks) => marks.iter().map(|(option, _)| option).max(),
        }
    }
}

/// The ranks of a packed ballot. A place is the number of a code: that of the next rank is given with each rank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranks<'a>(&'a [u16]);

/// One rank of a packed ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackedRank<'a> {
    /// A list of one.
    One(&'a [OptionIndex; 1]),
    Equal(&'a [OptionIndex]),
    Skipped,
    Overvote,
}

impl<'a> PackedRank<'a> {
    /// The options at this rank, as far as they are known.
    pub(crate) fn options(self) -> &'a [OptionIndex] {
        match self {
            Self::One(option) => option,
            Self::Equal(options) => options,
            Self::Skipped | Self::Overvote => &[],
        }
    }

    fn unpack(self) -> Rank {
        match self {
            Self::One([option]) => Rank::One(*option),
            Self::Equal(options) => Rank::Equal(options.to_vec()),
            Self::Skipped => Rank::Skipped,
            Self::Overvote => Rank::Overvote,
        }
    }
}

impl<'a> Ranks<'a> {
    /// The ranks that these codes are.
    pub(crate) fn of(codes: &'a [u16]) -> Self {
        Self(codes)
    }

    /// The rank at a place, with the place of the next; nothing at the end.
    #[inline]
    pub(crate) fn at(self, place: usize) -> Option<(PackedRank<'a>, usize)> {
        let codes = self.0.get(place..)?;
        Some(match codes {
            [SKIPPED, ..] => (PackedRank::Skipped, place + 1),
            [OVERVOTE, ..] => (PackedRank::Overvote, place + 1),
            [EQUAL, count, rest @ ..] => {
                let options = rest.get(..usize::from(*count)).unwrap_or(rest);
                (PackedRank::Equal(options), place + 2 + options.len())
            }
            [ESCAPED, rest @ ..] => (PackedRank::One(rest.first_chunk()?), place + 2),
            _ => (PackedRank::One(codes.first_chunk()?), place + 1),
        })
    }

    /// The first ranks as one number, at so many bits an option; none where the ballot has no more ranks than these, or
    /// one of them is not a single option that so many bits can name.
    pub(crate) fn key(self, ranks: usize, bits: u32) -> Option<u64> {
        let (shared, rest) = self.0.split_at_checked(ranks)?;
        if rest.is_empty()
            || ranks == 0
            || shared.iter().any(|code| *code >= MARKERS || u64::from(*code) >> bits > 0)
        {
            return None;
        }
        Some(shared.iter().fold(0, |key, code| (key << bits) | u64::from(*code)))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = PackedRank<'a>> {
        let mut place = 0;
        std::iter::from_fn(move || {
            let (rank, next) = self.at(place)?;
            place = next;
            Some(rank)
        })
    }

    /// Up to the last rank that is not skipped; nothing where all are.
    pub(crate) fn trimmed(self) -> Option<Self> {
        if self.0.last().is_some_and(|code| *code < MARKERS) {
            return Some(self);
        }
        let (mut place, mut end) = (0, 0);
        while let Some((rank, next)) = self.at(place) {
            place = next;
            if rank != PackedRank::Skipped {
                end = next;
            }
        }
        (end > 0).then_some(Self(&self.0[..end]))
    }
}

/// Options with their numbers, of a packed ballot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks<'a>(&'a [u16]);

impl Marks<'_> {
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = (OptionIndex, i32)> {
        self.0.as_chunks().0.iter().map(|&[option, low, high]| {
            let ([a, b], [c, d]) = (low.to_le_bytes(), high.to_le_bytes());
            (option, i32::from_le_bytes([a, b, c, d]))
        })
    }

    /// Whether each option is marked once at most, and they ascend.
    pub(crate) fn are_distinct(self) -> bool {
        self.iter().is_sorted_by(|a, b| a.0 < b.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ballot: &Ballot) {
        let mut codes = Vec::new();
        pack(ballot, &mut codes);
        assert_eq!(PackedBallot::of(&codes).unpack(), *ballot);
    }

    #[test]
    fn what_is_packed_can_be_unpacked() {
        check(&Ballot::Choices(vec![]));
        check(&Ballot::Choices(vec![0, 7, 65_535]));
        check(&Ballot::Ranking(vec![]));
        check(&Ballot::Ranking(vec![
            Rank::One(3),
            Rank::Skipped,
            Rank::Equal(vec![0, 65_535]),
            Rank::Overvote,
            Rank::One(65_535),
            Rank::One(0xFFFC),
            Rank::Skipped,
        ]));
        check(&Ballot::Scores(vec![(0, i32::MIN), (3, -1), (4, 0), (9, i32::MAX)]));
        check(&Ballot::Allocation(vec![(65_535, 70_000)]));
    }

    #[test]
    fn ranks_at_the_end_that_are_skipped_are_left_out() {
        let trimmed = |ranks: Vec<Rank>| {
            let mut codes = Vec::new();
            pack(&Ballot::Ranking(ranks), &mut codes);
            let PackedBallot::Ranking(ranks) = PackedBallot::of(&codes) else { return None };
            ranks.trimmed().map(|ranks| ranks.iter().count())
        };
        assert_eq!(trimmed(vec![Rank::Skipped, Rank::Skipped]), None);
        assert_eq!(trimmed(vec![Rank::Skipped, Rank::One(65_535), Rank::Skipped]), Some(2));
        assert_eq!(trimmed(vec![Rank::Equal(vec![1, 65_535])]), Some(1));
    }
}
