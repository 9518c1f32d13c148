//! Exports by the clock and backups to a bucket; without the feature, what the program says.

#[cfg(feature = "object-stores")]
#[path = "../../../canvass-export/tests/buckets/proxy.rs"]
mod proxy;

#[cfg(feature = "object-stores")]
use std::process::Command;

#[cfg(not(feature = "object-stores"))]
use crate::harness::run;
#[cfg(feature = "object-stores")]
use crate::harness::{Output, Server, finish, program};

#[cfg(not(feature = "object-stores"))]
#[test]
fn a_program_without_buckets_says_how_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    for option in ["--export-to", "--backup-to"] {
        let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", &data, option, "s3://votes"]);
        assert!(output.code == 2 && output.stderr.contains("--features object-stores"), "{output:?}");
    }
}

/// Waits until a figure is shown.
#[cfg(feature = "object-stores")]
fn wait_for(server: &Server, figure: &str) {
    for _ in 0..300 {
        let (_, figures) = server.connect().request("GET", "/metrics", "").unwrap();
        if figures.lines().any(|line| line == figure) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    panic!("{figure} was not shown");
}

#[cfg(feature = "object-stores")]
fn start(endpoint: &str) -> Server {
    let server = Server::start_in(&access(endpoint), &["--export-to", "s3://program/votes"]);
    server.poll("p", &["A", "B"]);
    assert_eq!(server.run(&["vote", "p", "--voter", "ada", "--choice", "a"]).code, 0);
    assert_eq!(server.run(&["poll", "close", "p"]).code, 0);
    server
}

#[cfg(feature = "object-stores")]
#[test]
fn a_bucket_that_is_gone_is_told_and_stops_no_vote() {
    // Nobody listens at the port of tcpmux.
    let mut server = start("http://127.0.0.1:1");
    wait_for(&server, "canvass_exports_failing 1");
    server.poll("q", &["A", "B"]);
    assert_eq!(server.run(&["vote", "q", "--voter", "ada", "--choice", "a"]).code, 0);
    assert_eq!(server.stop(), 0);
}

#[cfg(feature = "object-stores")]
#[test]
#[ignore = "needs moto: cargo xtask test"]
fn a_poll_that_is_closed_is_exported_to_a_bucket() {
    let endpoint = make_bucket("program");
    let mut server = start(&endpoint);
    wait_for(&server, "canvass_exports_total{kind=\"scheduled\"} 1");
    wait_for(&server, "canvass_exports_failing 0");
    assert_eq!(server.stop(), 0);
}

/// The environment for an object store at an endpoint.
#[cfg(feature = "object-stores")]
fn access(endpoint: &str) -> [(&str, &str); 4] {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "canary-of-the-secret"),
        ("AWS_REGION", "us-east-1"),
    ]
}

/// Makes a bucket on moto's server, and gives the server's address.
#[cfg(feature = "object-stores")]
#[expect(clippy::disallowed_methods, reason = "a test's edge")]
fn make_bucket(name: &str) -> String {
    let endpoint = std::env::var("CANVASS_TEST_S3").expect("cargo xtask test sets it");
    let made = Command::new("curl").args(["-sf", "-X", "PUT", &format!("{endpoint}/{name}")]).status();
    assert!(made.unwrap().success());
    endpoint
}

/// A command of the program with access to an object store, in the server's directory.
#[cfg(feature = "object-stores")]
fn run_with_access(server: &Server, endpoint: &str, arguments: &[&str]) -> Output {
    finish(program().args(arguments).envs(access(endpoint)).current_dir(server.directory.path()))
}

/// The records of a restored data directory, which must be well.
#[cfg(feature = "object-stores")]
fn restored_records(server: &Server, endpoint: &str, name: &str, arguments: &[&str]) -> u64 {
    let restore = ["restore", "--from", "s3://drill/a", "--data", name, "--verify", "--json"];
    let output = run_with_access(server, endpoint, &[&restore[..], arguments].concat());
    assert_eq!(output.code, 0, "{output:?}");
    let restored: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(restored["verified"]["findings"], serde_json::json!([]));
    assert_eq!(restored["from"], "s3://drill/a");
    assert_eq!(restored["verified"]["polls"], 1);
    restored["records"].as_u64().unwrap()
}

/// The drill: a server under load ships to a bucket behind a proxy, which goes away for a while, and is killed.
#[cfg(feature = "object-stores")]
#[test]
#[ignore = "needs moto: cargo xtask test"]
fn a_killed_server_is_restored_from_its_bucket() {
    let endpoint = make_bucket("drill");
    let proxy = proxy::Proxy::start(endpoint.strip_prefix("http://").unwrap());
    proxy.delay(std::time::Duration::from_millis(2));
    let way = proxy.address();
    let backup = ["--backup-to", "s3://drill/a", "--backup-seconds", "1"];
    let mut server = Server::start_in(&access(&way), &backup);
    server.poll("p", &["A", "B"]);
    let vote = |from: u32, to: u32| {
        let mut connection = server.connect();
        for voter in from..to {
            let body = format!(r#"{{"voterId":"voter-{voter}","ballot":{{"choice":"a"}}}}"#);
            assert_eq!(connection.request("POST", "/v1/polls/p/votes", &body).unwrap().0, 201);
        }
    };
    vote(0, 500);
    wait_for_backup(&server);
    let moment = now(&server, &endpoint);
    let records = restored_records(&server, &endpoint, "before", &[]);
    // While nobody answers at the bucket, votes go on, and it is told.
    proxy.cut(Some("HTTP/1.1"));
    vote(500, 1_000);
    wait_until(&server, |figures| !figures.contains("canvass_backup_failures_total 0\n"));
    vote(1_000, 1_500);
    proxy.cut(None);
    wait_for_backup(&server);
    server.kill();
    assert_eq!(restored_records(&server, &endpoint, "all", &[]), records + 1_000);
    assert_eq!(restored_records(&server, &endpoint, "then", &["--to", &moment]), records);
    // The restored data goes on in a bucket of its own, and not in that one.
    let refused = run_with_access(&server, &endpoint, &["backup", "--data", "then", "--to", "s3://drill/a"]);
    assert!(refused.code == 1 && refused.stderr.contains("is of other data"), "{refused:?}");
    let whole = run_with_access(&server, &endpoint, &["backup", "--data", "then", "--to", "s3://drill/b"]);
    assert_eq!(whole.code, 0, "{whole:?}");
}

/// The moment before which everything is in the backup.
#[cfg(feature = "object-stores")]
fn now(server: &Server, endpoint: &str) -> String {
    let backup = ["backup", "--data", "data", "--to", "s3://drill/a", "--json"];
    let output = run_with_access(server, endpoint, &backup);
    assert_eq!(output.code, 0, "{output:?}");
    let done: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    done["at"].as_str().unwrap().to_owned()
}

/// Waits until all of the ledger is in the backup.
#[cfg(feature = "object-stores")]
fn wait_for_backup(server: &Server) {
    let figure = |figures: &str, name: &str| {
        figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
    };
    wait_until(server, |figures| {
        let bytes = figure(figures, "canvass_ledger_bytes");
        bytes.is_some() && bytes == figure(figures, "canvass_backup_bytes")
    });
}

#[cfg(feature = "object-stores")]
fn wait_until(server: &Server, is_so: impl Fn(&str) -> bool) {
    let mut figures = String::new();
    for _ in 0..300 {
        figures = server.connect().request("GET", "/metrics", "").unwrap().1;
        if is_so(&figures) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let shown: Vec<_> =
        figures.lines().filter(|line| line.contains("backup") || line.contains("ledger_bytes")).collect();
    panic!("{shown:?}");
}

#[cfg(feature = "object-stores")]
#[test]
#[ignore = "needs moto: cargo xtask test"]
fn a_bucket_that_is_not_there_is_told_and_stops_no_vote() {
    let endpoint = make_bucket("there");
    let mut server = Server::start_in(&access(&endpoint), &["--backup-to", "s3://not-there/a"]);
    server.poll("p", &["A", "B"]);
    wait_until(&server, |figures| !figures.contains("canvass_backup_failures_total 0\n"));
    assert_eq!(server.run(&["vote", "p", "--voter", "ada", "--choice", "a"]).code, 0);
    assert_eq!(server.stop(), 0);
    let output =
        run_with_access(&server, &endpoint, &["backup", "--data", "data", "--to", "s3://not-there/a"]);
    assert!(output.code == 1 && output.stderr.contains("NoSuchBucket"), "{output:?}");
    assert!(!output.stderr.contains("canary"), "{output:?}");
}
