//! A disk that fails or fills up: never a false acknowledgement, and reading goes on.

use std::{fs, sync::Arc, time::Duration};

use canvass_domain::PollId;
use canvass_ledger::testing::SimulatedDisk;
use canvass_store::{
    Store,
    conformance::{TestClock, World},
    local::LocalStore,
};
use futures_util::future::join_all;

use crate::support::{Home, create_polls, run, world};

/// A store with the script's polls on a disk in memory.
async fn begin(
    home: &Home,
    disk: &SimulatedDisk,
    clock: &TestClock,
) -> (Arc<LocalStore>, World, Vec<PollId>) {
    let (store, _) = home.open_on(disk, clock).unwrap();
    let world = world(&store, clock);
    let polls = create_polls(&world).await.unwrap();
    (store, world, polls)
}

/// Casts one vote after another until one is not accepted; gives how many were, and the other answer.
async fn cast_until_refused(world: &World, poll: &PollId, name: &str) -> (u64, String) {
    for number in 0..10_000 {
        let answer = world.tell(poll, &format!("{name}{number} casts a key k")).await;
        if answer != "cast" {
            return (number, answer);
        }
    }
    panic!("the disk never filled up")
}

#[test]
fn a_full_disk_refuses_votes_and_takes_them_again_when_there_is_room() {
    run(async {
        let (clock, home, disk) = (TestClock::default(), Home::new(), SimulatedDisk::new(1));
        let (store, world, polls) = begin(&home, &disk, &clock).await;
        disk.set_capacity_bytes(Some(4 * 4096));
        let (accepted, answer) = cast_until_refused(&world, &polls[0], "v").await;
        assert!(accepted > 20);
        assert_eq!(answer, "unavailable");
        let refused = format!("v{accepted}");
        assert_eq!(world.tell(&polls[0], &format!("{refused} reads")).await, "no vote");
        assert_eq!(world.tell(&polls[0], "v3 reads").await, "a r0");
        assert_eq!(world.tell(&polls[0], "v3 casts a key k").await, "replayed cast");
        assert_eq!(world.tell(&polls[0], r#"edit {"title": "No room"}"#).await, "unavailable");
        assert_eq!(world.check_records(&polls[0]).await.votes, accepted);
        disk.set_capacity_bytes(None);
        assert_eq!(world.tell(&polls[0], &format!("{refused} casts a key k")).await, "cast");
        assert_eq!(world.check_records(&polls[0]).await.votes, accepted + 1);
        assert_eq!(store.health().trouble, None);
        drop((store, world));
        fs::remove_file(home.checkpoint()).unwrap();
        let (_, opened) = home.open_on(&disk, &clock).unwrap();
        assert_eq!(opened.votes, accepted + 1);
    });
}

/// A poll whose time is up on a full disk takes no votes, and the writer does not wear itself out over it.
#[test]
fn a_poll_closes_on_a_full_disk() {
    run(async {
        let (clock, home, disk) = (TestClock::default(), Home::new(), SimulatedDisk::new(1));
        let (store, world, polls) = begin(&home, &disk, &clock).await;
        let timed = r#"edit {"closesAt": "2026-01-02T00:00:00Z"}"#;
        assert_eq!(world.tell(&polls[0], timed).await, "open v2");
        disk.set_capacity_bytes(Some(4 * 4096));
        cast_until_refused(&world, &polls[0], "v").await;
        // What is left of the segment is filled up, so that not even the closing finds room.
        for number in 0..40 {
            world.tell(&polls[0], &format!("w{number} casts a")).await;
        }
        clock.set("02T00:00:00");
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let before = disk.operations();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let tried = disk.operations() - before;
        assert!(tried < 50, "{tried} operations in 300 ms");
        let answer = world.tell(&polls[0], "late casts a").await;
        assert!(answer == "not open: closed" || answer == "unavailable", "{answer}");
        disk.set_capacity_bytes(None);
        assert_eq!(world.tell(&polls[0], "late casts a").await, "not open: closed");
        assert_eq!(world.tell(&polls[0], "late reads").await, "no vote");
        world.check_records(&polls[0]).await;
        drop(store);
    });
}

/// A failed write or sync stops the store: nothing is acknowledged any more, and everything can still be read.
async fn check_stopped(fail: fn(&SimulatedDisk), seed: u64) {
    let (clock, home, disk) = (TestClock::default(), Home::new(), SimulatedDisk::new(seed));
    let (store, first, polls) = begin(&home, &disk, &clock).await;
    for line in ["ada casts a key k", "bob casts b"] {
        assert_eq!(first.tell(&polls[0], line).await, "cast");
    }
    fail(&disk);
    let doubtful = first.tell(&polls[0], "cyd casts a key k").await;
    assert_eq!(doubtful, "outcome unknown");
    for line in ["dan casts a", "ada casts a key k", "pause", r#"edit {"title": "New"}"#] {
        assert_eq!(first.tell(&polls[0], line).await, "unavailable", "{line}");
    }
    assert!(first.store.create_poll(new_poll(), "new".parse().unwrap(), "key:test").await.is_err());
    assert_eq!(first.tell(&polls[0], "ada reads").await, "a r0");
    assert_eq!(first.tell(&polls[0], "cyd reads").await, "no vote");
    assert_eq!(first.check_records(&polls[0]).await.votes, 2);
    assert!(store.health().trouble.is_some());
    drop((store, first));
    // Whether the doubtful vote is there or not: the caller who sends it again knows, and it counts once.
    if seed.is_multiple_of(2) {
        disk.lose_power();
    }
    let (store, _) = home.open_on(&disk, &clock).unwrap();
    let second = world(&store, &clock);
    let again = second.tell(&polls[0], "cyd casts a key k").await;
    assert!(again == "cast" || again == "replayed cast", "{again}");
    assert_eq!(second.tell(&polls[0], "dan reads").await, "no vote");
    assert_eq!(second.check_records(&polls[0]).await.votes, 3);
}

fn new_poll() -> canvass_domain::poll::NewPoll {
    canvass_domain::poll::NewPoll::new("New", &["a"])
}

#[test]
fn a_failed_sync_stops_the_store() {
    (0..20).for_each(|seed| run(check_stopped(SimulatedDisk::fail_next_sync, seed)));
}

#[test]
fn a_failed_write_stops_the_store() {
    (0..20).for_each(|seed| run(check_stopped(SimulatedDisk::fail_next_write, seed)));
}

/// Of many votes at once while the disk stops: whoever was told so counts, and nobody counts twice.
#[test]
fn votes_at_once_while_the_disk_stops() {
    for seed in 0..20 {
        run(async {
            let (clock, home, disk) = (TestClock::default(), Home::new(), SimulatedDisk::new(seed));
            let (store, first, polls) = begin(&home, &disk, &clock).await;
            disk.stop_at(disk.operations() + 2 + seed % 17);
            let lines: Vec<_> = (0..150).map(|voter| format!("v{} casts a key k", voter % 100)).collect();
            let mut answers = Vec::new();
            for some in lines.chunks(10) {
                answers.extend(join_all(some.iter().map(|line| first.tell(&polls[0], line))).await);
            }
            drop((store, first));
            disk.lose_power();
            let (store, _) = home.open_on(&disk, &clock).unwrap();
            let second = world(&store, &clock);
            for (line, answer) in lines.iter().zip(&answers) {
                let voter = line.split_once(' ').unwrap().0;
                let is_there = second.tell(&polls[0], &format!("{voter} reads")).await == "a r0";
                let is_told = answer == "cast" || answer == "replayed cast";
                assert!(is_there || !is_told, "{voter} was told {answer}");
            }
            assert!(answers.iter().any(|answer| answer == "unavailable" || answer == "outcome unknown"));
            for line in &lines {
                let again = second.tell(&polls[0], line).await;
                assert!(again == "cast" || again == "replayed cast", "{again}");
            }
            assert_eq!(second.check_records(&polls[0]).await.votes, 100);
        });
    }
}

/// What was refused for the sake of something that then was not written is not refused for good.
#[test]
fn a_refusal_stands_on_what_is_durable() {
    run(async {
        let (clock, home, disk) = (TestClock::default(), Home::new(), SimulatedDisk::new(1));
        let (_store, world, polls) = begin(&home, &disk, &clock).await;
        assert_eq!(world.tell(&polls[0], "ada casts a").await, "cast");
        disk.set_capacity_bytes(Some(0));
        cast_until_refused(&world, &polls[0], "v").await;
        let long = "k".repeat(200);
        let line = format!("bob casts a key {long} + bob casts b key {long} + ada withdraws + ada changes b");
        assert_eq!(
            world.tell(&polls[0], &line).await,
            "unavailable + unavailable + unavailable + unavailable"
        );
    });
}

/// One request may hold more than a commit does: every vote of it is decided all the same.
#[test]
fn a_request_larger_than_a_commit() {
    run(async {
        let (clock, home, disk) = (TestClock::default(), Home::new(), SimulatedDisk::new(1));
        let (_store, world, polls) = begin(&home, &disk, &clock).await;
        let poll = world.store.poll(&polls[0]).await.unwrap();
        let city = "x".repeat(120);
        let line = |voter| format!("{voter:0>200} casts a city {city} key {voter:0>200}");
        let commands: Vec<_> = (0..9_000).map(|voter| world.command(&poll, &line(voter))).collect();
        let answers = world.store.vote(&polls[0], commands).await.unwrap();
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(refused, 0);
        assert_eq!(world.check_records(&polls[0]).await.votes, 9_000);
    });
}
