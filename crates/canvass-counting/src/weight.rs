//! Exact weights: how much a ballot counts.

use std::{fmt, str::FromStr};

/// Places after the decimal point that a weight keeps.
pub const WEIGHT_DECIMALS: u32 = 6;
/// Millionths in one vote.
pub const WEIGHT_UNIT: u64 = 1_000_000;
/// The heaviest ballot: a thousand million votes.
pub const WEIGHT_MAX: Weight = Weight(1_000_000_000 * WEIGHT_UNIT);

/// How much one ballot counts, in millionths of a vote: exact, and 1 unless a poll says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Weight(u64);

/// A sum of weights, in millionths of a vote. It holds every weight that [`WEIGHT_MAX`] allows for more ballots than
/// there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Total(u128);

/// Why a text is not a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a weight is a decimal number above 0 and up to 1000000000 with at most 6 places after the point")]
pub struct WeightError;

impl Weight {
    /// One vote.
    pub const ONE: Self = Self(WEIGHT_UNIT);

    /// A weight of so many millionths of a vote; nothing for 0 or more than [`WEIGHT_MAX`].
    pub fn from_millionths(millionths: u64) -> Option<Self> {
        (1..=WEIGHT_MAX.0).contains(&millionths).then_some(Self(millionths))
    }

    /// The weight in millionths of a vote.
    pub const fn millionths(self) -> u64 {
        self.0
    }
}

impl Total {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many whole votes.
    pub fn from_votes(votes: u64) -> Self {
        Self(u128::from(votes) * u128::from(WEIGHT_UNIT))
    }

    /// So many millionths of a vote.
    pub const fn from_millionths(millionths: u128) -> Self {
        Self(millionths)
    }

    /// The sum in millionths of a vote.
    pub const fn millionths(self) -> u128 {
        self.0
    }

    /// The sum as the signed number that tallies are kept in. A profile holds far less than what does not fit.
    pub(crate) fn signed_millionths(self) -> i128 {
        i128::try_from(self.0).unwrap_or(i128::MAX)
    }

    /// Adds a weight.
    pub fn add(&mut self, weight: Weight) {
        self.0 += u128::from(weight.0);
    }

    /// Takes away a weight that was added before.
    ///
    /// # Panics
    /// If more is taken than was added: the fold that calls it is broken, and a count below zero must not be shown.
    pub fn remove(&mut self, weight: Weight) {
        self.0 = self.0.checked_sub(u128::from(weight.0)).expect("only what was added is taken away");
    }

    /// The number of votes, where the sum is a whole one that fits.
    pub fn whole_votes(self) -> Option<u64> {
        let unit = u128::from(WEIGHT_UNIT);
        if self.0.is_multiple_of(unit) { u64::try_from(self.0 / unit).ok() } else { None }
    }
}

impl From<Weight> for Total {
    fn from(weight: Weight) -> Self {
        Self(u128::from(weight.0))
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Total::from(*self).fmt(formatter)
    }
}

impl fmt::Display for Total {
    /// A decimal without trailing zeros: `3`, `0.5`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = u128::from(WEIGHT_UNIT);
        let (whole, rest) = (self.0 / unit, self.0 % unit);
        if rest == 0 {
            return write!(formatter, "{whole}");
        }
        let places = format!("{rest:06}");
        write!(formatter, "{whole}.{}", places.trim_end_matches('0'))
    }
}

impl FromStr for Weight {
    type Err = WeightError;

    fn from_str(text: &str) -> Result<Self, WeightError> {
        let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(places) || whole.len() > 10 || places.len() > WEIGHT_DECIMALS as usize {
            return Err(WeightError);
        }
        let whole: u64 = whole.parse().map_err(|_| WeightError)?;
        let places: u64 = format!("{places:0<6}").parse().map_err(|_| WeightError)?;
        Self::from_millionths(whole * WEIGHT_UNIT + places).ok_or(WeightError)
    }
}
