//! Connections under TLS, where a certificate was given and the program is built for it.

use std::time::Duration;

use tokio::net::TcpStream;
#[cfg(feature = "tls")]
pub(super) use tokio_rustls::TlsAcceptor as Acceptor;
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;

/// Nobody can accept TLS in a program that is built without it.
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
pub(super) enum Acceptor {}

/// A request that came under TLS carries this.
#[derive(Clone, Copy, Debug)]
pub struct UnderTls;

/// Agrees with the client on the keys; none if that takes too long or fails, which is the client's affair.
#[cfg(feature = "tls")]
pub(super) async fn shake_hands(
    acceptor: Acceptor,
    stream: TcpStream,
    timeout: Duration,
) -> Option<TlsStream<TcpStream>> {
    tokio::time::timeout(timeout, acceptor.accept(stream)).await.ok()?.ok()
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "with TLS it waits for the client")]
pub(super) async fn shake_hands(acceptor: Acceptor, _: TcpStream, _: Duration) -> Option<TcpStream> {
    match acceptor {}
}
