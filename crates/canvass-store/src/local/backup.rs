//! Backups: a folder that follows the ledger, by a server while it runs or by another program beside it.
//!
//! The ledger only grows, so what was copied once is copied; only erasures reach back, and are done again in the copy.
//! `backup.json` says up to where the copy is whole. It is replaced after what it speaks of is durable, so a backup
//! that is stopped at any moment is the one before.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use canvass_domain::Timestamp;
use canvass_ledger::{Disk, FileDisk, Mirror, MirrorError, Position, Reader};
use serde::{Deserialize, Serialize};

use super::{
    Clock,
    open::{LEDGER_NAME, make_directory},
    shared::{BackupFigures, Shared},
};
use crate::limits::{BACKUP_NOTE_AGE_SECONDS_MAX, BACKUP_RETRY_PAUSE};

const NOTE_NAME: &str = "backup.json";
const NEW_NOTE_NAME: &str = "backup.json.new";
const LOCK_NAME: &str = "lock";
const SEGMENTS_NAME: &str = "segments";
/// The version of a backup's layout.
const FORMAT: u32 = 1;

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
    /// The folder's note cannot be read.
    #[error("{path}: {reason}")]
    Note {
        /// Which file.
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
        /// The backup.
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
        /// The backup.
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

/// Brings the backup of a data directory in a folder up to date, once. A server may be running on the directory, which
/// is only read.
///
/// # Errors
/// See [`BackupError`].
pub fn back_up(directory: &Path, folder: &Path, clock: &dyn Clock) -> Result<BackedUp, BackupError> {
    let ledger = directory.join(LEDGER_NAME);
    fs::read_dir(&ledger).map_err(|source| BackupError::folder(&ledger, source))?;
    let mut backup = Backup::open(folder)?;
    let at = clock.now();
    let end = backup.mirror.end();
    let source = match Reader::beside(Arc::new(FileDisk::read_only(&ledger)), end) {
        Ok(source) => source,
        Err(canvass_ledger::OpenError::Short { end, .. }) => return Err(backup.diverged(end)),
        Err(source) => return Err(BackupError::Source { directory: ledger, source }),
    };
    backup.follow(&source, at)
}

/// What a backup says of itself.
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

    /// Copies what is new in a ledger, all of which was there at the moment given.
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
            MirrorError::Diverged(position) => self.diverged(position),
            MirrorError::Mirror(canvass_ledger::ReadError::Damaged(damage)) => BackupError::Copy {
                folder: self.folder.clone(),
                reason: format!("{damage}; begin another one in a new folder"),
            },
            error => BackupError::Copy { folder: self.folder.clone(), reason: full_text(&error) },
        }
    }

    fn diverged(&self, position: Position) -> BackupError {
        BackupError::Diverged { folder: self.folder.clone(), position }
    }
}

/// An error with what caused it.
fn full_text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn open_mirror(folder: &Path, disk: Arc<dyn Disk>, end: Position) -> Result<Mirror, BackupError> {
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

/// The thread that keeps a backup up to date. Dropping it copies what is there, once more, and ends it.
pub(super) struct Shipping {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Shipping {
    pub(super) fn start(
        folder: &Path,
        pause: Duration,
        clock: Arc<dyn Clock>,
        shared: Arc<Shared>,
    ) -> Result<Self, BackupError> {
        let backup = Backup::open(folder)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("canvass-backup".into())
            .spawn(move || ship(backup, pause, &*clock, &shared, &stopped))
            .map_err(|source| BackupError::folder(folder, source))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Shipping {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the backup's thread ended with a panic");
        }
    }
}

fn ship(mut backup: Backup, pause: Duration, clock: &dyn Clock, shared: &Shared, stop: &mpsc::Receiver<()>) {
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
