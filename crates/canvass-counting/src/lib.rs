//! Counting methods over a profile of distinct ballots: exact, without I/O, usable alone.
//!
//! A [`Profile`] holds every distinct [`Ballot`] of an election with its [`Weight`]; a method counts it. Nothing
//! here knows polls or voters, and no result holds a floating-point number.

mod ballot;
mod profile;
mod weight;

pub use ballot::{Ballot, OptionIndex, Rank};
pub use profile::Profile;
pub use weight::{Total, WEIGHT_DECIMALS, WEIGHT_MAX, WEIGHT_UNIT, Weight, WeightError};
