//! The ledger's promises, each tried on disks that flip bytes, tear writes, lose power, fail and fill up.

#![expect(clippy::unwrap_used, reason = "in a test a failed step is a failed test")]

mod appending;
mod damage;
mod erasing;
mod failures;
mod golden;
mod mirroring;
mod power;
mod properties;
mod support;
mod torn;
