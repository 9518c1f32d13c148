//! A bucket as a place for a backup.

use std::io;

use bytes::Bytes;
use canvass_domain::Timestamp;
use canvass_store::local::Vault;
use tokio::runtime::{Builder, Runtime};

use crate::{Access, BucketAddress, bucket::Bucket, place::Revision};

const NOTE_NAME: &str = "backup.json";
const PARTS_NAME: &str = "parts";

/// A bucket, or what begins with a prefix in one, that holds one backup.
pub struct BucketVault {
    bucket: Bucket,
    /// The note that was read or written last.
    revision: Revision,
    runtime: Runtime,
}

impl BucketVault {
    /// Makes ready to write to a bucket, without asking it for anything.
    ///
    /// # Errors
    /// Of the access, such as a name that is no region's; or the system's.
    pub fn open(address: &BucketAddress, access: &Access) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { bucket: Bucket::open(address, access)?, revision: Revision::default(), runtime })
    }
}

fn key_of(part: &str) -> String {
    format!("{PARTS_NAME}/{part}")
}

impl Vault for BucketVault {
    fn address(&self) -> String {
        self.bucket.url()
    }

    fn read_note(&mut self) -> io::Result<Option<Vec<u8>>> {
        let found = self.runtime.block_on(self.bucket.read(NOTE_NAME))?;
        let (bytes, revision) =
            found.map_or_else(Default::default, |(bytes, revision)| (Some(bytes), revision));
        self.revision = revision;
        Ok(bytes.map(Vec::from))
    }

    fn replace_note(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let replaced = self.bucket.replace(NOTE_NAME, bytes.into(), &self.revision);
        self.revision = self.runtime.block_on(replaced)?;
        Ok(())
    }

    fn read_part(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let found = self.runtime.block_on(self.bucket.read(&key_of(name)))?;
        Ok(found.map(|(bytes, _)| bytes.into()))
    }

    fn write_part(&mut self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.runtime.block_on(self.bucket.write(&key_of(name), Bytes::from(bytes)))
    }

    fn remove_part(&mut self, name: &str) -> io::Result<()> {
        self.runtime.block_on(self.bucket.remove(&key_of(name)))
    }

    fn list_parts(&mut self, before: Timestamp) -> io::Result<Vec<String>> {
        self.runtime.block_on(self.bucket.list(PARTS_NAME, before))
    }
}
