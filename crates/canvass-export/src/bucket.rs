//! A bucket of an object store: an object is there as a whole under its name, or not at all.
//!
//! What is larger than a part goes up as a multipart upload, which the store completes at once or never. What a killed
//! program leaves of one has no name; a lifecycle rule of the bucket removes it.

use std::{io, mem, sync::Arc};

use bytes::Bytes;
use canvass_domain::Timestamp;
use futures_util::TryStreamExt as _;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, RetryConfig,
    UpdateVersion, WriteMultipart, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder, path::Path,
};

use crate::{
    Access,
    destination::{BucketAddress, Cloud},
    limits::{
        CONNECT_WAIT_MAX, PART_BYTES, PARTS_WAITING_MAX, REQUEST_TRIES_MAX, REQUEST_WAIT_MAX, RETRY_WAIT,
        RETRY_WAIT_MAX, RETRYING_MAX,
    },
    place::Revision,
};

/// A bucket with the prefix of its names.
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    address: BucketAddress,
}

/// Gives a builder all that is configured for it. The three builders are alike without sharing a trait.
macro_rules! built {
    ($builder:expr, $named:ident, $address:expr, $access:expr) => {{
        let options = ClientOptions::new()
            .with_allow_http(allows_http($access))
            .with_connect_timeout(CONNECT_WAIT_MAX)
            .with_timeout(REQUEST_WAIT_MAX);
        let begun = $builder.with_client_options(options).with_retry(retries());
        // Names that are for other tools are passed over.
        let configured = $access.pairs().fold(begun, |builder, (name, value)| match name.parse() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder,
        });
        Arc::new(configured.$named(&$address.name).build()?) as Arc<dyn ObjectStore>
    }};
}

impl Bucket {
    /// Makes ready to write to a bucket, without asking it for anything.
    pub(crate) fn open(address: &BucketAddress, access: &Access) -> io::Result<Self> {
        // One that was chosen before is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = match address.cloud {
            Cloud::Amazon => built!(AmazonS3Builder::new(), with_bucket_name, address, access),
            Cloud::Google => built!(GoogleCloudStorageBuilder::new(), with_bucket_name, address, access),
            Cloud::Microsoft => built!(MicrosoftAzureBuilder::new(), with_container_name, address, access),
        };
        Ok(Self { store, address: address.clone() })
    }

    pub(crate) fn url(&self) -> String {
        self.address.to_string()
    }

    pub(crate) async fn has(&self, key: &str) -> io::Result<bool> {
        match self.store.head(&self.path(key)?).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn read(&self, key: &str) -> io::Result<Option<(Bytes, Revision)>> {
        let found = match self.store.get(&self.path(key)?).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        Ok(Some((found.bytes().await?, Revision(Some(version)))))
    }

    /// Writes an object in place of the revision that is known, or where there is none yet.
    pub(crate) async fn replace(&self, key: &str, bytes: Bytes, known: &Revision) -> io::Result<Revision> {
        let (path, mode) = (self.path(key)?, known.0.clone().map_or(PutMode::Create, PutMode::Update));
        let written = match self.store.put_opts(&path, bytes.clone().into(), mode.into()).await {
            // A store that knows no conditions cannot tell of another program either.
            Err(Error::NotImplemented { .. }) => self.store.put(&path, bytes.into()).await?,
            Err(error @ (Error::Precondition { .. } | Error::AlreadyExists { .. })) => {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, error));
            }
            written => written?,
        };
        Ok(Revision(Some(UpdateVersion { e_tag: written.e_tag, version: written.version })))
    }

    /// Writes an object that nobody else writes.
    pub(crate) async fn write(&self, key: &str, bytes: Bytes) -> io::Result<()> {
        self.store.put(&self.path(key)?, bytes.into()).await?;
        Ok(())
    }

    /// Removes an object; one that is gone already is no error.
    pub(crate) async fn remove(&self, key: &str) -> io::Result<()> {
        match self.store.delete(&self.path(key)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The names in a folder of all objects that were written before a moment.
    pub(crate) async fn list(&self, folder: &str, before: Timestamp) -> io::Result<Vec<String>> {
        let path = self.path(folder)?;
        let mut found = self.store.list(Some(&path));
        let mut names = Vec::new();
        while let Some(object) = found.try_next().await? {
            if object.last_modified.timestamp() < before.seconds() {
                names.extend(object.location.filename().map(str::to_owned));
            }
        }
        Ok(names)
    }

    pub(crate) fn begin(&self, key: &str) -> io::Result<Unfinished> {
        Ok(Unfinished {
            store: Arc::clone(&self.store),
            path: self.path(key)?,
            held: Vec::new(),
            held_bytes: 0,
            parts: None,
        })
    }

    fn path(&self, key: &str) -> io::Result<Path> {
        let slash = if self.address.prefix.is_empty() { "" } else { "/" };
        let path = Path::parse(format!("{}{slash}{key}", self.address.prefix));
        path.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

/// Whether an operator who names an endpoint wants it without TLS, as those of tests and of own networks are.
fn allows_http(access: &Access) -> bool {
    access.pairs().any(|(name, value)| {
        (name.contains("endpoint") || name == "google_base_url") && value.starts_with("http://")
    })
}

/// Waits between tries are drawn at random, so that programs that failed together do not come back together.
fn retries() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: RETRY_WAIT, max_backoff: RETRY_WAIT_MAX, base: 2.0 };
    RetryConfig { backoff, max_retries: REQUEST_TRIES_MAX, retry_timeout: RETRYING_MAX }
}

/// An object that is being written.
pub(crate) struct Unfinished {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// What came before it was known that one request is not enough.
    held: Vec<Bytes>,
    held_bytes: usize,
    parts: Option<WriteMultipart>,
}

impl Unfinished {
    pub(crate) async fn add(&mut self, bytes: Bytes) -> io::Result<()> {
        self.held_bytes += bytes.len();
        self.held.push(bytes);
        if self.parts.is_none() && self.held_bytes > PART_BYTES {
            let upload = self.store.put_multipart(&self.path).await?;
            self.parts = Some(WriteMultipart::new_with_chunk_size(upload, PART_BYTES));
        }
        if let Some(parts) = &mut self.parts {
            for bytes in mem::take(&mut self.held) {
                parts.wait_for_capacity(PARTS_WAITING_MAX).await?;
                parts.put(bytes);
            }
        }
        Ok(())
    }

    /// Gives it its name. A multipart upload that cannot be completed is aborted.
    pub(crate) async fn finish(self) -> io::Result<()> {
        match self.parts {
            Some(parts) => parts.finish().await?,
            None => self.store.put(&self.path, PutPayload::from_iter(self.held)).await?,
        };
        Ok(())
    }

    pub(crate) async fn abort(self) {
        if let Some(parts) = self.parts {
            // The bucket's lifecycle removes what this cannot.
            let _ = parts.abort().await;
        }
    }
}
