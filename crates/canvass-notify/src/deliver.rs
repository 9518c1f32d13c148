//! One try to deliver one message: over a connection of its own, to an address that is looked at when it is connected to.
//!
//! A name may resolve to one address when it is checked and to another when it is used; so it is resolved once, here, and
//! only addresses that may be reached are connected to. Redirects are answers like any other, and are not followed.

use std::{net::SocketAddr, pin::pin};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::{
    SigningKey, Target, is_public,
    limits::{ADDRESSES_TRIED_MAX, ANSWER_BYTES_MAX, CONNECT_WAIT_MAX, DELIVERY_WAIT_MAX},
};

/// A message. Its id is the same however often it is sent.
#[derive(Clone, Debug)]
pub struct Message {
    /// The header `webhook-id`.
    pub id: String,
    /// JSON.
    pub body: Bytes,
}

/// What a try came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver has it: it answered with a status of 200 to 299.
    Accepted,
    /// The receiver answered with another status.
    Answered(u16),
    /// There was no answer. The text is for whoever set the webhook up.
    Failed(&'static str),
}

/// Who delivers.
#[derive(Clone)]
pub struct Sender {
    reaches_private: bool,
    #[cfg(feature = "tls")]
    tls: tokio_rustls::TlsConnector,
}

impl Sender {
    /// One that reaches public addresses, or all of them. With TLS it trusts whom the system trusts.
    pub fn new(reaches_private: bool) -> Self {
        Self {
            reaches_private,
            #[cfg(feature = "tls")]
            tls: crate::tls::connector(),
        }
    }

    /// Tries to deliver a message once.
    pub async fn deliver(
        &self,
        target: &Target,
        message: &Message,
        key: &SigningKey,
        sent_at_seconds: i64,
    ) -> Delivery {
        let Some(request) = request(target, message, key, sent_at_seconds) else {
            return Delivery::Failed("the address cannot be written into a request");
        };
        match timeout(DELIVERY_WAIT_MAX, self.send(target, request)).await {
            Err(_) => Delivery::Failed("the receiver did not answer in time"),
            Ok(Err(reason)) => Delivery::Failed(reason),
            Ok(Ok(status)) if status.is_success() => Delivery::Accepted,
            Ok(Ok(status)) => Delivery::Answered(status.as_u16()),
        }
    }

    async fn send(&self, target: &Target, request: Request<Full<Bytes>>) -> Result<StatusCode, &'static str> {
        let stream = self.connect(target).await?;
        #[cfg(feature = "tls")]
        if target.is_secure {
            let name = target.host.clone().try_into().map_err(|_| "the host's name is none")?;
            let stream = self.tls.connect(name, stream).await.map_err(|_| "TLS could not be agreed on")?;
            return exchange(stream, request).await;
        }
        exchange(stream, request).await
    }

    async fn connect(&self, target: &Target) -> Result<TcpStream, &'static str> {
        let resolved = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
        let resolved: Vec<SocketAddr> = resolved.map_err(|_| "the host's name is not known")?.collect();
        let may_reach = |address: &SocketAddr| self.reaches_private || is_public(address.ip());
        let allowed: Vec<_> = resolved.into_iter().filter(may_reach).take(ADDRESSES_TRIED_MAX).collect();
        if allowed.is_empty() {
            return Err("the host's address is private, which this server may not reach");
        }
        for address in allowed {
            if let Ok(Ok(stream)) = timeout(CONNECT_WAIT_MAX, TcpStream::connect(address)).await {
                return Ok(stream);
            }
        }
        Err("the receiver cannot be connected to")
    }
}

fn request(
    target: &Target,
    message: &Message,
    key: &SigningKey,
    sent_at_seconds: i64,
) -> Option<Request<Full<Bytes>>> {
    let signature = key.sign(&message.id, sent_at_seconds, &message.body);
    Request::post(&target.path)
        .header(header::HOST, target.authority.clone())
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(header::USER_AGENT, HeaderValue::from_static("Canvass"))
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", sent_at_seconds)
        .header("webhook-signature", signature)
        .body(Full::new(message.body.clone()))
        .ok()
}

/// Sends a request and reads the head of its answer. The body is left unread: the connection is closed.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(ANSWER_BYTES_MAX);
    let (mut sender, connection) = builder
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|_| "the receiver closed the connection")?;
    let (mut answer, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // A receiver may close as soon as it has answered: the answer is here then.
        _ = &mut connection => answer.await,
    };
    answer.map(|answer| answer.status()).map_err(|_| "the receiver sent no answer")
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sender")
            .field("reaches_private", &self.reaches_private)
            .finish_non_exhaustive()
    }
}
