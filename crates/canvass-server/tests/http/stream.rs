//! The stream of live results: whole, in order, at a bounded rate, and within what its reader may see.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use canvass_server::{limits, router};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::harness::World;

/// Longer than any event of these tests takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A stream that is read.
struct Reader {
    body: Body,
    text: String,
}

impl Reader {
    async fn open(world: &World, path: &str, fields: &[(&str, &str)]) -> Self {
        let mut request = Request::builder().uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = router(world.app.clone()).oneshot(request).await.expect("the router answers");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut reader = Self { body: response.into_body(), text: String::new() };
        let retry = reader.block().await.expect("a first line");
        let wait = retry.strip_prefix("retry: ").and_then(|wait| wait.parse::<u128>().ok());
        let most = limits::LIVE_RETRY_MAX.as_millis();
        assert!(wait.is_some_and(|wait| wait <= most && wait >= most / 2), "{retry}");
        reader
    }

    /// What comes up to the next empty line; none at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let frame =
                tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("something in time")?;
            let data = frame.expect("the stream goes on").into_data().expect("data");
            self.text.push_str(std::str::from_utf8(&data).expect("text"));
        }
    }

    /// The next results, with their sequence.
    async fn results(&mut self) -> Option<(u64, serde_json::Value)> {
        let block = self.block().await?;
        let lines: Vec<_> = block.lines().collect();
        let [event, id, data] = lines[..] else { panic!("{block}") };
        assert_eq!(event, "event: results");
        let id = id.strip_prefix("id: ").and_then(|id| id.parse().ok()).expect("a sequence");
        let json =
            data.strip_prefix("data: ").and_then(|json| serde_json::from_str(json).ok()).expect("JSON");
        Some((id, json))
    }

    /// Whether nothing comes for a while.
    async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(400), self.block()).await.is_err()
    }
}

const POLL: &str = r#"POST /v1/polls {"id":"lunch","title":"Lunch\n?","options":[{"id":"pizza"},{"id":"soup"}],"status":"open","access":"open"}"#;
const STREAM: &str = "/v1/polls/lunch/results/stream";

async fn vote(world: &mut World, voters: std::ops::Range<usize>) {
    for voter in voters {
        let body = format!(r#"{{"voterId":"u{voter}","ballot":{{"choice":"soup"}}}}"#);
        assert_eq!(world.ask("POST", "/v1/polls/lunch/votes", body).await.status, StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_watcher_gets_whole_results_in_order_and_no_more_than_it_can_see() {
    let mut world = World::new().await;
    world.play(POLL).await;
    let mut reader = Reader::open(&world, STREAM, &[]).await;
    let (first, json) = reader.results().await.expect("the results as they stand");
    let same = world.ask("GET", "/v1/polls/lunch/results", "").await;
    assert_eq!(json, same.json());
    vote(&mut world, 0..50).await;
    let (mut last, mut votes) = (first, 0);
    while votes < 50 {
        let (id, json) = reader.results().await.expect("newer results");
        assert!(id > last, "{id} after {last}");
        (last, votes) = (id, json["votes"].as_u64().expect("a number"));
        assert_eq!(json["sequence"], id);
        assert_eq!(json["options"][1]["votes"], votes);
    }
    assert!(reader.is_silent().await);
}

#[tokio::test]
async fn results_come_at_a_bounded_rate_however_many_votes_there_are() {
    let mut world = World::new().await;
    world.play(POLL).await;
    let mut reader = Reader::open(&world, STREAM, &[]).await;
    reader.results().await.expect("the results as they stand");
    let begun = tokio::time::Instant::now();
    let reading = tokio::spawn(async move {
        let mut events = 0;
        while reader.results().await.expect("newer results").1["votes"] != 300 {
            events += 1;
        }
        events + 1
    });
    for voter in 0..300 {
        vote(&mut world, voter..voter + 1).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let events: u128 = reading.await.expect("a reader does not panic");
    let most = begun.elapsed().as_millis() / limits::LIVE_PAUSE.as_millis() + 1;
    assert!((2..=most).contains(&events), "{events} events in the time of {most}");
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_left() {
    let mut world = World::new().await;
    world.play(POLL).await;
    let (last, _) = Reader::open(&world, STREAM, &[]).await.results().await.expect("results");
    let id = last.to_string();
    let mut again = Reader::open(&world, STREAM, &[("last-event-id", &id)]).await;
    assert!(again.is_silent().await);
    vote(&mut world, 0..1).await;
    assert_eq!(again.results().await.expect("newer results").0, last + 1);
    // An id that this poll never had, as after a restore: the results as they stand.
    for strange in ["999999", "-1", "x"] {
        let mut reader = Reader::open(&world, STREAM, &[("last-event-id", strange)]).await;
        assert_eq!(reader.results().await.expect("results").0, last + 1);
    }
}

#[tokio::test]
async fn a_hidden_count_stays_hidden_until_the_poll_shows_it() {
    let mut world = World::new().await;
    world.play(&POLL.replace(r#""access""#, r#""resultsVisible":"afterClose","access""#)).await;
    let mut reader = Reader::open(&world, STREAM, &[]).await;
    reader.results().await.expect("the turnout");
    vote(&mut world, 0..1).await;
    let (sequence, json) = reader.results().await.expect("the turnout");
    assert_eq!((json["votes"].as_u64(), json["visible"].as_bool()), (Some(1), Some(false)));
    assert_eq!(json["options"][1]["votes"], serde_json::Value::Null, "{json}");
    world.play("POST /v1/polls/lunch/close").await;
    let (closed, json) = reader.results().await.expect("the count");
    assert!(closed > sequence);
    assert_eq!(json["options"][1]["votes"], 1);
    // And who has seen the turnout of a sequence has not seen its count.
    let id = closed.to_string();
    let mut again = Reader::open(&world, STREAM, &[("last-event-id", &id)]).await;
    assert_eq!(again.results().await.expect("the count").0, closed);
}

#[tokio::test]
async fn who_may_not_read_may_not_watch() {
    let mut world = World::new().await;
    world.play(&POLL.replace(r#""open"}"#, r#""key"}"#)).await;
    let request = Request::builder().uri(STREAM).body(Body::empty()).expect("a request");
    assert_eq!(world.send(request).await.status, StatusCode::UNAUTHORIZED);
    let request = Request::builder().uri(STREAM.replace("lunch", "nowhere")).body(Body::empty());
    assert_eq!(world.send(request.expect("a request")).await.status, StatusCode::NOT_FOUND);
}

/// The pages' own stream tells as much as they do: to a session of the console, and to a device inside a frame.
#[tokio::test]
async fn pages_watch_as_whom_they_are_read_by() {
    let mut world = World::new().await;
    world.play(&POLL.replace(r#""open"}"#, r#""key"}"#)).await;
    world.play("as nobody\nform /console/sign-in key=‹admin›").await;
    let cookies = world.cookies();
    world.play("as admin").await;
    let mut reader = Reader::open(&world, "/p/lunch/results/stream", &[("cookie", &cookies)]).await;
    reader.results().await.expect("results");
    vote(&mut world, 0..1).await;
    assert_eq!(reader.results().await.expect("results").1["votes"], 1);
    for path in ["/p/lunch/results/stream", STREAM] {
        let fields = if path == STREAM { cookies.as_str() } else { "" };
        let request = Request::builder().uri(path).header("cookie", fields).body(Body::empty());
        let status = world.send(request.expect("a request")).await.status;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}: only the page's own, and with the session");
    }
}

#[tokio::test]
async fn streams_end_when_the_server_stops_or_the_poll_is_gone() {
    let mut world = World::new().await;
    world.play(POLL).await;
    let mut reader = Reader::open(&world, STREAM, &[]).await;
    reader.results().await.expect("results");
    assert!(watchers(&mut world).await.contains("\ncanvass_watchers 1\n"));
    world.play("POST /v1/polls/lunch/close\nPOST /v1/polls/lunch/certify\nPOST /v1/polls/lunch/archive\nDELETE /v1/polls/lunch").await;
    while reader.block().await.is_some() {}
    drop(reader);
    assert!(watchers(&mut world).await.contains("\ncanvass_watchers 0\n"));
    world.play(POLL).await;
    let mut reader = Reader::open(&world, STREAM, &[]).await;
    reader.results().await.expect("results of the new poll");
    world.app.end_streams();
    assert_eq!(reader.block().await, None);
}

async fn watchers(world: &mut World) -> String {
    world.ask("GET", "/metrics", "").await.text()
}
