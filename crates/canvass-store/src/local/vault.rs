//! Backups in object stores, where nothing can be appended to: the ledger lies there in parts that are never changed,
//! and a note says which of them are the backup.
//!
//! A note is replaced after the parts that it names are there, so the backup is whole at any moment, whatever fails. A
//! new part takes the place of those before it that are no longer than itself: what comes in drops makes few parts,
//! and is written again only as often as the whole has doubled. Erasures make parts anew.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use canvass_domain::{Timestamp, record::hexadecimal};
use canvass_ledger::{FileDisk, MirrorError, Position, ReadError, Reader, SegmentPlace, Stretch};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::backup::{BackedUp, BackupError, full_text, open_mirror};
use crate::limits::{
    BACKUP_NOTE_AGE_SECONDS_MAX, BACKUP_PART_BYTES, BACKUP_PART_UNNOTED_AGE_MIN, BACKUP_PARTS_UNNOTED_MAX,
};

/// The version of a backup's layout.
const FORMAT: u32 = 1;

/// A place in an object store for one backup: a note, and parts with names. Each is there as a whole or not at all.
///
/// The calls wait for their answers; the one who makes them has a thread for it.
pub trait Vault: Send {
    /// Where it is, for people, without a secret.
    fn address(&self) -> String;
    /// The note, if there is one.
    fn read_note(&mut self) -> io::Result<Option<Vec<u8>>>;
    /// Writes the note in place of the one that was read or written last here.
    ///
    /// # Errors
    /// `AlreadyExists` where another one is there by now.
    fn replace_note(&mut self, bytes: Vec<u8>) -> io::Result<()>;
    /// A part, if it is there.
    fn read_part(&mut self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Writes a part.
    fn write_part(&mut self, name: &str, bytes: Vec<u8>) -> io::Result<()>;
    /// Removes a part; one that is gone already is no error.
    fn remove_part(&mut self, name: &str) -> io::Result<()>;
    /// The names of all parts that were written before a moment.
    fn list_parts(&mut self, before: Timestamp) -> io::Result<Vec<String>>;
}

/// What the backup is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    format: u32,
    /// Up to which position it is whole.
    position: u64,
    /// Everything that was acknowledged before is in it.
    at: Timestamp,
    /// In order, without a gap.
    parts: Vec<Part>,
}

/// Some of the ledger's batches, one after another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    from: u64,
    to: u64,
    /// Where the segment that holds them begins.
    segment: u64,
    segment_bytes: u64,
    sha256: String,
}

impl Part {
    fn of(stretch: &Stretch) -> Self {
        let SegmentPlace { base, length } = stretch.segment();
        Self {
            from: stretch.from().get(),
            to: stretch.to().get(),
            segment: base.get(),
            segment_bytes: length,
            sha256: hexadecimal(&Sha256::digest(stretch.bytes())),
        }
    }

    /// The same content has the same name, so that a part can be written again.
    fn name(&self) -> String {
        format!("{:020}-{:020}-{}", self.from, self.to, self.sha256.get(..16).unwrap_or(&self.sha256))
    }

    fn bytes(&self) -> u64 {
        self.to - self.from
    }
}

impl Note {
    fn empty() -> Self {
        // Nothing was acknowledged before.
        Self { format: FORMAT, position: 0, at: Timestamp::from_microseconds(0), parts: Vec::new() }
    }

    /// Whether its parts lie one after another from the beginning on.
    fn is_whole(&self) -> bool {
        let follow = |end: u64, part: &Part| {
            (part.from == end && part.to > end && part.segment <= part.from).then_some(part.to)
        };
        self.parts.iter().try_fold(0, follow) == Some(self.position)
    }
}

/// A backup that is being written.
pub(super) struct VaultBackup {
    vault: Box<dyn Vault>,
    /// What the vault holds; none where that has to be asked.
    note: Option<Note>,
    /// Parts that are as the ledger was when it had had so many erasures.
    sound: HashSet<Part>,
    erasures: u64,
    /// What no note will name any more.
    left: Vec<String>,
    /// Whether it has been looked for what broken off writes left.
    is_cleaned: bool,
}

impl VaultBackup {
    pub(super) fn new(vault: Box<dyn Vault>) -> Self {
        Self { vault, note: None, sound: HashSet::new(), erasures: 0, left: Vec::new(), is_cleaned: false }
    }

    pub(super) fn address(&self) -> PathBuf {
        self.vault.address().into()
    }

    /// Up to where the ledger was backed up before.
    pub(super) fn end(&mut self) -> Result<Position, BackupError> {
        let note = read_note(&mut *self.vault)?.unwrap_or_else(Note::empty);
        let end = note.position.into();
        self.note = Some(note);
        Ok(end)
    }

    /// Copies what is new in a ledger, all of which was there at the moment given.
    pub(super) fn follow(&mut self, source: &Reader, at: Timestamp) -> Result<BackedUp, BackupError> {
        // After an error the note is read again: an answer that was lost leaves open which one is there.
        let mut note = match self.note.take() {
            Some(note) => note,
            None => read_note(&mut *self.vault)?.unwrap_or_else(Note::empty),
        };
        let (before, age_seconds) = (note.position, at.seconds() - note.at.seconds());
        let erased = self.compare(&mut note, source)?;
        while self.add_parts(&mut note, source)? == BACKUP_PARTS_UNNOTED_MAX {
            self.write_note(&note)?;
        }
        if note.position > before || erased > 0 || age_seconds.abs() >= BACKUP_NOTE_AGE_SECONDS_MAX {
            note.at = at;
            self.write_note(&note)?;
        }
        self.remove_left(&note, at)?;
        self.sound = note.parts.iter().cloned().collect();
        let bytes = note.position;
        self.note = Some(note);
        Ok(BackedUp { at, bytes, bytes_new: bytes - before, erased })
    }

    /// Looks at all parts that may not be as the ledger is, and makes those anew in which records were erased since;
    /// gives how many records these are.
    fn compare(&mut self, note: &mut Note, source: &Reader) -> Result<usize, BackupError> {
        let erasures = source.erasures();
        if erasures != self.erasures {
            self.sound.clear();
        }
        if source.durable_end().get() < note.position {
            return Err(self.diverged(source.durable_end()));
        }
        let mut erased = 0;
        for index in 0..note.parts.len() {
            let part = &note.parts[index];
            if self.sound.contains(part) {
                continue;
            }
            let stretch = source
                .stretch(part.from.into(), part.to.into(), usize::MAX)
                .map_err(|error| self.explain(MirrorError::Source(error)))?
                .ok_or_else(|| self.diverged(part.from.into()))?;
            if Part::of(&stretch) != *part {
                let copied = read_part(&mut *self.vault, part)?.ok_or_else(|| self.missing(part))?;
                erased += stretch.erasures_since(&copied).map_err(|error| self.explain(error))?;
                let old = part.name();
                note.parts[index] = self.write_part(&stretch)?;
                self.left.push(old);
            }
            self.sound.insert(note.parts[index].clone());
        }
        self.erasures = erasures;
        Ok(erased)
    }

    /// Writes what is new up to some number of parts, and gives how many they are.
    fn add_parts(&mut self, note: &mut Note, source: &Reader) -> Result<usize, BackupError> {
        let to = source.durable_end();
        for count in 0..BACKUP_PARTS_UNNOTED_MAX {
            let read = |from: u64| source.stretch(from.into(), to, BACKUP_PART_BYTES);
            let read = |from| read(from).map_err(|error| self.explain(MirrorError::Source(error)));
            if note.position >= to.get() {
                return Ok(count);
            }
            let Some(mut stretch) = read(note.position)? else { return Ok(count) };
            let swallowed = swallowed(&note.parts, &Part::of(&stretch));
            if let Some(first) = note.parts.get(swallowed) {
                stretch = read(first.from)?.unwrap_or(stretch);
            }
            let part = self.write_part(&stretch)?;
            self.left.extend(note.parts.drain(swallowed..).map(|part| part.name()));
            note.position = part.to;
            note.parts.push(part);
        }
        Ok(BACKUP_PARTS_UNNOTED_MAX)
    }

    fn write_part(&mut self, stretch: &Stretch) -> Result<Part, BackupError> {
        let part = Part::of(stretch);
        let written = self.vault.write_part(&part.name(), stretch.bytes().to_vec());
        written.map_err(|error| self.unusable(&error))?;
        self.sound.insert(part.clone());
        Ok(part)
    }

    fn write_note(&mut self, note: &Note) -> Result<(), BackupError> {
        let written = serde_json::to_vec(note).map_err(io::Error::from);
        let written = written.and_then(|bytes| self.vault.replace_note(bytes));
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::InUse(self.address()),
            _ => self.unusable(&error),
        })
    }

    /// Removes what the note, which is written, does not name.
    fn remove_left(&mut self, note: &Note, at: Timestamp) -> Result<(), BackupError> {
        if !self.is_cleaned {
            let age = i64::try_from(BACKUP_PART_UNNOTED_AGE_MIN.as_micros()).unwrap_or(i64::MAX);
            let before = Timestamp::from_microseconds(at.microseconds().saturating_sub(age));
            let old = self.vault.list_parts(before).map_err(|error| self.unusable(&error))?;
            self.left.extend(old);
        }
        let named: HashSet<String> = note.parts.iter().map(Part::name).collect();
        self.left.retain(|name| !named.contains(name));
        while let Some(name) = self.left.last() {
            let removed = self.vault.remove_part(name);
            removed.map_err(|error| self.unusable(&error))?;
            self.left.pop();
        }
        self.is_cleaned = true;
        Ok(())
    }

    fn explain(&self, error: MirrorError) -> BackupError {
        match error {
            MirrorError::Diverged(position) => self.diverged(position),
            error => BackupError::Copy { folder: self.address(), reason: full_text(&error) },
        }
    }

    fn diverged(&self, position: Position) -> BackupError {
        BackupError::Diverged { folder: self.address(), position }
    }

    fn missing(&self, part: &Part) -> BackupError {
        BackupError::Copy { folder: self.address(), reason: format!("part {} is missing", part.name()) }
    }

    fn unusable(&self, error: &io::Error) -> BackupError {
        unusable(&*self.vault, error)
    }
}

/// From which on the last parts of a list are no longer, together, than the part that is to follow them, and make one
/// with it.
fn swallowed(parts: &[Part], next: &Part) -> usize {
    let mut bytes = next.bytes();
    let mut from = parts.len();
    for part in parts.iter().rev() {
        let fits = bytes + part.bytes() <= BACKUP_PART_BYTES as u64;
        if part.segment != next.segment || part.bytes() > bytes || !fits {
            break;
        }
        bytes += part.bytes();
        from -= 1;
    }
    from
}

/// Brings the backup in a vault into a folder, and gives it with the moment before which everything is in it. Parts that
/// a server replaces meanwhile are looked for in the newest note.
pub(super) fn fetch(vault: &mut dyn Vault, folder: &Path) -> Result<(Timestamp, Reader), BackupError> {
    let disk = FileDisk::new(folder).map_err(|source| BackupError::folder(folder, source))?;
    let mut mirror = open_mirror(folder, Arc::new(disk), Position::ZERO)?;
    let address = PathBuf::from(vault.address());
    let none = || BackupError::NotABackup(address.clone());
    let mut note = read_note(vault)?.ok_or_else(none)?;
    while mirror.end().get() < note.position {
        let end = mirror.end().get();
        let index = note.parts.partition_point(|part| part.to <= end);
        let Some(stretch) = read_part(vault, &note.parts[index])? else {
            let newest = read_note(vault)?.ok_or_else(none)?;
            if newest.parts == note.parts {
                return Err(damaged(vault, &note.parts[index], "it is missing"));
            }
            note = newest;
            continue;
        };
        let appended = stretch
            .skip_to(mirror.end())
            .map_err(|damage| MirrorError::Source(ReadError::Damaged(damage)))
            .and_then(|stretch| mirror.append(&stretch));
        appended.map_err(|error| match error {
            MirrorError::Mirror(ReadError::Disk(source)) => BackupError::folder(folder, source),
            error => damaged(vault, &note.parts[index], &full_text(&error)),
        })?;
    }
    Ok((note.at, mirror.reader()))
}

fn read_note(vault: &mut dyn Vault) -> Result<Option<Note>, BackupError> {
    let read = vault.read_note().map_err(|error| unusable(vault, &error))?;
    let Some(bytes) = read else { return Ok(None) };
    let unreadable = |reason: String| BackupError::Note {
        path: format!("the note in {}", vault.address()).into(),
        reason,
    };
    let note: Note = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if note.format > FORMAT {
        return Err(unreadable(format!("a newer program made it (format {})", note.format)));
    }
    if !note.is_whole() {
        return Err(unreadable("its parts do not follow one another".to_owned()));
    }
    Ok(Some(note))
}

/// A part as it was written, verified; none if it is not there.
fn read_part(vault: &mut dyn Vault, part: &Part) -> Result<Option<Stretch>, BackupError> {
    let read = vault.read_part(&part.name()).map_err(|error| unusable(vault, &error))?;
    let Some(bytes) = read else { return Ok(None) };
    let segment = SegmentPlace { base: part.segment.into(), length: part.segment_bytes };
    let stretch = Stretch::verify(segment, part.from.into(), bytes)
        .map_err(|damage| damaged(vault, part, &damage.to_string()))?;
    if Part::of(&stretch) != *part {
        return Err(damaged(vault, part, "it does not match its checksum"));
    }
    Ok(Some(stretch))
}

fn damaged(vault: &dyn Vault, part: &Part, reason: &str) -> BackupError {
    BackupError::Copy { folder: vault.address().into(), reason: format!("part {}: {reason}", part.name()) }
}

fn unusable(vault: &dyn Vault, error: &io::Error) -> BackupError {
    BackupError::Copy { folder: vault.address().into(), reason: error.to_string() }
}
