//! TLS for the server's connections, by files or ACME, and for the client commands.
//!
//! The files are looked at again while the server runs, so that a certificate is renewed without a restart: new
//! connections get the new one. One that cannot be used leaves the old one in place, and the log says why.

use canvass_server::serve::Listeners;

use crate::{config::Settings, failure::Failure};

#[cfg(feature = "tls")]
pub(crate) use self::with_tls::secure;

/// How the program is built with TLS.
#[cfg(not(feature = "tls"))]
const HOW_TO_BUILD: &str = "build it with `cargo build --release --features tls`";

impl Settings {
    /// Whether the server is to speak TLS.
    ///
    /// # Errors
    /// One file without the other.
    fn certificate_and_key(&self) -> Result<Option<(&std::path::Path, &std::path::Path)>, Failure> {
        match (self.tls_certificate.get(), self.tls_key.get()) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            _ => Err(Failure::usage("TLS takes both --tls-certificate and --tls-key")),
        }
    }
}

/// How the connections are to speak TLS.
#[cfg(feature = "tls")]
pub(crate) struct Tls {
    config: std::sync::Arc<tokio_rustls::rustls::ServerConfig>,
    /// What gets the certificates, if no file holds them.
    keeper: Option<crate::acme::Keeper>,
}

/// A program without TLS has none.
#[cfg(not(feature = "tls"))]
pub(crate) enum Tls {}

/// How the server is to speak TLS, if it is.
///
/// # Errors
/// Files that cannot be used, both files and domains, or a program that was built without TLS.
pub(crate) fn prepare(settings: &Settings) -> Result<Option<Tls>, Failure> {
    match (settings.certificate_and_key()?, !settings.tls_acme_domain.is_empty()) {
        (None, false) => Ok(None),
        (Some(_), true) => Err(Failure::usage("TLS takes certificate files or --tls-acme-domain, not both")),
        #[cfg(feature = "tls")]
        (Some((certificate, key)), false) => with_tls::by_files(certificate, key).map(Some),
        #[cfg(feature = "tls")]
        (None, true) => with_tls::by_acme(settings).map(Some),
        #[cfg(not(feature = "tls"))]
        _ => Err(Failure::usage(format!("this program was built without TLS; {HOW_TO_BUILD}"))),
    }
}

impl Tls {
    /// The sockets, with TLS. From here on certificates are asked for, so the data directory is to be this server's.
    ///
    /// # Errors
    /// A folder for the certificates that cannot be made.
    #[cfg(feature = "tls")]
    pub(crate) fn over(self, listeners: Listeners) -> Result<Listeners, Failure> {
        self.keeper.map_or(Ok(()), crate::acme::Keeper::start)?;
        Ok(listeners.with_tls(self.config))
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn over(self, _: Listeners) -> Result<Listeners, Failure> {
        match self {}
    }
}

/// What a client without TLS says to an address that asks for it.
#[cfg(not(feature = "tls"))]
pub(crate) fn no_https(url: &str) -> Failure {
    Failure::usage(format!("{url}: this program was built without https; {HOW_TO_BUILD}"))
}

#[cfg(feature = "tls")]
mod with_tls {
    //! All that needs the library.

    use std::{
        path::{Path, PathBuf},
        sync::{Arc, LazyLock, Weak},
        thread,
        time::SystemTime,
    };

    use parking_lot::RwLock;
    use tokio::net::TcpStream;
    use tokio_rustls::{
        TlsConnector,
        rustls::{
            ClientConfig, RootCertStore, ServerConfig,
            crypto::{CryptoProvider, ring},
            pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
            server::{ClientHello, ResolvesServerCert},
            sign::CertifiedKey,
        },
    };

    use super::Tls;
    use crate::{
        acme::{self, Acme},
        config::Settings,
        failure::Failure,
        limits::CERTIFICATE_LOOK_PAUSE,
    };

    /// A client's connection.
    pub(crate) type Secured = tokio_rustls::client::TlsStream<TcpStream>;

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(ring::default_provider())
    }

    /// How the server speaks TLS with a certificate from these files, now and after they change.
    pub(super) fn by_files(certificate: &Path, key: &Path) -> Result<Tls, Failure> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let changed_at = files.changed_at();
        let certified = files.read().map_err(Failure::failed)?;
        let resolver = Arc::new(Resolver(RwLock::new(Arc::new(certified))));
        watch(files, changed_at, Arc::downgrade(&resolver))?;
        Ok(Tls { config: config(resolver, &[])?, keeper: None })
    }

    /// How the server speaks TLS with certificates that it gets by itself.
    pub(super) fn by_acme(settings: &Settings) -> Result<Tls, Failure> {
        let roots = settings.tls_acme_root.get().map_or_else(system_roots, roots_in);
        let acme = Acme {
            domains: settings.tls_acme_domain.clone().into_names(),
            email: settings.tls_acme_email.clone(),
            directory: settings.tls_acme_directory.clone(),
            folder: settings.data.join("acme"),
            client: Arc::new(roots.and_then(believing).map_err(Failure::failed)?),
        };
        let keeper = acme.prepare()?;
        Ok(Tls { config: config(keeper.resolver(), &[acme::PROTOCOL])?, keeper: Some(keeper) })
    }

    fn config(
        resolver: Arc<dyn ResolvesServerCert>,
        protocols: &[&[u8]],
    ) -> Result<Arc<ServerConfig>, Failure> {
        let versions = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| Failure::failed(error.to_string()))?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols =
            [&[&b"http/1.1"[..]], protocols].concat().into_iter().map(Vec::from).collect();
        Ok(Arc::new(config))
    }

    /// The chain of certificates, the server's own first, and its key: both PEM (RFC 7468).
    struct Files {
        certificate: PathBuf,
        key: PathBuf,
    }

    impl Files {
        /// What they hold.
        ///
        /// # Errors
        /// Which file is at fault, and why, without a word of what the key's file holds.
        fn read(&self) -> Result<CertifiedKey, String> {
            let wrong = |path: &Path, what: &str| format!("{}: {what}", path.display());
            let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
                .and_then(Iterator::collect)
                .map_err(|error| wrong(&self.certificate, &error.to_string()))?;
            if chain.is_empty() {
                return Err(wrong(&self.certificate, "holds no certificate in PEM"));
            }
            let key = PrivateKeyDer::from_pem_file(&self.key)
                .map_err(|_| wrong(&self.key, "cannot be read, or holds no private key in PEM"))?;
            CertifiedKey::from_der(chain, key, &provider())
                .map_err(|error| wrong(&self.key, &format!("does not go with the certificate: {error}")))
        }

        /// When the newer of the two was written; none while one of them is missing.
        fn changed_at(&self) -> Option<(SystemTime, SystemTime)> {
            let written = |path: &Path| path.metadata().and_then(|found| found.modified()).ok();
            written(&self.certificate).zip(written(&self.key))
        }
    }

    #[derive(Debug)]
    struct Resolver(RwLock<Arc<CertifiedKey>>);

    impl ResolvesServerCert for Resolver {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0.read()))
        }
    }

    /// Looks at the files from time to time, until nobody resolves any more.
    fn watch(
        files: Files,
        mut seen: Option<(SystemTime, SystemTime)>,
        resolver: Weak<Resolver>,
    ) -> Result<(), Failure> {
        let look = move || {
            loop {
                thread::sleep(CERTIFICATE_LOOK_PAUSE);
                let Some(resolver) = resolver.upgrade() else { return };
                let changed_at = files.changed_at();
                if changed_at.is_none() || changed_at == seen {
                    continue;
                }
                seen = changed_at;
                match files.read() {
                    Ok(certified) => {
                        *resolver.0.write() = Arc::new(certified);
                        tracing::info!("a new certificate is in use");
                    }
                    Err(error) => tracing::error!(%error, "the certificate stays the old one"),
                }
            }
        };
        let thread = thread::Builder::new().name("canvass-certificate".to_owned()).spawn(look);
        thread.map(drop).map_err(|error| Failure::failed(format!("cannot start: {error}")))
    }

    /// Whom the client commands believe: the system's authorities, or those that SSL_CERT_FILE names.
    static CLIENT: LazyLock<Result<TlsConnector, String>> = LazyLock::new(|| {
        system_roots().and_then(believing).map(|config| TlsConnector::from(Arc::new(config)))
    });

    fn system_roots() -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(
                "the system has no authorities for https; name a file of them in SSL_CERT_FILE".to_owned()
            );
        }
        Ok(roots)
    }

    fn roots_in(file: &Path) -> Result<RootCertStore, String> {
        let wrong = |what: &str| format!("{}: {what}", file.display());
        let found: Vec<_> = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|error| wrong(&error.to_string()))?;
        let mut roots = RootCertStore::empty();
        match roots.add_parsable_certificates(found) {
            (0, _) => Err(wrong("holds no certificate in PEM")),
            _ => Ok(roots),
        }
    }

    /// A client that believes whom these authorities vouch for.
    fn believing(roots: RootCertStore) -> Result<ClientConfig, String> {
        let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| error.to_string())?;
        Ok(versions.with_root_certificates(roots).with_no_client_auth())
    }

    /// Agrees on keys with a server, which must be who it is said to be.
    pub(crate) async fn secure(host: &str, stream: TcpStream) -> Result<Secured, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let connector = CLIENT.as_ref().map_err(Clone::clone)?;
        connector.connect(name, stream).await.map_err(|error| error.to_string())
    }
}
