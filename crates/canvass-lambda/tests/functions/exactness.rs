//! The function `tally` counts each of thousands of votes, changes and withdrawals once, whatever Lambda and the
//! network do: batches cut at random and delivered again, shards one before the other, the function killed at any moment,
//! answers lost. The aggregator of the documents, told the same, does not.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::Router;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    documents::Aggregator,
    emulator::Outcome,
    gateway::Api,
    proxy::{Fate, begin},
    scene::{self, POLL},
    server::{ask, over, patient, store_without_tasks},
    stream::{TALLY_AGE_MAX, event},
    world::{Functions, Variables, endpoint},
};

const ROUNDS: usize = 4;
/// How many voters there are if [`VARIABLE`] does not say: DynamoDB Local takes minutes to write more.
const VOTERS: usize = 4_000;
const VARIABLE: &str = "CANVASS_TEST_VOTERS";
const SHARDS: u64 = 3;
/// The most that is handed over at once; Lambda may hand over more, but then there are fewer turns to go wrong.
const BATCH_MAX: usize = 250;

/// What is done in a round.
#[derive(Clone, Copy)]
struct Size {
    voters: usize,
    changes: usize,
    withdrawals: usize,
}

impl Size {
    #[expect(clippy::disallowed_methods, reason = "a test's edge")]
    fn asked_for() -> Self {
        let asked = std::env::var(VARIABLE).map_or(VOTERS, |text| text.parse().expect("a number of voters"));
        let voters = asked / ROUNDS;
        Self { voters, changes: voters / 10, withdrawals: voters / 20 }
    }
}

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

/// Votes of new voters by the batch route, then changes and withdrawals of some of them. What a busy machine had no room
/// for is sent again.
async fn vote(server: &Router, voters: Range<usize>, size: Size) {
    let (first, end) = (voters.start, voters.end);
    scene::vote(voters, async |path, lines| ask(server, "POST", path, lines).await).await;
    let change = json!({"ballot": {"choice": "c"}, "demographics": {"age": "old"}}).to_string();
    let changes = (first..first + size.changes).map(|voter| ("PUT", voter, change.clone()));
    let withdrawals = (end - size.withdrawals..end).map(|voter| ("DELETE", voter, String::new()));
    let mut asking = JoinSet::new();
    for (method, voter, body) in changes.chain(withdrawals) {
        if asking.len() >= 32 {
            asking.join_next().await.unwrap().unwrap();
        }
        asking.spawn(persist(server.clone(), method, format!("/v1/polls/fair/votes/v{voter}"), body));
    }
    asking.join_all().await;
}

async fn persist(server: Router, method: &'static str, path: String, body: String) {
    loop {
        match ask(&server, method, &path, body.clone()).await {
            (503, _) => {}
            (200 | 204 | 404 | 409, _) => return,
            (status, text) => panic!("{method} {path}: {status} {text}"),
        }
    }
}

/// What the options are to have after so many rounds.
fn expected(rounds: usize, size: Size) -> BTreeMap<&'static str, u64> {
    let mut expected = BTreeMap::new();
    for voter in 0..rounds * size.voters {
        let place = voter % size.voters;
        if place < size.voters - size.withdrawals {
            let choice = if place < size.changes { "c" } else { scene::choice(voter) };
            *expected.entry(choice).or_default() += 1;
        }
    }
    expected
}

/// The stream as several shards would tell it: all that comes to one partition key comes by one shard.
#[derive(Default)]
struct Shards {
    records: BTreeMap<String, Vec<Value>>,
    /// How much of each was delivered and answered.
    places: BTreeMap<String, usize>,
}

impl Shards {
    /// Takes in what is new in the stream, which must be so many records.
    #[expect(clippy::disallowed_methods, reason = "a test's patience")]
    async fn read(&mut self, functions: &mut Functions, wanted: usize) {
        let (mut read, began) = (0, Instant::now());
        while read < wanted {
            assert!(began.elapsed() < Duration::from_secs(20), "{read} of {wanted} records");
            for (_, records) in functions.stream.read().await {
                read += records.len();
                for record in records {
                    let partition = record["dynamodb"]["NewImage"]["pk"]["S"].as_str().unwrap();
                    let shard = partition.bytes().map(u64::from).sum::<u64>() % SHARDS;
                    let shard = format!("shardId-0000000{shard}");
                    self.places.entry(shard.clone()).or_default();
                    self.records.entry(shard).or_default().push(record);
                }
            }
        }
        assert_eq!(read, wanted);
    }

    /// A shard that has something to deliver, and how far it was delivered.
    fn open(&self, turns: &mut Turns) -> Option<(String, usize)> {
        let open: Vec<_> =
            self.places.iter().filter(|(shard, at)| **at < self.records[*shard].len()).collect();
        let (shard, at) = *open.get(turns.index(open.len().max(1)))?;
        Some((shard.clone(), *at))
    }
}

/// A batch that was handed over, and what came of it.
pub(crate) struct Delivery {
    shard: String,
    records: Range<usize>,
    pub(crate) came: Came,
}

/// What came of a batch. Of all but the first, Lambda knows nothing, and delivers it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Came {
    Answered,
    /// All was written, and the function ended before Lambda had its answer.
    AnswerLost,
    /// The function ended at some moment.
    Killed,
    /// The function said that it failed.
    Failed,
}

/// Delivers what is open as Lambda may: batches of any size, some again, one shard before another, and the function ended
/// by force before or after it has written.
fn deliver(functions: &mut Functions, shards: &mut Shards, turns: &mut Turns) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while let Some((shard, at)) = shards.open(turns) {
        let records = &shards.records[&shard];
        let until = (at + 1 + turns.index(BATCH_MAX)).min(records.len());
        let is_again = turns.below(3) == 0;
        let from = if is_again { at - turns.index(at.min(BATCH_MAX) + 1) } else { at };
        let batch = event(&shard, &records[from..until]).to_string();
        let came = match turns.below(6) {
            0 => {
                // Longer than any batch takes: then the function is ended when it answers.
                functions.tally.invoke_and_kill(batch.as_bytes(), Duration::from_secs(30));
                Came::AnswerLost
            }
            1 => {
                functions.tally.invoke_and_kill(batch.as_bytes(), Duration::from_millis(turns.below(120)));
                Came::Killed
            }
            _ => hand_over(functions, &batch),
        };
        match came {
            Came::Answered => {
                shards.places.insert(shard.clone(), until);
            }
            Came::AnswerLost | Came::Killed => functions.restart_tally(),
            Came::Failed => {}
        }
        deliveries.push(Delivery { shard, records: from..until, came });
    }
    deliveries
}

fn hand_over(functions: &Functions, batch: &str) -> Came {
    match functions.tally.invoke(batch.as_bytes()) {
        Outcome::Answer(answer) => {
            let told: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(told["batchItemFailures"], json!([]));
            Came::Answered
        }
        Outcome::Error(_) => Came::Failed,
        Outcome::Died => panic!("it died by itself:\n{}", functions.tally.printed()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "how long each round takes is printed")]
async fn counts_are_exact_whatever_lambda_and_the_network_do() {
    let size = Size::asked_for();
    let (lost, turns_of_answers) = (Arc::new(Mutex::new(0)), Mutex::new(Turns(2)));
    let counted = Arc::clone(&lost);
    // Of the tally's writes, which alone go this way, every tenth is done and its answer lost.
    let proxy = begin(&endpoint(), move |operation, _| {
        if operation == "PutItem" && turns_of_answers.lock().unwrap().below(10) == 0 {
            *counted.lock().unwrap() += 1;
            return Fate::AnswerLost;
        }
        Fate::Done
    })
    .await;
    let variables = Variables { tally_endpoint: Some(proxy.endpoint.clone()), ..Variables::default() };
    let store = patient(&variables.prefix, endpoint());
    let mut functions = Functions::start(variables, Api::Rest).await;
    let server = over(store_without_tasks(store.clone()).await, canvass_server::Settings::default()).await;
    assert_eq!(ask(&server, "POST", "/v1/polls", POLL.to_owned()).await.0, 201);
    let aggregators = [Aggregator::new(&store, "each once").await, Aggregator::new(&store, "the same").await];
    let (mut shards, mut turns, mut came) = (Shards::default(), Turns(1), BTreeMap::<_, usize>::new());
    for round in 0..ROUNDS {
        let began = Instant::now();
        vote(&server, round * size.voters..(round + 1) * size.voters, size).await;
        let voted = began.elapsed();
        let records = size.voters + size.changes + size.withdrawals;
        let places = shards.places.clone();
        shards.read(&mut functions, records).await;
        let deliveries = deliver(&mut functions, &mut shards, &mut turns);
        tokio::time::sleep(TALLY_AGE_MAX).await;
        check_counts(&server, round + 1, size).await;
        // The control: what the documents' aggregator makes of it.
        for (shard, records) in &shards.records {
            let from = places.get(shard).copied().unwrap_or_default();
            aggregators[0].fold(&records[from..], Came::Answered).await;
        }
        for Delivery { shard, records, came: what } in deliveries {
            *came.entry(what).or_default() += 1;
            aggregators[1].fold(&shards.records[&shard][records], what).await;
        }
        println!("round {round}: {records} records written in {voted:.1?}, all in {:.1?}", began.elapsed());
    }
    let lost = *lost.lock().unwrap();
    println!("batches: {came:?}; {lost} answers of DynamoDB lost");
    assert!(came.len() >= 3 && lost > 0, "no turn of each kind");
    let voters = (ROUNDS * size.voters) as u64;
    let [once, same] = [aggregators[0].total().await, aggregators[1].total().await];
    println!("the documents' aggregator: {once} of {voters} where each comes once, {same} told the same");
    assert_eq!(once, voters, "the control is right where nothing happens");
    assert_ne!(same, voters, "the control miscounts");
}

/// The counts are what was voted, and what a recount finds.
async fn check_counts(server: &Router, rounds: usize, size: Size) {
    let (status, recount) = ask(server, "POST", "/v1/polls/fair/recount", String::new()).await;
    let recount: Value = serde_json::from_str(&recount).unwrap();
    assert_eq!((status, &recount["matches"]), (200, &json!(true)), "{recount}");
    let (_, results) = ask(server, "GET", "/v1/polls/fair/results", String::new()).await;
    let results: Value = serde_json::from_str(&results).unwrap();
    let options = results["options"].as_array().unwrap().iter();
    let told: BTreeMap<_, _> =
        options.map(|option| (option["id"].as_str().unwrap(), option["votes"].as_u64().unwrap())).collect();
    assert_eq!(told, expected(rounds, size));
}
