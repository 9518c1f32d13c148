//! What becomes of exports and snapshots in a folder as they age. A bucket has rules of its own for that.
//!
//! A file's age is told by the moment in its name, so copies and restores do not make it young; files with other names
//! are left alone, and so are manifests, which say what was there.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    str::FromStr,
};

use canvass_domain::Timestamp;
use flate2::{Compression, write::GzEncoder};

use crate::{folder::Folder, names};

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
const COMPRESSED_ENDING: &str = ".gz";

/// When files of a folder are compressed, and when they leave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Days after which a file is compressed; 0 means never.
    pub compress_days: u32,
    /// Days after which a file goes where `archive` says; 0 means never.
    pub archive_days: u32,
    /// Where it goes.
    pub archive: Archive,
}

/// What becomes of old files. Its text is empty, `delete`, or a folder's path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Archive {
    /// They stay.
    #[default]
    Keep,
    /// They are deleted.
    Delete,
    /// They are moved to a folder, under the same names.
    Folder(PathBuf),
}

impl FromStr for Archive {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" => Self::Keep,
            "delete" => Self::Delete,
            folder => Self::Folder(folder.into()),
        })
    }
}

/// What is done with a file now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Compress,
    Archive,
}

impl Retention {
    /// What a file of some age is due for.
    fn step(&self, age_seconds: i64, is_compressed: bool) -> Option<Step> {
        let is_past = |days: u32| days > 0 && age_seconds >= i64::from(days) * SECONDS_PER_DAY;
        if is_past(self.archive_days) && self.archive != Archive::Keep {
            return Some(Step::Archive);
        }
        (is_past(self.compress_days) && !is_compressed).then_some(Step::Compress)
    }
}

/// A file that is now due for something.
pub(crate) struct Aged {
    pub(crate) key: String,
    step: Step,
}

/// The files of a folder that have reached an age.
///
/// # Errors
/// A folder that cannot be read.
pub(crate) fn aged(folder: &Folder, retention: &Retention, now: Timestamp) -> io::Result<Vec<Aged>> {
    let mut aged = Vec::new();
    for key in folder.keys(&["exports", "snapshots"])? {
        let Some(moment) = names::moment(&key) else { continue };
        let age_seconds = now.seconds() - moment.seconds();
        if let Some(step) = retention.step(age_seconds, key.ends_with(COMPRESSED_ENDING)) {
            aged.push(Aged { key, step });
        }
    }
    Ok(aged)
}

/// Does what a file is due for; answers with the name that it has in the folder now. A program that is killed meanwhile
/// leaves the file whole under one name or both, and the next one does it again.
///
/// # Errors
/// Whatever keeps it from being done; the file is as it was.
pub(crate) fn age(folder: &Folder, retention: &Retention, aged: &Aged) -> io::Result<Option<String>> {
    let path = folder.path_of(&aged.key);
    match (aged.step, &retention.archive) {
        (Step::Compress, _) => {
            let key = format!("{}{COMPRESSED_ENDING}", aged.key);
            let mut encoder = GzEncoder::new(folder.begin(&key)?, Compression::default());
            io::copy(&mut File::open(&path)?, &mut encoder)?;
            encoder.finish()?.finish()?;
            fs::remove_file(path)?;
            Ok(Some(key))
        }
        (Step::Archive, Archive::Folder(archive)) => {
            move_file(&path, &archive.join(&aged.key))?;
            Ok(None)
        }
        (Step::Archive, Archive::Delete) => {
            fs::remove_file(path)?;
            Ok(None)
        }
        (Step::Archive, Archive::Keep) => Ok(Some(aged.key.clone())),
    }
}

/// Moves a file, also to another disk; it is at its old place until it is whole at the new one.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().ok_or(ErrorKind::InvalidInput)?;
    crate::folder::make_private(folder)?;
    let moved = fs::rename(from, to);
    if moved.as_ref().is_err_and(|error| error.kind() == ErrorKind::CrossesDevices) {
        let partial = to.with_extension("partial");
        fs::copy(from, &partial)?;
        File::open(&partial)?.sync_all()?;
        fs::rename(&partial, to)?;
        File::open(folder)?.sync_all()?;
        return fs::remove_file(from);
    }
    moved?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(days: i64, is_compressed: bool, expected: Option<Step>) {
        let retention = Retention { compress_days: 30, archive_days: 90, archive: Archive::Delete };
        assert_eq!(retention.step(days * SECONDS_PER_DAY, is_compressed), expected, "{days}");
    }

    #[test]
    fn a_file_is_compressed_and_then_archived() {
        check(29, false, None);
        check(30, false, Some(Step::Compress));
        check(89, true, None);
        check(90, true, Some(Step::Archive));
        check(90, false, Some(Step::Archive));
        let never = Retention::default();
        assert_eq!(never.step(i64::MAX, false), None);
    }
}
