//! The tables of the documents' stacks, as DynamoDB exports them, become polls here.

use std::{fs, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::harness::Server;

/// Lays out an export to S3 as it is fetched from its bucket: files of lines, and the manifest of them.
fn export(server: &Server, files: &[&[Value]]) {
    let folder = server.directory.path().join("AWSDynamoDB/01693685827463-2d8752fd");
    fs::create_dir_all(folder.join("data")).unwrap();
    let mut manifest = String::new();
    for (index, items) in files.iter().enumerate() {
        let name = format!("file{index}.json.gz");
        let mut file =
            GzEncoder::new(fs::File::create(folder.join("data").join(&name)).unwrap(), Compression::fast());
        for item in *items {
            writeln!(file, "{}", json!({"Item": item})).unwrap();
        }
        file.finish().unwrap();
        let key = format!("AWSDynamoDB/01693685827463-2d8752fd/data/{name}");
        let line = json!({"itemCount": items.len(), "md5Checksum": "", "etag": "", "dataFileS3Key": key});
        manifest.extend([line.to_string(), "\n".to_owned()]);
    }
    fs::write(folder.join("manifest-files.json"), manifest).unwrap();
}

const FOLDER: &str = "AWSDynamoDB/01693685827463-2d8752fd";

/// What a first and a second import say.
fn check(server: &Server, arguments: &[&str], first: &str, second: &str) {
    for expected in [first, second] {
        let output = server.run(&[&["import", "dynamodb-json"], arguments].concat());
        assert_eq!(output.stdout, expected, "{}", output.stderr);
    }
}

fn counts(server: &Server, poll: &str) -> Value {
    let results = server.json(&["results", poll]);
    let options = results["options"].as_array().unwrap().iter();
    options.map(|option| (option["label"].as_str().unwrap().to_owned(), option["votes"].clone())).collect()
}

/// A vote as document A's function writes it.
fn vote_a(user: &str, poll: &str, choice: &str) -> Value {
    json!({"userId": {"S": user}, "pollId": {"S": poll}, "choice": {"S": choice}, "timestamp": {"S": "2025-11-02T10:00:00.123456"}, "ttl": {"N": "1769853600"}})
}

/// A vote as document B's function writes it.
fn vote_b(id: &str, voter: &str, option: &str, at: &str, demographics: &Value) -> Value {
    json!({"voteId": {"S": id}, "pollId": {"S": "lunch"}, "optionId": {"S": option}, "voterId": {"S": voter},
        "timestamp": {"N": at}, "demographics": {"M": demographics}, "createdAt": {"S": "2025-11-02T10:00:00"}})
}

#[test]
fn votes_of_document_a_move_with_their_polls() {
    let server = Server::start(&[]);
    let counts_of_stream = json!({"pollId": {"S": "lunch"}, "totalVotes": {"N": "9"}, "choices": {"M": {}}});
    export(
        &server,
        &[
            &[vote_a("ada", "lunch", "pizza"), vote_a("bob", "lunch", "soup of the day"), counts_of_stream],
            &[vote_a("ada", "trip", "sea"), vote_a("Zoë", "lunch", "pizza")],
        ],
    );
    let left_out = "Not carried over: when votes were cast; they have the time of the import.
Not carried over: 1 item without poll, voter and option: no votes.
";
    check(
        &server,
        &[FOLDER, "--create"],
        &format!(
            "lunch: 3 accepted, 0 already there, 0 refused\ntrip: 1 accepted, 0 already there, 0 refused\n{left_out}"
        ),
        &format!(
            "lunch: 0 accepted, 3 already there, 0 refused\ntrip: 0 accepted, 1 already there, 0 refused\n{left_out}"
        ),
    );
    assert_eq!(counts(&server, "lunch"), json!({"pizza": 2, "soup of the day": 1}));
    assert_eq!(counts(&server, "trip"), json!({"sea": 1}));
}

#[test]
fn of_document_b_the_first_vote_of_each_voter_counts() {
    let server = Server::start(&[]);
    let young = json!({"ageGroup": {"S": "18-24"}, "score": {"N": "1.5"}, "member": {"BOOL": true}, "none": {"NULL": true}, "tags": {"L": [{"S": "x"}]}});
    let votes = [
        // The later of her votes comes first in the file.
        vote_b("9f", "ada", "soup", "1762077700.5", &json!({})),
        vote_b("1a", "ada", "pizza", "1762077600.25", &young),
        vote_b("2b", "ada", "pizza", "1762077650", &json!({})),
        vote_b("3c", "192.0.2.7", "soup", "1762077601", &json!({})),
    ];
    let scan = json!({"Items": votes, "Count": 4, "ScannedCount": 4, "ConsumedCapacity": null});
    server.file("scan.json", &serde_json::to_string_pretty(&scan).unwrap());
    let told = |counts: &str| {
        format!(
            "moved: {counts}
  left out: 2 votes of voters who had voted before, 1 of them for another option; the first counts
  1 voter named by an address: those who shared one had one vote
Not carried over: when votes were cast; they have the time of the import.
Not carried over: 1 value of demographics that are lists or the like.
"
        )
    };
    check(
        &server,
        &["scan.json", "--poll", "lunch", "--into", "moved", "--create"],
        &told("2 accepted, 0 already there, 0 refused"),
        &told("0 accepted, 2 already there, 0 refused"),
    );
    assert_eq!(counts(&server, "moved"), json!({"pizza": 1, "soup": 1}));
    assert_eq!(server.run(&["export", "moved", "--format", "jsonl", "--output", "moved.jsonl"]).code, 0);
    let exported = fs::read_to_string(server.directory.path().join("moved.jsonl")).unwrap();
    let first: Value = serde_json::from_str(exported.lines().next().unwrap()).unwrap();
    assert_eq!(first["demographics"], json!({"ageGroup": "18-24", "member": "true", "score": "1.5"}));
}

/// What cannot be moved as it is, is told before anything is sent.
#[track_caller]
fn check_refused(server: &Server, arguments: &[&str], expected: &str) {
    let output = server.run(&[&["import", "dynamodb-json"], arguments].concat());
    assert!(output.code == 1 && output.stderr.contains(expected), "{}", output.stderr);
    assert_eq!(server.votes("lunch"), 0);
}

#[test]
fn what_is_missing_is_told_before_anything_is_sent() {
    let server = Server::start(&[]);
    server.poll("lunch", &["Pizza", "Soup"]);
    let young = json!({"ageGroup": {"S": "18-24"}});
    export(&server, &[&[vote_a("ada", "lunch", "pizza")], &[vote_b("1a", "bob", "soup", "1", &young)]]);
    check_refused(&server, &[FOLDER], "tell ageGroup, which it does not declare");
    check_refused(&server, &[FOLDER, "--poll", "dinner"], "there are no votes of that poll in it");
    let data = server.directory.path().join(FOLDER).join("data");
    let whole = fs::read(data.join("file1.json.gz")).unwrap();
    fs::write(data.join("file1.json.gz"), &whole[..whole.len() / 2]).unwrap();
    check_refused(&server, &[FOLDER], "file1.json.gz: ");
    fs::write(data.join("file1.json.gz"), fs::read(data.join("file0.json.gz")).unwrap().repeat(2)).unwrap();
    check_refused(&server, &[FOLDER], "2 items where the manifest has 1");
    fs::remove_file(data.join("file1.json.gz")).unwrap();
    check_refused(&server, &[FOLDER], "file1.json.gz");
    server.file("changes.json", r#"{"Metadata":{},"Keys":{"userId":{"S":"ada"}},"NewImage":{}}"#);
    check_refused(&server, &["changes.json"], "an export of changes; make a full one");
    fs::write(data.join("file1.json.gz"), whole).unwrap();
    let output = server.run(&["import", "dynamodb-json", FOLDER, "--leave-out", "ageGroup"]);
    assert_eq!((output.code, server.votes("lunch")), (0, 2), "{}", output.stderr);
}
