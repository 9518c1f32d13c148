//! Where the scripts of the server's tests are answered: by the function `api`, through API Gateway, over DynamoDB Local,
//! with the function `tally` counting; or by a server on DynamoDB. What they are to say is what the server on the local
//! engine says, as its own tests keep it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::Request, response::Response};
use canvass_dynamodb::{DynamoStore, Options, create_tables};
use canvass_server::{App, Edge as _, Settings, SystemEdge};
use canvass_store::Store as _;
use http_body_util::BodyExt as _;
use tokio::sync::Mutex;
use tower::ServiceExt as _;

use crate::{
    gateway::{Api, STAGE},
    harness::TestEdge,
    http::{Message, ask},
    server::{over, patient},
    world::{Functions, Variables, endpoint},
};

/// `server` has a server answer, and not the functions.
const ANSWERED_BY: &str = "CANVASS_TEST_ANSWERED_BY";

/// What answers one script. The server that the harness has made is not asked.
#[expect(clippy::disallowed_methods, reason = "a test's edge")]
pub(crate) async fn router(_: &App, settings: &Settings) -> Router {
    match std::env::var(ANSWERED_BY).as_deref() {
        Ok("server") => by_server(settings).await,
        Ok(other) => panic!("{ANSWERED_BY} may be `server`, and not `{other}`"),
        Err(_) => by_functions(settings).await,
    }
}

async fn by_functions(settings: &Settings) -> Router {
    let variables = Variables { implicit_polls: settings.implicit_polls, ..Variables::default() };
    // Half of the scripts come in by each kind of API.
    let api =
        if variables.prefix.ends_with(|last: char| last.to_digit(16).is_some_and(|digit| digit % 2 == 0)) {
            Api::Rest
        } else {
            Api::Http
        };
    let functions = Arc::new(Mutex::new(Functions::start(variables, api).await));
    Router::new().fallback(move |request: Request| {
        let functions = Arc::clone(&functions);
        async move { forward(&mut *functions.lock().await, request).await }
    })
}

/// A server with all its tasks, which folds the stream by itself.
async fn by_server(settings: &Settings) -> Router {
    let patient = patient(&Variables::default().prefix, endpoint());
    let options = Options {
        window: Duration::from_millis(200),
        poll_age_max: Duration::from_millis(50),
        tally_age_max: SHOWN,
        grace: Duration::from_millis(100),
        ..patient
    };
    create_tables(&options).await.expect("tables");
    let clock = SystemEdge::default();
    let store = DynamoStore::open(options, Arc::new(move || clock.now())).await.expect("tables");
    let store = Arc::new(store);
    let server = over(Arc::clone(&store), settings.clone()).await;
    Router::new().fallback(move |request: Request| {
        let (store, server) = (Arc::clone(&store), server.clone());
        async move {
            if reads_counts(request.uri().path()) {
                wait_until_counted(&store).await;
            }
            let Ok(response) = server.oneshot(request).await;
            response
        }
    })
}

/// How long the server shows a result.
const SHOWN: Duration = Duration::from_millis(10);

/// Waits until the server has folded all that it has written.
#[expect(clippy::disallowed_methods, reason = "a test's patience")]
async fn wait_until_counted(store: &DynamoStore) {
    const PATIENCE: Duration = Duration::from_secs(30);
    let began = Instant::now();
    let figure =
        |name: &str| store.health().figures.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    while figure("canvass_dynamodb_votes_total") != figure("canvass_dynamodb_folded_total") {
        assert!(began.elapsed() < PATIENCE, "the votes are not counted");
        tokio::time::sleep(SHOWN).await;
    }
    tokio::time::sleep(2 * SHOWN).await;
}

async fn forward(functions: &mut Functions, request: Request) -> Response {
    if reads_counts(request.uri().path()) {
        functions.count().await;
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let target = format!("/{STAGE}{}", head.uri);
    let mut message =
        Message::new(format!("{} {target} HTTP/1.1", head.method), body).with("host", "api.test");
    for (name, value) in &head.headers {
        message = message.with(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    let answer = ask(functions.gateway, &message).expect("an answer");
    let mut response = Response::builder().status(answer.target());
    for (name, value) in &answer.fields {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).expect("an answer of HTTP")
}

/// Whether an answer tells what votes have come to: then the stream is folded first, as it would be within seconds.
fn reads_counts(path: &str) -> bool {
    ["results", "breakdown", "timeline", "recount", "certify"].iter().any(|word| path.contains(word))
}

/// Compares what functions said with what the server says.
pub(crate) fn compare(name: &str, transcript: &str) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../canvass-server/tests/http/snapshots")
        .join(PathBuf::from(name).with_extension("snap"));
    let kept = std::fs::read_to_string(kept).expect("a transcript of the server's");
    let (_, kept) = kept.trim_start_matches("---").split_once("---\n").expect("a head");
    let (kept, said) = (alike(kept), alike(transcript));
    for (line, (kept, said)) in (1..).zip(kept.lines().zip(said.lines())) {
        assert_eq!(said, kept, "{name}, line {line}; all that was said:\n{transcript}");
    }
    assert_eq!(said.lines().count(), kept.lines().count(), "{name}:\n{transcript}");
}

/// Lets seconds pass. Here they are real.
pub(crate) fn wait(_: &TestEdge, seconds: i64) {
    const SECONDS_MAX: i64 = 3;
    assert!(seconds <= SECONDS_MAX, "no test waits for so long");
    std::thread::sleep(Duration::from_secs(seconds.unsigned_abs()));
}

/// A transcript without what may differ: times, what is left of allowances, lengths, the place of a vote in its poll, which
/// this engine tells nobody yet, the stage, and how long caches may keep results.
fn alike(transcript: &str) -> String {
    let mut lines = Vec::new();
    for line in transcript.trim().lines() {
        if line.starts_with("content-length: ") {
            continue;
        }
        let timed = ["ratelimit: ", "retry-after: "].into_iter().find(|name| line.starts_with(name));
        if let Some(name) = timed {
            lines.push(format!("{name}…"));
            continue;
        }
        let line = line.replace("cache-control: public, max-age=1", "cache-control: no-cache");
        let line = line.replace("location: /prod/", "location: /");
        // Records here are not chained.
        let line = line.replace("\"chain\":\"notKept\"", "\"chain\":\"intact\"");
        lines.push(without_sequence(&without_times(&line)));
    }
    lines.join("\n")
}

/// Moments as `2026-12-01T12:00:00.000000Z` are all the same.
fn without_times(line: &str) -> String {
    let is_moment = |text: &str| {
        text.is_char_boundary(20)
            && text.bytes().zip(*b"0000-00-00T00:00:00").take(19).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                mark => byte == mark,
            })
    };
    let mut plain = String::new();
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        if rest.len() > 20 && is_moment(rest) {
            let end = rest.find('Z').map_or(rest.len(), |end| end + 1);
            plain.push_str("‹time›");
            rest = &rest[end..];
        } else {
            plain.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    plain
}

/// A vote's answer ends with its place in the poll.
fn without_sequence(line: &str) -> String {
    match line.split_once("\"castAt\":\"‹time›\",\"sequence\":") {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|character: char| character.is_ascii_digit());
            format!("{before}\"castAt\":\"‹time›\"{rest}")
        }
        None => line.to_owned(),
    }
}
