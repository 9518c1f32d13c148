//! Erasure: nothing that told of a voter is left in any table, whatever it is cut off by, and nothing that was counted
//! changes. That votes count as before is what the conformance suite says of every engine.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::AttributeValue,
};
use canvass_domain::{PollId, Sequence};
use canvass_dynamodb::DynamoStore;
use canvass_store::{
    Store as _, StoreError,
    conformance::{TestClock, World},
};

use crate::{
    proxy::{Fate, begin},
    support::{Tables, endpoint},
};

const POLL: &str = r#"{"title": "?", "options": [{"id": "a"}, {"id": "b"}], "status": "open", "revote": "untilClose",
    "demographics": {"age": ["old", "young"], "city": null}}"#;

/// In all that is personal: voters, answers and idempotency keys.
const CANARY: &[u8] = b"canary";

/// Votes of twice as many voters as one transaction erases, each of whom changes the vote.
async fn vote(world: &World, poll: &PollId) {
    let current = world.store.poll(poll).await.unwrap();
    for (verb, key) in [("casts a age young", "one"), ("changes b age old", "two")] {
        let line = |voter: usize| format!("canary-{voter} {verb} city canary-{} key canary-{key}", voter % 4);
        let commands = (0..50).map(|voter| world.command(&current, &line(voter)));
        for answer in world.store.vote(poll, commands.collect()).await.unwrap() {
            answer.unwrap();
        }
    }
}

/// The names of the tables in which a canary is, as a key, a name or a value.
async fn canaries(tables: &Tables) -> Vec<String> {
    let anyone = Credentials::new("canvass", "canvass", None, None, "test");
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint())
        .region(Region::new("local"))
        .credentials_provider(anyone)
        .build();
    let client = Client::from_conf(config);
    let mut found = Vec::new();
    for table in ["main", "votes", "tally"] {
        let name = format!("{}-{table}", tables.options().table_prefix);
        let items = client.scan().table_name(name).into_paginator().items().send();
        let items = items.collect::<Result<Vec<_>, _>>().await.unwrap();
        assert!(!items.is_empty());
        found.extend(items.iter().any(has_canary).then(|| table.to_owned()));
    }
    found
}

fn has_canary(item: &HashMap<String, AttributeValue>) -> bool {
    let holds = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY);
    item.iter().any(|(name, value)| {
        let value = match value {
            AttributeValue::S(text) => text.as_bytes(),
            AttributeValue::B(bytes) => bytes.as_ref(),
            _ => &[],
        };
        holds(name.as_bytes()) || holds(value)
    })
}

/// Transactions find no room for so long that the erasure is given up and begun again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn nothing_of_a_voter_is_left_in_any_table() {
    let (tables, clock) = (Tables::make().await, TestClock::default());
    let done = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&done);
    let proxy = begin(&endpoint(), move |operation, body| {
        let is_erasing = operation == "TransactWriteItems" && body.contains("\"Delete\"");
        let is_over = is_erasing && counter.fetch_add(1, Ordering::SeqCst) % 40 > 5;
        if is_over { Fate::Throttled } else { Fate::Done }
    })
    .await;
    let store = tables.open_impatient(&proxy.endpoint, clock.clone()).await;
    let world = World::new(store, clock, ());
    let poll = world.create(POLL).await;
    vote(&world, &poll).await;
    assert_eq!(world.tell(&poll, "close").await, "closed v2");
    world.check_records(&poll).await;
    assert_eq!(canaries(&tables).await, ["votes", "tally"]);
    assert_eq!(world.tell(&poll, "canary-7 is erased").await, "2 records erased");
    assert_eq!(world.tell(&poll, "erase").await, "closed v4");
    world.wait_until_erased(&poll).await;
    let tally = world.check_records(&poll).await;
    assert_eq!((tally.votes, canaries(&tables).await), (50, Vec::new()));
    assert!(done.load(Ordering::SeqCst) > 40, "it was cut off");
}

/// As by functions: no task goes on with an erasure, and the stream is folded only after it, by a server that is told of
/// all that the voters told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DynamoDB Local: cargo xtask test"]
async fn what_the_stream_tells_late_is_counted_without_its_voter() {
    let (tables, clock) = (Tables::make().await, TestClock::default());
    let function = DynamoStore::open_without_tasks(tables.options(), Arc::new(clock.clone())).await;
    let function = Arc::new(function);
    let world = World::new(function.clone(), clock.clone(), ());
    let (of_all, of_one) = (world.create(POLL).await, world.create(POLL).await);
    vote(&world, &of_all).await;
    assert_eq!(world.tell(&of_one, "canary casts a age old city canary-oslo key canary-key").await, "cast");
    assert_eq!(world.tell(&of_one, "bob casts b age old city rome").await, "cast");
    assert_eq!(world.tell(&of_all, "close").await, "closed v2");
    assert_eq!(world.tell(&of_one, "close").await, "closed v2");
    assert_eq!(canaries(&tables).await, ["votes"]);
    assert_eq!(world.tell(&of_one, "canary is erased").await, "1 records erased");
    assert_eq!(world.tell(&of_all, "erase").await, "closed v3");
    function.take_due_steps().await.unwrap();
    let records = function.records(&of_all, Sequence(0)).await;
    assert!(matches!(records, Err(StoreError::Unavailable { .. })), "{records:?}");
    assert!(canaries(&tables).await.contains(&"votes".to_owned()));
    function.finish_erasures().await.unwrap();

    let world = World::new(tables.open(clock.clone()).await, clock, ());
    let votes = [world.check_records(&of_all).await.votes, world.check_records(&of_one).await.votes];
    assert_eq!((votes, canaries(&tables).await), ([50, 2], Vec::new()));
}
