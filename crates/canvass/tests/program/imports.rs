//! Importing a file twice, or going on after the server was killed, counts nothing twice.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::Server;

/// What a first and a second import of a file say, as `accepted, already there, refused`.
fn check(server: &Server, arguments: &[&str], first: [u64; 3], second: [u64; 3]) {
    for expected in [first, second] {
        let output = server.run(&[&["import"], arguments, &["--json"]].concat());
        let said: Value =
            serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.stderr));
        let counts = ["accepted", "alreadyThere", "refused"].map(|name| said[name].as_u64().unwrap());
        assert_eq!(counts, expected, "{said}");
        assert_eq!(output.code, i32::from(expected[2] > 0));
    }
}

fn counts(server: &Server, poll: &str) -> Value {
    let results = server.json(&["results", poll]);
    let options = results["options"].as_array().unwrap().iter();
    options.map(|option| (option["id"].as_str().unwrap().to_owned(), option["votes"].clone())).collect()
}

#[test]
fn comma_separated_votes_count_once() {
    let server = Server::start(&[]);
    let create = ["poll", "create", "Q?", "A", "B", "--open", "--id", "p", "--demographic", "age=young,old"];
    assert_eq!(server.run(&create).code, 0);
    server.file("votes.csv", "voterId,choice,age\r\nada,a,young\r\nbob,b,\r\n\"eve, the third\",a,old\r\n");
    check(&server, &["votes.csv", "--poll", "p"], [3, 0, 0], [0, 3, 0]);
    assert_eq!(counts(&server, "p"), json!({"a": 2, "b": 1}));
}

#[test]
fn what_is_refused_is_told_by_its_place() {
    let server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    server.file("votes.csv", "voterId,choice\nada,a\nada,b\nbob,c\ncal\n,a\ndan,b\n");
    let output = server.run(&["import", "votes.csv", "--poll", "p"]);
    let expected = "2 accepted, 0 already there, 4 refused
  row 3: this voter has voted in this poll, and the poll does not allow a vote to be changed
  row 4: ballot.choice: names an option that the poll does not have
  row 5: 1 fields where the heading has 2
  row 6: the voterId is missing
";
    assert_eq!((output.code, output.stdout.as_str()), (1, expected), "{}", output.stderr);
}

#[test]
fn a_vote_that_was_cast_otherwise_but_alike_is_already_there() {
    let server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    assert_eq!(server.run(&["vote", "p", "--voter", "ada", "--choice", "a"]).code, 0);
    server.file("votes.jsonl", "{\"voterId\":\"ada\",\"ballot\":{\"choice\":\"a\"}}\n");
    check(&server, &["votes.jsonl", "--poll", "p"], [0, 1, 0], [0, 1, 0]);
}

#[test]
fn an_export_can_be_imported() {
    let server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    server.file("votes.jsonl", "{\"voterId\":\"ada\",\"ballot\":{\"choice\":\"a\"}}\n\n{\"voterId\":\"bob\",\"ballot\":{\"choice\":\"b\"}}");
    check(&server, &["votes.jsonl", "--poll", "p"], [2, 0, 0], [0, 2, 0]);
    server.poll("q", &["A", "B"]);
    for (format, first) in [("csv", [2, 0, 0]), ("jsonl", [0, 2, 0])] {
        let file = format!("export.{format}");
        assert_eq!(server.run(&["export", "p", "--format", format, "--output", &file]).code, 0);
        check(&server, &[&file, "--poll", "q"], first, [0, 2, 0]);
    }
    assert_eq!(counts(&server, "q"), json!({"a": 1, "b": 1}));
}

const ELECTION: &str = r#"{"title":"Where to?","method":"irv","seats":1,"options":["The sea","The hills"],
    "ballots":[{"count":3,"ranking":[0,1]},{"count":2,"ranking":[null,1]},{"count":1,"ranking":[[0,1]]},{"count":1,"ranking":["overvote",0]}]}"#;

#[test]
fn an_election_counts_its_first_preferences_once() {
    let server = Server::start(&[]);
    server.file("election.json", ELECTION);
    check(
        &server,
        &["election.json", "--poll", "trip", "--create", "--first-preferences"],
        [5, 0, 2],
        [0, 5, 2],
    );
    assert_eq!(counts(&server, "trip"), json!({"the-sea": 3, "the-hills": 2}));
}

#[test]
fn an_import_outlasts_a_kill_of_the_server() {
    let mut server = Server::start(&[]);
    server.poll("p", &["A", "B"]);
    let line = |voter: u32| format!(r#"{{"voterId":"v{voter}","ballot":{{"choice":"a"}}}}"#);
    server.file("votes.jsonl", &(0..60_000).map(line).collect::<Vec<_>>().join("\n"));
    let address = server.address.clone();
    let import = server
        .command(&["import", "votes.jsonl", "--poll", "p", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while server.votes("p") < 2_000 {
        thread::sleep(Duration::from_millis(20));
    }
    server.kill();
    server.restart_at(&address);
    let output = import.wait_with_output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["accepted"].as_u64().unwrap() + said["alreadyThere"].as_u64().unwrap(), 60_000, "{said}");
    assert_eq!(server.votes("p"), 60_000);
    assert_eq!(server.run(&["recount", "p"]).code, 0);
}

/// Elections with known outcomes, where they lie beside the project.
fn elections() -> Vec<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/elections");
    let folders = ["own", "third-party"].map(|folder| shared.join(folder));
    folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn first_preferences_of_known_elections_are_as_published() {
    let (server, elections) = (Server::start(&[]), elections());
    if elections.is_empty() {
        eprintln!("skipped: no elections lie beside the project");
    }
    for path in elections {
        let election: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let Some(expected) = election["expected"]["rounds"][0]["tally"].as_object() else { continue };
        if election["method"] != "irv" {
            continue;
        }
        let poll = path.file_stem().unwrap().to_str().unwrap();
        let file = path.to_str().unwrap();
        let output =
            server.run(&["import", file, "--poll", poll, "--create", "--first-preferences", "--json"]);
        assert!(output.stderr.is_empty() || output.code == 1, "{}", output.stderr);
        let options = server.json(&["results", poll])["options"].clone();
        for (index, votes) in expected {
            let counted = &options[index.parse::<usize>().unwrap()]["votes"];
            assert_eq!(counted.to_string(), votes.to_string().trim_matches('"'), "{poll}, option {index}");
        }
    }
}
