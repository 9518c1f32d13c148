//! Backups: a folder or a vault that follows the ledger, by a server while it runs or by another program beside it.
//!
//! What is here is of folders; `vault.rs` has the same for object stores. The ledger only grows, so what was copied
//! once is copied; only erasures reach back, and are done again in the copy. `backup.json` says up to where the copy is
//! whole. It is replaced after what it speaks of is durable, so a backup that is stopped at any moment is the one before.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
    time::Duration,
};

use canvass_domain::Timestamp;
use canvass_ledger::{Disk, FileDisk, Mirror, MirrorError, Position, Reader};
use serde::{Deserialize, Serialize};

use super::{
    Clock,
    open::{LEDGER_NAME, make_directory},
    shared::{BackupFigures, Shared},
    vault::{Vault, VaultBackup},
};
use crate::limits::{BACKUP_NOTE_AGE_SECONDS_MAX, BACKUP_RETRY_PAUSE, BACKUP_STOP_WAIT_MAX};

const NOTE_NAME: &str = "backup.json";
const NEW_NOTE_NAME: &str = "backup.json.new";
const LOCK_NAME: &str = "lock";
const SEGMENTS_NAME: &str = "segments";
/// The version of a backup's layout.
const FORMAT: u32 = 1;

/// Where a backup is kept.
pub enum BackupPlace {
    /// A folder; made if it is missing.
    Folder(PathBuf),
    /// An object store.
    Vault(Box<dyn Vault>),
}

impl fmt::Display for BackupPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(formatter),
            Self::Vault(vault) => vault.address().fmt(formatter),
        }
    }
}

/// Why a backup was not made or brought up to date. The one before is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Another program writes to the folder.
    #[error(
        "another program is writing the backup in {0}: a running server with --backup-to keeps it up to date by itself"
    )]
    InUse(PathBuf),
    /// A folder or file cannot be used.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder holds something else.
    #[error("{0} is not empty and holds no backup")]
    NotABackup(PathBuf),
    /// The backup's note cannot be read.
    #[error("{path}: {reason}")]
    Note {
        /// Which file or object.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The data directory has not what was backed up.
    #[error(
        "the backup in {folder} is of other data, or of this data before it was restored (they part at position \
         {position}); it stays as it is: give a new folder"
    )]
    Diverged {
        /// The backup: its folder, or its address.
        folder: PathBuf,
        /// The first place that differs.
        position: Position,
    },
    /// The ledger in the data directory is damaged or cannot be read.
    #[error("{directory}: {source}")]
    Source {
        /// The ledger.
        directory: PathBuf,
        /// Why.
        source: canvass_ledger::OpenError,
    },
    /// The copy is damaged or cannot be written.
    #[error("the backup in {folder}: {reason}")]
    Copy {
        /// The backup: its folder, or its address.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
}

impl BackupError {
    pub(super) fn folder(path: &Path, source: io::Error) -> Self {
        Self::Folder { path: path.to_owned(), source }
    }
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Everything that was acknowledged before this moment is in it.
    pub at: Timestamp,
    /// Bytes of ledger.
    pub bytes: u64,
    /// Bytes that came new.
    pub bytes_new: u64,
    /// Records whose personal part was erased in it because it is erased in the ledger.
    pub erased: usize,
}

/// Brings the backup of a data directory up to date, once. A server may be running on the directory, which is only
/// read.
///
/// # Errors
/// See [`BackupError`].
pub fn back_up(directory: &Path, place: BackupPlace, clock: &dyn Clock) -> Result<BackedUp, BackupError> {
    let ledger = directory.join(LEDGER_NAME);
    fs::read_dir(&ledger).map_err(|source| BackupError::folder(&ledger, source))?;
    let mut backup = Following::open(place)?;
    let at = clock.now();
    let end = backup.end()?;
    let source = match Reader::beside(Arc::new(FileDisk::read_only(&ledger)), end) {
        Ok(source) => source,
        Err(canvass_ledger::OpenError::Short { end, .. }) => return Err(backup.diverged(end)),
        Err(source) => return Err(BackupError::Source { directory: ledger, source }),
    };
    backup.follow(&source, at)
}

/// What follows a ledger.
enum Following {
    Folder(Backup),
    Vault(VaultBackup),
}

impl Following {
    /// A vault is not asked for anything yet: one that cannot be reached is no reason not to serve.
    fn open(place: BackupPlace) -> Result<Self, BackupError> {
        Ok(match place {
            BackupPlace::Folder(folder) => Self::Folder(Backup::open(&folder)?),
            BackupPlace::Vault(vault) => Self::Vault(VaultBackup::new(vault)),
        })
    }

    /// Up to where the ledger was backed up before.
    fn end(&mut self) -> Result<Position, BackupError> {
        match self {
            Self::Folder(backup) => Ok(backup.mirror.end()),
            Self::Vault(backup) => backup.end(),
        }
    }

    /// Copies what is new in a ledger, all of which was there at the moment given.
    fn follow(&mut self, source: &Reader, at: Timestamp) -> Result<BackedUp, BackupError> {
        match self {
            Self::Folder(backup) => backup.follow(source, at),
            Self::Vault(backup) => backup.follow(source, at),
        }
    }

    fn diverged(&self, position: Position) -> BackupError {
        let folder = match self {
            Self::Folder(backup) => backup.folder.clone(),
            Self::Vault(backup) => backup.address(),
        };
        BackupError::Diverged { folder, position }
    }
}

/// What a backup in a folder says of itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    format: u32,
    /// Up to which position it is whole.
    pub(super) position: u64,
    /// Everything that was acknowledged before is in it.
    pub(super) at: Timestamp,
}

/// The note and the copy in a folder, for reading alone.
pub(super) fn read(folder: &Path) -> Result<(Note, Reader), BackupError> {
    let note = read_note(folder)?.ok_or_else(|| BackupError::NotABackup(folder.to_owned()))?;
    let disk = Arc::new(FileDisk::read_only(folder.join(SEGMENTS_NAME)));
    let mirror = open_mirror(folder, disk, note.position.into())?;
    Ok((note, mirror.reader()))
}

/// A backup that is being written.
struct Backup {
    folder: PathBuf,
    mirror: Mirror,
    noted_at: Option<Timestamp>,
    /// The ledger's number of erasures when the copy was last compared with it.
    erasures_compared: Option<u64>,
    _lock: File,
}

impl Backup {
    fn open(folder: &Path) -> Result<Self, BackupError> {
        make_directory(folder).map_err(|source| BackupError::folder(folder, source))?;
        let note = read_note(folder)?;
        if note.is_none() && !is_free(folder).map_err(|source| BackupError::folder(folder, source))? {
            return Err(BackupError::NotABackup(folder.to_owned()));
        }
        let lock = lock(folder)?;
        let disk = FileDisk::new(folder.join(SEGMENTS_NAME))
            .map_err(|source| BackupError::folder(folder, source))?;
        let end = note.map_or(Position::ZERO, |note| note.position.into());
        let mirror = open_mirror(folder, Arc::new(disk), end)?;
        let noted_at = note.map(|note| note.at);
        Ok(Self { folder: folder.to_owned(), mirror, noted_at, erasures_compared: None, _lock: lock })
    }

    fn follow(&mut self, source: &Reader, at: Timestamp) -> Result<BackedUp, BackupError> {
        let erasures = source.erasures();
        let before = self.mirror.end();
        let mut erased = 0;
        if self.erasures_compared != Some(erasures) {
            erased = self.mirror.erase_like(source).map_err(|error| self.explain(error))?;
            self.erasures_compared = Some(erasures);
        }
        let end = self.mirror.follow(source).map_err(|error| self.explain(error))?;
        let note_age = self.noted_at.map(|noted_at| at.seconds() - noted_at.seconds());
        if end > before || note_age.is_none_or(|age| age.abs() >= BACKUP_NOTE_AGE_SECONDS_MAX) {
            self.write_note(Note { format: FORMAT, position: end.get(), at })
                .map_err(|source| BackupError::folder(&self.folder, source))?;
            self.noted_at = Some(at);
        }
        Ok(BackedUp { at, bytes: end.get(), bytes_new: end.get() - before.get(), erased })
    }

    fn write_note(&self, note: Note) -> io::Result<()> {
        let new = self.folder.join(NEW_NOTE_NAME);
        let mut file = File::create(&new)?;
        serde_json::to_writer(&file, &note)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(new, self.folder.join(NOTE_NAME))?;
        FileDisk::read_only(&self.folder).sync_directory()
    }

    fn explain(&self, error: MirrorError) -> BackupError {
        match error {
            MirrorError::Diverged(position) => {
                BackupError::Diverged { folder: self.folder.clone(), position }
            }
            MirrorError::Mirror(canvass_ledger::ReadError::Damaged(damage)) => BackupError::Copy {
                folder: self.folder.clone(),
                reason: format!("{damage}; begin another one in a new folder"),
            },
            error => BackupError::Copy { folder: self.folder.clone(), reason: full_text(&error) },
        }
    }
}

/// An error with what caused it.
pub(super) fn full_text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

pub(super) fn open_mirror(folder: &Path, disk: Arc<dyn Disk>, end: Position) -> Result<Mirror, BackupError> {
    Mirror::open(disk, end)
        .map_err(|error| BackupError::Copy { folder: folder.to_owned(), reason: full_text(&error) })
}

/// Whether a folder without a note holds nothing but what a backup leaves that was stopped before its first note.
fn is_free(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if ![LOCK_NAME, SEGMENTS_NAME, NEW_NOTE_NAME].iter().any(|known| name == *known) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_note(folder: &Path) -> Result<Option<Note>, BackupError> {
    let path = folder.join(NOTE_NAME);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BackupError::folder(&path, error)),
    };
    let unreadable = |reason: String| BackupError::Note { path: path.clone(), reason };
    let note: Note = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if note.format > FORMAT {
        return Err(unreadable(format!("a newer program made it (format {})", note.format)));
    }
    Ok(Some(note))
}

fn lock(folder: &Path) -> Result<File, BackupError> {
    let unusable = |source| BackupError::folder(folder, source);
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(folder.join(LOCK_NAME));
    let file = file.map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BackupError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// The thread that keeps a backup up to date. Dropping it has it copy what is there, once more, and end; one that takes
/// too long over it is left to end with the program, which leaves the backup as it was.
pub(super) struct Shipping {
    stop: Option<mpsc::Sender<()>>,
    ended: mpsc::Receiver<()>,
}

impl Shipping {
    pub(super) fn start(
        place: BackupPlace,
        pause: Duration,
        clock: Arc<dyn Clock>,
        shared: Arc<Shared>,
    ) -> Result<Self, BackupError> {
        let shown = PathBuf::from(place.to_string());
        let mut backup = Following::open(place)?;
        let ((stop, stopped), (ending, ended)) = (mpsc::channel(), mpsc::channel());
        thread::Builder::new()
            .name("canvass-backup".into())
            .spawn(move || {
                ship(&mut backup, pause, &*clock, &shared, &stopped);
                // A folder is free for others before it is said that this has ended.
                drop((backup, ending));
            })
            .map_err(|source| BackupError::Folder { path: shown, source })?;
        Ok(Self { stop: Some(stop), ended })
    }
}

impl Drop for Shipping {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.ended.recv_timeout(BACKUP_STOP_WAIT_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the backup is not up to date; the next server brings it there");
        }
    }
}

fn ship(
    backup: &mut Following,
    pause: Duration,
    clock: &dyn Clock,
    shared: &Shared,
    stop: &mpsc::Receiver<()>,
) {
    let figures = shared.figures.backup.get_or_init(BackupFigures::default);
    let mut is_last = false;
    loop {
        let outcome = backup.follow(&shared.reader, clock.now());
        let pause = match &outcome {
            Ok(backed_up) => {
                figures.bytes.store(backed_up.bytes, Ordering::Relaxed);
                pause
            }
            Err(error) => {
                figures.failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "the backup is not up to date");
                pause.max(BACKUP_RETRY_PAUSE)
            }
        };
        if is_last {
            return;
        }
        is_last = stop.recv_timeout(pause) != Err(mpsc::RecvTimeoutError::Timeout);
    }
}
