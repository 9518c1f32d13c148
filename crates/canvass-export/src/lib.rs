//! The votes of a poll as files: CSV, JSON Lines, JSON, XLSX and Parquet, made piece by piece at any size.
//!
//! Nothing here knows HTTP or where the bytes go. An [`Export`] holds one page of records and, where the format wants
//! it, one group of rows; never the whole.

mod csv;
mod export;
pub mod json;
pub mod limits;
mod parquet;
mod row;
mod sink;
mod source;
mod voters;
mod xlsx;

pub use export::{Export, ExportError, Format};
pub use source::Source;
pub use voters::{PseudonymKey, Voters};
