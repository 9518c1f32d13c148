//! What the two documents do wrong, each with a test that their own design would fail.
//!
//! The numbers are those of the list of defects in the documentation.

use crate::harness::{World, check, lines};

const LUNCH: &str = r#"POST /v1/polls {"id":"lunch","title":"Lunch?","options":[{"id":"pizza"},{"id":"soup"}],"status":"open","access":"open","revote":"untilClose","demographics":{"ageGroup":null,"score":null}}"#;

/// The count of one choice, by the dialects' own route.
async fn count(world: &mut World, choice: &str) -> u64 {
    let answer = world.ask("GET", "/results?pollId=lunch", String::new()).await;
    answer.json()["choices"][choice].as_u64().unwrap_or_default()
}

async fn lunch() -> World {
    let mut world = World::new().await;
    world.play(LUNCH).await;
    world
}

async fn post(world: &mut World, path: &str, body: &str) -> u16 {
    world.ask("POST", path, body.to_owned()).await.status.as_u16()
}

/// 1. The documents add to a map that is not there: no vote is ever counted, and the retry is told "duplicate".
/// 2. Their `GET /results` goes to a handler that cannot serve it.
#[tokio::test]
async fn the_first_vote_of_a_poll_is_counted() {
    let mut world = lunch().await;
    assert_eq!(post(&mut world, "/votes", r#"{"userId":"u1","pollId":"lunch","choice":"pizza"}"#).await, 201);
    assert_eq!(
        post(&mut world, "/vote", r#"{"pollId":"lunch","optionId":"pizza","voterId":"u2"}"#).await,
        200
    );
    assert_eq!(count(&mut world, "pizza").await, 2);
}

/// 3. The documents take a vote for any text, in any poll, at any time.
#[tokio::test]
async fn a_vote_needs_a_poll_that_is_open_and_has_the_option() {
    check(
        "defect_03",
        r#"
        POST /v1/polls {"id":"draft","title":"T","options":[{"id":"a"}],"access":"open"}
        POST /vote {"pollId":"nowhere","optionId":"a","voterId":"u1"}
        POST /vote {"pollId":"draft","optionId":"a","voterId":"u1"}
        POST /v1/polls/draft/open
        POST /vote {"pollId":"draft","optionId":"b","voterId":"u1"}
        POST /vote {"pollId":"draft","optionId":"a","voterId":"u1"}
        POST /v1/polls/draft/close
        POST /vote {"pollId":"draft","optionId":"a","voterId":"u2"}
        GET /results?pollId=draft
        "#,
    )
    .await;
}

/// 4. In A a batch that is delivered again is counted again: 1,294 votes became 1,705.
#[tokio::test]
async fn votes_that_are_sent_again_count_once() {
    const VOTES: usize = 1_294;
    let mut world = lunch().await;
    let line = |voter| {
        format!(r#"{{"voterId":"v{voter}","ballot":{{"choice":"pizza"}},"idempotencyKey":"k{voter}"}}"#)
    };
    let (whole, part) = (lines(0..VOTES, line), lines(0..411, line));
    for body in [part, whole.clone(), whole] {
        let answer = world.ask("POST", "/v1/polls/lunch/votes/batch", body).await;
        assert!(
            answer.text().lines().all(|line| line.contains("\"status\":201")),
            "each has its first answer"
        );
    }
    assert_eq!(count(&mut world, "pizza").await, VOTES as u64);
    let recount = world.ask("POST", "/v1/polls/lunch/recount", String::new()).await.json();
    assert_eq!((&recount["matches"], &recount["recounted"]["votes"]), (&true.into(), &VOTES.into()));
}

/// 5. In A a changed vote adds one to the new choice and takes none from the old.
#[tokio::test]
async fn a_changed_vote_moves() {
    let mut world = lunch().await;
    post(&mut world, "/v1/polls/lunch/votes", r#"{"voterId":"u1","ballot":{"choice":"pizza"}}"#).await;
    post(&mut world, "/v1/polls/lunch/votes", r#"{"voterId":"u1","ballot":{"choice":"soup"}}"#).await;
    assert_eq!((count(&mut world, "pizza").await, count(&mut world, "soup").await), (0, 1));
}

/// 6. In A votes expire after 90 days, and with them the results. 12. In B an expired key lets the vote in again.
#[tokio::test]
async fn nothing_expires() {
    let mut world = lunch().await;
    let vote = r#"{"pollId":"lunch","optionId":"pizza","voterId":"u1","idempotencyKey":"k"}"#;
    assert_eq!(post(&mut world, "/vote", vote).await, 200);
    world.edge.wait(91 * 86_400);
    assert_eq!(count(&mut world, "pizza").await, 1);
    assert_eq!(post(&mut world, "/vote", vote).await, 409);
    let mut world = world.restarted().await;
    assert_eq!(count(&mut world, "pizza").await, 1);
    assert_eq!(post(&mut world, "/vote", vote).await, 409);
}

/// 7. and 8. In A a record that fails is dropped, and a stream that starts late misses the first votes: nothing counts
/// again. 9. Its snapshot needs 50 votes at once. Here the results are there after each vote, and a recount finds them.
#[tokio::test]
async fn results_follow_each_vote_and_can_be_counted_again() {
    let mut world = lunch().await;
    for voter in 1..=3 {
        let vote = format!("{{\"userId\":\"u{voter}\",\"pollId\":\"lunch\",\"choice\":\"soup\"}}");
        assert_eq!(post(&mut world, "/votes", &vote).await, 201);
        assert_eq!(count(&mut world, "soup").await, voter);
        let recount = world.ask("POST", "/v1/polls/lunch/recount", String::new()).await.json();
        assert_eq!(
            (&recount["matches"], &recount["recounted"]["options"]["soup"]),
            (&true.into(), &voter.into())
        );
    }
}

/// 10. In A the 409 shows the store's typed values (`{"S": "pizza"}`), and a null body gives 500.
#[tokio::test]
async fn a_refusal_is_plain_and_null_is_no_crash() {
    check(
        "defect_10",
        r#"
        POST /v1/polls {"id":"p","title":"T","options":[{"id":"pizza"}],"status":"open"}
        POST /votes {"userId":"u1","pollId":"p","choice":"pizza"}
        POST /votes {"userId":"u1","pollId":"p","choice":"pizza"}
        POST /votes null
        "#,
    )
    .await;
}

/// 11. In A any key may vote as anyone and read anyone's vote.
#[tokio::test]
async fn a_key_may_do_what_its_scopes_say() {
    check(
        "defect_11",
        r#"
        key screen {"scopes":["results:read"]}
        key booth {"scopes":["votes:write"]}
        POST /v1/polls {"id":"p","title":"T","options":[{"id":"pizza"}],"status":"open"}
        as screen
        POST /votes {"userId":"u1","pollId":"p","choice":"pizza"}
        as booth
        POST /votes {"userId":"u1","pollId":"p","choice":"pizza"}
        GET /votes?userId=u1&pollId=p
        GET /results?pollId=p
        "#,
    )
    .await;
}

/// 12. In B the vote's id holds a timestamp, so one voter votes without limit.
#[tokio::test]
async fn a_voter_votes_once_without_any_key() {
    let mut world = World::new().await;
    world
        .play(r#"POST /v1/polls {"id":"lunch","title":"T","options":[{"id":"pizza"}],"status":"open","access":"open"}"#)
        .await;
    let mut statuses = Vec::new();
    for second in 0..5 {
        world.edge.wait(second);
        statuses
            .push(post(&mut world, "/vote", r#"{"pollId":"lunch","optionId":"pizza","voterId":"u1"}"#).await);
    }
    assert_eq!(statuses, [200, 409, 409, 409, 409]);
    assert_eq!(count(&mut world, "pizza").await, 1);
}

/// 13. In B the key is burnt before the vote is stored, and it is global: another voter's key loses a vote.
#[tokio::test]
async fn a_refused_vote_burns_no_key_and_keys_are_the_voters() {
    let mut world = lunch().await;
    let bad = r#"{"pollId":"lunch","optionId":"cake","voterId":"u1","idempotencyKey":"k"}"#;
    let good = r#"{"pollId":"lunch","optionId":"pizza","voterId":"u1","idempotencyKey":"k"}"#;
    let other = r#"{"pollId":"lunch","optionId":"pizza","voterId":"u2","idempotencyKey":"k"}"#;
    assert_eq!(post(&mut world, "/vote", bad).await, 400);
    assert_eq!(post(&mut world, "/vote", good).await, 200);
    assert_eq!(post(&mut world, "/vote", other).await, 200);
    assert_eq!(count(&mut world, "pizza").await, 2);
}

/// 14. In B vote, counter and cache are three writes, and the cache begins again from one after an hour.
#[tokio::test]
async fn results_do_not_begin_again() {
    let mut world = lunch().await;
    for voter in 1..=3 {
        world.edge.wait(3_601);
        let vote = format!("{{\"pollId\":\"lunch\",\"optionId\":\"pizza\",\"voterId\":\"u{voter}\"}}");
        assert_eq!(post(&mut world, "/vote", &vote).await, 200);
        assert_eq!(count(&mut world, "pizza").await, voter);
    }
}

/// 15. In B a fractional number in `demographics` raises an error after the key is burnt; dimensions are unbounded.
#[tokio::test]
async fn numbers_are_texts_and_dimensions_are_declared() {
    let mut world = lunch().await;
    let fraction = r#"{"pollId":"lunch","optionId":"pizza","voterId":"u1","idempotencyKey":"k","demographics":{"score":0.5}}"#;
    assert_eq!(post(&mut world, "/vote", fraction).await, 200);
    let undeclared = r#"{"pollId":"lunch","optionId":"pizza","voterId":"u2","demographics":{"mood":"0.7"}}"#;
    assert_eq!(post(&mut world, "/vote", undeclared).await, 400);
    for value in 0..300 {
        let vote = format!(
            "{{\"pollId\":\"lunch\",\"optionId\":\"soup\",\"voterId\":\"w{value}\",\"demographics\":{{\"ageGroup\":\"{value}\"}}}}"
        );
        world.edge.wait(1);
        assert_eq!(post(&mut world, "/vote", &vote).await, 200);
    }
    let breakdown = world.ask("GET", "/v1/polls/lunch/breakdown?by=ageGroup", String::new()).await.json();
    let values = breakdown["values"].as_array().expect("values");
    assert_eq!(values.len(), 257, "256 values, and the surplus as `other`");
    let total: u64 = values.iter().map(|row| row["votes"].as_u64().expect("votes")).sum();
    assert_eq!(total, 300);
    world.play("as nobody").await;
    let metrics = world.ask("GET", "/metrics", String::new()).await.text();
    assert!(!metrics.contains("lunch") && !metrics.contains("w299"), "no poll and no voter is a label");
}

/// 18. B exports only polls that are `active`, which none ever is.
#[tokio::test]
async fn a_poll_is_exported_at_any_time_and_whole() {
    let mut world = lunch().await;
    let votes = lines(0..5_000, |voter| format!(r#"{{"voterId":"v{voter}","ballot":{{"choice":"pizza"}}}}"#));
    world.ask("POST", "/v1/polls/lunch/votes/batch", votes).await;
    world.play("POST /v1/polls/lunch/close").await;
    let csv = world.ask("GET", "/v1/polls/lunch/export?format=csv", String::new()).await.text();
    let mut rows = csv.lines();
    let columns = "voteId,pollId,optionId,voterId,timestamp,demographics,";
    assert!(rows.next().is_some_and(|header| header.starts_with(columns)), "B's columns");
    assert_eq!(rows.count(), 5_000);
}
