//! What was acknowledged is there afterwards, counted once, however the server ends.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::harness::{Connection, Server};

/// How the server ends under load.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Drain,
    Kill,
}

/// Votes over several connections until the server is gone; answers with the voters that were told 201.
fn vote_until_the_end(server: &mut Server, end: End) -> (BTreeSet<String>, usize) {
    let sent = AtomicUsize::new(0);
    let connections: Vec<_> = (0..8).map(|_| server.connect()).collect();
    let acknowledged = thread::scope(|scope| {
        let voters: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(index, connection)| {
                let sent = &sent;
                scope.spawn(move || vote(connection, index, sent))
            })
            .collect();
        while sent.load(Ordering::Relaxed) < 500 {
            thread::sleep(Duration::from_millis(5));
        }
        match end {
            End::Drain => {
                server.signal(Signal::TERM);
                assert_eq!(server.wait(), 0);
            }
            End::Kill => server.kill(),
        }
        voters.into_iter().flat_map(|voter| voter.join().unwrap()).collect()
    });
    (acknowledged, sent.into_inner())
}

fn vote(mut connection: Connection, index: usize, sent: &AtomicUsize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let voter = format!("voter-{index}-{number}");
        sent.fetch_add(1, Ordering::Relaxed);
        let body = format!(r#"{{"voterId":"{voter}","ballot":{{"choice":"a"}}}}"#);
        match connection.request("POST", "/v1/polls/p/votes", &body) {
            Ok((201, _)) => acknowledged.push(voter),
            Ok((status, body)) => panic!("{status}: {body}"),
            Err(_) => break,
        }
    }
    acknowledged
}

fn check(end: End) {
    let mut server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    let (acknowledged, sent) = vote_until_the_end(&mut server, end);
    server.restart();
    let votes = usize::try_from(server.votes("p")).unwrap();
    assert!(
        acknowledged.len() <= votes && votes <= sent,
        "{} acknowledged, {votes} there",
        acknowledged.len()
    );
    if end == End::Drain {
        // A drain answers every vote that it takes.
        assert_eq!(acknowledged.len(), votes);
    }
    let mut connection = server.connect();
    for voter in &acknowledged {
        let (status, _) = connection.request("GET", &format!("/v1/polls/p/votes/{voter}"), "").unwrap();
        assert_eq!(status, 200, "the vote of {voter} was acknowledged and is gone");
    }
    assert_eq!(server.run(&["recount", "p"]).code, 0);
    assert_eq!(server.stop(), 0);
    assert_eq!(server.run(&["doctor", "data"]).code, 0);
}

#[test]
fn a_drain_under_load_loses_no_acknowledged_vote() {
    check(End::Drain);
}

#[test]
fn a_kill_under_load_loses_no_acknowledged_vote() {
    check(End::Kill);
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let mut server = Server::start(&[]);
    let mut connection = server.connect();
    // A request whose body does not come keeps the drain waiting.
    let key = &server.key;
    let head = format!(
        "POST /v1/polls HTTP/1.1\r\nhost: test\r\nx-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n{{"
    );
    connection.send(head.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(200));
    server.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(300));
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 1);
}

#[test]
fn a_drain_waits_for_the_request_in_flight() {
    let mut server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    let mut connection = server.connect();
    let body = r#"{"voterId":"slow","ballot":{"choice":"a"}}"#;
    let head = format!(
        "POST /v1/polls/p/votes HTTP/1.1\r\nhost: test\r\nx-api-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        server.key,
        body.len()
    );
    connection.send(head.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(200));
    server.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(300));
    connection.send(body.as_bytes()).unwrap();
    assert_eq!(connection.answer().unwrap().0, 201);
    assert_eq!(server.wait(), 0);
}

#[test]
fn damage_is_reported_with_its_place_and_nothing_starts() {
    let mut server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    assert_eq!(server.run(&["vote", "p", "--voter", "ada", "--choice", "a"]).code, 0);
    assert_eq!(server.stop(), 0);
    let segments = fs::read_dir(server.data().join("ledger")).unwrap().map(|entry| entry.unwrap().path());
    let first = segments.min().unwrap();
    let mut bytes = fs::read(&first).unwrap();
    let place = bytes.windows(9).position(|window| window == b"A questio").unwrap();
    bytes[place] ^= 1;
    fs::write(&first, bytes).unwrap();
    fs::remove_file(server.data().join("checkpoint")).unwrap();
    let start = server.run(&["serve", "--listen", "127.0.0.1:0", "--data", "data"]);
    assert_eq!(start.code, 1, "{}", start.stdout);
    let name = first.file_name().unwrap().to_str().unwrap();
    assert!(start.stderr.contains(name) && start.stderr.contains("canvass doctor"), "{}", start.stderr);
    let doctor = server.run(&["doctor", "data"]);
    assert!(
        doctor.code == 1 && doctor.stdout.contains("WRONG: ") && doctor.stdout.contains(name),
        "{doctor:?}"
    );
}
