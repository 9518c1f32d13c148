//! Every vote that counts, written page by page.
//!
//! A vote that was changed or withdrawn later is left out. Which those are is found in a first pass over the poll's
//! records, and kept as one bit for each record; a poll whose votes cannot change needs no first pass.

use std::sync::Arc;

use bytes::Bytes;
use canvass_counting::formats::Written;
use canvass_domain::{
    Ballot, Poll, Sequence,
    poll::Revote,
    record::{Record, VoteRecord},
    vote::{Operation, StoredVote},
};
use canvass_store::{RecordedEntry, StoreError};

use crate::{
    app::App,
    service::{
        Failure,
        answer::{Recorded, answers, write_ballot, write_demographics, write_vote_id},
    },
};

/// What an export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    /// Vote by vote, with the voters.
    Votes(VotesFormat),
    /// The ballots alone, as an election file.
    Election(Written),
}

/// How votes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VotesFormat {
    /// Comma-separated values with a header (RFC 4180), for spreadsheets and dashboards.
    Csv,
    /// One vote's JSON on each line.
    JsonLines,
    /// One list of votes.
    Json,
}

impl ExportFormat {
    /// The format by its name.
    pub(crate) fn read(name: &str) -> Result<Self, Failure> {
        match name {
            "csv" => Ok(Self::Votes(VotesFormat::Csv)),
            "jsonl" => Ok(Self::Votes(VotesFormat::JsonLines)),
            "json" => Ok(Self::Votes(VotesFormat::Json)),
            "election" => Ok(Self::Election(Written::Json)),
            "blt" => Ok(Self::Election(Written::Blt)),
            "abif" => Ok(Self::Election(Written::Abif)),
            _ => Err(Failure::FormatNotOffered),
        }
    }
}

/// An export under way.
pub(crate) struct Export {
    app: App,
    poll: Arc<Poll>,
    format: VotesFormat,
    /// The last record that is looked at: votes that come during the export are not in it.
    last: Sequence,
    after: Sequence,
    replaced: Bits,
    state: State,
    written: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Beginning,
    Between,
    Ended,
}

impl App {
    /// Begins an export of the votes that count now.
    pub(crate) async fn export(&self, poll: &canvass_domain::PollId) -> Result<Export, Failure> {
        let snapshot = self.store().tally(poll).await.map_err(|error| self.failed(error))?;
        let mut export = Export {
            app: self.clone(),
            last: snapshot.tally.sequence,
            poll: snapshot.poll,
            format: VotesFormat::Csv,
            after: Sequence(0),
            replaced: Bits::default(),
            state: State::Beginning,
            written: 0,
        };
        if export.poll.revote != Revote::Never {
            export.find_replaced().await.map_err(|error| self.failed(error))?;
        }
        Ok(export)
    }
}

impl Export {
    /// The export in another format than CSV.
    pub(crate) fn written_as(self, format: VotesFormat) -> Self {
        Self { format, ..self }
    }

    /// The poll.
    pub(crate) fn poll(&self) -> &Poll {
        &self.poll
    }

    /// Whether a later record stands in this one's place.
    pub(crate) fn is_replaced(&self, sequence: Sequence) -> bool {
        self.replaced.has(sequence)
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut piece = Vec::new();
        match self.state {
            State::Beginning => {
                self.begin(&mut piece);
                self.state = State::Between;
                return Ok(Some(piece.into()));
            }
            State::Between => {}
            State::Ended => return Ok(None),
        }
        while piece.is_empty() {
            let entries = self.page().await?;
            if entries.is_empty() {
                self.end(&mut piece);
                self.state = State::Ended;
                break;
            }
            entries.iter().for_each(|recorded| self.add(&mut piece, recorded));
        }
        Ok(Some(piece.into()).filter(|piece: &Bytes| !piece.is_empty()))
    }

    /// The media type of the whole.
    pub(crate) fn content_type(&self) -> &'static str {
        match self.format {
            VotesFormat::Csv => "text/csv; charset=utf-8; header=present",
            VotesFormat::JsonLines => "application/x-ndjson",
            VotesFormat::Json => "application/json",
        }
    }

    /// A name for the file.
    pub(crate) fn file_name(&self) -> String {
        let extension = match self.format {
            VotesFormat::Csv => "csv",
            VotesFormat::JsonLines => "jsonl",
            VotesFormat::Json => "json",
        };
        format!("{}.{extension}", self.poll.id)
    }

    async fn find_replaced(&mut self) -> Result<(), StoreError> {
        loop {
            let entries = self.page().await?;
            if entries.is_empty() {
                break;
            }
            let votes = entries.iter().filter_map(|recorded| match &recorded.entry.record {
                Record::Vote(vote) => vote.previous,
                _ => None,
            });
            votes.for_each(|sequence| self.replaced.set(sequence));
            tokio::task::yield_now().await;
        }
        self.after = Sequence(0);
        Ok(())
    }

    /// The next records up to the last that is looked at; none after it.
    pub(crate) async fn page(&mut self) -> Result<Vec<RecordedEntry>, StoreError> {
        if self.after >= self.last {
            return Ok(Vec::new());
        }
        let mut page = self.app.store().records(&self.poll.id, self.after).await?;
        page.entries.retain(|recorded| recorded.entry.place.sequence <= self.last);
        if let Some(newest) = page.entries.last() {
            self.after = newest.entry.place.sequence;
        }
        Ok(page.entries)
    }

    fn add(&mut self, piece: &mut Vec<u8>, recorded: &RecordedEntry) {
        let place = recorded.entry.place;
        let Record::Vote(vote) = &recorded.entry.record else { return };
        if vote.operation == Operation::Withdraw || self.is_replaced(place.sequence) {
            return;
        }
        let stored = VoteRecord::stored(vote, place);
        // A vote whose personal part was erased counts, but there is nobody to tell of.
        let Some(stored) = stored else { return };
        match self.format {
            VotesFormat::Csv => write_row(piece, &row(&self.poll, &stored)),
            VotesFormat::JsonLines | VotesFormat::Json => {
                if self.format == VotesFormat::Json && self.written > 0 {
                    piece.extend_from_slice(b",\n");
                }
                Recorded::stored(Arc::clone(&self.poll), stored).write(piece);
                if self.format == VotesFormat::JsonLines {
                    piece.push(b'\n');
                }
            }
        }
        self.written += 1;
    }

    fn begin(&self, piece: &mut Vec<u8>) {
        match self.format {
            VotesFormat::Csv => write_row(piece, &header(&self.poll)),
            VotesFormat::JsonLines => {}
            VotesFormat::Json => piece.extend_from_slice(b"[\n"),
        }
    }

    fn end(&self, piece: &mut Vec<u8>) {
        if self.format == VotesFormat::Json {
            piece.extend_from_slice(b"\n]\n");
        }
    }
}

/// One bit for each of a poll's records.
#[derive(Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, sequence: Sequence) {
        let (word, bit) = Self::place(sequence);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    fn has(&self, sequence: Sequence) -> bool {
        let (word, bit) = Self::place(sequence);
        self.0.get(word).is_some_and(|bits| bits >> bit & 1 == 1)
    }

    fn place(sequence: Sequence) -> (usize, u64) {
        (usize::try_from(sequence.0 / 64).unwrap_or(usize::MAX), sequence.0 % 64)
    }
}

/// The columns that document B exports, then the ballot and a column for each dimension.
fn header(poll: &Poll) -> Vec<Vec<u8>> {
    let fixed = ["voteId", "pollId", "optionId", "voterId", "timestamp", "demographics", "ballot", "weight"];
    let dimensions = poll.demographics.keys().map(|name| format!("demographics.{name}"));
    fixed.iter().map(|name| (*name).to_owned()).chain(dimensions).map(|name| guarded(&name)).collect()
}

fn row(poll: &Poll, vote: &StoredVote) -> Vec<Vec<u8>> {
    let Some(marked) = &vote.marked else { return Vec::new() };
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut cell = Vec::new();
        write(&mut cell);
        cell
    };
    let option = match &marked.ballot {
        Ballot::Choices(choices) if choices.len() == 1 => poll.options.get(usize::from(choices[0])),
        _ => None,
    };
    let mut row = vec![
        written(&|cell| write_vote_id(cell, &vote.vote_id)),
        poll.id.as_str().into(),
        guarded(option.map_or("", |option| option.id.as_str())),
        guarded(vote.voter.as_str()),
        vote.cast_at.to_string().into(),
        written(&|cell| write_demographics(cell, poll, marked)),
        written(&|cell| write_ballot(cell, poll, marked)),
        marked.weight.to_string().into(),
    ];
    let given: Vec<_> = answers(poll, marked).collect();
    row.extend(poll.demographics.keys().map(|name| {
        given.iter().find(|(known, _)| known == name).map_or_else(Vec::new, |(_, value)| guarded(value))
    }));
    row
}

/// A cell that no spreadsheet takes for a formula: one that begins like one gets an apostrophe in front.
pub(crate) fn guarded(text: &str) -> Vec<u8> {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let mut cell = Vec::with_capacity(text.len() + 1);
    if is_formula {
        cell.push(b'\'');
    }
    cell.extend_from_slice(text.as_bytes());
    cell
}

/// Appends a row by RFC 4180.
pub(crate) fn write_row(piece: &mut Vec<u8>, row: &[Vec<u8>]) {
    for (index, cell) in row.iter().enumerate() {
        if index > 0 {
            piece.push(b',');
        }
        if cell.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
            piece.push(b'"');
            for byte in cell {
                piece.extend_from_slice(if *byte == b'"' { b"\"\"" } else { std::slice::from_ref(byte) });
            }
            piece.push(b'"');
        } else {
            piece.extend_from_slice(cell);
        }
    }
    piece.extend_from_slice(b"\r\n");
}
