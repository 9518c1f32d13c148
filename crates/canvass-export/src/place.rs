//! A place for files that are there as a whole or not at all: a folder or a bucket, behind one set of verbs.

#![cfg_attr(
    not(feature = "object-stores"),
    expect(
        clippy::unused_async,
        clippy::unnecessary_wraps,
        reason = "a folder is written to without waiting, and is the only place there is then"
    )
)]

use std::io;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

#[cfg(feature = "object-stores")]
use crate::bucket::{self, Bucket};
use crate::{
    Access, Destination,
    folder::{self, Folder},
};

/// An open destination.
pub(crate) enum Place {
    Folder(Folder),
    #[cfg(feature = "object-stores")]
    Bucket(Bucket),
}

/// Which version of a file was read or written last. Nobody else writes to a folder, which is locked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Revision(#[cfg(feature = "object-stores")] pub(crate) Option<object_store::UpdateVersion>);

/// What was written.
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
}

impl Place {
    /// Takes a folder, or makes ready to write to a bucket, which is not asked for anything yet.
    pub(crate) fn open(destination: &Destination, access: &Access) -> io::Result<Self> {
        match destination {
            Destination::Folder(path) => Ok(Self::Folder(Folder::open(path)?)),
            #[cfg(feature = "object-stores")]
            Destination::Bucket(address) => Ok(Self::Bucket(Bucket::open(address, access)?)),
            #[cfg(not(feature = "object-stores"))]
            Destination::Bucket(_) => {
                let _ = access;
                Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "this program was built without object stores",
                ))
            }
        }
    }

    /// Where a program that reads the files finds them.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Folder(folder) => folder.url(),
            #[cfg(feature = "object-stores")]
            Self::Bucket(bucket) => bucket.url(),
        }
    }

    /// The folder, if it is one.
    pub(crate) fn folder(&self) -> Option<&Folder> {
        match self {
            Self::Folder(folder) => Some(folder),
            #[cfg(feature = "object-stores")]
            Self::Bucket(_) => None,
        }
    }

    pub(crate) async fn has(&self, key: &str) -> io::Result<bool> {
        match self {
            Self::Folder(folder) => Ok(folder.has(key)),
            #[cfg(feature = "object-stores")]
            Self::Bucket(bucket) => bucket.has(key).await,
        }
    }

    /// A whole file, with its revision; none if it is not there.
    pub(crate) async fn read(&self, key: &str) -> io::Result<Option<(Bytes, Revision)>> {
        match self {
            Self::Folder(folder) => Ok(folder.read(key)?.map(|bytes| (bytes.into(), Revision::default()))),
            #[cfg(feature = "object-stores")]
            Self::Bucket(bucket) => bucket.read(key).await,
        }
    }

    /// Writes a whole file in place of the revision that was read; `AlreadyExists` where another one is there.
    pub(crate) async fn replace(&self, key: &str, bytes: Bytes, known: &Revision) -> io::Result<Revision> {
        match self {
            Self::Folder(folder) => {
                let mut file = folder.begin(key)?;
                file.add(&bytes)?;
                file.finish()?;
                Ok(known.clone())
            }
            #[cfg(feature = "object-stores")]
            Self::Bucket(bucket) => bucket.replace(key, bytes, known).await,
        }
    }

    /// Begins a file, of which nothing is seen before it is finished.
    pub(crate) fn begin(&self, key: &str) -> io::Result<Unfinished> {
        let kind = match self {
            Self::Folder(folder) => Kind::Folder(folder.begin(key)?),
            #[cfg(feature = "object-stores")]
            Self::Bucket(bucket) => Kind::Bucket(bucket.begin(key)?),
        };
        Ok(Unfinished { kind, digest: Sha256::new(), bytes: 0 })
    }

    /// Writes a whole file, in place of one of that name.
    pub(crate) async fn write(&self, key: &str, bytes: Bytes) -> io::Result<Written> {
        let mut file = self.begin(key)?;
        file.add(bytes).await?;
        file.finish().await
    }
}

/// A file that is being written. It is finished or aborted; dropped, it leaves nothing under its name either.
pub(crate) struct Unfinished {
    kind: Kind,
    digest: Sha256,
    bytes: u64,
}

enum Kind {
    Folder(folder::Unfinished),
    #[cfg(feature = "object-stores")]
    Bucket(bucket::Unfinished),
}

impl Unfinished {
    pub(crate) async fn add(&mut self, bytes: Bytes) -> io::Result<()> {
        self.digest.update(&bytes);
        self.bytes += bytes.len() as u64;
        match &mut self.kind {
            Kind::Folder(file) => file.add(&bytes),
            #[cfg(feature = "object-stores")]
            Kind::Bucket(upload) => upload.add(bytes).await,
        }
    }

    /// Makes it durable, and gives it its name.
    pub(crate) async fn finish(self) -> io::Result<Written> {
        match self.kind {
            Kind::Folder(file) => file.finish()?,
            #[cfg(feature = "object-stores")]
            Kind::Bucket(upload) => upload.finish().await?,
        }
        let sha256 = canvass_domain::record::hexadecimal(&self.digest.finalize());
        Ok(Written { bytes: self.bytes, sha256 })
    }

    /// Gives back what its parts take. That this may fail changes nothing: they have no name.
    pub(crate) async fn abort(self) {
        match self.kind {
            Kind::Folder(file) => file.abort(),
            #[cfg(feature = "object-stores")]
            Kind::Bucket(upload) => upload.abort().await,
        }
    }
}
