//! Thousands who watch one poll: how soon they see a vote, what each takes of memory, and what voting loses by them.

use std::{
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use memchr::memmem;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use serde_json::json;

use super::{
    Bench,
    table::{median, print, rate, ratio},
};
use crate::{
    load::{self, Load, Measured, Pace},
    machine,
    outcome::{Context, Outcome, ensure},
    server::{ADMIN_KEY, Server, free_address},
    vote::{OPTIONS, VoteRequests},
};

const WATCHERS: usize = 5_000;
const STALLED: usize = 1_000;
const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(1);
/// Between two votes whose way to the screens is timed: longer than the pause between two results.
const VOTE_PAUSE: Duration = Duration::from_millis(250);
/// What is left after the last vote for it to arrive everywhere.
const ARRIVAL_MAX: Duration = Duration::from_secs(5);
/// Options and letters of the poll that stalled watchers watch: events of 10 KB, which soon fill what a socket takes.
const WIDE_OPTIONS: usize = 40;
const WIDE_LETTERS: usize = 150;

pub(super) fn run(bench: &Bench<'_>) -> Outcome {
    let directory = bench.new_directory("watchers")?;
    let server = bench.program.start(&directory, free_address()?)?;
    for (poll, more, letters) in [("plain", 0, 0), ("wide", WIDE_OPTIONS, WIDE_LETTERS)] {
        let fillers =
            (0..more).map(|place| json!({"id": format!("more{place}"), "label": "x".repeat(letters)}));
        let options: Vec<_> = OPTIONS.iter().map(|id| json!({ "id": id })).chain(fillers).collect();
        let poll =
            json!({"id": poll, "title": "T", "options": options, "status": "open", "access": "public"});
        let answer = server.client().post("/v1/polls", &poll)?;
        ensure(answer.status == 201, || answer.shown())?;
    }
    let mut votes = Votes { next: 0 };
    time_to_screens(bench, &server, &mut votes)?;
    loss_of_votes(bench, &server, &mut votes)?;
    server.kill()?;
    super::remove(&directory)
}

/// Milliseconds from the answer to a vote until the watchers have it, and the memory of one.
fn time_to_screens(bench: &Bench<'_>, server: &Server, votes: &mut Votes) -> Outcome {
    let mut rows = Vec::new();
    let mut memory = Vec::new();
    for count in [1, WATCHERS] {
        let mut figures: [Vec<f64>; 4] = Default::default();
        for round in 0..bench.options.rounds {
            let before = machine::resident_bytes(server.process())?;
            let crowd = Crowd::gather(server.address, "plain", count)?;
            let mut latencies = votes.one_by_one(server, bench.measured(), crowd)?;
            memory.push((count, latencies.resident_bytes.saturating_sub(before)));
            for (place, milliseconds) in
                [&mut latencies.answers, &mut latencies.screens].into_iter().enumerate()
            {
                milliseconds.sort_by(f64::total_cmp);
                let at = |thousandths: usize| milliseconds[(milliseconds.len() - 1) * thousandths / 1000];
                figures[2 * place].push(at(500));
                figures[2 * place + 1].push(at(990));
            }
            eprintln!("round {round}, {count} watchers: medians and p99 by round so far {figures:.1?}");
        }
        let shown = figures.iter().map(|figures| format!("{:.1}", median(figures)));
        rows.push([count.to_string()].into_iter().chain(shown).collect());
    }
    let header =
        ["watchers", "to the answer: median ms", "p99 ms", "from there to the screens: median ms", "p99 ms"];
    print("A vote's way to its answer, and on to the screens", &header, &rows);
    let first = memory.iter().find(|(count, _)| *count == WATCHERS).map_or(0, |(_, bytes)| *bytes);
    println!(
        "The first {WATCHERS} watchers took {:.1} KB of the server's memory each.\n",
        kilobytes(first) / 5_000.0
    );
    Ok(())
}

/// Votes a second with nobody watching, with a crowd, and with watchers who never read.
fn loss_of_votes(bench: &Bench<'_>, server: &Server, votes: &mut Votes) -> Outcome {
    const WAYS: [(&str, usize, bool, &str); 4] = [
        ("plain", 0, false, "nobody watches"),
        ("plain", WATCHERS, false, "5,000 watch"),
        ("wide", 0, false, "nobody watches, 42 options"),
        ("wide", STALLED, true, "1,000 watch and never read, 42 options"),
    ];
    let mut rates: [Vec<f64>; WAYS.len()] = Default::default();
    let mut highs: [Vec<f64>; WAYS.len()] = Default::default();
    for round in 0..bench.options.rounds as usize {
        for turn in 0..WAYS.len() {
            // Each comes first in turn, so that none always follows the same one.
            let at = (round + turn) % WAYS.len();
            let (poll, count, stalls, name) = WAYS[at];
            let idle = if stalls { stall(server.address, poll, count)? } else { Vec::new() };
            let crowd =
                if stalls || count == 0 { None } else { Some(Crowd::gather(server.address, poll, count)?) };
            let measured = votes.many(server, poll, bench.measured())?;
            ensure(measured.refused == 0, || format!("{} votes were refused", measured.refused))?;
            drop(idle);
            crowd.map(Crowd::leave).transpose()?;
            eprintln!(
                "round {round}, {name}: {:.0} votes/s, p99 {:.1} ms",
                measured.per_second,
                measured.latency_ms(990)
            );
            rates[at].push(measured.per_second);
            highs[at].push(measured.latency_ms(990));
        }
    }
    let row = |(at, (poll, _, _, name)): (usize, &(&str, usize, bool, &str))| {
        let alone = if *poll == "wide" { 2 } else { 0 };
        vec![
            (*name).to_owned(),
            rate(median(&rates[at])),
            ratio(&rates[at], &rates[alone]),
            format!("{:.1}", median(&highs[at])),
        ]
    };
    print(
        "Voting while others watch",
        &["what", "votes/s", "of nobody watching", "99th percentile ms"],
        &WAYS.iter().enumerate().map(row).collect::<Vec<_>>(),
    );
    println!(
        "Who watches runs on the same cores, beside the load generator: the loss holds what reading takes.\n"
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^53")]
fn kilobytes(bytes: u64) -> f64 {
    bytes as f64 / 1e3
}

/// Voters that are all different.
struct Votes {
    next: u64,
}

/// How long votes took to their answers and to every screen, and what the server held meanwhile.
struct Latencies {
    /// Milliseconds from each vote to its answer.
    answers: Vec<f64>,
    /// Milliseconds from each answer to each watcher; 0 where the watcher was told first.
    screens: Vec<f64>,
    resident_bytes: u64,
}

impl Votes {
    /// Votes one at a time, each timed from its answer to every watcher.
    fn one_by_one(&mut self, server: &Server, measured: Duration, crowd: Crowd) -> Outcome<Latencies> {
        let mut client = server.client();
        let (mut answered, mut answers) = (Vec::new(), Vec::new());
        let started = Instant::now();
        while started.elapsed() < measured {
            self.next += 1;
            let vote = json!({"voterId": format!("one-{}", self.next), "ballot": {"choice": OPTIONS[0]}});
            let sent = Instant::now();
            let answer = client.post("/v1/polls/plain/votes", &vote)?;
            answers.push(sent.elapsed().as_secs_f64() * 1e3);
            ensure(answer.status == 201, || answer.shown())?;
            let sequence = answer.json()["sequence"].as_u64().ok_or("a vote without its sequence")?;
            answered.push((sequence, Instant::now()));
            thread::sleep(VOTE_PAUSE);
        }
        thread::sleep(ARRIVAL_MAX);
        let resident_bytes = machine::resident_bytes(server.process())?;
        let count = crowd.count;
        let seen = crowd.leave()?;
        let mut screens = Vec::new();
        for (sequence, answered) in &answered {
            for arrivals in &seen {
                // Whoever is slower than ten results a second skips to a newer one, which tells this vote too.
                let arrived = arrivals.iter().find(|(told, _)| told >= sequence).map(|(_, at)| *at);
                let arrived =
                    arrived.ok_or_else(|| format!("sequence {sequence} never came to a watcher"))?;
                screens.push(arrived.saturating_duration_since(*answered).as_secs_f64() * 1e3);
            }
        }
        ensure(screens.len() == answered.len() * count, || "some watchers are missing".into())?;
        Ok(Latencies { answers, screens, resident_bytes })
    }

    /// As many votes as the server takes.
    fn many(&mut self, server: &Server, poll: &str, measured: Duration) -> Outcome<Measured> {
        let load = Load {
            address: server.address,
            connections: CONNECTIONS,
            pace: Pace::Closed,
            warm_up: WARM_UP,
            measured: Some(measured),
        };
        // Far more voters than one measurement has.
        self.next += 100_000_000;
        let mut requests = VoteRequests::new(poll, ADMIN_KEY, self.next);
        load::run(&load, &mut |into| {
            requests.append(into);
            true
        })
    }
}

/// What one watcher was told, and when.
type Arrivals = Vec<(u64, Instant)>;

/// Watchers of one poll, on one thread.
struct Crowd {
    count: usize,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Outcome<Vec<Arrivals>>>,
}

impl Crowd {
    /// Connects so many and waits until each was told of the poll as it stands.
    fn gather(address: SocketAddr, poll: &str, count: usize) -> Outcome<Self> {
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = ask(address, poll)?;
            stream.set_nonblocking(true)?;
            streams.push(TcpStream::from_std(stream));
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let present = Arc::new(AtomicUsize::new(0));
        let (over, told) = (Arc::clone(&is_over), Arc::clone(&present));
        let thread = thread::spawn(move || watch(streams, &over, &told));
        let started = Instant::now();
        while present.load(Ordering::Relaxed) < count {
            let is_alive = !thread.is_finished() && started.elapsed() < Duration::from_mins(1);
            ensure(is_alive, || "the watchers are not told anything".into())?;
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { count, is_over, thread })
    }

    /// Ends them all; what they were told.
    fn leave(self) -> Outcome<Vec<Arrivals>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("a watching thread does not panic")
    }
}

fn watch(mut streams: Vec<TcpStream>, is_over: &AtomicBool, present: &AtomicUsize) -> Outcome<Vec<Arrivals>> {
    let mut poll = Poll::new()?;
    for (place, stream) in streams.iter_mut().enumerate() {
        poll.registry().register(stream, Token(place), Interest::READABLE)?;
    }
    let mut seen: Vec<Arrivals> = vec![Vec::new(); streams.len()];
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 256 * 1024];
    while !is_over.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(50)))?;
        for event in &events {
            let place = event.token().0;
            // Read until there is no more: the queue tells only once.
            while let Some(read) = read_some(&mut streams[place], &mut buffer)? {
                let Some(sequence) = newest(&buffer[..read]) else { continue };
                if seen[place].is_empty() {
                    present.fetch_add(1, Ordering::Relaxed);
                }
                seen[place].push((sequence, Instant::now()));
            }
        }
    }
    Ok(seen)
}

fn read_some(stream: &mut TcpStream, buffer: &mut [u8]) -> Outcome<Option<usize>> {
    match stream.read(buffer) {
        Ok(0) => Err("a stream ended".into()),
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The sequence of the last event in some bytes of a stream.
fn newest(bytes: &[u8]) -> Option<u64> {
    let start = memmem::rfind(bytes, b"\nid: ")? + 5;
    let end = start + memchr::memchr(b'\n', &bytes[start..])?;
    std::str::from_utf8(&bytes[start..end]).ok()?.parse().ok()
}

/// Watchers who ask and never read.
fn stall(address: SocketAddr, poll: &str, count: usize) -> Outcome<Vec<std::net::TcpStream>> {
    (0..count).map(|_| ask(address, poll)).collect()
}

fn ask(address: SocketAddr, poll: &str) -> Outcome<std::net::TcpStream> {
    let mut stream = std::net::TcpStream::connect(address).context(address)?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /v1/polls/{poll}/results/stream HTTP/1.1\r\nhost: localhost\r\nx-api-key: {ADMIN_KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, expected: Option<u64>) {
        assert_eq!(newest(bytes.as_bytes()), expected, "{bytes}");
    }

    #[test]
    fn the_newest_sequence_is_found_where_it_is_whole() {
        check("event: results\nid: 7\ndata: {}\n\n", Some(7));
        check("event: results\nid: 7\ndata: {}\n\nevent: results\nid: 12\ndata: {}\n\n", Some(12));
        check("event: results\nid: 7", None);
        check(":\n\n", None);
    }
}
