//! The rules of polls, ballots, votes and results, and the encoding of records.

#![expect(clippy::unwrap_used, reason = "in a test a failed step is a failed test")]

mod ballots;
mod breakdowns;
mod polls;
mod records;
mod results;
mod support;
mod votes;
