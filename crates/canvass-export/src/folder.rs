//! A folder of exports: a file is there as a whole under its name, or not at all.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use canvass_domain::record::hexadecimal;
use sha2::{Digest as _, Sha256};

const PARTIAL_NAME: &str = "partial";
const LOCK_NAME: &str = "lock";

/// A folder that nobody else writes exports to.
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes a folder; it is made if it is missing. What another program left unfinished is removed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        let mut options = File::options();
        let lock = options.create(true).truncate(false).write(true).open(path.join(LOCK_NAME))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::Error::other("another program writes exports to it"),
            fs::TryLockError::Error(error) => error,
        })?;
        let partial = path.join(PARTIAL_NAME);
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir(partial)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.path.join(key).exists()
    }

    pub(crate) fn read(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path.join(key)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins a file, of which nothing is seen before it is finished.
    pub(crate) fn begin(&self, key: &str) -> io::Result<Unfinished> {
        let partial = self.path.join(PARTIAL_NAME).join(key.replace('/', "+"));
        let file = File::create(&partial)?;
        Ok(Unfinished { file, partial, target: self.path.join(key), digest: Sha256::new(), bytes: 0 })
    }

    /// Writes a whole file, in place of one of that name.
    pub(crate) fn write(&self, key: &str, bytes: &[u8]) -> io::Result<Written> {
        let mut file = self.begin(key)?;
        file.add(bytes)?;
        file.finish()
    }

    /// Adds a line to a file that only grows.
    pub(crate) fn append(&self, key: &str, line: &[u8]) -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(self.path.join(key))?;
        file.write_all(line)?;
        file.sync_all()
    }
}

/// A file that is being written. Dropped unfinished, it leaves nothing under its name.
pub(crate) struct Unfinished {
    file: File,
    partial: PathBuf,
    target: PathBuf,
    digest: Sha256,
    bytes: u64,
}

/// What was written.
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
}

impl Unfinished {
    pub(crate) fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes it durable, and gives it its name.
    pub(crate) fn finish(self) -> io::Result<Written> {
        self.file.sync_all()?;
        if let Some(folder) = self.target.parent() {
            fs::create_dir_all(folder)?;
            fs::rename(&self.partial, &self.target)?;
            File::open(folder)?.sync_all()?;
        }
        Ok(Written { bytes: self.bytes, sha256: hexadecimal(&self.digest.finalize()) })
    }
}
