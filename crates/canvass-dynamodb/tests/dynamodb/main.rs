//! The engine on the real DynamoDB Local: `cargo xtask test` starts it and runs these tests, which are ignored without.

#![expect(clippy::unwrap_used, reason = "a test that fails should stop where it fails")]

mod conformance;
mod cost;
mod erasure;
mod faults;
mod migrate;
mod proxy;
mod redis;
mod redis_server;
mod support;
mod tables;
