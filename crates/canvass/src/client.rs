//! The HTTP client of the commands: one connection to one server, and its problems turned into one line.
//!
//! It is hyper rather than a blocking client because an import must send and read at the same time: a server that
//! cannot hand over its answers stops reading.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{convert::Infallible, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    failure::Failure,
    limits::{ANSWER_BYTES_MAX, CONNECT_WAIT_MAX},
};

/// A request's body: whole, or sent as it is made.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, Infallible>;

/// One server, and one connection to it that is used again while it lasts.
pub(crate) struct Client {
    server: Server,
    key: Option<HeaderValue>,
    sender: Option<SendRequest<RequestBody>>,
}

/// Where requests go.
struct Server {
    /// Without a slash at the end.
    url: String,
    host: String,
    port: u16,
    #[cfg(feature = "tls")]
    is_secure: bool,
    authority: HeaderValue,
    path: String,
}

/// A whole answer.
pub(crate) struct Answer {
    /// Its status, which is a success.
    pub(crate) status: StatusCode,
    /// Its header fields.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) struct Lost {
    /// Whether the server may have received it.
    pub(crate) sent: bool,
    reason: String,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.reason)
    }
}

/// What came of a request that may be sent again.
pub(crate) enum Outcome {
    /// It was done.
    Done(Answer),
    /// It was refused.
    Refused(Problem),
    /// Nothing came back.
    Lost(Lost),
}

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The status.
    pub(crate) status: StatusCode,
    /// The problem's type without its path; empty if it is none of this project's.
    pub(crate) kind: String,
    /// What to do, from the problem or made up for an answer that is none.
    pub(crate) detail: String,
    /// When to try again.
    pub(crate) retry_after: Option<Duration>,
}

impl Client {
    /// A client for a server's address; nothing is sent yet.
    pub(crate) fn new(url: &str, key: Option<String>) -> Result<Self, Failure> {
        let key = key.filter(|key| !key.is_empty()).as_deref().map(secret).transpose()?;
        Ok(Self { server: Server::parse(url)?, key, sender: None })
    }

    /// Another client for the same server with a connection of its own.
    pub(crate) fn another(&self) -> Result<Self, Failure> {
        let server = Server::parse(&self.server.url)?;
        Ok(Self { server, key: self.key.clone(), sender: None })
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// Reads something.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// Reads something as JSON.
    pub(crate) async fn get_json(&mut self, path: &str) -> Result<Value, Failure> {
        self.get(path).await?.json()
    }

    /// Sends a request, with JSON if there is a body, and reads the whole answer, which must be a success.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        match self.exchange(method, path, &[], body.map(Bytes::from)).await {
            Outcome::Done(answer) => Ok(answer),
            Outcome::Refused(problem) => Err(problem.into()),
            Outcome::Lost(lost) => Err(self.lost(&lost)),
        }
    }

    /// Sends a request with JSON as its body.
    pub(crate) async fn send_json(
        &mut self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Answer, Failure> {
        self.send(method, path, Some(body.to_string().into_bytes())).await
    }

    /// The same, with header fields of its own, and without judging the outcome.
    pub(crate) async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<Bytes>,
    ) -> Outcome {
        let json = body.is_some().then_some("application/json");
        let request = match self.request(method, path, json, headers, whole(body.unwrap_or_default())) {
            Ok(request) => request,
            Err(lost) => return Outcome::Lost(lost),
        };
        match self.open(request).await {
            Err(lost) => Outcome::Lost(lost),
            Ok(response) => read(response).await,
        }
    }

    /// Sends a request and answers with the head of its answer; the body comes as it is read.
    pub(crate) async fn stream(
        &mut self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: RequestBody,
    ) -> Result<Response<Incoming>, Lost> {
        let request = self.request(method, path, content_type, &[], body)?;
        self.open(request).await
    }

    /// What to say where no answer came.
    pub(crate) fn lost(&self, lost: &Lost) -> Failure {
        let url = &self.server.url;
        Failure::failed(if lost.sent {
            format!(
                "the connection to {url} was lost before the answer came ({}); it may have been done",
                lost.reason
            )
        } else {
            format!(
                "cannot reach {url} ({}); start a server with `canvass serve`, or name another with --server or CANVASS_SERVER",
                lost.reason
            )
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        headers: &[(&'static str, &str)],
        body: RequestBody,
    ) -> Result<Request<RequestBody>, Lost> {
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server.path))
            .header(header::HOST, &self.server.authority)
            .header(header::USER_AGENT, concat!("canvass/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            builder = builder.header("x-api-key", key);
        }
        if let Some(content_type) = content_type {
            builder = builder.header(header::CONTENT_TYPE, content_type);
        }
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(body).map_err(|error| Lost { sent: false, reason: error.to_string() })
    }

    /// Sends over the connection at hand, or a new one where that has ended without taking the request.
    async fn open(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, Lost> {
        let mut request = request;
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.sender = Some(sender);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Lost { sent: true, reason: error.error().to_string() }),
                },
            }
        }
        let mut sender = self.server.connect().await.map_err(|reason| Lost { sent: false, reason })?;
        let answer = sender.send_request(request).await;
        self.sender = Some(sender);
        answer.map_err(|error| Lost { sent: true, reason: error.to_string() })
    }
}

fn secret(key: &str) -> Result<HeaderValue, Failure> {
    let value = HeaderValue::from_str(key);
    let mut value = value.map_err(|_| Failure::usage("the API key holds characters that no key has"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Server {
    fn parse(url: &str) -> Result<Self, Failure> {
        let wrong =
            || Failure::usage(format!("{url:?} is no server address; write it as http://127.0.0.1:8080"));
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            #[cfg(feature = "tls")]
            Some("https") => true,
            #[cfg(not(feature = "tls"))]
            Some("https") => return Err(crate::tls::no_https(url)),
            _ => return Err(wrong()),
        };
        if authority.as_str().contains('@') {
            return Err(wrong());
        }
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
            #[cfg(feature = "tls")]
            is_secure,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    async fn connect(&self) -> Result<SendRequest<RequestBody>, String> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = tokio::time::timeout(CONNECT_WAIT_MAX, connecting)
            .await
            .map_err(|_| "it does not answer".to_owned())?
            .map_err(|error| error.to_string())?;
        // A vote is one small write, which must not wait for more.
        let _ = stream.set_nodelay(true);
        #[cfg(feature = "tls")]
        if self.is_secure {
            let securing = crate::tls::secure(&self.host, stream);
            let stream = tokio::time::timeout(CONNECT_WAIT_MAX, securing)
                .await
                .map_err(|_| "it does not answer".to_owned())??;
            return speak(stream).await;
        }
        speak(stream).await
    }
}

/// Begins HTTP on a connection.
async fn speak<T>(stream: T) -> Result<SendRequest<RequestBody>, String>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let speaking = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = speaking.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        // Whoever waits for an answer on it hears of its end.
        let _ = connection.await;
    });
    Ok(sender)
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|_| Failure::failed("the server's answer is not JSON; is this a Canvass server?"))
    }

    /// A header field as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Reads an answer to its end and judges it. 304 is a success without a body.
pub(crate) async fn read(response: Response<Incoming>) -> Outcome {
    let (head, body) = response.into_parts();
    match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
        Err(error) => Outcome::Lost(Lost { sent: true, reason: error.to_string() }),
        Ok(body) if head.status.is_success() || head.status == StatusCode::NOT_MODIFIED => {
            Outcome::Done(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        }
        Ok(body) => Outcome::Refused(Problem::of(head.status, &head.headers, &body.to_bytes())),
    }
}

/// A body that is there as a whole.
pub(crate) fn whole(bytes: Bytes) -> RequestBody {
    Full::new(bytes).boxed_unsync()
}

impl Problem {
    fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let retry_after =
            headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            status,
            kind: text("type")
                .and_then(|kind| kind.strip_prefix("/problems/"))
                .unwrap_or_default()
                .to_owned(),
            detail: text("detail").map_or_else(|| format!("the server answered {status}"), str::to_owned),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::failed(match problem.kind.as_str() {
            "missing-key" => "this needs an API key: give it with --key or CANVASS_KEY".to_owned(),
            _ => problem.detail,
        })
    }
}

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    // A segment of dots alone would be taken for a step in the path.
    if encoded.bytes().all(|byte| byte == b'.') { encoded.replace('.', "%2E") } else { encoded }
}
