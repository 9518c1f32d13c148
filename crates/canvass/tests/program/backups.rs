//! Backups of a running server, and what is restored of them: the drill, and what is refused.

use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use canvass_domain::{Timestamp, record::decode_place};
use canvass_ledger::{Erasable, FileDisk, Position, Reader};
use serde_json::Value;

use crate::harness::{Connection, Output, Server, finish, program};

/// A record with its place and its time.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    position: Position,
    at: Timestamp,
    kind: u8,
    body: Vec<u8>,
    personal: Vec<u8>,
}

/// Every record of a data directory that nobody writes to.
fn records(data: &Path) -> Vec<Kept> {
    let disk = Arc::new(FileDisk::read_only(data.join("ledger")));
    let reader = Reader::beside(disk, Position::ZERO).unwrap();
    let mut records = Vec::new();
    let mut visit = |record: canvass_ledger::RecordRef<'_>| {
        let personal = match record.erasable {
            Erasable::Present(bytes) => bytes.to_vec(),
            Erasable::None | Erasable::Erased => Vec::new(),
        };
        let at = decode_place(record.body).unwrap().at;
        let (position, kind, body) = (record.position, record.kind, record.body.to_vec());
        records.push(Kept { position, at, kind, body, personal });
        ControlFlow::Continue(())
    };
    reader.scan(Position::ZERO, reader.durable_end(), &mut visit).unwrap();
    records
}

/// Runs a command of the program in the server's directory.
fn run(server: &Server, arguments: &[&str]) -> Output {
    finish(program().args(arguments).arg("--json").current_dir(server.directory.path()))
}

/// The JSON that a command printed, which must have worked.
fn read(output: &Output) -> Value {
    assert_eq!(output.code, 0, "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

fn json(server: &Server, arguments: &[&str]) -> Value {
    read(&run(server, arguments))
}

fn vote(mut connection: Connection, index: usize, is_over: &AtomicBool, acknowledged: &AtomicUsize) {
    for number in 0.. {
        let body = format!(r#"{{"voterId":"voter-{index}-{number}","ballot":{{"choice":"a"}}}}"#);
        match connection.request("POST", "/v1/polls/p/votes", &body) {
            Ok((201, _)) => acknowledged.fetch_add(1, Ordering::SeqCst),
            Ok((status, body)) => panic!("{status}: {body}"),
            Err(_) if is_over.load(Ordering::SeqCst) => return,
            Err(error) => panic!("{error}"),
        };
    }
}

/// Backs up at ten moments under load, kills the server, and gives the moments with the votes acknowledged before.
fn load_and_kill(server: &mut Server) -> Vec<(String, usize)> {
    let (is_over, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
    let connections: Vec<_> = (0..6).map(|_| server.connect()).collect();
    thread::scope(|scope| {
        for (index, connection) in connections.into_iter().enumerate() {
            let (is_over, acknowledged) = (&is_over, &acknowledged);
            scope.spawn(move || vote(connection, index, is_over, acknowledged));
        }
        let moment = |number: u64| {
            // Moments that have no rhythm; what they fall on is left to the machine.
            thread::sleep(Duration::from_millis(number * 7919 % 173 + 5));
            let before = acknowledged.load(Ordering::SeqCst);
            (run(server, &["backup", "--data", "data", "--to", "once"]), before)
        };
        let moments: Vec<_> = (1..=10).map(moment).collect();
        // Nothing may fail before the voters are told to end, or this would wait for them.
        is_over.store(true, Ordering::SeqCst);
        server.kill();
        let moments = moments.into_iter();
        moments.map(|(done, before)| (read(&done)["at"].as_str().unwrap().to_owned(), before)).collect()
    })
}

#[test]
fn ten_moments_of_a_server_under_load_are_restored_exactly() {
    let shipped = tempfile::tempdir().unwrap();
    let shipped = shipped.path().join("shipped").display().to_string();
    let mut server = Server::start(&["--backup-to", &shipped, "--backup-seconds", "1"]);
    server.poll("p", &["A", "B"]);
    let mut moments = load_and_kill(&mut server);
    let original = records(&server.data());
    // The moment of a record itself is in what is restored to it.
    let first: Timestamp = moments[0].0.parse().unwrap();
    let exact = original.iter().rfind(|record| record.at <= first).unwrap().at;
    moments.push((exact.to_string(), 0));
    let directory = server.directory.path().to_owned();
    for (index, (moment, acknowledged)) in moments.iter().enumerate() {
        let name = format!("restored-{index}");
        let restored = json(&server, &["restore", "--from", "once", "--data", &name, "--to", moment]);
        let at: Timestamp = moment.parse().unwrap();
        let expected: Vec<_> = original.iter().filter(|record| record.at <= at).cloned().collect();
        let found = records(&directory.join(&name));
        assert!(found == expected, "{} of {} records at {moment}", found.len(), expected.len());
        assert_eq!(restored["records"], expected.len());
        assert!(found.len() > *acknowledged, "{} of {acknowledged} acknowledged", found.len());
    }
    for from in ["once", &shipped] {
        let name = Path::new(from).file_name().unwrap().to_str().unwrap().to_owned() + "-whole";
        let restored = json(&server, &["restore", "--from", from, "--data", &name, "--verify"]);
        let found = records(&directory.join(&name));
        assert_eq!(found, original[..found.len()]);
        assert_eq!(restored["verified"]["findings"], serde_json::json!([]));
        assert!(found.len() > 10, "{}", found.len());
    }
    assert_eq!(json(&server, &["doctor", "data"])["restored"], Value::Null);
}

#[test]
fn an_orderly_stop_leaves_a_whole_backup_and_a_restored_server_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = folder.path().join("shipped").display().to_string();
    let mut server = Server::start(&["--backup-to", &shipped]);
    server.poll("p", &["A", "B"]);
    for voter in ["ada", "bob", "cyd"] {
        assert_eq!(server.run(&["vote", "p", "--voter", voter, "--choice", "a"]).code, 0);
    }
    let in_use = server.run(&["backup", "--data", "data", "--to", &shipped]);
    assert!(in_use.code == 1 && in_use.stderr.contains("another program is writing"), "{in_use:?}");
    assert_eq!(server.stop(), 0);
    let original = records(&server.data());
    let said = server.run(&["restore", "--from", &shipped, "--data", "new", "--verify"]);
    assert!(said.code == 0 && said.stdout.contains("All is well"), "{said:?}");
    assert_eq!(records(&server.directory.path().join("new")), original);
    fs::rename(server.data(), server.directory.path().join("old")).unwrap();
    fs::rename(server.directory.path().join("new"), server.data()).unwrap();
    server.restart();
    assert!(server.greeting.contains("Restored at "), "{}", server.greeting);
    assert_eq!(server.votes("p"), 3);
    assert_eq!(server.run(&["vote", "p", "--voter", "ada", "--choice", "a"]).code, 1);
    assert_eq!(server.run(&["vote", "p", "--voter", "dan", "--choice", "a"]).code, 0);
    // The same data goes on into the same backup.
    assert_eq!(server.run(&["backup", "--data", "data", "--to", &shipped]).code, 0);
    assert_eq!(server.stop(), 0);
    assert!(server.run(&["doctor", "data"]).stdout.contains("Restored at "));
}

#[test]
fn what_cannot_be_done_is_refused_in_one_line() {
    let mut server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    let said = |arguments: &[&str]| {
        let output = server.run(arguments);
        (output.code, output.stderr)
    };
    let refused = |text: &str| (1, format!("canvass: {text}\n"));
    assert_eq!(
        said(&["backup", "--data", "nowhere", "--to", "b"]),
        refused("nowhere/ledger: No such file or directory (os error 2)")
    );
    assert_eq!(
        said(&["backup", "--data", "data", "--to", "data"]),
        refused("data is not empty and holds no backup")
    );
    assert_eq!(said(&["backup", "--data", "data", "--to", "b"]).0, 0);
    assert_eq!(
        said(&["restore", "--from", "b", "--data", "data"]),
        refused("data is not empty; a backup is restored into a new directory")
    );
    assert_eq!(
        said(&["restore", "--from", "data", "--data", "new"]),
        refused("data is not empty and holds no backup")
    );
    assert_eq!(said(&["restore", "--from", "b", "--data", "new", "--to", "yesterday"]).0, 2);
    assert!(!server.directory.path().join("new").exists());
    let early = said(&["restore", "--from", "b", "--data", "early", "--to", "2001-01-01T00:00:00Z"]);
    assert_eq!(early, (0, String::new()));
    assert_eq!(records(&server.directory.path().join("early")), []);
    let (code, other) = said(&["backup", "--data", "early", "--to", "b"]);
    assert!(code == 1 && other.contains("is of other data"), "{other}");
    assert_eq!(server.run(&["vote", "p", "--voter", "ada", "--choice", "a"]).code, 0);
    assert_eq!(server.run(&["backup", "--data", "data", "--to", "b"]).code, 0);
    damage(&server.directory.path().join("b/segments"));
    let (code, damaged) = {
        let output = server.run(&["restore", "--from", "b", "--data", "new"]);
        (output.code, output.stderr)
    };
    assert!(code == 1 && damaged.contains("0000000000000000.segment"), "{damaged}");
    assert!(!server.directory.path().join("new/ledger").exists());
    fs::write(
        server.directory.path().join("b/backup.json"),
        r#"{"format":9,"position":0,"at":"2026-01-01T00:00:00Z"}"#,
    )
    .unwrap();
    let newer = server.run(&["restore", "--from", "b", "--data", "other"]);
    assert_eq!(newer.stderr, "canvass: b/backup.json: a newer program made it (format 9)\n");
    assert_eq!(server.stop(), 0);
}

/// Changes one byte of the first record.
fn damage(segments: &Path) {
    let path = segments.join("0000000000000000.segment");
    let mut bytes = fs::read(&path).unwrap();
    bytes[200] ^= 1;
    fs::write(path, bytes).unwrap();
}
