//! A load generator that takes little of the cores it shares with the server: one thread, one event queue, no parsing
//! beyond a status and a length.
//!
//! With an open loop, requests have intended times, and latency counts from them: a server that stalls is charged with
//! every request that should have been sent meanwhile. With a closed loop each connection sends when it has its answer,
//! which finds the highest rate.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use memchr::memmem;
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::outcome::{Context, Outcome, ensure};

/// How long to sleep when nothing is due: what an intended time can be missed by.
const PAUSE: Duration = Duration::from_micros(100);
/// Time that a server may leave everything unanswered.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// More than any answer to a vote takes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As soon as a connection has its answer.
    Closed,
    /// So many a second, whatever the server does.
    Open(f64),
}

/// A load to put on a server.
pub(crate) struct Load {
    /// The server.
    pub(crate) address: SocketAddr,
    /// Connections, each with one request at a time.
    pub(crate) connections: usize,
    /// When requests are sent.
    pub(crate) pace: Pace,
    /// Time before anything is counted.
    pub(crate) warm_up: Duration,
    /// Time that is counted; none means until there is no request left.
    pub(crate) measured: Option<Duration>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Answers a second.
    pub(crate) per_second: f64,
    /// Answers 201, in all, also those that were not counted for the rate.
    pub(crate) created: u64,
    /// Every other answer, in all.
    pub(crate) refused: u64,
    /// The first answer that was not 201.
    pub(crate) first_refusal: Option<String>,
    /// Microseconds of each counted answer, sorted.
    pub(crate) latencies_us: Vec<u32>,
}

impl Measured {
    /// A latency in milliseconds that a share of the answers (in thousandths) did not exceed.
    pub(crate) fn latency_ms(&self, thousandths: usize) -> f64 {
        match self.latencies_us.len() {
            0 => f64::NAN,
            count => f64::from(self.latencies_us[(count - 1) * thousandths / 1000]) / 1000.0,
        }
    }
}

/// Puts the load on the server. `next` appends a whole request and says so, or says that there is none left.
pub(crate) fn run(load: &Load, next: &mut dyn FnMut(&mut Vec<u8>) -> bool) -> Outcome<Measured> {
    let mut poll = Poll::new()?;
    let mut connections = open(load, &poll)?;
    let mut events = Events::with_capacity(load.connections);
    let mut run = Run::new(load);
    let mut idle: VecDeque<usize> = (0..connections.len()).collect();
    loop {
        let now = Instant::now();
        while !run.exhausted && now < run.until && run.is_due(now) {
            let Some(at) = idle.pop_front() else { break };
            let intended = run.take_due(now);
            if !connections[at].begin(intended, next)? {
                run.exhausted = true;
            }
        }
        let waiting = load.connections - idle.len();
        if now >= run.until || (run.exhausted && connections.iter().all(|one| !one.is_waiting)) {
            return Ok(run.finish(now));
        }
        let may_send = !run.exhausted && !idle.is_empty() && matches!(load.pace, Pace::Open(_));
        let wait = if may_send { Duration::ZERO } else { Duration::from_millis(100) };
        poll.poll(&mut events, Some(wait)).or_else(interrupted)?;
        if events.is_empty() {
            ensure(waiting == 0 || run.last_answer.elapsed() < SILENCE_MAX, || {
                "the server does not answer".into()
            })?;
            thread::sleep(if may_send { PAUSE } else { Duration::ZERO });
            continue;
        }
        let now = Instant::now();
        for event in &events {
            let at = event.token().0;
            let connection = &mut connections[at];
            if !connection.go_on()? {
                continue;
            }
            run.take_in(connection, now);
            // The usual case of a closed loop, without a detour over the list.
            let again = matches!(load.pace, Pace::Closed) && !run.exhausted && now < run.until;
            if again && connection.begin(now, next)? {
                continue;
            }
            run.exhausted |= again;
            idle.push_back(at);
        }
    }
}

fn interrupted(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

fn open(load: &Load, poll: &Poll) -> Outcome<Vec<Connection>> {
    let mut connections = Vec::with_capacity(load.connections);
    for index in 0..load.connections {
        let stream = std::net::TcpStream::connect(load.address).context(load.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        connections.push(Connection::new(stream));
    }
    Ok(connections)
}

/// What is kept over a whole run.
struct Run {
    interval: Option<Duration>,
    due: Instant,
    from: Instant,
    until: Instant,
    exhausted: bool,
    last_answer: Instant,
    measured: Measured,
}

impl Run {
    fn new(load: &Load) -> Self {
        let now = Instant::now();
        let from = now + load.warm_up;
        let forever = Duration::from_hours(24);
        let interval = match load.pace {
            Pace::Closed => None,
            Pace::Open(per_second) => Some(Duration::from_secs_f64(1.0 / per_second)),
        };
        Self {
            interval,
            due: now,
            from,
            until: from + load.measured.unwrap_or(forever),
            exhausted: false,
            last_answer: now,
            measured: Measured::default(),
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.interval.is_none() || self.due <= now
    }

    /// The intended time of the request that is sent now.
    fn take_due(&mut self, now: Instant) -> Instant {
        let Some(interval) = self.interval else { return now };
        let intended = self.due;
        self.due += interval;
        intended
    }

    fn take_in(&mut self, connection: &Connection, now: Instant) {
        self.last_answer = now;
        if connection.status == 201 {
            self.measured.created += 1;
        } else {
            self.measured.refused += 1;
            let shown = || String::from_utf8_lossy(&connection.answer).into_owned();
            self.measured.first_refusal.get_or_insert_with(shown);
        }
        if now >= self.from && now < self.until {
            let microseconds = now.saturating_duration_since(connection.intended).as_micros();
            self.measured.latencies_us.push(u32::try_from(microseconds).unwrap_or(u32::MAX));
        }
    }

    fn finish(mut self, now: Instant) -> Measured {
        let seconds = (now.min(self.until) - self.from.min(now)).as_secs_f64();
        // A run is far shorter than 2^53 answers.
        #[expect(clippy::cast_precision_loss, reason = "counts of answers are small")]
        let answers = self.measured.latencies_us.len() as f64;
        self.measured.per_second = answers / seconds;
        self.measured.latencies_us.sort_unstable();
        self.measured
    }
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
    buffer: Box<[u8]>,
    status: u16,
    intended: Instant,
    is_waiting: bool,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            request: Vec::with_capacity(512),
            sent: 0,
            answer: Vec::with_capacity(1024),
            buffer: vec![0; ANSWER_BYTES_MAX].into(),
            status: 0,
            intended: Instant::now(),
            is_waiting: false,
        }
    }

    /// Sends the next request, as far as it goes; false if there is none.
    fn begin(&mut self, intended: Instant, next: &mut dyn FnMut(&mut Vec<u8>) -> bool) -> io::Result<bool> {
        self.request.clear();
        if !next(&mut self.request) {
            return Ok(false);
        }
        self.sent = 0;
        self.answer.clear();
        self.intended = intended;
        self.is_waiting = true;
        self.write()?;
        Ok(true)
    }

    fn write(&mut self) -> io::Result<()> {
        while self.sent < self.request.len() {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Does what the socket allows; true if an answer is complete.
    fn go_on(&mut self) -> io::Result<bool> {
        if !self.is_waiting {
            return Ok(false);
        }
        self.write()?;
        loop {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed a connection",
                    ));
                }
                Ok(count) => self.answer.extend_from_slice(&self.buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if self.is_complete()? {
                self.is_waiting = false;
                return Ok(true);
            }
        }
    }

    fn is_complete(&mut self) -> io::Result<bool> {
        let Some(head_end) = memmem::find(&self.answer, b"\r\n\r\n") else { return Ok(false) };
        let (head, body) = self.answer.split_at(head_end + 4);
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "an answer without status or length");
        let length = content_length(head).ok_or_else(malformed)?;
        if body.len() < length {
            return Ok(false);
        }
        self.status =
            number(&head[9..12]).and_then(|status| u16::try_from(status).ok()).ok_or_else(malformed)?;
        Ok(true)
    }
}

/// The servers that are measured write their headers in small letters.
fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let start = memmem::find(head, NAME)? + NAME.len();
    let end = start + memchr::memchr(b'\r', &head[start..])?;
    number(&head[start..end])
}

fn number(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0_usize, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0'))
    })
}
