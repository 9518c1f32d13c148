//! A data directory's records as a whole, carried to another engine and from one.
//!
//! Nothing is decided anew: records are what happened, and they go over as they are. Only what an engine gives them is
//! made anew: numbers and the chain.

use std::{
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use canvass_domain::{
    Sequence, Timestamp,
    record::{self, Chain, Entry, Kind, Place, PollEvent, PollNumber, REGISTRY, Record},
};
use canvass_ledger::{Batch, FileDisk, Ledger, Options, Position, PushError, Reader};

use super::{
    open::{LEDGER_NAME, OpenError, lock, take_directory},
    shared::{corrupt, decode},
};
use crate::StoreError;

/// Where a new ledger lies until it is whole.
const PARTIAL_NAME: &str = "ledger.carried";

/// Why records were not carried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarryError {
    /// The directory cannot be used, or its ledger is damaged.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Records cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The new ledger cannot be written.
    #[error("the new ledger cannot be written: {0}")]
    Write(String),
}

/// A data directory that no server uses, to be read and not changed. It is locked for as long as this is there.
pub struct Contents {
    reader: Reader,
    _lock: File,
}

impl Contents {
    /// Opens a data directory, and verifies every checksum of its ledger. The remains of a write that was never
    /// acknowledged stay where they are and are not read.
    ///
    /// # Errors
    /// If a server uses it, if it is none, or if it is damaged.
    pub fn open(directory: &Path) -> Result<Self, CarryError> {
        let unusable = |source| OpenError::Directory { path: directory.to_owned(), source };
        let ledger = directory.join(LEDGER_NAME);
        fs::metadata(&ledger).map_err(unusable)?;
        let lock = lock(directory)?;
        let disk = Arc::new(FileDisk::read_only(ledger));
        let reader = Reader::beside(disk, Position::ZERO).map_err(OpenError::from)?;
        Ok(Self { reader, _lock: lock })
    }

    /// Gives every record, in the order in which they were written, until one is too many.
    ///
    /// # Errors
    /// A record that this program cannot read.
    pub fn each(&self, mut take: impl FnMut(Entry) -> ControlFlow<()>) -> Result<(), CarryError> {
        let mut failure = None;
        let scanned =
            self.reader.scan(Position::ZERO, self.reader.durable_end(), &mut |record| match decode(record) {
                Ok((entry, _)) => take(entry),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            });
        match (failure, scanned) {
            (Some(error), _) => Err(error.into()),
            (None, Err(error)) => Err(corrupt(&error).into()),
            (None, Ok(_)) => Ok(()),
        }
    }
}

/// Whether a data directory holds a ledger.
pub fn has_ledger(directory: &Path) -> bool {
    directory.join(LEDGER_NAME).exists()
}

/// A data directory that is being made of records. It becomes one when it is finished; what was begun and not finished
/// is dropped by the next one that is begun there.
pub struct NewDirectory {
    directory: PathBuf,
    ledger: Ledger,
    batch: Batch,
    /// Of the registry and of the poll that is written now.
    registry: Written,
    poll: Option<(PollNumber, Written)>,
    polls: PollNumber,
    _lock: File,
}

#[derive(Default)]
struct Written {
    sequence: Sequence,
    latest: Timestamp,
    chain: Chain,
}

impl NewDirectory {
    /// Begins one where there is none.
    ///
    /// # Errors
    /// If the directory holds a ledger or cannot be used.
    pub fn begin(directory: &Path) -> Result<Self, CarryError> {
        let unusable = |source| OpenError::Directory { path: directory.to_owned(), source };
        let lock = take_directory(directory)?;
        if has_ledger(directory) {
            return Err(unusable(io::ErrorKind::AlreadyExists.into()).into());
        }
        let partial = directory.join(PARTIAL_NAME);
        match fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(error).into()),
            _ => {}
        }
        let disk = FileDisk::new(partial).map_err(unusable)?;
        let (ledger, _) = Ledger::open(Arc::new(disk), Options::default()).map_err(OpenError::from)?;
        let mut batch = Batch::new();
        batch.begin(ledger.end());
        Ok(Self {
            directory: directory.to_owned(),
            ledger,
            batch,
            registry: Written::default(),
            poll: None,
            polls: REGISTRY,
            _lock: lock,
        })
    }

    /// Begins the next poll: the records that follow are its.
    pub fn begin_poll(&mut self) {
        self.polls += 1;
        self.poll = Some((self.polls, Written::default()));
    }

    /// Writes a record of the registry, or the next one of the poll that was begun last.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn push(&mut self, at: Timestamp, record: Record) -> Result<(), CarryError> {
        let is_of_registry = matches!(record, Record::Key(_) | Record::Setting(_));
        let (number, written) = match &mut self.poll {
            Some((number, written)) if !is_of_registry => (*number, written),
            _ => (REGISTRY, &mut self.registry),
        };
        let at = at.max(written.latest);
        let place = Place { poll: number, sequence: written.sequence.next(), at };
        let mut body = Vec::new();
        let (kind, personal) = encode(&mut body, place, record, &written.chain);
        written.sequence = place.sequence;
        written.latest = at;
        written.chain = record::link(&written.chain, kind, &body);
        self.write(kind, &body, &personal)
    }

    fn write(&mut self, kind: Kind, body: &[u8], personal: &[u8]) -> Result<(), CarryError> {
        match self.batch.push(kind as u8, body, personal) {
            Err(PushError::BatchFull) => {
                self.append()?;
                self.batch.push(kind as u8, body, personal)
            }
            pushed => pushed,
        }
        .map_err(|error| CarryError::Write(error.to_string()))?;
        Ok(())
    }

    fn append(&mut self) -> Result<(), CarryError> {
        let appended = self.ledger.append(&mut self.batch);
        appended.map(|_| ()).map_err(|error| CarryError::Write(error.to_string()))
    }

    /// Makes a data directory of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<(), CarryError> {
        self.append()?;
        let Self { directory, ledger, .. } = self;
        drop(ledger);
        let unusable = |source| OpenError::Directory { path: directory.clone(), source };
        fs::rename(directory.join(PARTIAL_NAME), directory.join(LEDGER_NAME)).map_err(unusable)?;
        File::open(&directory).and_then(|directory| directory.sync_all()).map_err(unusable)?;
        Ok(())
    }
}

/// Appends a record's body with a new place and a new link, and gives its kind and its personal part.
fn encode(body: &mut Vec<u8>, place: Place, record: Record, chain: &Chain) -> (Kind, Vec<u8>) {
    match record {
        Record::Vote(vote) => {
            let (bytes, personal) = vote.written_anew(place);
            body.extend_from_slice(&bytes);
            (Kind::Vote, personal)
        }
        Record::Poll(event) => {
            let mut event = PollEvent { chain: record::hexadecimal(chain), ..*event };
            // They are places in another ledger, and what they named is erased.
            event.poll.erasing_records.clear();
            (record::encode_event(body, place, &Record::Poll(Box::new(event))), Vec::new())
        }
        other => (record::encode_event(body, place, &other), Vec::new()),
    }
}
