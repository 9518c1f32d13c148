//! Batches: in order, each line on its own, any number of them.

use std::convert::Infallible;

use axum::body::Body;
use futures_util::{StreamExt as _, stream};

use crate::harness::{ADMIN, World, check, lines};

#[tokio::test]
async fn each_line_has_the_answer_of_the_single_route() {
    check(
        "batch_lines",
        r#"
        POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"},{"id":"b"}],"status":"open","demographics":{"d":["x"]}}
        POST /v1/polls/p/votes/batch {"voterId":"u1","ballot":{"choice":"a"}}⏎⏎{"voterId":"u1","ballot":{"choice":"b"}}⏎{"voterId":"u2"⏎   ⏎{"voterId":"u2","ballot":{"choice":"c"}}⏎{"voterId":"u3","ballot":{"choice":"b"},"idempotencyKey":"k"}⏎{"voterId":"u3","ballot":{"choice":"b"},"idempotencyKey":"k"}⏎{"voterId":"u3","ballot":{"choice":"a"},"idempotencyKey":"k"}⏎{"voterId":"u4","ballot":{"choice":"a"},"demographics":{"d":"y"}}⏎{"ballot":{"choice":"a"}}⏎{"voterId":"u5","ballot":{"choice":"a"},"idempotencyKey":"ö"}⏎null⏎{"voterId":"u6","ballot":{"choice":"a"}}
        # Sent again, as after a connection broke.
        POST /v1/polls/p/votes/batch {"voterId":"u1","ballot":{"choice":"a"}}⏎{"voterId":"u3","ballot":{"choice":"b"},"idempotencyKey":"k"}⏎
        GET /v1/polls/p/results
        POST /v1/polls/p/recount
        POST /v1/polls/nowhere/votes/batch {}
        with content-type: application/json
        POST /v1/polls/p/votes/batch {}
        POST /v1/polls/p/close
        POST /v1/polls/p/votes/batch {"voterId":"u7","ballot":{"choice":"a"}}
        as nobody
        POST /v1/polls/p/votes/batch {"voterId":"u7","ballot":{"choice":"a"}}
        "#,
    )
    .await;
}

#[tokio::test]
async fn a_batch_goes_by_the_polls_access() {
    check(
        "batch_access",
        r#"
        POST /v1/polls {"id":"codes","title":"T","options":[{"id":"a"}],"status":"open","access":"code"}
        POST /v1/polls/codes/codes {"count":2}
        POST /v1/polls {"id":"public","title":"T","options":[{"id":"a"}],"status":"open","access":"public"}
        POST /v1/polls {"id":"names","title":"T","options":[],"status":"open","writeIn":true}
        POST /v1/polls/names/votes/batch {"voterId":"1","ballot":{"choice":"Ada"}}⏎{"voterId":"2","ballot":{"choice":"Bo"}}⏎{"voterId":"1","ballot":{"choice":"Cy"}}⏎{"voterId":"3","ballot":{"choice":"Ada"}}
        GET /v1/polls/names/results
        as nobody
        POST /v1/polls/codes/votes/batch {"code":"‹1›","ballot":{"choice":"a"}}⏎{"code":"‹1›","ballot":{"choice":"a"}}⏎{"code":"‹2›","ballot":{"choice":"a"}}⏎{"code":"none","ballot":{"choice":"a"}}
        POST /v1/polls/public/votes/batch {"ballot":{"choice":"a"}}⏎{"ballot":{"choice":"a"}}⏎{"voterId":"u1","ballot":{"choice":"a"}}
        "#,
    )
    .await;
}

/// A line that never ends takes no memory, and the lines around it count.
#[tokio::test]
async fn a_line_that_is_too_long_spoils_no_other() {
    let mut world = World::new().await;
    world.play(r#"POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"}],"status":"open"}"#).await;
    let vote = |voter: &str| format!("{{\"voterId\":\"{voter}\",\"ballot\":{{\"choice\":\"a\"}}}}\n");
    let long = format!("{}\n", "x".repeat(300 * 1024));
    let pieces = [vote("u1"), long, vote("u2"), format!("{}\n", "y".repeat(64 * 1024 + 1)), vote("u3")];
    let text = pieces.concat();
    for size in [1_000, 70_000, text.len()] {
        let chunks: Vec<_> =
            text.as_bytes().chunks(size).map(|chunk| Ok::<_, Infallible>(chunk.to_vec())).collect();
        let request = axum::http::Request::post("/v1/polls/p/votes/batch")
            .header("content-type", "application/x-ndjson")
            .header("x-api-key", ADMIN)
            .body(Body::from_stream(stream::iter(chunks)))
            .expect("a request");
        let answer = world.send(request).await;
        world.record(&format!("the same in pieces of {size} bytes"), &answer);
    }
    world.compare("batch_long_lines");
}

#[tokio::test]
async fn many_lines_are_answered_in_order() {
    const LINES: usize = 20_000;
    let mut world = World::new().await;
    world
        .play(r#"POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"},{"id":"b"}],"status":"open"}"#)
        .await;
    let text = lines(0..LINES, |voter| {
        format!(r#"{{"voterId":"v{}","ballot":{{"choice":"a"}}}}"#, voter % (LINES / 2))
    });
    let answer = world.ask("POST", "/v1/polls/p/votes/batch", text).await;
    let answers: Vec<serde_json::Value> =
        answer.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers.len(), LINES);
    for (index, line) in answers.iter().enumerate() {
        let (status, first) = if index < LINES / 2 { (201, index) } else { (409, index - LINES / 2) };
        assert_eq!((&line["line"], &line["status"]), (&(index + 1).into(), &status.into()), "{line}");
        assert_eq!(line["voteId"], answers[first]["voteId"], "a refusal names the vote that counts");
    }
    world.play("GET /v1/polls/p/results").await;
    world.compare("batch_many");
}

/// Answers come while the batch is still being sent.
#[tokio::test]
async fn a_batch_is_answered_while_it_comes() {
    let mut world = World::new().await;
    world.play(r#"POST /v1/polls {"id":"p","title":"T","options":[{"id":"a"}],"status":"open"}"#).await;
    let (send, receive) = tokio::sync::mpsc::channel::<Result<String, Infallible>>(1);
    let body = stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) });
    let request = axum::http::Request::post("/v1/polls/p/votes/batch")
        .header("content-type", "application/x-ndjson")
        .header("x-api-key", ADMIN)
        .body(Body::from_stream(body))
        .expect("a request");
    let response = tower::ServiceExt::oneshot(canvass_server::router(world.app.clone()), request).await;
    let mut answers = response.expect("the router answers").into_body().into_data_stream();
    for (line, voter) in (1..).zip(["u1", "u2", "u3"]) {
        let vote = format!("{{\"voterId\":\"{voter}\",\"ballot\":{{\"choice\":\"a\"}}}}\n");
        send.send(Ok(vote)).await.expect("the batch is read");
        let answer = answers.next().await.expect("an answer").expect("bytes");
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("one line of JSON");
        assert_eq!((&answer["line"], &answer["status"]), (&line.into(), &201.into()));
    }
    // The client goes away: what was accepted stays.
    drop((send, answers));
    world.play("GET /v1/polls/p/results").await;
    world.compare("batch_streamed");
}

/// More new options in one batch than a store that is full would be asked again.
#[tokio::test]
async fn many_write_ins_come_in_one_batch() {
    let mut world = World::new().await;
    world.play(r#"POST /v1/polls {"id":"p","title":"T","options":[],"status":"open","writeIn":true}"#).await;
    let votes =
        lines(0..600, |voter| format!(r#"{{"voterId":"v{voter}","ballot":{{"choice":"name {voter}"}}}}"#));
    let answer = world.ask("POST", "/v1/polls/p/votes/batch", votes).await;
    let statuses: Vec<_> = answer
        .text()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["status"].clone())
        .collect();
    assert!(statuses[..500].iter().all(|status| status == 201), "a poll takes 500 options");
    assert!(statuses[500..].iter().all(|status| status == 422), "and no more");
}
