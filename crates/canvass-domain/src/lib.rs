//! Polls, ballots, votes and records, and the pure functions that decide and fold them.
//!
//! Nothing here waits, reads a clock, draws a random number or touches a file: time and new ids come in with each
//! command, so that the same commands give the same records in the server, in a function and in a simulation.

pub mod ballot;
pub mod code;
mod codec;
pub mod count_view;
pub mod crossing;
pub mod decide;
mod identifier;
pub mod key;
pub mod limits;
pub mod method;
pub mod poll;
pub mod record;
pub mod refusal;
pub mod results;
pub mod tally;
pub mod tie_break;
mod time;
pub mod vote;

pub use canvass_counting::{Ballot, Count, OptionIndex, Profile, Rank, Total, Weight};
pub use codec::Malformed;
pub use identifier::{IdempotencyKey, IdentifierError, KeyId, OptionId, PollId, Sequence, VoteId, VoterId};
pub use poll::Poll;
pub use refusal::{Invalid, Refusal};
pub use time::{Timestamp, TimestampError};
