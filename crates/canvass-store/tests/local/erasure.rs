//! Erasure: nothing that told of a voter is left on any disk, and nothing that was counted changes.

use std::{fs, path::Path, sync::Arc, time::Duration};

use canvass_domain::{
    PollId, Sequence, Timestamp,
    poll::PersonalData,
    record::{Chain, Record, hexadecimal},
    tally::{Books, Tally},
};
use canvass_ledger::testing::SimulatedDisk;
use canvass_store::{
    Store as _,
    conformance::{TestClock, World},
    local::{BackupPlace, LocalStore},
};

use crate::support::{Home, run, world};

const POLL: &str = r#"{"title": "?", "options": [{"id": "a"}, {"id": "b"}], "status": "open", "revote": "untilClose",
    "demographics": {"age": ["old", "young"], "city": null}}"#;

/// In all that is personal: voters, answers and idempotency keys.
const CANARY: &[u8] = b"canary";

const STORY: [&str; 7] = [
    "canary-ada casts a age young city canary-oslo key canary-key-1",
    "canary-bob casts b age old city canary-rome",
    "canary-ada changes b city canary-rome key canary-key-2",
    "canary-cyd casts a",
    "canary-cyd withdraws",
    "canary-dan casts a + canary-eve casts b city canary-oslo",
    "close",
];

/// The same in all that tells of one voter.
const STORY_OF_ONE: [&str; 7] = [
    "canary-ada casts a age young city canary-oslo key canary-key-1",
    "bob casts b age old city rome",
    "canary-ada withdraws key canary-key-2",
    "canary-ada casts b age old city canary-rome",
    "cyd casts a city rome",
    "close",
    "certify",
];

async fn tell(world: &World, story: &[&str]) -> PollId {
    let poll = world.create(POLL).await;
    for line in story {
        let answer = world.tell(&poll, line).await;
        assert!(!answer.contains("unavailable"), "{line}: {answer}");
    }
    poll
}

async fn wait_until_erased(store: &LocalStore, poll: &PollId) {
    for _ in 0..500 {
        if store.poll(poll).await.unwrap().personal_data == PersonalData::Erased {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the erasure has no end");
}

fn has_canary(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY)
}

/// The files under a folder that hold a canary. One that is replaced meanwhile is not there when it is read.
fn canaries(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(canaries(&entry.path()));
        } else if fs::read(entry.path()).is_ok_and(|bytes| has_canary(&bytes)) {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
    found
}

async fn wait_for_canaries(folder: &Path, expected: bool) {
    for _ in 0..500 {
        if canaries(folder).is_empty() != expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("canaries: {:?}", canaries(folder));
}

/// What is counted, without what voters told of themselves.
fn counted(tally: &Tally) -> Tally {
    Tally { breakdowns: Vec::new(), sequence: Sequence(0), updated_at: Timestamp::default(), ..tally.clone() }
}

/// Folds the records again: they are chained, and add up to what the store shows.
async fn recount(world: &World, poll: &PollId) -> Tally {
    let shown = world.store.tally(poll).await.unwrap();
    let (mut books, mut chain) = (Books::new(&shown.poll), Chain::default());
    for recorded in world.all_records(poll).await.unwrap() {
        if let Record::Poll(event) = &recorded.entry.record {
            assert_eq!(event.chain, hexadecimal(&chain));
        }
        books.fold(&recorded.entry);
        chain = recorded.chain_input.unwrap().link(&chain);
    }
    assert_eq!(books.tally, *shown.tally);
    books.tally
}

#[test]
fn nothing_of_a_voter_is_left_and_nothing_counted_changes() {
    run(async {
        let (clock, home) = (TestClock::default(), Home::new());
        let backup = tempfile::tempdir().unwrap();
        let (store, _) = home.open(&clock).unwrap();
        let world = world(&store, &clock);
        let poll = tell(&world, &STORY).await;
        store
            .back_up_to(
                BackupPlace::Folder(backup.path().into()),
                Duration::from_millis(10),
                Arc::new(clock.clone()),
            )
            .unwrap();
        wait_for_canaries(backup.path(), true).await;
        assert!(!canaries(home.path()).is_empty());
        // A checkpoint holds what voters told, until there is another.
        store.close();
        drop((world, store));
        assert!(canaries(home.path()).contains(&"checkpoint".to_owned()));

        let (store, _) = home.open(&clock).unwrap();
        let world = crate::support::world(&store, &clock);
        let before = store.tally(&poll).await.unwrap().tally;
        store
            .back_up_to(
                BackupPlace::Folder(backup.path().into()),
                Duration::from_millis(10),
                Arc::new(clock.clone()),
            )
            .unwrap();
        assert_eq!(world.tell(&poll, "erase").await, "closed v3");
        wait_until_erased(&store, &poll).await;
        wait_for_canaries(home.path(), false).await;
        wait_for_canaries(backup.path(), false).await;
        let after = recount(&world, &poll).await;
        assert_eq!(counted(&after), counted(&before));
        assert!(
            after.breakdowns.iter().all(|breakdown| breakdown.values.values().all(|count| count.votes == 0))
        );
        assert_eq!(world.tell(&poll, "canary-ada reads").await, "no vote");
        // Asked again, the answer is the same.
        assert_eq!(world.tell(&poll, "erase").await, "closed v4");
        store.close();
        drop((world, store));

        for has_checkpoint in [true, false] {
            if !has_checkpoint {
                fs::remove_file(home.checkpoint()).unwrap();
            }
            let (store, _) = home.open(&clock).unwrap();
            assert_eq!(recount(&crate::support::world(&store, &clock), &poll).await, after);
        }
    });
}

#[test]
fn a_poll_that_is_deleted_leaves_nothing_of_its_voters() {
    run(async {
        let (clock, home) = (TestClock::default(), Home::new());
        let (store, _) = home.open(&clock).unwrap();
        let world = world(&store, &clock);
        let poll = tell(&world, &[&STORY[..], &["certify", "archive"]].concat()).await;
        let kept = tell(&world, &["canary-of-another casts a", "close"]).await;
        assert!(!canaries(home.path()).is_empty());
        assert_eq!(world.tell(&poll, "delete").await, "deleted");
        assert_eq!(world.tell(&poll, "delete").await, "no poll");
        // A poll that is not yet to be deleted keeps all, though its deletion was asked for.
        assert_eq!(world.tell(&kept, "delete").await, "closed cannot be deleted");
        assert!(store.poll(&kept).await.unwrap().personal_data.is_kept());
        assert_eq!(world.tell(&kept, "erase").await, "closed v3");
        wait_until_erased(&store, &kept).await;
        wait_for_canaries(home.path(), false).await;
    });
}

/// Stops the disk at an operation of a deletion: whether the poll is there afterwards or not, deleting it again leaves
/// nothing of its voters.
async fn check_stopped_deletion(operation: u64, resume: fn(&SimulatedDisk)) {
    let (clock, home, disk) = (TestClock::default(), Home::new(), SimulatedDisk::new(operation));
    let (store, _) = home.open_on(&disk, &clock).unwrap();
    let world = world(&store, &clock);
    let poll = tell(&world, &[&STORY[..], &["certify", "archive"]].concat()).await;
    disk.stop_at(disk.operations() + operation);
    world.tell(&poll, "delete").await;
    store.close();
    drop((world, store));
    resume(&disk);
    let (store, _) = home.open_on(&disk, &clock).unwrap();
    let world = crate::support::world(&store, &clock);
    let answer = world.tell(&poll, "delete").await;
    assert!(answer == "deleted" || answer == "no poll", "operation {operation}: {answer}");
    store.close();
    assert!(!has_canary(&disk.contents("0000000000000000.segment")), "operation {operation}");
}

#[test]
fn a_deletion_that_is_cut_short_leaves_nothing_once_it_is_done() {
    for operation in 1..=16 {
        for resume in [SimulatedDisk::lose_power, SimulatedDisk::restart] {
            run(check_stopped_deletion(operation, resume));
        }
    }
}

#[test]
fn a_poll_that_may_take_votes_is_not_erased() {
    run(async {
        let (clock, home) = (TestClock::default(), Home::new());
        let (store, _) = home.open(&clock).unwrap();
        let world = world(&store, &clock);
        let poll = world.create(POLL).await;
        assert_eq!(world.tell(&poll, "erase").await, "open cannot be erased");
    });
}

/// A store in which a voter of a poll was erased: nothing of the voter is left on any disk, and all else is as it was.
async fn check_one_voter(last_step: &str) {
    let (clock, home) = (TestClock::default(), Home::new());
    let backup = tempfile::tempdir().unwrap();
    let (store, _) = home.open(&clock).unwrap();
    let world = world(&store, &clock);
    let poll = tell(&world, &STORY_OF_ONE).await;
    world.tell(&poll, last_step).await;
    // A checkpoint holds what the voter told, until there is another.
    store.close();
    drop((world, store));
    assert!(canaries(home.path()).contains(&"checkpoint".to_owned()));

    let (store, _) = home.open(&clock).unwrap();
    let world = crate::support::world(&store, &clock);
    let place = BackupPlace::Folder(backup.path().into());
    store.back_up_to(place, Duration::from_millis(10), Arc::new(clock.clone())).unwrap();
    wait_for_canaries(backup.path(), true).await;
    let before = store.tally(&poll).await.unwrap().tally;
    assert_eq!(world.tell(&poll, "canary-ada is erased").await, "3 records erased");
    assert_eq!(world.tell(&poll, "canary-ada reads").await, "no vote");
    wait_for_canaries(home.path(), false).await;
    wait_for_canaries(backup.path(), false).await;
    // A crash before the new checkpoint would leave this one, which the next start must not take.
    let after = recount(&world, &poll).await;
    assert_eq!(counted(&after), counted(&before));
    let told = |tally: &Tally, of: usize| -> Vec<_> {
        let given = tally.breakdowns[of].values.iter().filter(|(_, count)| count.votes > 0);
        given.map(|(value, count)| format!("{value} {}", count.votes)).collect()
    };
    assert_eq!(
        (told(&before, 0), told(&before, 1)),
        (vec!["old 2".to_owned()], vec!["canary-rome 1".to_owned(), "rome 2".to_owned()])
    );
    assert_eq!((told(&after, 0), told(&after, 1)), (vec!["old 1".to_owned()], vec!["rome 2".to_owned()]));
    assert_eq!(world.tell(&poll, "bob reads").await, "b r0");
    assert_eq!(world.tell(&poll, "canary-ada is erased").await, "0 records erased");
    store.close();
    drop((world, store));
    for has_checkpoint in [true, false] {
        if !has_checkpoint {
            fs::remove_file(home.checkpoint()).unwrap();
        }
        let report = canvass_store::local::examine(home.path()).unwrap();
        assert_eq!((report.erased, report.findings.len()), (3, 0), "{:?}", report.findings);
        let (store, _) = home.open(&clock).unwrap();
        let world = crate::support::world(&store, &clock);
        assert_eq!(recount(&world, &poll).await, after);
        assert_eq!(world.tell(&poll, "canary-ada reads").await, "no vote");
        store.close();
    }
}

#[test]
fn one_voter_is_erased_and_all_else_stays() {
    run(check_one_voter("pause"));
    // Of an archived poll no index is kept.
    run(check_one_voter("archive"));
}

#[test]
fn a_voter_of_a_poll_that_takes_votes_is_not_erased() {
    run(async {
        let (clock, home) = (TestClock::default(), Home::new());
        let (store, _) = home.open(&clock).unwrap();
        let world = world(&store, &clock);
        let poll = world.create(POLL).await;
        world.tell(&poll, "ada casts a").await;
        assert_eq!(world.tell(&poll, "ada is erased").await, "open cannot be erased");
    });
}

#[test]
fn a_checkpoint_from_before_an_erasure_is_not_taken_after_it() {
    run(async {
        let (clock, home) = (TestClock::default(), Home::new());
        let (store, _) = home.open(&clock).unwrap();
        let poll = tell(&world(&store, &clock), &STORY_OF_ONE).await;
        store.close();
        drop(store);
        let old = fs::read(home.checkpoint()).unwrap();
        let (store, _) = home.open(&clock).unwrap();
        let told = world(&store, &clock);
        told.tell(&poll, "canary-ada is erased").await;
        let after = recount(&told, &poll).await;
        store.close();
        drop((told, store));
        fs::write(home.checkpoint(), old).unwrap();
        let (store, _) = home.open(&clock).unwrap();
        assert_eq!(recount(&world(&store, &clock), &poll).await, after);
        wait_for_canaries(home.path(), false).await;
    });
}

/// An erasure that is asked for, and how the end of it is told.
struct Wish {
    story: &'static [&'static str],
    asked: &'static str,
}

const OF_ALL: Wish = Wish { story: &STORY, asked: "erase" };
const OF_ONE: Wish = Wish { story: &STORY_OF_ONE, asked: "canary-ada is erased" };

async fn wait_until_done(store: &LocalStore, poll: &PollId, wish: &Wish) {
    if wish.asked == OF_ALL.asked {
        return wait_until_erased(store, poll).await;
    }
    for _ in 0..500 {
        if store.poll(poll).await.unwrap().erasing_records.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the erasure has no end");
}

/// Stops the disk at an operation of an erasure, goes on, and finds all erased in the end.
async fn check_stop(wish: &Wish, operation: u64, resume: fn(&SimulatedDisk)) {
    let (clock, home, disk) = (TestClock::default(), Home::new(), SimulatedDisk::new(operation));
    let (store, _) = home.open_on(&disk, &clock).unwrap();
    let world = world(&store, &clock);
    let poll = tell(&world, wish.story).await;
    let before = store.tally(&poll).await.unwrap().tally;
    disk.stop_at(disk.operations() + operation);
    let answer = world.tell(&poll, wish.asked).await;
    // It may be done before the disk stops, or be stopped by it.
    tokio::time::sleep(Duration::from_millis(20)).await;
    store.close();
    drop((world, store));
    resume(&disk);
    let (store, _) = home.open_on(&disk, &clock).unwrap();
    let world = crate::support::world(&store, &clock);
    if answer.contains("unavailable") || answer.contains("unknown") {
        world.tell(&poll, wish.asked).await;
    }
    wait_until_done(&store, &poll, wish).await;
    assert_eq!(counted(&recount(&world, &poll).await), counted(&before), "operation {operation}");
    store.close();
    // Where the story begins; the test on a real directory looks at all files.
    assert!(!has_canary(&disk.contents("0000000000000000.segment")), "operation {operation}");
}

#[test]
fn an_erasure_that_is_cut_short_is_done_at_the_next_start() {
    for operation in 1..=14 {
        for resume in [SimulatedDisk::lose_power, SimulatedDisk::restart] {
            run(check_stop(&OF_ALL, operation, resume));
            run(check_stop(&OF_ONE, operation, resume));
        }
    }
}
