//! The listening loop: one single-threaded runtime per worker, each with its own socket on the same address.
//!
//! axum's own `serve` puts every connection on one shared runtime and sets no timer. Here a connection lives its whole
//! life on one thread, so that nothing on the way of a vote is handed between workers, and a client that is slow to
//! speak or to listen is closed. What a handler waits for, such as a body, is the handler's to bound.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::{Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    sync::{Notify, mpsc, watch},
    time::{Instant, Sleep},
};
use tower::Service;

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
#[derive(Debug)]
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<std::net::TcpListener>,
    options: ServeOptions,
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
        Ok(Self { address: bound, sockets, options })
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
                let stop = stop.clone();
                let options = self.options;
                thread::Builder::new().name(format!("canvass-http-{index}")).spawn(move || {
                    let outcome = work(socket, app, options, connections, stopped.clone());
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
            return turn_away(&stream);
        };
        // An answer is one write; waiting for more to send with it would only delay it. Where the system refuses,
        // the connection has gone, and its first read says so.
        let _ = stream.set_nodelay(true);
        let activity = Rc::new(Activity::new(&self.options));
        let peer = PeerAddress(peer.ip().to_canonical());
        let service = service(self.app.clone(), peer, Rc::clone(&activity));
        let stream = TokioIo::new(Watched { stream, activity: Rc::clone(&activity) });
        // In a box, because a task that is handed it by value keeps a place for it at each hand.
        let connection = Box::pin(self.builder.serve_connection(stream, service));
        let (drain, open) = (Rc::clone(&self.drain), self.open.clone());
        tokio::task::spawn_local(async move {
            drive(connection, &activity, &drain).await;
            drop((place, open));
        });
    }
}

fn service(
    app: Router,
    peer: PeerAddress,
    activity: Rc<Activity>,
) -> impl HttpService<Incoming, ResBody = AnswerBody, Error = Infallible> {
    service_fn(move |mut request: Request<Incoming>| {
        let answering = Answering::begin(&activity);
        request.extensions_mut().insert(peer);
        // The clone is a reference count, and a router is always ready.
        let answer = app.clone().call(request);
        async move { Ok(answer.await?.map(|body| AnswerBody { body, _answering: answering })) }
    })
}

/// Drives a connection to its end, its deadline, or the end of the drain.
///
/// The timer and the notification are polled when they are made and when they are due, not with every request: the
/// task that they wake stays the same.
async fn drive<S>(
    mut connection: Pin<Box<http1::Connection<TokioIo<Watched>, S>>>,
    activity: &Activity,
    drain: &Drain,
) where
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

/// Until when a connection's client must have done its part: sent a head, begun another request, read its answer.
///
/// Deadlines are written with each step and read by a timer that wakes once in the shortest timeout.
struct Activity {
    head_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// Whether no byte of the next request has come.
    silent: Cell<bool>,
    read_deadline: Cell<Option<Instant>>,
    write_deadline: Cell<Option<Instant>>,
}

impl Activity {
    fn new(options: &ServeOptions) -> Self {
        let ServeOptions { head_timeout, idle_timeout, write_timeout, .. } = *options;
        Self {
            head_timeout,
            idle_timeout,
            write_timeout,
            silent: Cell::new(false),
            read_deadline: Cell::new(Some(Instant::now() + head_timeout)),
            write_deadline: Cell::new(None),
        }
    }

    fn bytes_came(&self) {
        if self.silent.replace(false) {
            self.read_deadline.set(Some(Instant::now() + self.head_timeout));
        }
    }

    fn request_began(&self) {
        self.silent.set(false);
        self.read_deadline.set(None);
    }

    fn answer_ended(&self) {
        self.silent.set(true);
        self.read_deadline.set(Some(Instant::now() + self.idle_timeout));
    }

    fn write_waits(&self) {
        if self.write_deadline.get().is_none() {
            self.write_deadline.set(Some(Instant::now() + self.write_timeout));
        }
    }

    fn write_went(&self) {
        self.write_deadline.set(None);
    }

    /// A deadline that comes up later is at least the shortest timeout away.
    fn next_check(&self) -> Instant {
        let shortest = self.head_timeout.min(self.idle_timeout).min(self.write_timeout);
        let deadlines = [self.read_deadline.get(), self.write_deadline.get()];
        deadlines.into_iter().flatten().fold(Instant::now() + shortest, Instant::min)
    }

    /// Ready if a deadline has passed; else the timer is set anew.
    fn check(&self, mut timer: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let passed = |deadline: &Cell<Option<Instant>>| deadline.get().is_some_and(|at| at <= now);
            if passed(&self.read_deadline) || passed(&self.write_deadline) {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.next_check());
            ready!(timer.as_mut().poll(context));
        }
    }
}

/// A request from its head to the end of its answer's body.
struct Answering(Rc<Activity>);

impl Answering {
    fn begin(activity: &Rc<Activity>) -> Self {
        activity.request_began();
        Self(Rc::clone(activity))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answer_ended();
    }
}

/// An answer's body, which ends its request when it is dropped.
struct AnswerBody {
    body: Body,
    _answering: Answering,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that notes when bytes come and when they cannot go.
struct Watched {
    stream: TcpStream,
    activity: Rc<Activity>,
}

impl Watched {
    fn note_write(&self, outcome: &Poll<io::Result<usize>>) {
        if outcome.is_pending() { self.activity.write_waits() } else { self.activity.write_went() }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if outcome.is_ready() {
            self.activity.bytes_came();
        }
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_write(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_write(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Polls once, without waiting.
async fn poll_once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll_fn(|context| Poll::Ready(poll(context))).await
}
