//! Places in the ledger, kept apart from other numbers by their type.

use std::fmt;

/// A place in the ledger: the bytes of batches before it since the ledger began. It never changes, whatever segments
/// the bytes lie in, and the next batch begins where the last one ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(u64);

impl Position {
    /// The beginning of every ledger.
    pub const ZERO: Self = Self(0);

    /// The place as a number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place so many bytes further on.
    pub(crate) const fn plus(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

impl From<u64> for Position {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
