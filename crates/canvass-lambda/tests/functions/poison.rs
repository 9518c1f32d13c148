//! What the function `tally` does with events that are not as they should be: nothing else is kept from being counted.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    gateway::Api,
    stream::TALLY_AGE_MAX,
    world::{Functions, Variables},
};

const POLL: &str = r#"{"id":"fair","title":"T","options":[{"id":"a"},{"id":"b"},{"id":"c"}],"status":"open","revote":"untilClose","demographics":{"age":null}}"#;

/// Votes through the batch route. Lines that a busy machine had no room for, or no answer, are sent again.
fn vote(functions: &Functions, voters: std::ops::Range<usize>) {
    let mut lines: Vec<_> = voters.map(line).collect();
    while !lines.is_empty() {
        let (status, answers) = functions.ask("POST", "/v1/polls/fair/votes/batch", &lines.concat());
        if status == 503 {
            continue;
        }
        assert_eq!(status, 200, "{answers}");
        let mut open = (1..=lines.len()).collect::<BTreeSet<_>>();
        for answer in answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            match answer["status"].as_u64() {
                Some(503) => {}
                Some(200 | 201 | 409) => {
                    open.remove(&usize::try_from(answer["line"].as_u64().unwrap()).unwrap());
                }
                _ => panic!("{answer}"),
            }
        }
        lines = open.into_iter().map(|line| lines[line - 1].clone()).collect();
    }
}

fn line(voter: usize) -> String {
    let (choice, age) = (["a", "b", "c"][voter % 3], voter % 7);
    format!(
        "{{\"voterId\":\"v{voter}\",\"ballot\":{{\"choice\":\"{choice}\"}},\"demographics\":{{\"age\":\"{age}\"}}}}\n"
    )
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_told_and_keeps_back_only_its_own_poll() {
    let mut functions = Functions::start(Variables::default(), Api::Rest).await;
    functions.json("POST", "/v1/polls", POLL);
    functions.json("POST", "/v1/polls", &POLL.replace("fair", "other"));
    vote(&functions, 0..30);
    functions.ask("POST", "/v1/polls/other/votes", r#"{"voterId":"u1","ballot":{"choice":"a"}}"#);
    let (shard, records) = functions.stream.read().await.remove(0);
    let mut damaged = records.clone();
    damaged[10]["dynamodb"]["NewImage"]["b"]["B"] = "AAAA".into();
    let poison = records[10]["dynamodb"]["SequenceNumber"].clone();
    let failures = json!([{"itemIdentifier": poison}]);
    assert_eq!(functions.fold(&shard, &damaged)["batchItemFailures"], failures);
    let votes = |functions: &Functions, poll: &str| {
        functions.json("GET", &format!("/v1/polls/{poll}/results"), "")["votes"].clone()
    };
    tokio::time::sleep(TALLY_AGE_MAX).await;
    assert_eq!((votes(&functions, "fair"), votes(&functions, "other")), (json!(10), json!(1)));
    // Delivered again from there, by itself, until it is given up and goes to the dead-letter queue; then the rest.
    assert_eq!(functions.fold(&shard, &damaged[10..11])["batchItemFailures"], failures);
    assert_eq!(functions.fold(&shard, &damaged[11..])["batchItemFailures"], json!([]));
    tokio::time::sleep(TALLY_AGE_MAX).await;
    assert_eq!(votes(&functions, "fair"), json!(29));
    // The recount shows what is missing.
    functions.json("POST", "/v1/polls/fair/close", "");
    let (status, recount) = functions.ask("POST", "/v1/polls/fair/recount", "");
    assert!(!recount.contains("\"matches\":true"), "{status} {recount}");
    assert!(functions.tally.printed().contains("\"PoisonRecords\":1.0"));
}

#[tokio::test]
async fn an_event_without_a_shard_is_refused_as_a_whole() {
    let mut functions = Functions::start(Variables::default(), Api::Rest).await;
    functions.json("POST", "/v1/polls", POLL);
    vote(&functions, 0..3);
    let (_, records) = functions.stream.read().await.remove(0);
    let outcome = functions.tally.invoke(json!({"Records": records}).to_string().as_bytes());
    assert!(format!("{outcome:?}").contains("tumbling window"), "{outcome:?}");
    assert_eq!(functions.fold("", &[]), json!({"state": {"kept": "as it came"}, "batchItemFailures": []}));
}
