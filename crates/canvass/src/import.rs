//! Files of votes: what they hold, and how each becomes one line of a batch.
//!
//! Importing a file again, or going on after a crash, counts nothing twice. Each vote's idempotency key is made of what
//! it says, so the same vote is answered as it was before; another vote of the same voter is refused.

mod comma_separated;
mod dynamodb_json;
mod election;
mod json_lines;
mod send;

use std::path::Path;

use serde_json::{Value, value::RawValue};
use sha2::{Digest, Sha256};

pub(crate) use self::{
    dynamodb_json::{Stack, Votes},
    election::{Election, Reading},
    send::{Sent, send},
};
use crate::failure::Failure;

/// One vote of a file, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Where in the file it stands.
    pub(crate) place: Place,
    /// Who votes.
    pub(crate) voter: String,
    /// The ballot in JSON.
    pub(crate) ballot: Box<RawValue>,
    /// The line of the batch, with its line break.
    pub(crate) bytes: Vec<u8>,
    /// How far into the file it is, in the units of [`Source::length`].
    pub(crate) reached: u64,
}

/// A place that somebody can find in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A line of a text, from 1.
    Line(u64),
    /// A row of a table, from 1; the heading is the first.
    Row(u64),
    /// An item of a table, from 1, through all files in their order.
    Item(u64),
    /// A row of an election's ballots, from 1, and which of its ballots, from 1.
    Ballot {
        /// The row.
        row: u64,
        /// The ballot within the row.
        number: u64,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(formatter, "line {line}"),
            Self::Row(row) => write!(formatter, "row {row}"),
            Self::Item(item) => write!(formatter, "item {item}"),
            Self::Ballot { row, number } => write!(formatter, "row {row}, ballot {number}"),
        }
    }
}

/// Something in a file that is no vote, with its place.
#[derive(Clone, Debug)]
pub(crate) struct Unusable {
    /// Where.
    pub(crate) place: Place,
    /// Why.
    pub(crate) reason: String,
}

/// The votes of a file, read as they are sent.
pub(crate) struct Source {
    /// The votes; what cannot be read spoils no other.
    pub(crate) lines: Box<dyn Iterator<Item = Result<Line, Unusable>>>,
    /// How much there is: bytes, or ballots of an election.
    pub(crate) length: u64,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values with a heading
    Csv,
    /// A vote in JSON on each line
    Jsonl,
    /// An election: JSON, BLT, ABIF or PrefLib, told by its content
    Election,
}

/// What a file holds by its name's ending, and by its content where that may be either.
pub(crate) fn format_of(path: &Path) -> Result<Format, Failure> {
    let ending = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
    match ending.as_ref().and_then(|ending| ending.to_str()) {
        Some("csv") => Ok(Format::Csv),
        Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
        Some("json" | "blt" | "abif" | "soc" | "soi" | "toc" | "toi" | "cat") => Ok(Format::Election),
        _ => Err(Failure::usage(format!(
            "{}: its name does not tell what it holds; give --format csv, jsonl or election",
            path.display()
        ))),
    }
}

/// Opens a file of single votes; `poll` is the poll as the server has it.
pub(crate) fn open_votes(path: &Path, format: Format, poll: &Value) -> Result<Source, Failure> {
    match format {
        Format::Csv => comma_separated::open(path, poll),
        Format::Jsonl | Format::Election => json_lines::open(path),
    }
}

/// What a vote says, from whatever file it came.
struct Vote {
    voter: String,
    ballot: Box<RawValue>,
    demographics: Option<Box<RawValue>>,
    weight: Option<String>,
    idempotency_key: Option<String>,
}

impl Vote {
    fn into_line(self, place: Place, reached: u64) -> Line {
        let key = self.idempotency_key.clone().unwrap_or_else(|| self.key());
        let mut bytes = Vec::with_capacity(160);
        bytes.extend_from_slice(b"{\"voterId\":");
        put_text(&mut bytes, &self.voter);
        bytes.extend_from_slice(b",\"ballot\":");
        bytes.extend_from_slice(self.ballot.get().as_bytes());
        if let Some(demographics) = &self.demographics {
            bytes.extend_from_slice(b",\"demographics\":");
            bytes.extend_from_slice(demographics.get().as_bytes());
        }
        if let Some(weight) = &self.weight {
            bytes.extend_from_slice(b",\"weight\":");
            put_text(&mut bytes, weight);
        }
        bytes.extend_from_slice(b",\"idempotencyKey\":");
        put_text(&mut bytes, &key);
        bytes.extend_from_slice(b"}\n");
        Line { place, voter: self.voter, ballot: self.ballot, bytes, reached }
    }

    /// A name for the request that is made of what it says.
    fn key(&self) -> String {
        let mut hasher = Sha256::new();
        let parts = [
            Some(self.voter.as_str()),
            Some(self.ballot.get()),
            self.demographics.as_ref().map(|demographics| demographics.get()),
            self.weight.as_deref(),
        ];
        for part in parts {
            let part = part.unwrap_or_default();
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        format!("import-{}", hexadecimal(&hasher.finalize()[..16]))
    }
}

/// Appends a text as JSON.
fn put_text(into: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(into, text).expect("a text in memory can be written as JSON");
}

/// A ballot or other value as raw JSON. A line break inside would end the batch's line, so there is none.
fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("a value in memory can be written as JSON")
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
