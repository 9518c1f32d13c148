//! Restoring: a data directory made of a backup, up to any moment, that says what it is.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use canvass_domain::{Timestamp, record::decode_place};
use canvass_ledger::{Disk, FileDisk, MirrorError, Position, ReadError, Reader};
use serde::{Deserialize, Serialize};

use super::{
    backup::{self, BackupError, BackupPlace},
    open::{LEDGER_NAME, OpenError, make_directory},
    vault,
};

const MARK_NAME: &str = "restored.json";
const PARTIAL_NAME: &str = "ledger.partial";
const FETCHED_NAME: &str = "backup.partial";

/// What was restored; kept in the data directory for good, as `restored.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// When it was restored.
    pub restored_at: Timestamp,
    /// The backup's folder, or its address.
    pub from: PathBuf,
    /// Everything that was acknowledged before this moment is in the backup.
    pub backup_at: Timestamp,
    /// The moment that was asked for; all there is if absent.
    pub to: Option<Timestamp>,
    /// When the last record was made that was restored; absent if there is none.
    pub last_record_at: Option<Timestamp>,
    /// Records restored.
    pub records: u64,
    /// Records of the backup that were left out: the first one later than `to`, and all that follow it.
    pub records_left_out: u64,
    /// How many of those left out are not later than `to`: the clock went back meanwhile.
    pub records_left_out_of_order: u64,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The new data directory holds something.
    #[error("{0} is not empty; a backup is restored into a new directory")]
    NotEmpty(PathBuf),
    /// The new data directory cannot be written.
    #[error("{path}: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The backup is none, or cannot be read.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The backup is damaged.
    #[error("the backup in {folder} cannot be restored: {reason}")]
    Damaged {
        /// Which.
        folder: PathBuf,
        /// Where and what.
        reason: String,
    },
}

/// Makes a data directory of a backup: all of it, or with `to` every record up to and including that moment. A server
/// may be writing the backup meanwhile. What lies in a vault is fetched into the directory first, which takes the same
/// room again until it is done.
///
/// # Errors
/// See [`RestoreError`]. The directory holds no ledger then.
pub fn restore(
    place: BackupPlace,
    directory: &Path,
    to: Option<Timestamp>,
    now: Timestamp,
) -> Result<Restored, RestoreError> {
    let unusable = |source| RestoreError::Directory { path: directory.to_owned(), source };
    if !is_free(directory).map_err(unusable)? {
        return Err(RestoreError::NotEmpty(directory.to_owned()));
    }
    match place {
        BackupPlace::Folder(folder) => {
            let (note, backup) = backup::read(&folder)?;
            let from = folder.canonicalize().unwrap_or(folder);
            restore_from(&backup, (from, note.at), directory, to, now)
        }
        BackupPlace::Vault(mut vault) => {
            make_directory(directory).map_err(unusable)?;
            let fetched = directory.join(FETCHED_NAME);
            let outcome =
                vault::fetch(&mut *vault, &fetched).map_err(RestoreError::from).and_then(|(at, backup)| {
                    restore_from(&backup, (vault.address().into(), at), directory, to, now)
                });
            // What is left of it is in nobody's way.
            let _ = fs::remove_dir_all(fetched);
            outcome
        }
    }
}

/// The same of what lies on a disk; `from` and `backup_at` are what the mark says.
fn restore_from(
    backup: &Reader,
    (from, backup_at): (PathBuf, Timestamp),
    directory: &Path,
    to: Option<Timestamp>,
    now: Timestamp,
) -> Result<Restored, RestoreError> {
    let unusable = |source| RestoreError::Directory { path: directory.to_owned(), source };
    let damaged = |reason: String| RestoreError::Damaged { folder: from.clone(), reason };
    let cut = find_cut(backup, to.unwrap_or(Timestamp::from_microseconds(i64::MAX)))
        .map_err(|error| damaged(error.to_string()))?;
    make_directory(directory).map_err(unusable)?;
    let restored = Restored {
        restored_at: now,
        from: from.clone(),
        backup_at,
        to,
        last_record_at: cut.last_record_at,
        records: cut.records,
        records_left_out: cut.left_out,
        records_left_out_of_order: cut.left_out_of_order,
    };
    fill(directory, backup, cut.position, &restored).map_err(|error| match error {
        MirrorError::Mirror(ReadError::Disk(source)) => unusable(source),
        error => damaged(std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)),
    })?;
    Ok(restored)
}

/// Whether a directory is empty or missing.
fn is_free(directory: &Path) -> io::Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Under another name first, so that what is called a ledger is one.
fn fill(directory: &Path, backup: &Reader, to: Position, restored: &Restored) -> Result<(), MirrorError> {
    let disk_error = |error: io::Error| MirrorError::Mirror(error.into());
    let partial = directory.join(PARTIAL_NAME);
    let copied = FileDisk::new(&partial).map_err(disk_error).and_then(|disk| backup.copy_to(&disk, to));
    if let Err(error) = copied {
        // It is of no use, and its removal is no news beside the failure itself.
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    write_mark(directory, restored).map_err(disk_error)?;
    fs::rename(&partial, directory.join(LEDGER_NAME)).map_err(disk_error)?;
    FileDisk::read_only(directory).sync_directory().map_err(disk_error)
}

fn write_mark(directory: &Path, restored: &Restored) -> io::Result<()> {
    let mut file = File::create_new(directory.join(MARK_NAME))?;
    serde_json::to_writer_pretty(&file, restored)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// What the data directory says of where it came from.
pub(super) fn read_mark(directory: &Path) -> Result<Option<Restored>, OpenError> {
    let path = directory.join(MARK_NAME);
    let unusable = |source| OpenError::Directory { path: path.clone(), source };
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| unusable(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(error)),
    }
}

/// Where the records up to a moment end.
#[derive(Default)]
struct Cut {
    position: Position,
    last_record_at: Option<Timestamp>,
    records: u64,
    left_out: u64,
    left_out_of_order: u64,
}

/// Reads all records: whatever is kept is part of one state that the ledger was in.
fn find_cut(backup: &Reader, to: Timestamp) -> Result<Cut, ReadError> {
    let mut cut = Cut { position: backup.durable_end(), ..Cut::default() };
    backup.scan(Position::ZERO, backup.durable_end(), &mut |record| {
        // A record that cannot be read belongs to the one before; whoever opens the ledger says what is wrong with it.
        let at = decode_place(record.body).ok().map(|place| place.at).or(cut.last_record_at);
        let is_later = at.is_some_and(|at| at > to);
        if is_later && cut.left_out == 0 {
            cut.position = record.position;
        }
        if is_later || cut.left_out > 0 {
            cut.left_out += 1;
            cut.left_out_of_order += u64::from(!is_later);
        } else {
            cut.records += 1;
            cut.last_record_at = at;
        }
        ControlFlow::Continue(())
    })?;
    Ok(cut)
}
