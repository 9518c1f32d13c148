//! The program on DynamoDB Local, which `cargo xtask test` starts; without the feature, what it says.

use crate::harness::run;

#[cfg(not(feature = "dynamodb"))]
#[test]
fn a_program_without_dynamodb_says_how_to_get_it() {
    for command in [
        &["serve", "--store", "dynamodb"][..],
        &["dynamodb", "create"],
        &["migrate", "--from", "data", "--to-table-prefix", "canvass"],
    ] {
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

/// What the program computes is what the documentation says.
#[test]
fn the_documentation_tells_the_computed_costs() {
    let told = run(&["dynamodb", "cost"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let documented = include_str!("../../../../docs/dynamodb.md");
    assert!(documented.contains(&told.stdout), "docs/dynamodb.md must hold this:\n{}", told.stdout);
}

#[test]
fn what_to_carry_where_is_asked_for_in_full() {
    for wrong in [
        &["migrate"][..],
        &["migrate", "--from", "data"],
        &["migrate", "--to", "data"],
        &["migrate", "--from", "data", "--to-table-prefix", "t", "--to", "other"],
    ] {
        assert_eq!(run(wrong).code, 2, "{wrong:?}");
    }
}

#[cfg(feature = "dynamodb")]
#[test]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
#[expect(clippy::disallowed_methods, reason = "a test's edge")]
fn a_data_directory_goes_to_dynamodb_and_back() {
    use crate::harness::Server;

    let endpoint = std::env::var("CANVASS_TEST_DYNAMODB").expect("cargo xtask test sets it");
    let prefix = format!("migrate-{}", std::process::id());
    let mut server = Server::start(&[]);
    server.poll("lunch", &["Pizza", "Soup"]);
    for (voter, choice) in [("ada", "pizza"), ("bob", "soup"), ("cy", "soup")] {
        assert_eq!(server.run(&["vote", "lunch", "--voter", voter, "--choice", choice]).code, 0);
    }
    let results = server.json(&["results", "lunch"])["options"].clone();
    let (data, back) = (server.data(), server.directory.path().join("back"));
    let (data, back) = (data.to_str().unwrap(), back.to_str().unwrap());
    let to = ["migrate", "--from", data, "--to-table-prefix", &prefix, "--dynamodb-endpoint", &endpoint];
    let used = server.run(&to);
    assert!(used.code == 1 && used.stderr.contains("another server uses"), "{}", used.stderr);
    assert_eq!(server.stop(), 0);
    for _ in 0..2 {
        let carried = server.json(&to);
        assert_eq!(
            (&carried["polls"], &carried["votes"], &carried["keys"]),
            (&1.into(), &3.into(), &1.into())
        );
    }
    let from = ["migrate", "--from-table-prefix", &prefix, "--to", back, "--dynamodb-endpoint", &endpoint];
    for _ in 0..2 {
        let carried = server.run(&from);
        assert!(carried.stdout.contains("they are the same"), "{}{}", carried.stdout, carried.stderr);
    }
    // The directory that came back takes the place of the one that went.
    std::fs::rename(data, format!("{data}-before")).unwrap();
    std::fs::rename(back, data).unwrap();
    for on in [&[][..], &["--store", "dynamodb", "--table-prefix", &prefix, "--dynamodb-endpoint", &endpoint]]
    {
        server.restart_with(on);
        assert_eq!(server.json(&["results", "lunch"])["options"], results);
        assert_eq!(server.run(&["vote", "lunch", "--voter", "ada", "--choice", "soup"]).code, 1);
        assert_eq!(server.json(&["recount", "lunch"])["matches"], true);
        assert_eq!(server.stop(), 0);
    }
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
