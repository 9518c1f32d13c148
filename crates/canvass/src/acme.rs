//! Certificates by ACME (RFC 8555), proven on the server's own address by TLS-ALPN-01 (RFC 8737).
//!
//! The library orders, renews when a third of a certificate's time is left, and waits longer after each failure. What
//! is here keeps its files to their owner, stands in until the first certificate came, and begins anew each day, in case
//! an authority never answers. Whatever fails, the last certificate serves on.

use std::{
    convert::Infallible,
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use async_trait::async_trait;
use canvass_domain::record::hexadecimal;
use futures_util::StreamExt as _;
use parking_lot::RwLock;
use rustls_acme::{
    AccountCache, AcmeConfig, AcmeState, CertCache, EventOk, ResolvesServerCertAcme, is_tls_alpn_challenge,
};
use sha2::{Digest as _, Sha256};
use tokio::{
    runtime::Builder,
    time::{sleep, timeout},
};
use tokio_rustls::rustls::{
    ClientConfig,
    crypto::ring::sign::any_ecdsa_type,
    pki_types::PrivateKeyDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{
    failure::Failure,
    limits::{ACME_ANEW_PAUSE, ACME_RETRY_PAUSE},
};

/// How an authority proves that a domain is this server's.
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Whose certificates are got, and from whom.
pub(crate) struct Acme {
    pub(crate) domains: Vec<String>,
    /// Whom the authority may write to; none if empty.
    pub(crate) email: String,
    /// The authority's directory.
    pub(crate) directory: String,
    /// Where certificates and the account's key are kept.
    pub(crate) folder: PathBuf,
    /// Whom the authority is believed by.
    pub(crate) client: Arc<ClientConfig>,
}

impl Acme {
    /// What answers clients. Nothing is asked for yet, and no file is touched.
    ///
    /// # Errors
    /// A directory that is not reached by https, or a system that gives no random numbers.
    pub(crate) fn prepare(self) -> Result<Keeper, Failure> {
        if !self.directory.starts_with("https://") {
            return Err(Failure::usage("--tls-acme-directory is an address that begins with https://"));
        }
        let standing_in = self_signed(&self.domains).map_err(Failure::failed)?;
        let state = self.state();
        let answering = Answering { proving: state.resolver(), serving: state.resolver() };
        let resolver = Resolver { answering: RwLock::new(answering), standing_in: Arc::new(standing_in) };
        Ok(Keeper { acme: self, state, resolver: Arc::new(resolver) })
    }

    fn state(&self) -> State {
        let contact = Some(format!("mailto:{}", self.email)).filter(|_| !self.email.is_empty());
        AcmeConfig::new_with_client_config(&self.domains, Arc::clone(&self.client))
            .contact(contact)
            .directory(&self.directory)
            .cache(Files(self.folder.clone()))
            .state()
    }
}

type State = AcmeState<io::Error, io::Error>;

/// Gets certificates and renews them.
pub(crate) struct Keeper {
    acme: Acme,
    state: State,
    resolver: Arc<Resolver>,
}

impl Keeper {
    /// What answers clients.
    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.resolver) as Arc<dyn ResolvesServerCert>
    }

    /// Begins, on a thread of its own. The data directory is this server's by now.
    ///
    /// # Errors
    /// A folder for the certificates that cannot be made.
    pub(crate) fn start(self) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::failed(format!("{}: {error}", self.acme.folder.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(&self.acme.folder).map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let thread = thread::Builder::new().name("canvass-acme".to_owned());
        let keep = move || runtime.block_on(self.keep());
        thread.spawn(keep).map(drop).map_err(|error| Failure::failed(format!("cannot start: {error}")))
    }

    /// Gets and renews until the program ends.
    async fn keep(mut self) -> Infallible {
        loop {
            // Its end is the pause's: by itself it does not end.
            let _ = timeout(ACME_ANEW_PAUSE, drive(&mut self.state, &self.resolver)).await;
            self.state = self.acme.state();
            self.resolver.answering.write().proving = self.state.resolver();
        }
    }
}

async fn drive(state: &mut State, resolver: &Resolver) {
    while let Some(event) = state.next().await {
        match event {
            Ok(EventOk::DeployedNewCert) => {
                resolver.answering.write().serving = state.resolver();
                tracing::info!("a new certificate came by ACME and is in use");
            }
            Ok(EventOk::DeployedCachedCert) => resolver.answering.write().serving = state.resolver(),
            Ok(EventOk::CertCacheStore | EventOk::AccountCacheStore) => {}
            Err(error) => {
                tracing::error!(%error, "ACME failed and is tried again; a certificate that is there serves on");
                sleep(ACME_RETRY_PAUSE).await;
            }
        }
    }
}

/// What answers clients: with a proof for the authority, and with the last certificate for all others.
#[derive(Debug)]
struct Resolver {
    answering: RwLock<Answering>,
    /// Nobody believes it; but whoever only asks whether the server lives is answered before the first certificate came.
    standing_in: Arc<CertifiedKey>,
}

#[derive(Debug)]
struct Answering {
    proving: Arc<ResolvesServerCertAcme>,
    serving: Arc<ResolvesServerCertAcme>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let answering = self.answering.read();
        if is_tls_alpn_challenge(&hello) {
            return answering.proving.resolve(hello);
        }
        answering.serving.resolve(hello).or_else(|| Some(Arc::clone(&self.standing_in)))
    }
}

/// A certificate that vouches for itself, with a key that no file ever holds.
fn self_signed(domains: &[String]) -> Result<CertifiedKey, String> {
    let made = rcgen::generate_simple_self_signed(domains).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(made.key_pair.serialize_der().into());
    let key = any_ecdsa_type(&key).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new(vec![made.cert.into()], key))
}

/// The folder with the account's key and the certificates with theirs. Only their owner may read them.
struct Files(PathBuf);

impl Files {
    /// What is for other domains, another address or another authority has another name.
    fn path(&self, kind: &str, of: &[String], directory: &str) -> PathBuf {
        let text = [of.join(",").as_str(), directory].join("\n");
        let digest = hexadecimal(&Sha256::digest(text.as_bytes()));
        self.0.join(format!("{kind}-{}", digest.get(..16).unwrap_or(&digest)))
    }
}

#[async_trait]
impl CertCache for Files {
    type EC = io::Error;

    async fn load_cert(&self, domains: &[String], directory: &str) -> io::Result<Option<Vec<u8>>> {
        read(&self.path("certificate", domains, directory))
    }

    async fn store_cert(&self, domains: &[String], directory: &str, pem: &[u8]) -> io::Result<()> {
        write(&self.path("certificate", domains, directory), pem)
    }
}

#[async_trait]
impl AccountCache for Files {
    type EA = io::Error;

    async fn load_account(&self, contact: &[String], directory: &str) -> io::Result<Option<Vec<u8>>> {
        read(&self.path("account", contact, directory))
    }

    async fn store_account(&self, contact: &[String], directory: &str, key: &[u8]) -> io::Result<()> {
        write(&self.path("account", contact, directory), key)
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}
