//! Many voters: the index stays small and right, and a checkpoint makes the next start short.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use canvass_store::{Store, conformance::TestClock, local::LocalOptions};

use crate::support::{Home, run, world};

const VOTERS: usize = 200_000;
/// 24 bytes a vote.
const INDEX_BYTES_MAX: f64 = 4_800_000.0;
const REQUEST_VOTES: usize = 5_000;
/// Votes one after another, each a commit of its own, while others look.
const WATCHED_VOTES: usize = 3_000;
/// Far more than they take.
const WAIT_MAX: Duration = Duration::from_mins(1);

#[test]
fn two_hundred_thousand_voters() {
    run(async {
        let clock = TestClock::default();
        let mut home = Home::new();
        home.options.ledger = LocalOptions::new(home.path(), [0; 16]).ledger;
        let (store, _) = home.open(&clock).unwrap();
        let first = world(&store, &clock);
        let id =
            first.create(r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}], "status": "open"}"#).await;
        let poll = store.poll(&id).await.unwrap();
        for start in (0..VOTERS).step_by(REQUEST_VOTES) {
            let voters = start..start + REQUEST_VOTES;
            let commands =
                voters.map(|voter| first.command(&poll, &format!("voter-{voter} casts a"))).collect();
            let answers = store.vote(&id, commands).await.unwrap();
            assert!(answers.iter().all(Result::is_ok));
        }
        let figures = store.health().figures;
        let figure = |name: &str| figures.iter().find(|(known, _)| *known == name).unwrap().1;
        assert_eq!(figure("canvass_index_voters").to_string(), VOTERS.to_string());
        let bytes = figure("canvass_index_bytes");
        assert!(bytes < INDEX_BYTES_MAX, "{bytes} bytes of index");
        assert_eq!(first.check_records(&id).await.votes, VOTERS as u64);
        drop((first, store));
        let crashed = home.copy();
        fs::remove_file(crashed.checkpoint()).unwrap();
        for (home, folded) in [(home, 0), (crashed, VOTERS as u64 + 2)] {
            let (store, opened) = home.open(&clock).unwrap();
            assert_eq!((opened.votes, opened.records_folded), (VOTERS as u64, folded));
            let world = world(&store, &clock);
            for voter in (0..VOTERS).step_by(997) {
                assert_eq!(world.tell(&id, &format!("voter-{voter} reads")).await, "a r0");
                assert_eq!(world.tell(&id, &format!("voter-{voter} casts b")).await, "voted r0");
                assert_eq!(world.tell(&id, &format!("stranger-{voter} reads")).await, "no vote");
            }
            assert_eq!(world.tell(&id, "stranger casts b").await, "cast");
            assert_eq!(store.tally(&id).await.unwrap().tally.votes, VOTERS as u64 + 1);
        }
    });
}

/// Whoever looks at several parts of a poll at once takes their locks as the writer does, or both wait for ever.
#[test]
fn votes_go_on_whoever_looks() {
    let clock = TestClock::default();
    let home = Home::new();
    let (store, _) = home.open(&clock).unwrap();
    let first = world(&store, &clock);
    let poll = r#"{"title": "T", "options": [{"id": "a"}, {"id": "b"}], "status": "open", "method": {"type": "irv"}}"#;
    let (sender, done) = mpsc::channel();
    let is_done = Arc::new(AtomicBool::new(false));
    for _ in 0..2 {
        let (store, is_done) = (Arc::clone(&store), Arc::clone(&is_done));
        thread::spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                std::hint::black_box(store.health());
            }
        });
    }
    thread::spawn(move || {
        run(async {
            let id = first.create(poll).await;
            for voter in 0..WATCHED_VOTES {
                assert_eq!(first.tell(&id, &format!("voter-{voter} casts a")).await, "cast");
            }
        });
        sender.send(()).unwrap();
    });
    let outcome = done.recv_timeout(WAIT_MAX);
    is_done.store(true, Ordering::Relaxed);
    assert_eq!(outcome, Ok(()), "the writer and the readers wait for one another");
}
