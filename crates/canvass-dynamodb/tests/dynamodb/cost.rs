//! What a vote costs, by what DynamoDB says that each request took: no noise disturbs it.

use std::time::Duration;

use canvass_store::{
    Store as _,
    conformance::{TestClock, World},
};
use tokio::time::Instant;

use crate::{
    proxy::{Fate, begin},
    support::{Tables, endpoint},
};

/// Votes a second, and for how long.
const VOTES_A_SECOND: u64 = 100;
const SECONDS: u64 = 5;
/// Every second, window and beat takes so many: DynamoDB Local on a busy machine does not take 100 votes a second, and
/// what counts is how many come in a window.
const SLOWER: u32 = 15;

/// At 100 votes a second, a window of a second and three dimensions, a vote takes at most 1.05 write units, with its
/// share of the tally, of the lease and of all else that is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn a_vote_takes_little_more_than_one_write_unit() {
    let tables = Tables::make().await;
    let proxy = begin(&endpoint(), |_, _| Fate::Done).await;
    let clock = TestClock::default();
    let store = tables.open_slower(&proxy.endpoint, SLOWER, clock.clone()).await;
    let world = World::new(store.clone(), clock, tables);
    let poll = world
        .create(
            r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d"}], "status": "open",
            "demographics": {"ageGroup": ["18-24", "25-34", "35-49", "50+"], "gender": ["f", "m", "x"],
            "location": null}}"#,
        )
        .await;
    let current = store.poll(&poll).await.unwrap();
    proxy.units.lock().unwrap().clear();
    let began = Instant::now();
    for second in 0..SECONDS {
        let command = |number: u64| {
            let number = second * VOTES_A_SECOND + number;
            let option = ["a", "b", "c", "d"][usize::try_from(number % 4).unwrap()];
            let age = ["18-24", "25-34", "35-49", "50+"][usize::try_from(number / 3 % 4).unwrap()];
            let gender = ["f", "m", "x"][usize::try_from(number / 5 % 3).unwrap()];
            let words = format!(
                "voter-{number:08} casts {option} ageGroup {age} gender {gender} location city-{}",
                number % 8
            );
            world.command(&current, &words)
        };
        let answers = store.vote(&poll, (0..VOTES_A_SECOND).map(command).collect()).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
        let next = began + SLOWER * Duration::from_secs(second + 1);
        assert!(Instant::now() < next, "DynamoDB Local is slower than {VOTES_A_SECOND} votes in {SLOWER} s");
        tokio::time::sleep_until(next).await;
    }
    let took = began.elapsed();
    let tally = world.check_records(&poll).await;
    assert_eq!(tally.votes, VOTES_A_SECOND * SECONDS);
    let units = proxy.units.lock().unwrap().clone();
    let is_write = |name: &str| name.starts_with("PutItem") || name.starts_with("TransactWriteItems");
    let written: f64 = units.iter().filter(|(name, _)| is_write(name)).map(|(_, units)| units).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand votes")]
    let a_vote = written / tally.votes as f64;
    println!(
        "{} votes in {:.1} s; {a_vote:.4} write units a vote; by request and table: {units:?}",
        tally.votes,
        took.as_secs_f64()
    );
    assert!(a_vote <= 1.05, "{a_vote:.4} write units a vote");
}
