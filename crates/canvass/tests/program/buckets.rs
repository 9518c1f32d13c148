//! Exports by the clock to a bucket; without the feature, what the program says.

#[cfg(feature = "object-stores")]
use crate::harness::Server;
#[cfg(not(feature = "object-stores"))]
use crate::harness::run;

#[cfg(not(feature = "object-stores"))]
#[test]
fn a_program_without_buckets_says_how_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", &data, "--export-to", "s3://votes"]);
    assert!(output.code == 2 && output.stderr.contains("--features object-stores"), "{output:?}");
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
    let environment = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
    ];
    let server =
        Server::start_in(tempfile::tempdir().unwrap(), &environment, &["--export-to", "s3://program/votes"]);
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
#[expect(clippy::disallowed_methods, reason = "a test's edge")]
fn a_poll_that_is_closed_is_exported_to_a_bucket() {
    let endpoint = std::env::var("CANVASS_TEST_S3").expect("cargo xtask test sets it");
    let made = std::process::Command::new("curl")
        .args(["-sf", "-X", "PUT", &format!("{endpoint}/program")])
        .status();
    assert!(made.unwrap().success());
    let mut server = start(&endpoint);
    wait_for(&server, "canvass_exports_total 1");
    wait_for(&server, "canvass_exports_failing 0");
    assert_eq!(server.stop(), 0);
}
