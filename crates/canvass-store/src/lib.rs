//! The `Store` trait, and the local engine: a state machine over the ledger.

#[cfg(feature = "testing")]
pub mod conformance;
pub mod limits;
pub mod local;
mod shared_limits;
mod store;

pub use shared_limits::{Demand, Most, SharedLimits, Taken};
pub use store::{
    ChainInput, Health, Pending, PollCursor, PollPage, PollQuery, Receipt, RecordPage, RecordedEntry,
    Snapshot, Store, StoreError, VoteOutcome, VoteResult,
};
