//! The counting methods by name, with their rule options, and the one function that counts by any of them.

use crate::{Count, Profile, TieBreak, choices};

/// A counting method with its rule options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// One choice a ballot, the most votes win. A ranked ballot counts for its first rank.
    Plurality,
    /// Any number of choices a ballot, the most approvals win.
    Approval,
}

impl Method {
    /// The name of the method as polls and files write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plurality => "plurality",
            Self::Approval => "approval",
        }
    }
}

/// Counts a profile.
///
/// Any profile can be counted: ballots that the method does not allow are rejected and reported, and nobody is elected
/// where nobody cast a valid vote. With fewer options than seats, seats stay empty.
pub fn count(profile: &Profile, method: &Method, seats: usize, tie_break: &TieBreak) -> Count {
    match method {
        Method::Plurality => choices::count_plurality(profile, method, seats, tie_break),
        Method::Approval => choices::count_approval(profile, method, seats, tie_break),
    }
}
