//! What the function `tally` does with events that are not as they should be: nothing else is kept from being counted.

use std::ops::Range;

use serde_json::json;

use crate::{
    gateway::Api,
    scene::{self, POLL},
    stream::TALLY_AGE_MAX,
    world::{Functions, Variables},
};

async fn vote(functions: &Functions, voters: Range<usize>) {
    scene::vote(voters, async |path, lines| functions.ask("POST", path, &lines)).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_told_and_keeps_back_only_its_own_poll() {
    let mut functions = Functions::start(Variables::default(), Api::Rest).await;
    functions.json("POST", "/v1/polls", POLL);
    functions.json("POST", "/v1/polls", &POLL.replace("fair", "other"));
    vote(&functions, 0..30).await;
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
    vote(&functions, 0..3).await;
    let (_, records) = functions.stream.read().await.remove(0);
    let outcome = functions.tally.invoke(json!({"Records": records}).to_string().as_bytes());
    assert!(format!("{outcome:?}").contains("tumbling window"), "{outcome:?}");
    assert_eq!(functions.fold("", &[]), json!({"state": {"kept": "as it came"}, "batchItemFailures": []}));
}
