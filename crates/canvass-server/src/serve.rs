//! The listening loop: one single-threaded runtime per worker, each with its own socket on the same address.
//!
//! axum's own `serve` puts every connection on one shared runtime and sets no timer. Here a connection lives its whole
//! life on one thread, so that nothing on the way of a vote is handed between workers, and a client that is slow to
//! speak or to listen is closed. What a handler waits for, such as a body, is the handler's to bound.

mod activity;
mod tls;

use std::{
    cell::Cell,
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    io,
    net::{Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    sync::{Notify, mpsc, watch},
};
use tower::Service;

use self::activity::{Activity, AnswerBody, Answering, Watched};
pub use self::tls::UnderTls;
use crate::{
    PeerAddress,
    limits::{
        ACCEPT_PAUSE, BACKLOG, CONNECTION_BUFFER_BYTES_MAX, CONNECTIONS_MAX, DRAIN_TIMEOUT, HEAD_BYTES_MAX,
        HEAD_TIMEOUT, IDLE_TIMEOUT, WRITE_TIMEOUT,
    },
};

/// How to listen. The timeouts are at least a millisecond.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// Threads that serve; by default one per core.
    pub workers: usize,
    /// See [`CONNECTIONS_MAX`].
    pub connections_max: usize,
    /// See [`HEAD_TIMEOUT`].
    pub head_timeout: Duration,
    /// See [`IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// See [`WRITE_TIMEOUT`].
    pub write_timeout: Duration,
    /// See [`DRAIN_TIMEOUT`].
    pub drain_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            workers: thread::available_parallelism().map_or(1, usize::from),
            connections_max: CONNECTIONS_MAX,
            head_timeout: HEAD_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            write_timeout: WRITE_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}

/// Why the server cannot listen or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, not this machine's, or not allowed.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The system gave no thread or no event queue.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

/// What was left when the server stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy at the end of [`ServeOptions::drain_timeout`] and were cut.
    pub connections_cut: usize,
}

/// The sockets of a server that is about to serve. Callers can connect already; they wait until it does.
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<std::net::TcpListener>,
    options: ServeOptions,
    acceptor: Option<tls::Acceptor>,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Listeners").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listeners {
    /// Listens on an address, with one socket per worker. Port 0 stands for a free one.
    ///
    /// # Errors
    /// [`ServeError::Listen`], also where another server listens there.
    pub fn bind(address: SocketAddr, options: ServeOptions) -> Result<Self, ServeError> {
        let failed = |cause| ServeError::Listen { address, cause };
        let first = first_socket(address).map_err(failed)?;
        let bound = first.local_addr().map_err(failed)?;
        let mut sockets = vec![first];
        while sockets.len() < options.workers {
            let next = sibling_socket(bound).or_else(|_| sockets[0].try_clone()).map_err(failed)?;
            sockets.push(next);
        }
        Ok(Self { address: bound, sockets, options, acceptor: None })
    }

    /// Speaks TLS with its clients, and nothing else. HTTP/1.1 is what is spoken under it, so the configuration is to
    /// offer `http/1.1` by ALPN (RFC 7301) or nothing.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(self, config: Arc<tokio_rustls::rustls::ServerConfig>) -> Self {
        Self { acceptor: Some(config.into()), ..self }
    }

    /// The address, with the port that the system chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done; then accepts no more, lets each connection end the request in flight, and
    /// returns. The calling thread waits meanwhile. The app's requests carry the [`PeerAddress`].
    ///
    /// # Errors
    /// [`ServeError::Worker`] if a worker cannot start; the others are stopped then.
    #[expect(clippy::needless_pass_by_value, reason = "the app ends with its server")]
    pub fn serve(self, app: Router, shutdown: impl Future<Output = ()>) -> Result<Drained, ServeError> {
        let (stop, stopped) = watch::channel(false);
        let connections = Arc::new(AtomicUsize::new(0));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ServeError::Worker)?;
        let workers: Vec<_> = self
            .sockets
            .into_iter()
            .enumerate()
            .map(|(index, socket)| {
                let (app, connections, stopped) = (app.clone(), Arc::clone(&connections), stopped.clone());
                let (stop, acceptor) = (stop.clone(), self.acceptor.clone());
                let options = self.options;
                thread::Builder::new().name(format!("canvass-http-{index}")).spawn(move || {
                    let outcome = work(socket, app, acceptor, options, connections, stopped.clone());
                    // A server with a worker missing would leave its part of the connections unanswered.
                    stop.send_replace(true);
                    // Until here the calling thread knows that this worker still drains.
                    drop(stopped);
                    outcome
                })
            })
            .collect();
        drop(stopped);
        let all_started = workers.iter().all(Result::is_ok);
        runtime.block_on(async {
            let mut told = stop.subscribe();
            tokio::select! {
                () = shutdown, if all_started => {}
                _ = told.wait_for(|stop| *stop) => {}
            }
            drop(told);
            stop.send_replace(true);
            // Tasks of the caller's, such as one that waits for a second signal, go on while the workers drain.
            stop.closed().await;
        });
        join(workers)
    }
}

fn join(
    workers: Vec<io::Result<thread::JoinHandle<Result<usize, ServeError>>>>,
) -> Result<Drained, ServeError> {
    let mut connections_cut = 0;
    for worker in workers {
        match worker.map_err(ServeError::Worker)?.join() {
            Ok(outcome) => connections_cut += outcome?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    Ok(Drained { connections_cut })
}

/// The socket that claims the address. It is bound alone, so that a second server on the address is refused, and opened
/// to siblings afterwards.
fn first_socket(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = new_socket(address)?;
    socket.bind(&address.into())?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Another socket on the same address, between which the system spreads new connections.
#[cfg(target_os = "linux")]
fn sibling_socket(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = new_socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Elsewhere `SO_REUSEPORT` does not spread connections; the workers share one socket.
#[cfg(not(target_os = "linux"))]
fn sibling_socket(_: SocketAddr) -> io::Result<std::net::TcpListener> {
    Err(io::ErrorKind::Unsupported.into())
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without it a restart would wait for the last connections' TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// One worker's life, from its first connection to its last; answers with the number of those it had to cut.
fn work(
    socket: std::net::TcpListener,
    app: Router,
    acceptor: Option<tls::Acceptor>,
    options: ServeOptions,
    connections: Arc<AtomicUsize>,
    stopped: watch::Receiver<bool>,
) -> Result<usize, ServeError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(ServeError::Worker)?;
    runtime.block_on(async move {
        let listener = TcpListener::from_std(socket).map_err(ServeError::Worker)?;
        let (open, mut all_closed) = mpsc::channel(1);
        let worker = Worker {
            app,
            acceptor,
            builder: connection_builder(),
            options,
            connections,
            drain: Rc::new(Drain { begun: Cell::new(false), notify: Notify::new() }),
            open,
        };
        worker.accept_until(&listener, stopped).await;
        drop(listener);
        let drain = Rc::clone(&worker.drain);
        // With the worker go its sender and its router: the channel ends with the last connection.
        drop(worker);
        drain.begun.set(true);
        drain.notify.notify_waiters();
        let drained = tokio::time::timeout(options.drain_timeout, all_closed.recv()).await;
        Ok(if drained.is_ok() { 0 } else { all_closed.sender_strong_count() })
    })
}

fn connection_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // hyper's own timer would be made and dropped with each request; see `Activity`. Its `pipeline_flush` stays off:
    // with it the answer to a malformed head is never sent.
    builder
        .header_read_timeout(None)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(CONNECTION_BUFFER_BYTES_MAX);
    builder
}

/// What a worker gives each of its connections.
struct Worker {
    app: Router,
    acceptor: Option<tls::Acceptor>,
    builder: http1::Builder,
    options: ServeOptions,
    connections: Arc<AtomicUsize>,
    drain: Rc<Drain>,
    open: mpsc::Sender<Infallible>,
}

/// Tells connections that the server stops.
struct Drain {
    begun: Cell<bool>,
    notify: Notify,
}

impl Worker {
    async fn accept_until(&self, listener: &TcpListener, mut stopped: watch::Receiver<bool>) {
        let mut stop = pin!(stopped.wait_for(|stop| *stop));
        loop {
            tokio::select! {
                biased;
                _ = &mut stop => break,
                accepted = listener.accept() => self.admit_or_pause(accepted).await,
            }
        }
        // What the system has accepted for this socket already would be reset with it.
        while let Poll::Ready(Ok((stream, peer))) = poll_once(|context| listener.poll_accept(context)).await {
            self.admit(stream, peer);
        }
    }

    async fn admit_or_pause(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => self.admit(stream, peer),
            // The client has gone already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(place) = Place::take(&self.connections, self.options.connections_max) else {
            // Under TLS nothing can be said before both have agreed on keys.
            return if self.acceptor.is_none() { turn_away(&stream) } else { drop(stream) };
        };
        // An answer is one write; waiting for more to send with it would only delay it. Where the system refuses,
        // the connection has gone, and its first read says so.
        let _ = stream.set_nodelay(true);
        keep_little_unsent(&stream);
        let peer = PeerAddress(peer.ip().to_canonical());
        let (app, builder, drain) = (self.app.clone(), self.builder.clone(), Rc::clone(&self.drain));
        let (acceptor, options, open) = (self.acceptor.clone(), self.options, self.open.clone());
        match acceptor {
            None => {
                let (connection, activity) =
                    connect(&builder, stream, &options, |activity| service(app, peer, false, activity));
                tokio::task::spawn_local(async move {
                    drive(connection, &activity, &drain).await;
                    drop((place, open));
                })
            }
            Some(acceptor) => tokio::task::spawn_local(async move {
                if let Some(stream) = tls::shake_hands(acceptor, stream, options.head_timeout).await {
                    let service = |activity| service(app, peer, true, activity);
                    let (connection, activity) = connect(&builder, stream, &options, service);
                    drive(connection, &activity, &drain).await;
                }
                drop((place, open));
            }),
        };
    }
}

/// Has the system take no more of an answer than [`crate::limits::UNSENT_BYTES_MAX`] ahead of what it sends. By itself it
/// holds megabytes for each connection, and who reads slowly is told all of it before what is new.
#[cfg(target_os = "linux")]
fn keep_little_unsent(stream: &TcpStream) {
    // Where the system refuses, it holds more.
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(crate::limits::UNSENT_BYTES_MAX);
}

#[cfg(not(target_os = "linux"))]
fn keep_little_unsent(_: &TcpStream) {}

type Connection<T, S> = Pin<Box<http1::Connection<TokioIo<Watched<T>>, S>>>;

/// A connection, and what it is seen doing. It is in a box, because a task that is handed it by value keeps a place for
/// it at each hand.
fn connect<T, S>(
    builder: &http1::Builder,
    stream: T,
    options: &ServeOptions,
    service: impl FnOnce(Rc<Activity>) -> S,
) -> (Connection<T, S>, Rc<Activity>)
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: HttpService<Incoming, ResBody = AnswerBody, Error = Infallible>,
{
    let activity = Rc::new(Activity::new(options));
    let service = service(Rc::clone(&activity));
    let stream = TokioIo::new(Watched::new(stream, Rc::clone(&activity)));
    (Box::pin(builder.serve_connection(stream, service)), activity)
}

fn service(
    app: Router,
    peer: PeerAddress,
    is_under_tls: bool,
    activity: Rc<Activity>,
) -> impl HttpService<Incoming, ResBody = AnswerBody, Error = Infallible> {
    service_fn(move |mut request: Request<Incoming>| {
        let answering = Answering::begin(&activity);
        request.extensions_mut().insert(peer);
        if is_under_tls {
            request.extensions_mut().insert(UnderTls);
        }
        // The clone is a reference count, and a router is always ready.
        let answer = app.clone().call(request);
        async move { Ok(answer.await?.map(|body| AnswerBody { body, _answering: answering })) }
    })
}

/// Drives a connection to its end, its deadline, or the end of the drain.
///
/// The timer and the notification are polled when they are made and when they are due, not with every request: the
/// task that they wake stays the same.
async fn drive<T, S>(mut connection: Connection<T, S>, activity: &Activity, drain: &Drain)
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: HttpService<Incoming, ResBody = AnswerBody, Error = Infallible>,
{
    let mut drained = pin!(drain.notify.notified());
    let mut timer = pin!(tokio::time::sleep_until(activity.next_check()));
    let (mut registered, mut closing) = (false, false);
    poll_fn(|context| {
        loop {
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            if !registered {
                registered = true;
                let _ = drained.as_mut().poll(context);
                let _ = timer.as_mut().poll(context);
            }
            if timer.is_elapsed() && activity.check(timer.as_mut(), context).is_ready() {
                return Poll::Ready(());
            }
            if closing || !drain.begun.get() {
                return Poll::Pending;
            }
            closing = true;
            activity.leave();
            connection.as_mut().graceful_shutdown();
        }
    })
    .await;
}

/// A place among the connections; given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(connections: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let place = Self(Arc::clone(connections));
        (connections.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers 503 as far as that goes without waiting, and closes.
fn turn_away(stream: &TcpStream) {
    const PROBLEM: &str = r#"{"type":"/problems/server-busy","title":"The server is full","status":503,"detail":"there are too many connections; connect again in a second"}"#;
    let length = PROBLEM.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         content-length: {length}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{PROBLEM}"
    );
    // What stays unread at the close would turn it into a reset, which can overtake the answer.
    let mut request = [0; 4_096];
    let _ = stream.try_read(&mut request);
    let _ = stream.try_write(answer.as_bytes());
}

/// Polls once, without waiting.
async fn poll_once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll_fn(|context| Poll::Ready(poll(context))).await
}
