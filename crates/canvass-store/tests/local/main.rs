//! The local engine: the suite of every engine, and what only a machine with a disk can get wrong.

#![expect(clippy::unwrap_used, reason = "a test that fails should stop where it fails")]

mod checkpoint;
mod conformance;
mod doctor;
mod erasure;
mod faults;
mod model;
mod opening;
mod power;
mod scale;
mod support;
mod vault;
