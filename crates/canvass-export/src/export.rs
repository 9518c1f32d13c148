//! An export under way: pages of records in, pieces of a file out.

use std::sync::Arc;

use bytes::Bytes;
use canvass_domain::{
    Poll, PollId, Sequence,
    record::{Entry, Record},
};
use canvass_store::{RecordedEntry, Store, StoreError};

use crate::{
    csv,
    json::VoteJson,
    parquet,
    row::{CountedVote, Row},
    sink::Sink,
    source::Source,
    voters::Voters,
    xlsx,
};

/// What votes are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values.
    Csv,
    /// One vote's JSON on each line.
    JsonLines,
    /// One list of votes.
    Json,
    /// A workbook.
    Xlsx,
    /// Columns for analysis.
    Parquet,
}

impl Format {
    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::JsonLines => "application/x-ndjson",
            Self::Json => "application/json",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// What a file's name ends with, without the point.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Json => "json",
            Self::Xlsx => "xlsx",
            Self::Parquet => "parquet",
        }
    }
}

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The votes cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be written.
    #[error("the file cannot be written: {0}")]
    Write(String),
}

/// An export of the votes that count when it begins.
pub struct Export {
    source: Source,
    /// None at the end.
    writer: Option<Writer>,
}

impl Export {
    /// Begins an export.
    ///
    /// # Errors
    /// Whatever keeps the store from reading the poll.
    pub async fn begin(
        store: &Arc<dyn Store>,
        poll: &PollId,
        format: Format,
        voters: Voters,
    ) -> Result<Self, ExportError> {
        let source = Source::begin(store, poll).await?;
        let writer = Writer::begin(Arc::clone(source.poll()), format, voters)?;
        Ok(Self { source, writer: Some(writer) })
    }

    /// The last of the poll's records that is looked at.
    pub fn last(&self) -> Sequence {
        self.source.last()
    }

    /// The next piece; none at the end. Votes are written by a thread that may take its time.
    ///
    /// # Errors
    /// See [`ExportError`]. What was given before is no whole file then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ExportError> {
        while let Some(writer) = self.writer.take() {
            let mut entries = self.source.page().await?;
            let is_end = entries.is_empty();
            entries.retain(|recorded| !self.source.is_replaced(recorded.entry.place.sequence));
            let write = move || writer.write(&entries, is_end);
            let (writer, piece) = tokio::task::spawn_blocking(write)
                .await
                .map_err(|error| ExportError::Write(error.to_string()))??;
            self.writer = writer;
            if !piece.is_empty() {
                return Ok(Some(piece.into()));
            }
        }
        Ok(None)
    }
}

struct Writer {
    poll: Arc<Poll>,
    voters: Voters,
    sink: Sink,
    kind: Kind,
}

enum Kind {
    Csv,
    JsonLines,
    Json { is_first: bool },
    Xlsx(Box<xlsx::Writer>),
    Parquet(Box<parquet::Writer>),
}

impl Writer {
    fn begin(poll: Arc<Poll>, format: Format, voters: Voters) -> Result<Self, ExportError> {
        let sink = Sink::default();
        let kind = match format {
            Format::Csv => {
                sink.append(|piece| csv::write_header(piece, &poll));
                Kind::Csv
            }
            Format::JsonLines => Kind::JsonLines,
            Format::Json => {
                sink.append(|piece| piece.extend_from_slice(b"[\n"));
                Kind::Json { is_first: true }
            }
            Format::Xlsx => {
                Kind::Xlsx(Box::new(xlsx::Writer::begin(sink.clone(), &poll).map_err(unwritten)?))
            }
            Format::Parquet => {
                Kind::Parquet(Box::new(parquet::Writer::begin(sink.clone(), &poll).map_err(unwritten)?))
            }
        };
        Ok(Self { poll, voters, sink, kind })
    }

    /// Writes the votes among some records, and gives what is ready to be sent.
    fn write(
        mut self,
        entries: &[RecordedEntry],
        is_end: bool,
    ) -> Result<(Option<Self>, Vec<u8>), ExportError> {
        for vote in entries.iter().filter_map(vote_of) {
            self.add(&vote)?;
        }
        let sink = self.sink.clone();
        let rest = if is_end { self.end()? } else { Some(self) };
        Ok((rest, sink.take()))
    }

    fn add(&mut self, vote: &CountedVote<'_>) -> Result<(), ExportError> {
        let row = || Row::new(&self.poll, vote, &self.voters);
        match &mut self.kind {
            Kind::Csv => self.sink.append(|piece| csv::write_row(piece, row())),
            Kind::JsonLines => self.sink.append(|piece| {
                write_json(piece, &self.poll, &self.voters, vote);
                piece.push(b'\n');
            }),
            Kind::Json { is_first } => self.sink.append(|piece| {
                if !std::mem::take(is_first) {
                    piece.extend_from_slice(b",\n");
                }
                write_json(piece, &self.poll, &self.voters, vote);
            }),
            Kind::Xlsx(writer) => writer.add(&row()).map_err(unwritten)?,
            Kind::Parquet(writer) => writer.add(&row()).map_err(unwritten)?,
        }
        Ok(())
    }

    fn end(self) -> Result<Option<Self>, ExportError> {
        match self.kind {
            Kind::Csv | Kind::JsonLines => {}
            Kind::Json { .. } => self.sink.append(|piece| piece.extend_from_slice(b"\n]\n")),
            Kind::Xlsx(writer) => writer.end().map_err(unwritten)?,
            Kind::Parquet(writer) => writer.end().map_err(unwritten)?,
        }
        Ok(None)
    }
}

fn unwritten(error: impl std::error::Error) -> ExportError {
    ExportError::Write(error.to_string())
}

/// The vote that a record holds, if it counts.
fn vote_of(recorded: &RecordedEntry) -> Option<CountedVote<'_>> {
    let Entry { place, record } = &recorded.entry;
    let Record::Vote(vote) = record else { return None };
    let marked = vote.added()?;
    let voter = vote.personal.as_ref().map(|personal| &personal.voter);
    Some(CountedVote { vote_id: vote.vote_id, marked, cast_at: place.at, sequence: place.sequence, voter })
}

fn write_json(piece: &mut Vec<u8>, poll: &Poll, voters: &Voters, vote: &CountedVote<'_>) {
    let voter = vote.voter.and_then(|voter| voters.name(&poll.id, voter));
    let json = VoteJson {
        poll,
        voter: voter.as_deref(),
        vote_id: vote.vote_id,
        marked: Some(&vote.marked),
        cast_at: vote.cast_at,
        sequence: Some(vote.sequence),
    };
    json.write(piece);
}
