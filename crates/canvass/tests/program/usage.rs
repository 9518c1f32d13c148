//! How the program is asked, and what it answers when it is asked wrongly.

use crate::harness::{Server, run};

/// Every command, to any depth, with its `--help`.
fn help(command: &[&str], into: &mut String) {
    let output = run(&[command, &["--help"]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    into.push_str(
        &["$ canvass ", &[command, &["--help"]].concat().join(" "), "\n", &output.stdout, "\n"].concat(),
    );
    let commands =
        output.stdout.split_once("Commands:\n").map(|(_, rest)| rest.split("\n\n").next().unwrap());
    for line in commands.into_iter().flat_map(str::lines) {
        match line.split_whitespace().next() {
            Some("help") | None => {}
            Some(name) => help(&[command, &[name]].concat(), into),
        }
    }
}

#[test]
fn help_is_complete() {
    let mut text = String::new();
    help(&[], &mut text);
    insta::assert_snapshot!("help", text);
}

/// What a command says on standard error, and its exit code.
fn check(arguments: &[&str], code: i32, expected: &str) {
    let output = run(arguments);
    assert_eq!((output.code, output.stderr.as_str()), (code, expected), "{arguments:?}");
}

#[test]
fn exit_codes_tell_failure_from_misuse() {
    check(
        &["results", "lunch", "--server", "http://127.0.0.1:9"],
        1,
        "canvass: cannot reach http://127.0.0.1:9 (Connection refused (os error 111)); start a server with `canvass serve`, or name another with --server or CANVASS_SERVER\n",
    );
    check(
        &["results", "lunch", "--server", "localhost"],
        2,
        "canvass: \"localhost\" is no server address; write it as http://127.0.0.1:8080\n",
    );
    check(
        &["doctor", "nowhere"],
        1,
        "canvass: the data directory nowhere cannot be used: No such file or directory (os error 2)\n",
    );
    check(
        &["import", "votes", "--poll", "p"],
        2,
        "canvass: votes: its name does not tell what it holds; give --format csv, jsonl or election\n",
    );
    for misuse in [
        &["vote", "p"][..],
        &["vote", "p", "--choice", "a", "--choices", "b"],
        &["serve", "--workers", "x"],
        &["what"],
    ] {
        assert_eq!(run(misuse).code, 2, "{misuse:?}");
    }
}

#[test]
fn a_problem_is_told_in_one_line() {
    let server = Server::start(&[]);
    let said = |arguments: &[&str]| {
        let output = server.run(arguments);
        (output.code, output.stderr)
    };
    assert_eq!(
        said(&["poll", "show", "nowhere"]),
        (1, "canvass: there is no poll with this id\n".to_owned())
    );
    assert_eq!(
        said(&["poll", "list", "--key", ""]),
        (1, "canvass: this needs an API key: give it with --key or CANVASS_KEY\n".to_owned())
    );
    assert_eq!(
        said(&["vote", "../keys", "--voter", "a", "--choice", "b"]),
        (1, "canvass: there is no poll with this id\n".to_owned())
    );
}

#[test]
fn a_poll_is_led_through_its_life() {
    let server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    for (step, status) in [
        ("pause", "paused"),
        ("open", "open"),
        ("close", "closed"),
        ("certify", "certified"),
        ("archive", "archived"),
        ("erase", "archived"),
    ] {
        let output = server.run(&["poll", step, "p"]);
        assert_eq!((output.code, output.stdout), (0, format!("Poll p is {status}\n")), "{}", output.stderr);
    }
    assert_eq!(server.json(&["poll", "list"])["items"][0]["id"], "p");
}

#[test]
fn a_voter_is_erased_from_all_polls_that_are_over() {
    let server = Server::start(&[]);
    for poll in ["one", "two", "open"] {
        server.poll(poll, &["A", "B"]);
        assert_eq!(server.run(&["vote", poll, "--voter", "ada", "--choice", "a"]).code, 0);
    }
    for poll in ["one", "two"] {
        assert_eq!(server.run(&["poll", "close", poll]).code, 0);
    }
    let erased = server.run(&["poll", "erase", "--all-polls", "--voter", "ada", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&erased.stdout).unwrap();
    let expected = serde_json::json!({
        "items": [{"pollId": "two", "records": 1}, {"pollId": "one", "records": 1}],
        "notOver": ["open"],
    });
    assert_eq!((erased.code, said), (1, expected), "{}", erased.stderr);
    let again = server.run(&["poll", "erase", "one", "--voter", "ada"]);
    assert_eq!(again.stdout, "Poll one: 0 records tell of nobody any more\n");
}

#[test]
fn codes_and_keys_are_shown_once() {
    let server = Server::start(&[]);
    assert_eq!(
        server.run(&["poll", "create", "Q?", "A", "B", "--id", "c", "--access", "code", "--open"]).code,
        0
    );
    let codes = server.run(&["poll", "codes", "c", "--count", "3"]).stdout;
    assert_eq!(codes.lines().count(), 3);
    let code = codes.lines().next().unwrap();
    assert_eq!(server.run(&["vote", "c", "--code", code, "--choice", "a"]).code, 0);
    assert_eq!(server.run(&["vote", "c", "--code", code, "--choice", "b"]).code, 1);
    let made = server.json(&["key", "create", "reader", "--scope", "results:read"]);
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert_eq!(server.run(&["results", "c", "--key", secret]).code, 0);
    assert_ne!(server.json(&["key", "rotate", id])["secret"], made["secret"]);
    assert_eq!(server.run(&["key", "revoke", id]).code, 0);
    assert_eq!(server.run(&["results", "c", "--key", secret]).code, 1);
    assert!(!server.run(&["key", "list"]).stdout.contains(secret));
}

#[test]
fn a_vote_sent_again_under_its_key_is_the_same_vote() {
    let server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    let vote = ["vote", "p", "--voter", "ada", "--choice", "a", "--idempotency-key", "k"];
    let first = server.run(&vote).stdout;
    let second = server.run(&vote).stdout;
    assert_eq!(second, first.replace("recorded", "recorded before"));
    assert_eq!(server.votes("p"), 1);
}

#[test]
fn watching_ends_with_the_final_result() {
    let server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    let watch =
        server.command(&["results", "p", "--watch"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert_eq!(server.run(&["vote", "p", "--voter", "ada", "--choice", "a"]).code, 0);
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert_eq!(server.run(&["poll", "close", "p"]).code, 0);
    let output = String::from_utf8(watch.wait_with_output().unwrap().stdout).unwrap();
    let shown: Vec<_> = output.lines().map(|line| line.split_once("sequence ").unwrap().1).collect();
    assert_eq!(shown, ["2: 0 votes; a 0, b 0", "3: 1 vote; a 1, b 0", "4: 1 vote; a 1, b 0"]);
}

#[test]
fn completions_and_manual_pages_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).stdout.contains("recount"), "{shell}");
    }
    assert!(run(&["man"]).stdout.contains(".TH canvass"));
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", "--output", directory.path().to_str().unwrap()]).code, 0);
    assert!(directory.path().join("canvass-poll-create.1").exists());
}
