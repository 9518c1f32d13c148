//! The engine on DynamoDB and its streams: polls and votes for more than one machine.
//!
//! Architecture invariant: a vote is one conditional write of one item that is never changed again, and a counter
//! changes only together with how far the stream is folded into it. Everything else can be lost, repeated or reordered
//! and the counts are still exact.

mod batch;
mod client;
mod codes;
mod counters;
mod engine;
mod erasing;
mod folding;
mod items;
mod limits;
mod listing;
mod migrate;
mod options;
mod polls;
mod shared;
mod store;
mod stream;
mod tables;
mod tally;
mod votes;
mod writer;

pub use batch::{Folded, StreamItem, StreamTally};
pub use client::is_local;
pub use migrate::{MigrateError, Migrated, carry_in, carry_out};
pub use options::Options;
pub use shared::{RedisUrl, RedisUrlError};
pub use store::DynamoStore;
pub use tables::{TableError, create_tables};
