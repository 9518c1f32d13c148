//! Clients that are slow, silent, many or malformed take nothing from the others.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::harness::{Connection, Server};

const HEALTH: &[u8] = b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";

#[expect(clippy::disallowed_methods, reason = "a test measures how long a server waits")]
fn now() -> Instant {
    Instant::now()
}

/// What a connection is told that sends these parts one after the other, and after how many seconds it is closed.
fn check(server: &Server, parts: &[&[u8]], expected: &str, seconds: std::ops::RangeInclusive<u64>) {
    let mut connection = server.connect();
    let begun = now();
    for part in parts {
        connection.send(part).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    let told = connection.rest();
    let first = told.lines().next().unwrap_or_default();
    assert_eq!(first, expected);
    let waited = begun.elapsed().as_secs();
    assert!(seconds.contains(&waited), "closed after {waited} seconds");
}

#[test]
fn slow_and_silent_clients_are_closed() {
    let server = Server::start(&["--head-seconds", "1", "--idle-seconds", "4", "--body-seconds", "1"]);
    check(&server, &[], "", 1..=3);
    check(&server, &[b"GET /livez HTTP/1.1\r\nhos", b"t"], "", 1..=3);
    check(&server, &[HEALTH], "HTTP/1.1 200 OK", 4..=6);
    // A head that begins after an answer has a head's time, not an idle connection's.
    check(&server, &[HEALTH, b"GET /"], "HTTP/1.1 200 OK", 1..=3);
    let vote = b"POST /v1/polls/p/votes HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{";
    check(&server, &[vote], "HTTP/1.1 408 Request Timeout", 1..=3);
}

#[test]
fn malformed_heads_are_answered() {
    let server = Server::start(&[]);
    check(&server, &[b"what is this\r\n\r\n"], "HTTP/1.1 400 Bad Request", 0..=1);
    let long = format!("GET /{} HTTP/1.1\r\nhost: test\r\n\r\n", "a".repeat(40_000));
    check(&server, &[long.as_bytes()], "HTTP/1.1 431 Request Header Fields Too Large", 0..=1);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    check(&server, &[many.as_bytes()], "HTTP/1.1 431 Request Header Fields Too Large", 0..=1);
}

#[test]
fn a_client_that_sends_too_much_is_told_so_and_closed_in_the_end() {
    let server = Server::start(&["--head-seconds", "1"]);
    let head = |bytes: usize| {
        format!("POST /vote HTTP/1.1\r\nhost: test\r\ncontent-length: {bytes}\r\n\r\n").into_bytes()
    };
    // All is sent before the answer is read, as most clients do it.
    let mut whole = head(8_000_000);
    whole.resize(8_000_000, b' ');
    let mut connection = server.connect();
    connection.send(&whole).unwrap();
    assert_eq!(connection.answer().unwrap().0, 413);

    let mut endless = server.connect();
    endless.send(&head(usize::MAX)).unwrap();
    let begun = now();
    while begun.elapsed() < Duration::from_secs(10) && endless.send(&[b' '; 1_000]).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!((1..=4).contains(&begun.elapsed().as_secs()), "closed after {:?}", begun.elapsed());
}

#[test]
fn connections_beyond_the_limit_are_told_503() {
    let server = Server::start(&["--connections-max", "3"]);
    let mut held: Vec<Connection> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut held {
        connection.send(HEALTH).unwrap();
        assert_eq!(connection.answer().unwrap().0, 200);
    }
    let (status, problem) = server.connect().answer().unwrap();
    assert_eq!(
        (status, problem.as_str()),
        (
            503,
            r#"{"type":"/problems/server-busy","title":"The server is full","status":503,"detail":"there are too many connections; connect again in a second"}"#
        )
    );
    drop(held.pop());
    std::thread::sleep(Duration::from_millis(200));
    let mut connection = server.connect();
    connection.send(HEALTH).unwrap();
    assert_eq!(connection.answer().unwrap().0, 200);
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    let server = Server::start(&["--write-seconds", "1"]);
    let mut connection = server.connect();
    // The answers of thousands of pipelined requests fill every buffer on the way.
    let requests = b"GET /openapi.json HTTP/1.1\r\nhost: test\r\n\r\n".repeat(2_000);
    let sent = connection.send(&requests);
    std::thread::sleep(Duration::from_secs(4));
    let told = connection.rest();
    assert!(
        sent.is_err() || told.matches("HTTP/1.1 200").count() < 2_000,
        "all was sent to a client that reads nothing"
    );
}

#[test]
fn a_watcher_that_stalled_is_soon_told_the_newest() {
    let server = Server::start(&[]);
    let option = |number: usize| format!(r#"{{"id":"o{number}","label":"{}"}}"#, "x".repeat(200));
    let options: Vec<_> = (0..100).map(option).collect();
    let poll = format!(r#"{{"id":"p","title":"T","status":"open","options":[{}]}}"#, options.join(","));
    let mut voter = server.connect();
    assert_eq!(voter.request("POST", "/v1/polls", &poll).unwrap().0, 201);
    let mut watcher = server.connect();
    let head =
        format!("GET /v1/polls/p/results/stream HTTP/1.1\r\nhost: test\r\nx-api-key: {}\r\n\r\n", server.key);
    watcher.send(head.as_bytes()).unwrap();
    for number in 0..50 {
        let body = format!(r#"{{"voterId":"v{number}","ballot":{{"choice":"o{number}"}}}}"#);
        assert_eq!(voter.request("POST", "/v1/polls/p/votes", &body).unwrap().0, 201);
        // Each is told by an event of its own.
        std::thread::sleep(Duration::from_millis(120));
    }
    let newest = format!("id: {}\n", server.json(&["results", "p"])["sequence"]);
    let (mut bytes, mut events) = (0, 0);
    loop {
        let line = watcher.line().unwrap();
        bytes += line.len();
        events += usize::from(line.starts_with("id: "));
        if line == newest {
            break;
        }
    }
    assert!(bytes < 600_000 && events < 25, "{events} events of {bytes} bytes before the newest");
}

#[test]
fn idle_connections_leave_the_server_serving() {
    let server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    let most = usize::try_from(
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1_024),
    )
    .unwrap();
    let idle: Vec<TcpStream> = (0..most.saturating_sub(200).min(10_000))
        .map(|_| TcpStream::connect(&server.address).unwrap())
        .collect();
    let begun = now();
    for voter in 0..50 {
        let voter = format!("voter-{voter}");
        let body = format!(r#"{{"voterId":"{voter}","ballot":{{"choice":"a"}}}}"#);
        let (status, _) = server.connect().request("POST", "/v1/polls/p/votes", &body).unwrap();
        assert_eq!(status, 201);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{} idle connections slow voting down", idle.len());
    assert_eq!(server.votes("p"), 50);
}
