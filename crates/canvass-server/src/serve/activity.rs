//! What a connection does, so that one whose client does not do its part is closed.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::ServeOptions;

/// Until when a connection's client must have done its part: sent a head, begun another request, read its answer.
///
/// Deadlines are written with each step and read by a timer that wakes once in the shortest timeout.
pub(super) struct Activity {
    head_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// Whether no byte of the next request has come.
    silent: Cell<bool>,
    /// Whether the client is waited for when the connection ends; see [`Watched`].
    lingers: Cell<bool>,
    read_deadline: Cell<Option<Instant>>,
    write_deadline: Cell<Option<Instant>>,
}

impl Activity {
    pub(super) fn new(options: &ServeOptions) -> Self {
        let ServeOptions { head_timeout, idle_timeout, write_timeout, .. } = *options;
        Self {
            head_timeout,
            idle_timeout,
            write_timeout,
            silent: Cell::new(false),
            lingers: Cell::new(true),
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

    /// The connection ends without waiting for the client.
    pub(super) fn leave(&self) {
        self.lingers.set(false);
    }

    /// The client has what was said to it, and this long to stop sending.
    fn lingering_began(&self) {
        self.read_deadline.set(Some(Instant::now() + self.head_timeout));
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
    pub(super) fn next_check(&self) -> Instant {
        let shortest = self.head_timeout.min(self.idle_timeout).min(self.write_timeout);
        let deadlines = [self.read_deadline.get(), self.write_deadline.get()];
        deadlines.into_iter().flatten().fold(Instant::now() + shortest, Instant::min)
    }

    /// Ready if a deadline has passed; else the timer is set anew.
    pub(super) fn check(&self, mut timer: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<()> {
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
pub(super) struct Answering(Rc<Activity>);

impl Answering {
    pub(super) fn begin(activity: &Rc<Activity>) -> Self {
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
pub(super) struct AnswerBody {
    pub(super) body: Body,
    pub(super) _answering: Answering,
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
///
/// It ends as RFC 9112, section 9.6, asks. A client that is still sending when it is refused, such as one whose body is
/// too large, would lose the answer: what a closed socket has not read makes the system reset the connection. So the
/// last word is said first, and then everything is read and forgotten until the client ends, too.
pub(super) struct Watched<T> {
    stream: T,
    activity: Rc<Activity>,
    said_all: bool,
}

impl<T> Watched<T> {
    pub(super) fn new(stream: T, activity: Rc<Activity>) -> Self {
        Self { stream, activity, said_all: false }
    }

    fn note_write(&self, outcome: &Poll<io::Result<usize>>) {
        if outcome.is_pending() { self.activity.write_waits() } else { self.activity.write_went() }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if outcome.is_ready() {
            self.activity.bytes_came();
            if buffer.filled().len() == filled {
                self.activity.leave();
            }
        }
        outcome
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
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
        if !self.said_all {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.said_all = true;
            self.activity.lingering_began();
        }
        let mut forgotten = [0; 4_096];
        while self.activity.lingers.get() {
            let mut buffer = ReadBuf::new(&mut forgotten);
            let outcome = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if outcome.is_err() || buffer.filled().is_empty() {
                self.activity.leave();
            }
        }
        Poll::Ready(Ok(()))
    }
}
