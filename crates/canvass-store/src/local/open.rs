//! Opening a data directory: the lock, the checkpoint, and the fold of what came after it.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use canvass_domain::{
    Sequence,
    code::Codes,
    record::{self, Chain, Entry, Kind, PollEvent, PollNumber, REGISTRY, Record, Step},
    tally::{Books, fold_profile},
    vote::Personal,
};
use canvass_ledger::{Disk, Erasable, FileDisk, Ledger, Options, Position, RecordRef, Recovery};
use rustc_hash::FxHashMap;

use super::{
    Clock, LocalOptions,
    checkpoint::{self, Checkpointer, Loaded},
    index::{Fingerprint, VoterIndex},
    queue::Queue,
    restore::{self, Restored},
    shared::{HashKey, PollCell, Registry, Shared, Voters, corrupt, decode, hash_voter},
    writer::{PollState, RegistryState, Writer},
};
use crate::{Snapshot, StoreError};

const LOCK_NAME: &str = "lock";
pub(super) const LEDGER_NAME: &str = "ledger";

/// Why a data directory was not opened. Nothing in it was changed, except after [`OpenError::Directory`].
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server works on it.
    #[error(
        "another server uses the data directory {0}; stop it first, or give this one a directory of its own"
    )]
    InUse(PathBuf),
    /// The directory cannot be used.
    #[error("the data directory {path} cannot be used: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The ledger is damaged, or a newer program wrote it.
    #[error("{0}")]
    Ledger(#[from] canvass_ledger::OpenError),
    /// The ledger's bytes are whole, but what they say does not fit together.
    #[error("the ledger cannot be folded: {0}")]
    Fold(String),
}

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// Polls that exist.
    pub polls: usize,
    /// Votes that count, in all polls.
    pub votes: u64,
    /// Records that came after the checkpoint and were folded.
    pub records_folded: u64,
    /// Bytes of a last write that was never acknowledged, and that were cut off.
    pub bytes_cut: u64,
    /// Where the directory came from, if it was restored from a backup.
    pub restored: Option<Restored>,
}

/// The lock on a data directory: held for as long as the file is open.
pub(super) fn lock(directory: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Directory { path: directory.to_owned(), source };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(LOCK_NAME))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_owned())),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Makes the directory if it is missing, for its owner alone.
pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// A data directory that was opened: a writer that is ready to run, and what is open.
pub(super) struct Ready {
    pub(super) writer: Writer,
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Arc<Queue>,
    pub(super) opened: Opened,
    pub(super) lock: File,
}

pub(super) fn open(options: &LocalOptions, clock: Arc<dyn Clock>) -> Result<Ready, OpenError> {
    let lock = take_directory(&options.directory)?;
    let unusable = |source| OpenError::Directory { path: options.directory.clone(), source };
    let ledger_directory = options.directory.join(LEDGER_NAME);
    fs::create_dir_all(&ledger_directory).map_err(unusable)?;
    let disk = FileDisk::new(ledger_directory).map_err(unusable)?;
    open_on(Arc::new(disk), options, clock, lock)
}

/// Makes a directory if it is missing, and locks it.
pub(super) fn take_directory(directory: &Path) -> Result<File, OpenError> {
    make_directory(directory)
        .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
    lock(directory)
}

pub(super) fn open_on(
    disk: Arc<dyn Disk>,
    options: &LocalOptions,
    clock: Arc<dyn Clock>,
    lock: File,
) -> Result<Ready, OpenError> {
    let loaded = checkpoint::load(&options.directory);
    let verified_to = loaded.as_ref().map_or(Position::ZERO, |loaded| loaded.position);
    let (ledger, recovery) = Ledger::open(disk, Options { verified_to, ..options.ledger })?;
    let checkpoint_at = verified_to;
    let (fold, records_folded) = Fold::of(&ledger, loaded, options.hash_key)?;
    let restored = restore::read_mark(&options.directory)?;
    let opened = Opened { restored, ..fold.opened(records_folded, &recovery) };
    let shared = Arc::new(Shared::new(ledger.reader(), fold.hash_key, fold.registry));
    for state in fold.states.values() {
        shared.add_poll(Arc::clone(&state.cell));
    }
    let queue = Arc::new(Queue::default());
    let due: BTreeSet<_> = fold
        .states
        .iter()
        .filter_map(|(number, state)| state.poll.next_due().map(|due| (due, *number)))
        .collect();
    let checkpointer = Checkpointer::new(
        options.directory.clone(),
        Arc::clone(&shared),
        options.checkpoint_bytes,
        checkpoint_at,
    );
    let writer = Writer {
        shared: Arc::clone(&shared),
        queue: Arc::clone(&queue),
        clock,
        ledger,
        states: fold.states,
        registry: fold.registry_state,
        next_number: fold.next_number,
        due,
        checkpointer,
        has_failed: false,
        wants_checkpoint: fold.is_checkpoint_outdated,
    };
    Ok(Ready { writer, shared, queue, opened, lock })
}

/// The fold of a ledger into what the writer knows and readers see.
pub(super) struct Fold {
    pub(super) states: FxHashMap<PollNumber, PollState>,
    hash_key: HashKey,
    next_number: PollNumber,
    pub(super) registry: Registry,
    registry_state: RegistryState,
    /// Whether a record says that a voter was erased alone.
    has_erased_voter: bool,
    /// Whether one says that a poll was erased.
    has_erased_poll: bool,
    /// Whether the checkpoint that it began with tells of persons of whom the ledger tells nothing any more.
    pub(super) is_checkpoint_outdated: bool,
}

impl Fold {
    /// Folds a ledger, from its checkpoint if there is one; gives how many records were folded too.
    ///
    /// Where a voter was erased alone since, it folds from the beginning: the checkpoint holds what the voter told, and
    /// no record says any more what is to be taken from it.
    pub(super) fn of(
        ledger: &Ledger,
        loaded: Option<Loaded>,
        hash_key: HashKey,
    ) -> Result<(Self, u64), OpenError> {
        let from = loaded.as_ref().map_or(Position::ZERO, |loaded| loaded.position);
        let mut fold = Self::new(loaded, hash_key);
        let mut count = fold.take_in(ledger, from)?;
        let is_outdated = from > Position::ZERO && (fold.has_erased_voter || fold.has_erased_poll);
        if is_outdated && fold.has_erased_voter {
            fold = Self::new(None, fold.hash_key);
            count = fold.take_in(ledger, Position::ZERO)?;
        }
        fold.is_checkpoint_outdated = is_outdated;
        Ok((fold, count))
    }

    pub(super) fn new(loaded: Option<Loaded>, hash_key: HashKey) -> Self {
        match loaded {
            Some(loaded) => Self {
                states: loaded.states.into_iter().map(|state| (state.cell.number, state)).collect(),
                hash_key: loaded.hash_key,
                next_number: loaded.next_number,
                registry: loaded.registry,
                registry_state: loaded.registry_state,
                has_erased_voter: false,
                has_erased_poll: false,
                is_checkpoint_outdated: false,
            },
            None => Self {
                states: FxHashMap::default(),
                hash_key,
                next_number: REGISTRY + 1,
                registry: Registry::default(),
                registry_state: RegistryState::default(),
                has_erased_voter: false,
                has_erased_poll: false,
                is_checkpoint_outdated: false,
            },
        }
    }

    /// Folds every record from a position to the end; gives their number.
    pub(super) fn take_in(&mut self, ledger: &Ledger, from: Position) -> Result<u64, OpenError> {
        let reader = ledger.reader();
        let (mut count, mut failure) = (0, None);
        let scanned = reader.scan(from, reader.durable_end(), &mut |record| match self.fold(record) {
            Ok(()) => {
                count += 1;
                ControlFlow::Continue(())
            }
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        });
        match (failure, scanned) {
            (Some(error), _) => Err(OpenError::Fold(error.to_string())),
            (None, Err(error)) => Err(OpenError::Fold(corrupt(&error).to_string())),
            (None, Ok(_)) => Ok(count),
        }
    }

    fn fold(&mut self, record: RecordRef<'_>) -> Result<(), StoreError> {
        let (entry, kind) = decode(record)?;
        let unfit = |reason: &str| {
            let place = entry.place;
            let text = format!("poll {}, record {}: {reason}", place.poll, place.sequence);
            StoreError::Corrupt(text)
        };
        if entry.place.poll == REGISTRY {
            self.registry.fold(&entry.record);
            self.registry_state = RegistryState { sequence: entry.place.sequence, latest: entry.place.at };
            return Ok(());
        }
        if let Record::Poll(event) = &entry.record {
            if event.step == Step::Created {
                self.create(&entry, event);
            }
            self.has_erased_voter |= event.step == Step::VoterErased;
            self.has_erased_poll |= event.step == Step::Erased;
        }
        let hash_key = self.hash_key;
        let state = self.states.get_mut(&entry.place.poll).ok_or_else(|| unfit("it belongs to no poll"))?;
        if entry.place.sequence != state.sequence.next() {
            return Err(unfit("it does not follow the record before"));
        }
        fold_entry(state, &entry, kind, record, &hash_key).map_err(unfit)?;
        if state.is_deleted {
            self.states.remove(&entry.place.poll);
        }
        Ok(())
    }

    fn create(&mut self, entry: &Entry, event: &PollEvent) {
        let number = entry.place.poll;
        let poll = Arc::new(event.poll.clone());
        let books = Books::new(&poll);
        let state = PollState {
            cell: Arc::new(PollCell::new(number, Arc::clone(&poll), books, Voters::default())),
            poll,
            sequence: Sequence(0),
            latest: entry.place.at,
            chain: Chain::default(),
            codes: Codes::default(),
            has_votes: false,
            is_deleted: false,
        };
        self.states.insert(number, state);
        self.next_number = self.next_number.max(number + 1);
    }

    fn opened(&self, records_folded: u64, recovery: &Recovery) -> Opened {
        let votes = self.states.values().map(|state| state.cell.snapshot.read().tally.votes).sum();
        let bytes_cut = recovery.cut.map_or(0, |cut| cut.bytes);
        Opened { polls: self.states.len(), votes, records_folded, bytes_cut, restored: None }
    }
}

/// Folds one record into its poll.
fn fold_entry(
    state: &mut PollState,
    entry: &Entry,
    kind: Kind,
    record: RecordRef<'_>,
    hash_key: &HashKey,
) -> Result<(), &'static str> {
    let cell = Arc::clone(&state.cell);
    let (mut snapshot, mut voters) = (cell.snapshot.write(), cell.voters.write());
    let Snapshot { poll, tally } = &mut *snapshot;
    match &entry.record {
        Record::Poll(event) => {
            if event.chain != record::hexadecimal(&state.chain) {
                return Err("the chain of records before it does not lead here");
            }
            state.poll = Arc::new(event.poll.clone());
            state.is_deleted = event.step == Step::Deleted;
            *poll = Arc::clone(&state.poll);
            if event.step == Step::Archived || !state.poll.personal_data.is_kept() {
                voters.index = VoterIndex::default();
            }
            if event.step == Step::VoterErasureBegun {
                voters.forget(&event.poll.erasing_records);
            }
        }
        Record::Codes(codes) => state.codes.add(codes.hashes.clone()),
        Record::Vote(vote) => {
            if let Erasable::Present(personal) = record.erasable {
                if Personal::hash(personal) != vote.personal_hash {
                    return Err("its personal part is not the one that was recorded");
                }
                let voter = Personal::voter_of(personal).map_err(|_| "its voter cannot be read")?;
                let fingerprint = Fingerprint::of_hash(hash_voter(hash_key, voter));
                let before = match vote.previous {
                    Some(previous) => {
                        Some(voters.places.get(previous).ok_or("it replaces a record that is not there")?)
                    }
                    None => None,
                };
                voters.index.set(fingerprint, before, record.position);
            }
        }
        Record::Key(_) | Record::Setting(_) => return Err("it belongs to the registry"),
    }
    let tally = Arc::make_mut(tally);
    tally.fold(entry);
    fold_profile(&mut cell.profile.write(), tally, &entry.record);
    voters.places.push(record.position);
    state.follow(entry.place, kind, record.body);
    cell.sequence.send_replace(state.sequence);
    Ok(())
}
