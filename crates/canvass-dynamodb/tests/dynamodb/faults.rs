//! Votes count once whatever happens between the store and DynamoDB, and the tally is what a recount finds.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use std::time::Duration;

use canvass_domain::{PollId, Sequence, Timestamp, record::Record};
use canvass_store::{
    Store, StoreError, VoteOutcome,
    conformance::{TestClock, World},
};
use futures_util::future::join_all;

use crate::{
    proxy::{Fate, begin},
    support::{Tables, endpoint},
};

const FREE: &str = r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}], "status": "open", "revote": "untilClose",
    "demographics": {"age": null}}"#;

/// Votes, changes and withdrawals while each request to DynamoDB meets a fate; whoever is not answered asks again under
/// the same key. All is as the acknowledgements say, and the tally is the fold of the records.
async fn check(fate: impl Fn(&str, usize) -> Fate + Send + Sync + 'static) {
    let tables = Tables::make().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let turn = Arc::clone(&asked);
    let proxy = begin(&endpoint(), move |operation, _| {
        fate(operation, scattered(turn.fetch_add(1, Ordering::SeqCst)))
    })
    .await;
    let clock = TestClock::default();
    let store = tables.open_at(&proxy.endpoint, clock.clone()).await;
    let world = World::new(store, clock, tables);
    let poll = world.create(FREE).await;
    let voters = (0..60).map(|voter| vote_and_change(&world, &poll, voter));
    let counted: usize = join_all(voters).await.into_iter().sum();
    let tally = world.check_records(&poll).await;
    assert_eq!(tally.votes, counted as u64);
    let records = world.all_records(&poll).await.unwrap();
    let votes = records.iter().filter(|recorded| matches!(recorded.entry.record, Record::Vote(_))).count();
    assert_eq!(votes, 60 + 30 + 20, "each request is one record");
    assert!(asked.load(Ordering::SeqCst) > 150);
}

/// Casts; every second voter changes, every third withdraws then. Answers with the votes that count.
async fn vote_and_change(world: &World, poll: &PollId, voter: usize) -> usize {
    persist(world, poll, &format!("v{voter} casts a age {} key cast", voter % 5)).await;
    if voter.is_multiple_of(2) {
        persist(world, poll, &format!("v{voter} casts b age {} key change", voter % 3)).await;
    }
    if voter.is_multiple_of(3) {
        persist(world, poll, &format!("v{voter} withdraws key withdraw")).await;
        return 0;
    }
    1
}

async fn persist(world: &World, poll: &PollId, line: &str) {
    for _ in 0..50 {
        match world.tell(poll, line).await.as_str() {
            "unavailable" | "outcome unknown" => {}
            "cast" | "changed" | "withdrawn" => return,
            other if other.starts_with("replayed") => return,
            other => panic!("{line} => {other}"),
        }
    }
    panic!("{line} is never answered");
}

/// Numbers in no order, the same in each run, so that no request meets the same fate each time it is sent.
fn scattered(turn: usize) -> usize {
    (turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) & 0xffff
}

fn is_write(operation: &str) -> bool {
    matches!(operation, "PutItem" | "TransactWriteItems")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn answers_are_lost_after_the_write() {
    check(|operation, turn| if is_write(operation) && turn % 3 == 0 { Fate::AnswerLost } else { Fate::Done })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn requests_are_throttled_and_meet_others() {
    check(|operation, turn| match (operation, turn % 5) {
        ("DescribeTable", _) => Fate::Done,
        ("TransactWriteItems", 1 | 3) => Fate::Conflict,
        (_, 0 | 2) => Fate::Throttled,
        _ => Fate::Done,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn some_answers_are_slow() {
    check(|_, turn| if turn % 9 == 0 { Fate::Slow(Duration::from_millis(300)) } else { Fate::Done }).await;
}

/// DynamoDB answers nothing: what was read is not known to be so, and no vote is said to be unmade that may be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn errors_say_what_is_known() {
    let tables = Tables::make().await;
    let clock = TestClock::default();
    let proxy = begin(&endpoint(), |operation, body| match operation {
        "PutItem" if body.contains("lost") => Fate::AnswerLost,
        "PutItem" if body.contains("full") => Fate::Throttled,
        _ => Fate::Done,
    })
    .await;
    let store = tables.open_impatient(&proxy.endpoint, clock.clone()).await;
    let world = World::new(store.clone(), clock, tables);
    let poll = world.create(FREE).await;
    assert_eq!(world.tell(&poll, "lost casts a").await, "outcome unknown");
    assert_eq!(world.tell(&poll, "full casts a").await, "unavailable");
    assert_eq!(world.tell(&poll, "ada casts a").await, "cast");
    assert_eq!(world.check_records(&poll).await.votes, 2, "the lost answer's vote is there");
}

/// Several servers on the same tables fold the stream, or take over from one that ended, and count each vote once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn servers_take_over_from_one_another() {
    let tables = Tables::make().await;
    let clock = TestClock::default();
    let first = tables.open(clock.clone()).await;
    let second = tables.open(clock.clone()).await;
    let world = World::new(second.clone(), clock.clone(), ());
    let poll = world.create(FREE).await;
    let current = first.poll(&poll).await.unwrap();
    let vote = |store: Arc<canvass_dynamodb::DynamoStore>, voters: std::ops::Range<usize>| {
        let (poll, commands) =
            (poll.clone(), voters.map(|voter| world.command(&current, &format!("v{voter} casts a"))));
        let commands = commands.collect();
        async move { store.vote(&poll, commands).await.unwrap() }
    };
    let both = [vote(first.clone(), 0..40), vote(second.clone(), 20..60)];
    let accepted = join_all(both).await.into_iter().flatten().filter(|answer| {
        matches!(answer, Ok(VoteOutcome::Accepted(receipt)) if receipt.operation == canvass_domain::vote::Operation::Cast)
    });
    assert_eq!(accepted.count(), 60, "each voter has cast once, on one server or the other");
    // One ends in the middle of things, without a word.
    drop(first);
    let third = tables.open(clock.clone()).await;
    vote(third.clone(), 60..90).await;
    assert_eq!(world.check_records(&poll).await.votes, 90);
    third.close().await;
    second.close().await;
}

/// Votes that are on their way when a poll is closed are before its end or refused; none comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn closing_on_one_server_ends_voting_on_the_other() {
    let tables = Tables::make().await;
    let clock = TestClock::default();
    let (first, second) =
        (tables.open_patient(clock.clone()).await, tables.open_patient(clock.clone()).await);
    let (one, other) = (World::new(first, clock.clone(), ()), World::new(second.clone(), clock.clone(), ()));
    let poll = one.create(FREE).await;
    let current = second.poll(&poll).await.unwrap();
    let votes = async {
        let mut refused = 0;
        for voter in 0..200 {
            let command = other.command(&current, &format!("v{voter} casts a"));
            match second.vote(&poll, vec![command]).await.unwrap().remove(0) {
                Ok(_) => assert_eq!(refused, 0, "a vote was taken after one was refused"),
                Err(StoreError::Refused(_)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        refused
    };
    let close = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(one.tell(&poll, "close").await, "closed v2");
        one.all_records(&poll).await.unwrap().len()
    };
    let (refused, at_close) = tokio::join!(votes, close);
    let records = one.all_records(&poll).await.unwrap();
    assert_eq!(records.len(), at_close, "no record came after the poll was closed");
    let last = &records.last().unwrap().entry;
    assert!(matches!(last.record, Record::Poll(_)), "the end is the last record: {last:?}");
    assert_eq!(records.len(), 3 + 200 - refused);
    assert_eq!(last.place.sequence, Sequence(records.len() as u64));
    assert!(last.place.at >= Timestamp::from_microseconds(0));
    one.check_records(&poll).await;
}

/// A vote that was decided before a poll is closed on another server, and reaches the tables late, is before its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn a_closing_waits_for_votes_on_their_way() {
    let tables = Tables::make().await;
    let clock = TestClock::default();
    let proxy = begin(&endpoint(), |operation, body| match operation {
        "PutItem" if body.contains("late") => Fate::Held(Duration::from_millis(900)),
        _ => Fate::Done,
    })
    .await;
    let first = tables.open_patient(clock.clone()).await;
    let second = tables.open_at(&proxy.endpoint, clock.clone()).await;
    let (one, other) = (World::new(first, clock.clone(), ()), World::new(second, clock, ()));
    let poll = one.create(FREE).await;
    assert_eq!(other.tell(&poll, "ada casts a").await, "cast");
    let close = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let told = one.tell(&poll, "close").await;
        (told, one.all_records(&poll).await.unwrap().len())
    };
    let (voted, (closed, at_close)) = tokio::join!(other.tell(&poll, "late casts b"), close);
    assert_eq!((voted.as_str(), closed.as_str()), ("cast", "closed v2"));
    let records = one.all_records(&poll).await.unwrap();
    assert_eq!((records.len(), at_close), (5, 5), "creation, opening, two votes, closing");
    assert!(matches!(records[4].entry.record, Record::Poll(_)), "the end is the last record");
    assert_eq!(one.check_records(&poll).await.votes, 2);
}

/// A lot of codes that was cut off before its last write was never made: nobody was shown its codes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn codes_of_a_lot_that_was_cut_off_are_unknown() {
    let tables = Tables::make().await;
    let clock = TestClock::default();
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = Arc::clone(&is_cut);
    let proxy = begin(&endpoint(), move |operation, _| match operation {
        "TransactWriteItems" if cut.load(Ordering::SeqCst) => Fate::Throttled,
        _ => Fate::Done,
    })
    .await;
    let store = tables.open_impatient(&proxy.endpoint, clock.clone()).await;
    let world = World::new(store, clock, tables);
    let coded =
        r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}], "access": "code", "status": "open"}"#;
    let poll = world.create(coded).await;
    assert_eq!(world.tell(&poll, "codes one").await, "added");
    is_cut.store(true, Ordering::SeqCst);
    assert_eq!(world.tell(&poll, "codes two").await, "unavailable");
    is_cut.store(false, Ordering::SeqCst);
    assert_eq!(world.tell(&poll, "x casts a code two").await, "unknown code");
    assert_eq!(world.tell(&poll, "x casts a code one").await, "cast");
}
