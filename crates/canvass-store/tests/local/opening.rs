//! Opening again: after an orderly end and after a crash, with a lock, on a damaged ledger, and with the same bytes for
//! the same commands.

use std::{fs, time::Duration};

use canvass_ledger::testing::SimulatedDisk;
use canvass_store::{
    Store,
    conformance::TestClock,
    local::{OpenError, Opened, examine},
};

use crate::support::{Home, create_polls, portrait, run, tell_script, world};

/// What the next start finds after the script, and that the store goes on as if nothing had happened.
async fn check_reopened(leave: impl AsyncFnOnce(Home) -> Home) -> Opened {
    let clock = TestClock::default();
    let home = Home::new();
    let (store, _) = home.open(&clock).unwrap();
    let polls = tell_script(&world(&store, &clock)).await;
    let before = portrait(&store).await;
    let copy = home.copy();
    store.close();
    drop(store);
    let home = leave(home).await;
    drop(copy);
    let (store, opened) = home.open(&clock).unwrap();
    assert_eq!(portrait(&store).await, before);
    let world = world(&store, &clock);
    let story = [
        (0, "ada casts a age young city Oslo key k1", "replayed cast"),
        (0, "ada casts b key k1", "key reused"),
        (0, "ada casts b", "changed"),
        (0, "bob casts b + bob withdraws", "changed + withdrawn"),
        (0, "zoe casts a", "cast"),
        (1, "ada casts b", "not open: archived"),
        (2, "x casts a code one key k", "replayed cast"),
        (2, "x casts a code three", "not open: closed"),
    ];
    for (poll, line, expected) in story {
        assert_eq!(world.tell(&polls[poll], line).await, expected, "{line}");
    }
    let setting = canvass_domain::record::Setting { name: "pepper".into(), value: "ff".into() };
    assert_eq!(store.setting(setting).await.unwrap(), "0f");
    world.create(r#"{"title": "New", "options": [{"id": "a"}]}"#).await;
    for poll in &polls {
        world.check_records(poll).await;
    }
    opened
}

#[test]
fn after_an_orderly_end() {
    let opened = run(check_reopened(async |home| home));
    assert_eq!((opened.polls, opened.records_folded, opened.bytes_cut), (3, 0, 0));
}

#[test]
fn without_a_checkpoint() {
    let opened = run(check_reopened(async |home: Home| {
        fs::remove_file(home.checkpoint()).unwrap();
        home
    }));
    assert_eq!((opened.polls, opened.votes), (3, 16));
    assert!(opened.records_folded > 30);
}

#[test]
fn with_a_checkpoint_that_is_none() {
    let opened = run(check_reopened(async |home: Home| {
        fs::write(home.checkpoint(), b"CANVCKP\x01 is how it begins").unwrap();
        fs::write(home.path().join("checkpoint.new"), b"half of one").unwrap();
        home
    }));
    assert!(opened.records_folded > 30);
}

/// The directory is copied while the store is open, as a crash would leave it, at several moments.
#[test]
fn after_a_crash() {
    for checkpoint_bytes in [1, 2_000, u64::MAX] {
        run(async {
            let clock = TestClock::default();
            let mut home = Home::new();
            home.options.checkpoint_bytes = checkpoint_bytes;
            let (store, _) = home.open(&clock).unwrap();
            let world = world(&store, &clock);
            let polls = create_polls(&world).await.unwrap();
            for round in 0..8 {
                for voter in 0..5 {
                    let line = format!("v{round}-{voter} casts a city Oslo + v{voter} casts b");
                    world.tell(&polls[0], &line).await;
                }
                let crashed = home.copy();
                let (reopened, _) = crashed.open(&clock).unwrap();
                assert_eq!(portrait(&reopened).await, portrait(&store).await);
            }
        });
    }
}

#[test]
fn a_second_server_is_refused() {
    let clock = TestClock::default();
    let home = Home::new();
    let (store, _) = home.open(&clock).unwrap();
    assert!(matches!(home.open(&clock), Err(OpenError::InUse(path)) if path == home.path()));
    assert!(matches!(examine(home.path()), Err(OpenError::InUse(_))));
    store.close();
    assert!(matches!(home.open(&clock), Err(OpenError::InUse(_))), "it holds on until it is gone");
    drop(store);
    home.open(&clock).unwrap();
}

/// Each byte that was acknowledged is flipped: none is dropped, and the place is named.
#[test]
fn damage_is_told_with_its_place() {
    let (clock, home) = (TestClock::default(), Home::new());
    let disk = SimulatedDisk::new(1);
    let (store, _) = home.open_on(&disk, &clock).unwrap();
    let before = run(async {
        tell_script(&world(&store, &clock)).await;
        portrait(&store).await
    });
    drop(store);
    fs::remove_file(home.checkpoint()).unwrap();
    let first = "0000000000000000.segment";
    let acknowledged = disk.contents(first).len();
    let (mut told, mut unseen) = (0, 0);
    for at in (0..acknowledged).step_by(3) {
        let damaged = disk.fork(at as u64);
        damaged.damage(first, |bytes| bytes[at] ^= 0x10);
        match home.open_on(&damaged, &clock) {
            Err(OpenError::Ledger(error)) => {
                told += 1;
                assert!(error.to_string().contains(first), "{error}");
            }
            Err(other) => panic!("byte {at}: {other}"),
            Ok((store, _)) => {
                unseen += 1;
                assert_eq!(run(portrait(&store)), before, "byte {at}");
                drop(store);
                fs::remove_file(home.checkpoint()).unwrap();
            }
        }
    }
    assert_eq!((told, unseen), (acknowledged.div_ceil(3), 0));
}

/// A segment that is gone is damage too.
#[test]
fn a_missing_segment_is_told() {
    let clock = TestClock::default();
    let home = Home::new();
    let (store, _) = home.open(&clock).unwrap();
    run(tell_script(&world(&store, &clock)));
    store.close();
    drop(store);
    let names = |home: &Home| {
        let files = fs::read_dir(home.path().join("ledger")).unwrap();
        let mut names: Vec<_> = files.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for name in names(&home) {
        let copy = home.copy();
        fs::remove_file(copy.path().join("ledger").join(&name)).unwrap();
        assert!(matches!(copy.open(&clock), Err(OpenError::Ledger(_))), "without {}", name.display());
    }
}

/// The same commands, times and ids give the same bytes.
#[test]
fn the_same_commands_give_the_same_ledger() {
    let bytes = || {
        let (clock, home) = (TestClock::default(), Home::new());
        let disk = SimulatedDisk::new(1);
        let (store, _) = home.open_on(&disk, &clock).unwrap();
        run(tell_script(&world(&store, &clock)));
        drop(store);
        let names = canvass_ledger::Disk::list(&disk).unwrap();
        names.into_iter().map(|name| (disk.contents(&name), name)).collect::<Vec<_>>()
    };
    let first = bytes();
    assert!(first.len() > 2, "the script fills several segments");
    assert_eq!(first, bytes());
}

/// What comes for a poll in the commit that deletes it comes too late, and does not spoil the ledger.
#[test]
fn a_poll_that_is_deleted_takes_nothing_more() {
    run(async {
        let clock = TestClock::default();
        let home = Home::new();
        let (store, _) = home.open(&clock).unwrap();
        let world = world(&store, &clock);
        let polls = create_polls(&world).await.unwrap();
        for _ in 0..30 {
            let draft = world.create(r#"{"title": "T", "options": [{"id": "a"}], "access": "code"}"#).await;
            let voter = format!("v{} casts a", draft.as_str());
            // While the vote is made durable, the others gather for one commit.
            let first = world.tell(&polls[0], &voter);
            let gathered = async {
                tokio::task::yield_now().await;
                tokio::join!(
                    world.tell(&draft, "delete"),
                    world.tell(&draft, "codes one"),
                    world.tell(&draft, r#"edit {"title": "New"}"#),
                    world.tell(&draft, "open"),
                )
            };
            let (_, (deleted, coded, edited, opened)) = tokio::join!(first, gathered);
            assert_eq!(deleted, "deleted");
            assert_eq!([coded, edited, opened], ["no poll"; 3]);
        }
        store.close();
        drop((world, store));
        fs::remove_file(home.checkpoint()).unwrap();
        let (_, opened) = home.open(&clock).unwrap();
        assert_eq!(opened.polls, 3);
    });
}

/// Closing answers everybody who waits, and turns away whoever comes later.
#[test]
fn nobody_waits_for_ever() {
    run(async {
        let clock = TestClock::default();
        let home = Home::new();
        let (store, _) = home.open(&clock).unwrap();
        let world = world(&store, &clock);
        let polls = create_polls(&world).await.unwrap();
        let lines: Vec<_> = (0..200).map(|voter| format!("v{voter} casts a")).collect();
        let votes = futures_util::future::join_all(lines.iter().map(|line| world.tell(&polls[0], line)));
        let closing = tokio::task::spawn_blocking({
            let store = std::sync::Arc::clone(&store);
            move || store.close()
        });
        let both = async { tokio::join!(votes, closing) };
        let (answers, _) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
        assert!(answers.iter().all(|answer| answer == "cast" || answer == "unavailable"), "{answers:?}");
        let accepted = answers.iter().filter(|answer| *answer == "cast").count() as u64;
        assert_eq!(world.tell(&polls[0], "late casts a").await, "unavailable");
        assert_eq!(store.tally(&polls[0]).await.unwrap().tally.votes, accepted);
        assert!(store.health().trouble.is_some());
    });
}
