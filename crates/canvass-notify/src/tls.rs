//! TLS as a client: rustls over ring, trusting whom the system trusts.

use std::sync::Arc;

use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

/// Connections that check the other side's certificate. `SSL_CERT_FILE` and `SSL_CERT_DIR` name other authorities.
pub(crate) fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    // Some systems hold certificates that nobody can read any more; those who need one of them are told by the handshake.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let configuration = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows every version of TLS that rustls does")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(configuration))
}
