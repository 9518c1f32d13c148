//! Where backups are kept, as an operator names it: a folder or a bucket.

use canvass_export::{BucketAddress, Destination};
use canvass_store::local::BackupPlace;

use crate::failure::Failure;

/// The place that a destination names. A bucket is not asked for anything yet.
///
/// # Errors
/// A bucket for a program that was built without object stores, or one whose access cannot be used.
pub(crate) fn place(destination: &Destination) -> Result<BackupPlace, Failure> {
    match destination {
        Destination::Folder(folder) => Ok(BackupPlace::Folder(folder.clone())),
        Destination::Bucket(address) => bucket(address),
    }
}

#[cfg(feature = "object-stores")]
fn bucket(address: &BucketAddress) -> Result<BackupPlace, Failure> {
    let vault = canvass_export::BucketVault::open(address, &crate::edge::access());
    let vault = vault.map_err(|error| Failure::failed(format!("{address}: {error}")))?;
    Ok(BackupPlace::Vault(Box::new(vault)))
}

#[cfg(not(feature = "object-stores"))]
fn bucket(_: &BucketAddress) -> Result<BackupPlace, Failure> {
    Err(without_buckets())
}

/// What a program without object stores says.
pub(crate) fn without_buckets() -> Failure {
    Failure::usage(
        "this program was built without object stores; build it with: cargo build --release --features object-stores",
    )
}
