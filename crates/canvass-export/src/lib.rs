//! The votes of a poll as files: CSV, JSON Lines, JSON, XLSX and Parquet, made piece by piece at any size.
//!
//! Nothing here knows HTTP. An [`Export`] holds one page of records and, where the format wants it, one group of rows;
//! never the whole. An [`Exporter`] writes exports to a folder by a [`Schedule`].

pub mod csv;
mod export;
mod exporter;
mod folder;
pub mod json;
pub mod limits;
mod parquet;
mod row;
mod schedule;
mod sink;
mod source;
mod voters;
mod xlsx;

pub use export::{Export, ExportError, Format};
pub use exporter::{Exporter, ExporterOptions, Turn, TurnError};
pub use schedule::Schedule;
pub use source::Source;
pub use voters::{PseudonymKey, Voters};
