//! Numbers that look random, from a seed that is printed, so that a run can be told apart from another.

use std::time::{SystemTime, UNIX_EPOCH};

/// A small generator (splitmix64, Steele, Lea and Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    /// A generator that differs from run to run.
    pub(crate) fn from_clock() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_secs() ^ u64::from(since.subsec_nanos()) << 20)
    }

    /// A generator that is the same in each run.
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(scatter(seed))
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        scatter(self.0) % bound
    }
}

/// A different number for each number, without order.
pub(crate) fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
