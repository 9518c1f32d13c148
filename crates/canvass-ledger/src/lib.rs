//! A durable append-only log of batches of opaque records: segments, checksums, recovery.
//!
//! One [`Ledger`] writes; any number of [`Reader`]s read what is durable. A batch is written at once and synced once,
//! and is there as a whole or not at all. Opening tells the remains of a write that was never acknowledged, which it
//! cuts, from damage to acknowledged bytes, which it reports with their place. What the records mean is not known
//! here; `docs/ledger-format.md` says what they look like on disk.

mod batch;
mod beside;
mod disk;
mod error;
mod format;
mod ledger;
pub mod limits;
mod mirror;
mod position;
mod preparation;
mod reader;
mod recovery;
mod segment;
mod stretch;
#[cfg(feature = "testing")]
pub mod testing;
mod torn;

pub use batch::Batch;
pub use disk::{Disk, DiskFile, FileDisk};
pub use error::{AppendError, Damage, Fault, OpenError, PushError, ReadError};
pub use format::{Erasable, RecordRef};
pub use ledger::{Cut, Ledger, Options, Recovery};
pub use mirror::{Mirror, MirrorError};
pub use position::Position;
pub use preparation::Preparation;
pub use reader::{Reader, RecordBuffer};
pub use stretch::{SegmentPlace, Stretch};
