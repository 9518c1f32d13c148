//! How soon the functions answer after they were started. `cargo xtask functions` builds them as they are deployed, and
//! prints this.

use std::{fs, time::Duration};

use serde_json::json;

use crate::{
    emulator::{Lambda, Outcome},
    gateway::Api,
    stream::event,
    world::{Functions, Program, Variables},
};

const STARTS: usize = 11;

#[tokio::test]
#[ignore = "a measurement: cargo xtask functions"]
async fn starts() {
    let folder = tempfile::tempdir().unwrap();
    let export_to = folder.path().display().to_string();
    let mut functions = Functions::start(Variables { export_to, ..Variables::default() }, Api::Http).await;
    functions.json(
        "POST",
        "/v1/polls",
        r#"{"id":"lunch","title":"T","options":[{"id":"a"}],"status":"open"}"#,
    );
    functions.json("POST", "/v1/polls/lunch/votes", r#"{"voterId":"u1","ballot":{"choice":"a"}}"#);
    let (shard, records) = functions.stream.read().await.remove(0);
    let read = json!({"version": "2.0", "rawPath": "/v1/polls/lunch/results", "rawQueryString": "", "headers": {"x-api-key": crate::harness::ADMIN},
        "requestContext": {"stage": "$default", "http": {"method": "GET", "sourceIp": "192.0.2.1"}}, "isBase64Encoded": false});
    println!(
        "\n| function | program, bytes | start to ready, ms | start to first answer, ms |\n|---|--:|--:|--:|"
    );
    for (program, first) in [
        (Program::Api, read),
        (Program::Tally, event(&shard, &records)),
        (Program::Export, json!({"source": "aws.scheduler"})),
    ] {
        let first = first.to_string();
        let times: Vec<_> = (0..STARTS).map(|_| time(&functions.launch(program), first.as_bytes())).collect();
        let bytes = fs::metadata(program.path()).unwrap().len();
        let [ready, answered] = [median(&times, |times| times.0), median(&times, |times| times.1)];
        println!("| {} | {bytes} | {ready:.0} | {answered:.0} |", program.name());
    }
}

/// From its start until it asked for an event, and until it had answered the first.
fn time(lambda: &Lambda, first: &[u8]) -> (Duration, Duration) {
    let outcome = lambda.invoke(first);
    let answered = lambda.started_at.elapsed();
    assert!(matches!(outcome, Outcome::Answer(_)), "{outcome:?}\n{}", lambda.printed());
    (lambda.start_time().expect("it has asked"), answered)
}

fn median(times: &[(Duration, Duration)], of: fn(&(Duration, Duration)) -> Duration) -> f64 {
    let mut times: Vec<_> = times.iter().map(of).collect();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}
