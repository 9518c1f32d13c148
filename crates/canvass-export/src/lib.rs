//! The votes of a poll as files: CSV, JSON Lines, JSON, XLSX and Parquet, made piece by piece at any size.
//!
//! Nothing here knows HTTP. An [`Export`] holds one page of records and, where the format wants it, one group of rows;
//! never the whole. An [`Exporter`] writes exports to a folder or a bucket by a [`Schedule`].

#[cfg(feature = "object-stores")]
mod bucket;
pub mod csv;
mod destination;
mod export;
mod exporter;
mod folder;
pub mod json;
pub mod limits;
mod names;
mod parquet;
mod place;
mod retention;
mod row;
mod schedule;
mod sink;
mod source;
mod state;
mod turn;
#[cfg(feature = "object-stores")]
mod vault;
mod voters;
mod xlsx;

pub use destination::{Access, BucketAddress, Destination};
pub use export::{Export, ExportError, Format};
pub use exporter::{Exporter, ExporterOptions, Turn, TurnError};
pub use retention::{Archive, Retention};
pub use schedule::Schedule;
pub use source::Source;
#[cfg(feature = "object-stores")]
pub use vault::BucketVault;
pub use voters::{PseudonymKey, Voters};
