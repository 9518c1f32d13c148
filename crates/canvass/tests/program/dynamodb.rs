//! The program on DynamoDB Local, which `cargo xtask test` starts; without the feature, what it says.

use crate::harness::run;

#[cfg(not(feature = "dynamodb"))]
#[test]
fn a_program_without_dynamodb_says_how_to_get_it() {
    for command in [&["serve", "--store", "dynamodb"][..], &["dynamodb", "create"]] {
        let output = run(command);
        assert_eq!(output.code, 2);
        assert!(output.stderr.contains("--features dynamodb"), "{}", output.stderr);
    }
}

#[test]
fn redis_is_for_servers_on_dynamodb() {
    let output = run(&["serve", "--redis", "redis://:a-secret@127.0.0.1:6379"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("--redis is what servers on DynamoDB share"), "{}", output.stderr);
    assert!(!output.stderr.contains("a-secret"), "{}", output.stderr);
    let output = run(&["config", "print", "--redis", "redis://:a-secret@127.0.0.1:6379"]);
    assert!(!output.stdout.contains("a-secret") && output.stdout.contains("not shown"), "{}", output.stdout);
}

#[cfg(feature = "dynamodb")]
#[test]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
#[expect(clippy::disallowed_methods, reason = "a test's edge")]
fn a_server_on_dynamodb_serves_what_another_was_told() {
    use crate::harness::Server;

    let endpoint = std::env::var("CANVASS_TEST_DYNAMODB").expect("cargo xtask test sets it");
    let prefix = format!("program-{}", std::process::id());
    let on = ["--store", "dynamodb", "--table-prefix", &prefix, "--dynamodb-endpoint", &endpoint];
    let mut server = Server::start(&on);
    server.poll("lunch", &["Pizza", "Soup"]);
    for (voter, choice, code) in [("ada", "pizza", 0), ("bob", "soup", 0), ("ada", "soup", 1)] {
        let output = server.run(&["vote", "lunch", "--voter", voter, "--choice", choice]);
        assert_eq!(output.code, code, "{}", output.stderr);
    }
    assert_eq!(server.stop(), 0);
    server.restart_with(&on);
    std::thread::sleep(std::time::Duration::from_secs(3));
    let results = server.run(&["results", "lunch", "--json"]);
    assert!(
        results.stdout.contains(r#""votes":2"#) || results.stdout.contains(r#""votes": 2"#),
        "{}",
        results.stdout
    );
    let recount = server.run(&["recount", "lunch", "--json"]);
    assert!(recount.stdout.contains("notKept") && recount.code == 0, "{}{}", recount.stdout, recount.stderr);
}
