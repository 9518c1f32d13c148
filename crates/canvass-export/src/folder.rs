//! A folder of exports: a file is there as a whole under its name, or not at all.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

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

    pub(crate) fn url(&self) -> String {
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        format!("file://{}", path.display())
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
        Ok(Unfinished { file, partial, target: self.path.join(key) })
    }
}

/// A file that is being written. Dropped unfinished, it leaves nothing under its name.
pub(crate) struct Unfinished {
    file: File,
    partial: PathBuf,
    target: PathBuf,
}

impl Unfinished {
    pub(crate) fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Makes it durable, and gives it its name.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(folder) = self.target.parent() {
            fs::create_dir_all(folder)?;
            fs::rename(&self.partial, &self.target)?;
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Frees its space.
    pub(crate) fn abort(self) {
        // The next one to open the folder removes what this cannot.
        let _ = fs::remove_file(self.partial);
    }
}
