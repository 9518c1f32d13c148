//! The narrow seam between the ledger and files, so that tests can put a disk under it that loses power.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// One directory of files. Names are plain file names without a folder.
///
/// What [`create`](Disk::create), [`rename`](Disk::rename) and [`remove`](Disk::remove) do is seen at once by every
/// caller, and survives a loss of power only after [`sync_directory`](Disk::sync_directory) has returned.
pub trait Disk: Send + Sync {
    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes an empty file, in place of one of that name.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that exists. Each call gives a handle of its own: a failed write-back is told to every handle that
    /// was open at the time, so that no caller learns of it in another's place.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, in place of one of that name. Handles stay open.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all names durable.
    fn sync_directory(&self) -> io::Result<()>;
}

/// One open file. Calls may come from several threads.
///
/// A write is seen by reads at once. Until [`sync_data`](DiskFile::sync_data) has returned without an error, a loss
/// of power may keep any of its 512-byte sectors and lose the others; a single sector is old or new, never mixed.
pub trait DiskFile: Send + Sync {
    /// The file's length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills `into` with the bytes at `offset`, or fails.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`, making the file longer where needed, or fails having written any part.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes all that was written durable. After an error nothing is known about writes since the last success, and
    /// calling again proves nothing.
    fn sync_data(&self) -> io::Result<()>;
}

/// The real disk: a directory of the file system.
#[derive(Debug)]
pub struct FileDisk {
    directory: PathBuf,
    is_read_only: bool,
}

impl FileDisk {
    /// The disk in a directory, which is made if it is missing.
    pub fn new(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        if !directory.is_dir() {
            fs::create_dir_all(&directory)?;
            if let Some(parent) = directory.canonicalize()?.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(Self { directory, is_read_only: false })
    }

    /// The disk in a directory that exists, opened for reading alone: it needs no right to write there.
    pub fn read_only(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), is_read_only: true }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Disk for FileDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        // A name that is not UTF-8 is not one of the ledger's, so nothing is lost by leaving it out.
        fs::read_dir(&self.directory)?
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(options.open(self.directory.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(!self.is_read_only);
        Ok(Box::new(options.open(self.directory.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.directory.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}
