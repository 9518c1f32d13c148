//! Clients that never end, never begin, or take their time.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{
    Bench, Verdict,
    books::{Vote, make_poll},
};
use crate::{
    http, machine,
    outcome::{Context, Outcome, ensure},
    server::{ADMIN_KEY, Server, free_address},
};

const POLL: &str = "slow";
/// Bytes of memory that a fault may add to a server.
const GROWTH_BYTES_MAX: u64 = 48 << 20;
/// Bytes that an endless client sends before it gives up.
const ENDLESS_BYTES: usize = 256 << 20;
/// Idle connections while votes go on.
const IDLE_CONNECTIONS: usize = 10_000;
/// Clients of each slow kind.
const SLOW_CLIENTS: usize = 100;
/// Time after which every slow client must have been turned away: the server's longest wait for a head or a body is
/// 10 s.
const SLOW_WAIT_MAX: Duration = Duration::from_secs(15);

fn start(bench: &Bench<'_>) -> Outcome<Server> {
    let server = bench.program.start(&bench.directory.join("data"), free_address()?)?;
    make_poll(&mut server.client(), POLL, "never")?;
    Ok(server)
}

fn head(path: &str, content_type: &str, length: &str) -> String {
    format!(
        "POST /v1/polls/{POLL}/{path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {ADMIN_KEY}\r\n\
         content-type: {content_type}\r\n{length}\r\n\r\n"
    )
}

/// A vote's body without an end is refused after 64 KiB, and a head without an end after 32.
pub(super) fn endless_body(bench: &Bench<'_>) -> Outcome<Verdict> {
    let server = start(bench)?;
    let before = machine::resident_bytes(server.process())?;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let vote = head("votes", "application/json", "transfer-encoding: chunked");
    let (body_bytes, body_status) = send_endlessly(server.address, &vote, chunk.as_bytes())?;
    ensure(body_status == Some(413), || format!("an endless vote was answered {body_status:?}"))?;
    let (head_bytes, head_status) =
        send_endlessly(server.address, "GET /livez HTTP/1.1\r\n", b"x-more: and more\r\n")?;
    ensure(head_status == Some(431), || format!("an endless head was answered {head_status:?}"))?;
    let growth = machine::resident_bytes(server.process())?.saturating_sub(before);
    ensure(growth < GROWTH_BYTES_MAX, || format!("the server grew by {growth} bytes"))?;
    vote_through(&server, 10)?;
    Ok(Verdict::Held(format!(
        "413 after {} KiB of an endless body, 431 after {} KiB of an endless head (sent, not read), memory +{} KiB",
        body_bytes >> 10,
        head_bytes >> 10,
        growth >> 10
    )))
}

/// Sends a head and then the same piece until the server answers and stops reading; how much was sent, and the answer.
fn send_endlessly(address: SocketAddr, head: &str, piece: &[u8]) -> Outcome<(usize, Option<u16>)> {
    let mut stream = http::connect(address, Duration::from_secs(30))?;
    let mut reading = BufReader::new(stream.try_clone()?);
    let reader = thread::spawn(move || http::read_answer(&mut reading).ok().map(|answer| answer.status));
    let mut sent = head.len();
    stream.write_all(head.as_bytes())?;
    while sent < ENDLESS_BYTES && !reader.is_finished() && stream.write_all(piece).is_ok() {
        sent += piece.len();
    }
    let status = reader.join().expect("a reader does not panic");
    ensure(sent < ENDLESS_BYTES, || "the server reads without end".into())?;
    Ok((sent, status))
}

/// A line of a batch without an end takes bounded memory, spoils no other line, and is answered 413.
pub(super) fn endless_line(bench: &Bench<'_>) -> Outcome<Verdict> {
    let server = start(bench)?;
    let before = machine::resident_bytes(server.process())?;
    let (first, last) = (Vote::numbered("v", 1).line(), Vote::numbered("v", 2).line());
    let length = first.len() + ENDLESS_BYTES + 1 + last.len();
    let mut stream = http::connect(server.address, Duration::from_mins(1))?;
    stream.write_all(
        head("votes/batch", "application/x-ndjson", &format!("content-length: {length}")).as_bytes(),
    )?;
    stream.write_all(first.as_bytes())?;
    let piece = vec![b'x'; 1 << 20];
    let mut growth = 0;
    for _ in 0..ENDLESS_BYTES / piece.len() {
        stream.write_all(&piece)?;
        growth = growth.max(machine::resident_bytes(server.process())?.saturating_sub(before));
    }
    stream.write_all(b"\n")?;
    stream.write_all(last.as_bytes())?;
    let answer = http::read_answer(&mut BufReader::new(stream))?;
    let statuses: Vec<_> = answer
        .body
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok()?["status"].as_u64())
        .collect();
    ensure(statuses == [201, 413, 201], || format!("the lines were answered {statuses:?}"))?;
    ensure(growth < GROWTH_BYTES_MAX, || format!("the server grew by {growth} bytes"))?;
    Ok(Verdict::Held(format!(
        "201, 413, 201 around a line of {} MiB, memory +{} KiB",
        ENDLESS_BYTES >> 20,
        growth >> 10
    )))
}

/// Heads and bodies that come byte by byte are cut off, while votes go on.
pub(super) fn slow_clients(bench: &Bench<'_>) -> Outcome<Verdict> {
    let server = start(bench)?;
    let vote = head("votes", "application/json", "content-length: 1000");
    let mut clients = Vec::new();
    for start in ["GET /livez HTTP/1.1\r\nx-slow: ", &vote] {
        for _ in 0..SLOW_CLIENTS {
            let mut stream = http::connect(server.address, Duration::from_secs(30))?;
            stream.write_all(start.as_bytes())?;
            stream.set_nonblocking(true)?;
            clients.push(stream);
        }
    }
    let started = Instant::now();
    let (mut votes, mut slowest) = (0, Duration::ZERO);
    let mut client = server.client();
    while !clients.is_empty() {
        ensure(started.elapsed() < SLOW_WAIT_MAX, || {
            format!("{} slow clients are still served", clients.len())
        })?;
        clients.retain_mut(is_still_served);
        let asked = Instant::now();
        let answer = Vote::numbered("v", votes).send(&mut client, POLL)?;
        ensure(answer.status == 201, || answer.shown())?;
        (votes, slowest) = (votes + 1, slowest.max(asked.elapsed()));
        thread::sleep(Duration::from_millis(200));
    }
    Ok(Verdict::Held(format!(
        "{} slow heads and bodies turned away within {:.1} s; {votes} votes meanwhile, the slowest {:.1} ms",
        2 * SLOW_CLIENTS,
        started.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1000.0
    )))
}

/// Sends one more byte; false once the server has closed or answered.
fn is_still_served(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 512];
    let is_silent =
        matches!(stream.read(&mut answer), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    is_silent && stream.write_all(b" ").is_ok()
}

/// Many connections that say nothing more leave room for votes.
pub(super) fn idle_connections(bench: &Bench<'_>) -> Outcome<Verdict> {
    let allowed = usize::try_from(machine::raise_open_files()).unwrap_or(usize::MAX);
    if allowed < IDLE_CONNECTIONS + 100 {
        return Ok(Verdict::Skipped(format!("the system allows {allowed} open files")));
    }
    let server = start(bench)?;
    let before = machine::resident_bytes(server.process())?;
    let mut idle = Vec::with_capacity(IDLE_CONNECTIONS);
    for number in 0..IDLE_CONNECTIONS {
        let mut stream =
            http::connect(server.address, Duration::from_secs(30)).context(format!("connection {number}"))?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let mut stream = BufReader::with_capacity(512, stream);
        let answer = http::read_answer(&mut stream).context(format!("connection {number}"))?;
        ensure(answer.status == 200, || answer.shown())?;
        idle.push(stream);
    }
    let (votes, slowest) = vote_through(&server, 2_000)?;
    let growth = machine::resident_bytes(server.process())?.saturating_sub(before);
    Ok(Verdict::Held(format!(
        "{} idle connections, {} bytes of memory each; {votes} votes meanwhile, the slowest {:.1} ms",
        idle.len(),
        growth / IDLE_CONNECTIONS as u64,
        slowest.as_secs_f64() * 1000.0
    )))
}

/// Votes one after the other; all must be accepted.
fn vote_through(server: &Server, votes: u64) -> Outcome<(u64, Duration)> {
    let mut client = server.client();
    let mut slowest = Duration::ZERO;
    for number in 0..votes {
        let asked = Instant::now();
        let answer = Vote::numbered("through", number).send(&mut client, POLL)?;
        ensure(answer.status == 201, || answer.shown())?;
        slowest = slowest.max(asked.elapsed());
    }
    Ok((votes, slowest))
}
