//! Checkpoints: everything that the engine keeps in memory, as it stood at one position of the ledger.
//!
//! A checkpoint is a shortcut, never the truth: one that is missing, damaged or older than this program is left aside,
//! and the ledger is folded from its beginning. It is written beside the old one, synced, and renamed into place.
//! `docs/ledger-format.md` describes the file.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use canvass_domain::{
    Poll, Profile, Sequence, Timestamp,
    code::Codes,
    key::Key,
    record::{Chain, PollNumber},
    tally::{Books, Tally},
};
use canvass_ledger::Position;
use serde::{Deserialize, Serialize};

use super::{
    places::Places,
    shared::{HashKey, PollCell, Registry, Shared, Voters},
    writer::{PollState, RegistryState},
};

/// The file's first bytes; the last one is the format's version.
const MAGIC: &[u8; 8] = b"CANVCKP\x02";
const NAME: &str = "checkpoint";
const NEW_NAME: &str = "checkpoint.new";
/// A section is never longer: a reader that meets a longer one has met damage.
const SECTION_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Everything as it stood at a position.
pub(super) struct Capture {
    pub(super) position: Position,
    pub(super) hash_key: HashKey,
    pub(super) next_number: PollNumber,
    pub(super) registry_state: RegistryState,
    pub(super) registry: Registry,
    pub(super) polls: Vec<CapturedPoll>,
}

/// One poll as it stood.
pub(super) struct CapturedPoll {
    pub(super) state: PollState,
    pub(super) tally: Arc<Tally>,
    pub(super) profile: Option<Profile>,
    pub(super) voters: Voters,
}

/// A section's kind.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Section {
    Head = 1,
    Poll = 2,
    Codes = 3,
    Tally = 4,
    Places = 5,
    Shard = 6,
    End = 7,
}

impl Section {
    const ALL: [Self; 7] =
        [Self::Head, Self::Poll, Self::Codes, Self::Tally, Self::Places, Self::Shard, Self::End];
}

#[derive(Serialize, Deserialize)]
struct Head {
    position: u64,
    hash_key: HashKey,
    next_number: PollNumber,
    registry_sequence: Sequence,
    registry_latest: Timestamp,
    keys: Vec<Key>,
    settings: std::collections::HashMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct PollHead {
    number: PollNumber,
    sequence: Sequence,
    latest: Timestamp,
    chain: Chain,
    has_votes: bool,
    poll: Poll,
}

/// Writes a checkpoint and puts it in the place of the one before. Gives its size in bytes.
fn write(directory: &Path, capture: Capture) -> io::Result<u64> {
    let (new, settled) = (directory.join(NEW_NAME), directory.join(NAME));
    let mut into = Sections { file: BufWriter::with_capacity(1 << 20, File::create(&new)?), bytes: 0 };
    into.file.write_all(MAGIC)?;
    let head = Head {
        position: capture.position.get(),
        hash_key: capture.hash_key,
        next_number: capture.next_number,
        registry_sequence: capture.registry_state.sequence,
        registry_latest: capture.registry_state.latest,
        keys: capture.registry.keys.values().map(|key| Key::clone(key)).collect(),
        settings: capture.registry.settings,
    };
    into.section(Section::Head, &serde_json::to_vec(&head)?)?;
    for poll in capture.polls {
        write_poll(&mut into, poll)?;
    }
    into.section(Section::End, &[])?;
    let bytes = into.bytes;
    into.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(new, settled)?;
    File::open(directory)?.sync_all()?;
    Ok(bytes)
}

fn write_poll(into: &mut Sections, captured: CapturedPoll) -> io::Result<()> {
    let CapturedPoll { state, tally, profile, voters } = captured;
    let head = PollHead {
        number: state.cell.number,
        sequence: state.sequence,
        latest: state.latest,
        chain: state.chain,
        has_votes: state.has_votes,
        poll: Poll::clone(&state.poll),
    };
    into.section(Section::Poll, &serde_json::to_vec(&head)?)?;
    for lot in state.codes.lots() {
        into.section(Section::Codes, &lot.concat())?;
    }
    let mut bytes = Vec::new();
    Books::encode(&tally, profile.as_ref(), &mut bytes);
    drop(profile);
    into.section(Section::Tally, &bytes)?;
    bytes.clear();
    voters.places.encode(&mut bytes);
    into.section(Section::Places, &bytes)?;
    for shard in voters.index.into_encoded_shards() {
        into.section(Section::Shard, &shard)?;
    }
    Ok(())
}

struct Sections {
    file: BufWriter<File>,
    bytes: u64,
}

impl Sections {
    fn section(&mut self, section: Section, payload: &[u8]) -> io::Result<()> {
        let header = section_header(section as u8, payload.len() as u64, payload);
        self.file.write_all(&header)?;
        self.bytes += (header.len() + payload.len()) as u64;
        self.file.write_all(payload)
    }
}

/// Kind, length and the CRC-32C of both with the payload.
fn section_header(section: u8, length: u64, payload: &[u8]) -> [u8; 13] {
    let mut header = [0; 13];
    header[0] = section;
    header[1..9].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&header[..9]), payload);
    header[9..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// What a checkpoint held.
pub(super) struct Loaded {
    pub(super) position: Position,
    pub(super) hash_key: HashKey,
    pub(super) next_number: PollNumber,
    pub(super) registry_state: RegistryState,
    pub(super) registry: Registry,
    pub(super) states: Vec<PollState>,
}

/// Reads the checkpoint in a directory; none if there is none that can be used.
pub(super) fn load(directory: &Path) -> Option<Loaded> {
    let path = directory.join(NAME);
    match File::open(&path).and_then(read) {
        Ok(loaded) => Some(loaded),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, "the checkpoint cannot be used; the ledger is folded from its beginning");
            None
        }
    }
}

fn read(file: File) -> io::Result<Loaded> {
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut magic = [0; 8];
    file.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(damaged("its beginning is not a checkpoint's"));
    }
    let mut payload = Vec::new();
    if next(&mut file, &mut payload)? != Section::Head {
        return Err(damaged("its head is missing"));
    }
    let head: Head = serde_json::from_slice(&payload)?;
    let mut loaded = Loaded {
        position: Position::from(head.position),
        hash_key: head.hash_key,
        next_number: head.next_number,
        registry_state: RegistryState { sequence: head.registry_sequence, latest: head.registry_latest },
        registry: Registry {
            keys: head.keys.into_iter().map(|key| (key.id.clone(), Arc::new(key))).collect(),
            settings: head.settings,
        },
        states: Vec::new(),
    };
    let mut building: Option<Building> = None;
    loop {
        let section = next(&mut file, &mut payload)?;
        if matches!(section, Section::Poll | Section::End) {
            loaded.states.extend(building.take().map(Building::finish).transpose()?);
        }
        match (section, &mut building) {
            (Section::End, _) => return Ok(loaded),
            (Section::Poll, _) => building = Some(Building::new(serde_json::from_slice(&payload)?)),
            (Section::Codes, Some(poll)) => poll.codes.add(payload.as_chunks().0.to_vec()),
            (Section::Tally, Some(poll)) => {
                poll.books = Some(Books::decode(&poll.head.poll, &payload).map_err(|_| damaged("a tally"))?);
            }
            (Section::Places, Some(poll)) => {
                poll.voters.places = Places::decode(&payload).ok_or_else(|| damaged("a poll's places"))?;
            }
            (Section::Shard, Some(poll)) => {
                if !poll.voters.index.push_encoded_shard(&payload) {
                    return Err(damaged("a poll's index"));
                }
            }
            (Section::Head | Section::Codes | Section::Tally | Section::Places | Section::Shard, _) => {
                return Err(damaged("its sections are out of order"));
            }
        }
    }
}

fn next(file: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<Section> {
    let mut header = [0; 13];
    file.read_exact(&mut header)?;
    let length = u64::from_le_bytes(header[1..9].try_into().map_err(|_| damaged("a section's length"))?);
    if length > SECTION_BYTES_MAX {
        return Err(damaged("a section's length"));
    }
    payload.clear();
    file.take(length).read_to_end(payload)?;
    if section_header(header[0], length, payload) != header {
        return Err(damaged("a section's checksum"));
    }
    Section::ALL
        .into_iter()
        .find(|known| *known as u8 == header[0])
        .ok_or_else(|| damaged("a section of a newer program"))
}

struct Building {
    head: PollHead,
    codes: Codes,
    books: Option<Books>,
    voters: Voters,
}

impl Building {
    fn new(head: PollHead) -> Self {
        Self { head, codes: Codes::default(), books: None, voters: Voters::default() }
    }

    fn finish(self) -> io::Result<PollState> {
        let Self { head, codes, books, voters } = self;
        let books = books.ok_or_else(|| damaged("a tally is missing"))?;
        if books.tally.sequence != head.sequence || voters.places.count() != head.sequence.0 {
            return Err(damaged("a poll's parts do not agree"));
        }
        let poll = Arc::new(head.poll);
        let cell = PollCell::new(head.number, Arc::clone(&poll), books, voters);
        Ok(PollState {
            cell: Arc::new(cell),
            poll,
            sequence: head.sequence,
            latest: head.latest,
            chain: head.chain,
            codes,
            has_votes: head.has_votes,
            is_deleted: false,
        })
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Writes checkpoints on a thread of its own, one at a time.
pub(super) struct Checkpointer {
    directory: PathBuf,
    shared: Arc<Shared>,
    interval_bytes: u64,
    last: Position,
    is_busy: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Checkpoints are due each so many bytes of ledger; `last` is where the newest stands.
    pub(super) fn new(directory: PathBuf, shared: Arc<Shared>, interval_bytes: u64, last: Position) -> Self {
        shared.figures.set_checkpoint(last);
        Self { directory, shared, interval_bytes, last, is_busy: Arc::default(), thread: None }
    }

    pub(super) fn is_due(&self, end: Position) -> bool {
        end.get() - self.last.get() >= self.interval_bytes && !self.is_busy.load(Ordering::Acquire)
    }

    pub(super) fn start(&mut self, capture: Capture) {
        self.last = capture.position;
        self.join();
        self.is_busy.store(true, Ordering::Release);
        let (directory, shared, is_busy) =
            (self.directory.clone(), Arc::clone(&self.shared), Arc::clone(&self.is_busy));
        let work = move || {
            write_logged(&directory, &shared, capture);
            is_busy.store(false, Ordering::Release);
        };
        match thread::Builder::new().name("canvass-checkpoint".into()).spawn(work) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                self.is_busy.store(false, Ordering::Release);
                tracing::warn!(%error, "no checkpoint was written");
            }
        }
    }

    /// Writes the last one, when the writer goes, unless nothing has happened since the one before.
    pub(super) fn finish(&mut self, capture: Capture) {
        self.join();
        if capture.position != self.last {
            write_logged(&self.directory, &self.shared, capture);
        }
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint's thread ended with a panic");
        }
    }
}

fn write_logged(directory: &Path, shared: &Shared, capture: Capture) {
    let position = capture.position;
    match write(directory, capture) {
        Ok(bytes) => {
            shared.figures.set_checkpoint(position);
            tracing::debug!(%position, bytes, "wrote a checkpoint");
        }
        // The ledger is the truth; a checkpoint only saves time at the next start.
        Err(error) => tracing::warn!(%error, "no checkpoint was written"),
    }
}
