//! Many voters: the index stays small and right, and a checkpoint makes the next start short.

use std::fs;

use canvass_store::{Store, conformance::TestClock, local::LocalOptions};

use crate::support::{Home, run, world};

const VOTERS: usize = 200_000;
/// 24 bytes a vote.
const INDEX_BYTES_MAX: f64 = 4_800_000.0;
const REQUEST_VOTES: usize = 5_000;

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
