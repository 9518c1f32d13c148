//! Events by a cursor, webhooks and alarms: who may ask, and what is answered.

use canvass_store::Store as _;

use crate::harness::{World, check};

#[tokio::test]
async fn events_are_told_in_one_order_to_whoever_keeps_the_cursor() {
    let mut world = World::new().await;
    world
        .play(
            r#"
        POST /v1/polls {"id":"lunch","title":"T","options":[{"id":"a"},{"id":"b"}],"status":"open"}
        POST /v1/polls {"id":"other","title":"T","options":[{"id":"a"}]}
        POST /v1/polls/lunch/votes/batch {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/lunch/votes {"voterId":"u1","ballot":{"choice":"a"}}
        POST /v1/polls/lunch/votes {"voterId":"u2","ballot":{"choice":"a"}}
        POST /v1/polls/lunch/close
        POST /v1/polls/lunch/certify
        "#,
        )
        .await;
    let all = follow(&mut world, "", 100).await;
    let expected = [
        "poll.created lunch 1",
        "poll.opened lunch 2",
        "poll.created other 1",
        "poll.closed lunch 5",
        "poll.certified lunch 6",
    ];
    assert_eq!(all, expected);
    for limit in 1..4 {
        assert_eq!(follow(&mut world, "", limit).await, expected, "in pages of {limit}");
    }
    assert_eq!(follow(&mut world, "&polls=other", 1).await, ["poll.created other 1"]);
    assert_eq!(follow(&mut world, "&types=poll.closed,poll.opened", 1).await, [expected[1], expected[3]]);
    let results = ["results.changed lunch 3", "results.changed lunch 4"];
    assert_eq!(follow(&mut world, "&types=results.changed&everyVotes=1", 1).await, results);
    assert_eq!(follow(&mut world, "&types=results.changed&everyVotes=2", 1).await, results[1..]);
    assert!(follow(&mut world, "&types=results.changed", 1).await.is_empty());
}

/// All events, page after page, as their type, poll and sequence.
async fn follow(world: &mut World, query: &str, limit: usize) -> Vec<String> {
    let (mut told, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/events?limit={limit}{after}{query}");
        let page = world.ask("GET", &path, String::new()).await.json();
        for event in page["items"].as_array().expect("events") {
            let (kind, data) = (event["type"].as_str().expect("a type"), &event["data"]);
            assert_eq!(event["id"], format!("evt_{}", event["position"]));
            told.push(format!("{kind} {} {}", data["pollId"].as_str().expect("a poll"), data["sequence"]));
        }
        after = format!("&after={}", page["nextAfter"]);
        if page["hasMore"] == false {
            return told;
        }
    }
}

#[tokio::test]
async fn events_are_for_those_who_may_read_polls() {
    check(
        "webhooks_events",
        r#"
        POST /v1/polls {"id":"lunch","title":"T","options":[{"id":"a"}]}
        GET /v1/events
        GET /v1/events?limit=0
        GET /v1/events?after=soon
        GET /v1/events?after=99999999
        GET /v1/events?types=poll.exploded
        GET /v1/events?everyVotes=0
        key reader {"scopes":["polls:read"]}
        as reader
        GET /v1/events?types=poll.opened
        GET /v1/events?everyVotes=5
        key kiosk {"scopes":["votes:write"]}
        as kiosk
        GET /v1/events
        as nobody
        GET /v1/events
        "#,
    )
    .await;
}

#[tokio::test]
async fn webhooks_are_for_administrators() {
    check(
        "webhooks_life",
        r#"
        POST /v1/webhooks {"url":"http://example.com/hook","types":["poll.closed","results.changed"],"polls":["lunch"],"resultsVotes":10}
        POST /v1/webhooks {"url":"http://example.com/other","types":["results.changed"]}
        GET /v1/webhooks
        POST /v1/webhooks/‹1›/redeliver
        POST /v1/webhooks/‹1›/redeliver {"after":0}
        POST /v1/webhooks/‹1›/redeliver {"after":99999999}
        DELETE /v1/webhooks/‹1›
        DELETE /v1/webhooks/‹1›
        POST /v1/webhooks/nothing/redeliver
        POST /v1/webhooks {"url":"ftp://example.com"}
        POST /v1/webhooks {"url":"http://127.0.0.1/"}
        POST /v1/webhooks {"url":"http://[::1]:80/"}
        POST /v1/webhooks {"url":"http://169.254.169.254/latest/meta-data"}
        POST /v1/webhooks {"url":"http://example.com","types":[]}
        POST /v1/webhooks {"url":"http://example.com","types":["poll.closed"],"resultsVotes":5}
        POST /v1/webhooks {"url":"http://example.com","types":["results.changed"],"resultsSeconds":86401}
        POST /v1/webhooks {"url":"http://example.com","secret":"mine"}
        GET /v1/alarms
        key reader {"scopes":["polls:read","results:read"]}
        as reader
        GET /v1/webhooks
        POST /v1/webhooks {"url":"http://example.com"}
        GET /v1/alarms
        as nobody
        GET /v1/webhooks
        "#,
    )
    .await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_webhook_that_was_deleted() {
    let mut world = World::new().await;
    let hook = r#"{"url":"http://example.com/hook"}"#.to_owned();
    let made = world.ask("POST", "/v1/webhooks", hook).await.json();
    let id = made["id"].as_str().unwrap();
    world.ask("POST", &format!("/v1/webhooks/{id}/redeliver"), r#"{"after":0}"#.to_owned()).await;
    let progress = format!("webhook-progress-{id}");
    assert!(world.store.read_setting(&progress).await.unwrap().is_some());
    world.ask("DELETE", &format!("/v1/webhooks/{id}"), String::new()).await;
    assert_eq!(world.store.read_setting(&progress).await.unwrap(), None);
    let world = world.restarted().await;
    assert_eq!(world.store.read_setting(&progress).await.unwrap(), None);
}

#[tokio::test]
async fn webhooks_outlive_a_restart() {
    let mut world = World::new().await;
    let made =
        world.ask("POST", "/v1/webhooks", r#"{"url":"http://example.com/hook"}"#.to_owned()).await.json();
    assert!(made["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")), "{made}");
    let before = world.ask("GET", "/v1/webhooks", String::new()).await.json();
    assert!(before["items"][0]["secret"].is_null(), "it is shown once");
    let mut world = world.restarted().await;
    assert_eq!(world.ask("GET", "/v1/webhooks", String::new()).await.json(), before);
}
