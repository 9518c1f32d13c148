//! The function `tally` counts each vote once, whatever Lambda does: batches cut at random and delivered again, shards
//! one before the other, the function killed at any moment, records that cannot be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    gateway::Api,
    stream::{TALLY_AGE_MAX, event},
    world::{Functions, Variables},
};

const VOTERS: usize = 1_920;
/// Lines of a batch: few enough that a busy machine writes each in time.
const LINES: usize = 32;
const CHANGES: usize = 60;
const WITHDRAWALS: usize = 30;
const SHARDS: u64 = 3;
const POLL: &str = r#"{"id":"fair","title":"T","options":[{"id":"a"},{"id":"b"},{"id":"c"}],"status":"open","revote":"untilClose","demographics":{"age":null}}"#;

/// SplitMix64: the same turns in each run of a seed.
struct Turns(u64);

impl Turns {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }
}

/// Votes through the batch route. Lines that a busy machine had no room for, or no answer, are sent again.
fn vote(functions: &Functions, voters: std::ops::Range<usize>) {
    let mut lines: Vec<_> = voters.map(line).collect();
    while !lines.is_empty() {
        let (status, answers) = functions.ask("POST", "/v1/polls/fair/votes/batch", &lines.concat());
        if status == 503 {
            continue;
        }
        assert_eq!(status, 200, "{answers}");
        let mut open = BTreeSet::from_iter(1..=lines.len());
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

/// Sends until a busy machine has room for it.
fn persist(functions: &Functions, method: &str, path: &str, body: &str) {
    while match functions.ask(method, path, body) {
        (503, _) => true,
        (status, text) => {
            assert!(status < 300 || status == 404 || status == 409, "{method} {path}: {status} {text}");
            false
        }
    } {}
}

/// The stream's records as several shards would tell them: all that comes to one partition key comes by one shard.
async fn shards(functions: &mut Functions) -> BTreeMap<String, Vec<Value>> {
    let mut shards: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (_, records) in functions.stream.read().await {
        for record in records {
            let partition = record["dynamodb"]["NewImage"]["pk"]["S"].as_str().unwrap().to_owned();
            let shard = partition.bytes().map(u64::from).sum::<u64>() % SHARDS;
            shards.entry(format!("shardId-0000000{shard}")).or_default().push(record);
        }
    }
    shards
}

/// Delivers shards as Lambda may: batches of any size, some again, one shard before another, and the function ended by
/// force before or after it has written.
async fn deliver(
    functions: &mut Functions,
    shards: &BTreeMap<String, Vec<Value>>,
    turns: &mut Turns,
) -> usize {
    let mut places: BTreeMap<&str, usize> = shards.keys().map(|shard| (shard.as_str(), 0)).collect();
    let mut kills = 0;
    while let Some(shard) = {
        let open: Vec<_> = places
            .iter()
            .filter(|(shard, at)| **at < shards[**shard].len())
            .map(|(shard, _)| *shard)
            .collect();
        (!open.is_empty()).then(|| open[turns.index(open.len())])
    } {
        let (records, at) = (&shards[shard], places[shard]);
        let until = (at + 1 + turns.index(400)).min(records.len());
        if turns.below(4) == 0 {
            let batch = event(shard, &records[at..until]).to_string();
            // Longer than any batch takes: then the function is ended when it answers, and the answer is lost.
            let after = if turns.below(2) == 0 { 10_000 } else { turns.below(80) };
            functions.tally.invoke_and_kill(batch.as_bytes(), Duration::from_millis(after));
            functions.restart_tally();
            kills += 1;
            // Lambda may cut what it delivers again elsewhere.
            continue;
        }
        let from = if turns.below(3) == 0 { turns.index(at + 1) } else { at };
        let told = functions.fold(shard, &records[from..until]);
        assert_eq!(told["batchItemFailures"], json!([]));
        places.insert(shard, until);
    }
    tokio::time::sleep(TALLY_AGE_MAX).await;
    kills
}

async fn check(seed: u64) {
    let mut functions = Functions::start(Variables::default(), Api::Rest).await;
    let mut turns = Turns(seed);
    functions.json("POST", "/v1/polls", POLL);
    for start in (0..VOTERS).step_by(LINES) {
        vote(&functions, start..start + LINES);
    }
    for voter in 0..CHANGES {
        let change = json!({"ballot": {"choice": "c"}, "demographics": {"age": "old"}}).to_string();
        persist(&functions, "PUT", &format!("/v1/polls/fair/votes/v{voter}"), &change);
    }
    for voter in VOTERS - WITHDRAWALS..VOTERS {
        persist(&functions, "DELETE", &format!("/v1/polls/fair/votes/v{voter}"), "");
    }
    let shards = shards(&mut functions).await;
    assert_eq!(shards.len() as u64, SHARDS);
    let kills = deliver(&mut functions, &shards, &mut turns).await;
    assert!(kills > 0, "no turn was a kill");
    let recount = functions.json("POST", "/v1/polls/fair/recount", "");
    assert_eq!(recount["matches"], true, "{recount}");
    let votes = functions.json("GET", "/v1/polls/fair/results", "")["votes"].clone();
    assert_eq!(votes, VOTERS - WITHDRAWALS);
}

#[tokio::test]
async fn counts_are_exact_whatever_lambda_does() {
    check(1).await;
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
