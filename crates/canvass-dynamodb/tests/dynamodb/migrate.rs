//! A data directory carried to the tables and back: cut off, done twice, and compared; nothing is lost or made up.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use canvass_domain::{PollId, record::Setting};
use canvass_dynamodb::{MigrateError, Migrated, Options, carry_in, carry_out};
use canvass_store::{
    conformance::{TestClock, World},
    local::{LocalOptions, LocalStore},
};
use tempfile::TempDir;

use crate::{
    proxy::{Fate, begin},
    support::{Tables, endpoint},
};

/// Polls of each kind, and what happened in them.
const STORIES: [(&str, &[&str]); 5] = [
    (
        r#"{"id": "free", "title": "T", "options": [{"id": "a"}, {"id": "b"}], "status": "open",
        "revote": "untilClose", "demographics": {"age": null}}"#,
        &[
            "ada casts a age 30 key first",
            "bob casts b age 40",
            "ada casts b age 31 key second",
            "cy casts a",
            "bob withdraws",
            "bob casts a age 41",
            "close",
            "bob is erased",
        ],
    ),
    (
        r#"{"id": "coded", "title": "T", "options": [{"id": "a"}, {"id": "b"}], "access": "code"}"#,
        &["codes one,two,three", "open", "x casts a code one", "codes four", "y casts b code four"],
    ),
    (
        r#"{"id": "ranked", "title": "T", "options": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
        "method": {"type": "irv"}, "status": "open"}"#,
        &["ada casts a>b=c", "bob casts c>a", "cy casts -", "pause", "open", "dee casts b>a"],
    ),
    (r#"{"id": "again", "title": "T", "options": [{"id": "a"}, {"id": "b"}]}"#, &["delete"]),
    (
        r#"{"id": "told", "title": "T", "options": [{"id": "a"}, {"id": "b"}], "status": "open",
        "revote": "untilClose", "demographics": {"age": null}}"#,
        &[
            "ada casts a age 30",
            "bob casts b age 40",
            "ada casts b age 31",
            "bob withdraws",
            "close",
            "erase",
        ],
    ),
];

/// A data directory with all of these, and the id of the deleted poll taken again.
async fn make(directory: &Path) -> Vec<PollId> {
    let world = local(directory);
    let mut polls = Vec::new();
    for (poll, story) in STORIES {
        let poll = world.create(poll).await;
        for line in story {
            let told = world.tell(&poll, line).await;
            assert!(!told.contains("refused") && !told.contains("unavailable"), "{line} => {told}");
        }
        polls.push(poll);
    }
    world.wait_until_erased(&polls[4]).await;
    world
        .create(r#"{"id": "again", "title": "U", "options": [{"id": "a"}, {"id": "b"}], "status": "open"}"#)
        .await;
    world.tell(&polls[3], "ada casts b").await;
    let setting = Setting { name: "device-secret".to_owned(), value: "00ff".to_owned() };
    world.store.setting(setting).await.unwrap();
    polls
}

fn local(directory: &Path) -> World {
    let options = LocalOptions::new(directory, [7; 16]);
    let clock = TestClock::default();
    let (store, _) = LocalStore::open(&options, Arc::new(clock.clone())).unwrap();
    World::new(Arc::new(store), clock, ())
}

/// Every byte of a directory.
fn bytes(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(
                bytes(&entry.path()).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)),
            );
        } else {
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    found
}

/// What every poll tells: its records but for their numbers and links, and its tally.
async fn told(world: &World, polls: &[PollId]) -> Vec<String> {
    let mut told = Vec::new();
    for poll in polls {
        let tally = world.check_records(poll).await;
        told.push(format!("{poll}: {} votes, {:?}, {:?}", tally.votes, tally.options, tally.breakdowns));
        let records = world.all_records(poll).await.unwrap();
        told.push(format!("{} records", records.len()));
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn everything_goes_to_the_tables_and_back() {
    let home = TempDir::new().unwrap();
    let (source, back) = (home.path().join("source"), home.path().join("back"));
    let polls = make(&source).await;
    let before = told(&local(&source), &polls).await;
    let untouched = bytes(&source);
    let tables = Tables::make().await;
    let clock = Arc::new(TestClock::default());

    // It is cut off in the middle: no poll is there that is not whole.
    let writes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&writes);
    let proxy = begin(&endpoint(), move |operation, _| {
        let is_over = operation == "PutItem" && counter.fetch_add(1, Ordering::SeqCst) > 20;
        if is_over { Fate::Throttled } else { Fate::Done }
    })
    .await;
    let cut = Options {
        endpoint: Some(proxy.endpoint.clone()),
        write_wait_max: std::time::Duration::from_millis(300),
        ..tables.options()
    };
    let error = carry_in(cut, clock.clone(), &source).await.unwrap_err();
    assert!(matches!(error, MigrateError::Tables(_)), "{error}");

    let carried = carry_in(tables.options(), clock.clone(), &source).await.unwrap();
    let expected = Migrated { polls: 5, records: 37, votes: 11, keys: 0, left: Vec::new() };
    assert_eq!(carried, expected);
    assert_eq!(carry_in(tables.options(), clock.clone(), &source).await.unwrap(), expected, "done again");
    assert_eq!(bytes(&source), untouched, "the source was not changed");

    let world = World::new(tables.open(TestClock::default()).await, TestClock::default(), ());
    assert_eq!(told(&world, &polls).await, before);
    for (poll, line, answer) in [
        (0, "cy casts b", "not open: closed"),
        (1, "z casts a code one", "voted r0"),
        (1, "z casts a code five", "unknown code"),
        (2, "ada casts b>a", "voted r0"),
    ] {
        let told = world.tell(&polls[poll], line).await;
        assert!(told.contains(answer), "{line} => {told}");
    }
    drop(world);

    let returned = carry_out(tables.options(), clock.clone(), &back).await.unwrap();
    assert_eq!(Migrated { left: Vec::new(), ..returned.clone() }, expected);
    assert_eq!(carry_out(tables.options(), clock.clone(), &back).await.unwrap(), returned, "compared again");
    let world = local(&back);
    assert_eq!(told(&world, &polls).await, before);
    let other = Setting { name: "device-secret".to_owned(), value: "11".to_owned() };
    assert_eq!(world.store.setting(other).await.unwrap(), "00ff");
    drop(world);

    // A vote more on one side is found.
    let world = World::new(tables.open(TestClock::default()).await, TestClock::default(), ());
    assert_eq!(world.tell(&polls[2], "eve casts b>a").await, "cast");
    world.check_records(&polls[2]).await;
    drop(world);
    let error = carry_in(tables.options(), clock.clone(), &source).await.unwrap_err();
    assert_eq!(error.to_string(), "the two sides do not agree: poll ranked: the number of records");
    let error = carry_out(tables.options(), clock, &back).await.unwrap_err();
    assert_eq!(error.to_string(), "the two sides do not agree: poll ranked: the number of records");
}
