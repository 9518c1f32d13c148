//! The whole story of a poll through the functions, by both kinds of API.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use canvass_lambda::metrics::{METRICS, NAMESPACE, STACK};
use serde_json::{Value, json};

use crate::{
    emulator::Outcome,
    gateway::Api,
    harness::ADMIN,
    http::{Message, ask},
    proxy::{Fate, begin},
    stream::TALLY_AGE_MAX,
    world::{Functions, Program, Variables, endpoint},
};

/// A poll's life, and its export.
async fn check(api: Api) {
    let folder = tempfile::tempdir().unwrap();
    let export_to = folder.path().display().to_string();
    let mut functions = Functions::start(Variables { export_to, ..Variables::default() }, api).await;

    live(&mut functions).await;
    let written = functions.export()["written"].clone();
    let export = written[0].as_str().unwrap();
    let votes = std::fs::read_to_string(folder.path().join(export)).unwrap();
    assert_eq!((votes.lines().count(), votes.contains("Zoë/2")), (1 + 4, true), "{export}:\n{votes}");
    assert_eq!(functions.export(), json!({"written": []}), "nothing has changed");
    check_printed(&functions);
    erase(&mut functions).await;
}

/// Erases one voter by the API, and the others of the poll by the function that exports; the count stays.
pub(crate) async fn erase(functions: &mut Functions) {
    assert_eq!(functions.json("POST", "/v1/polls/lunch/votes/bob/erase", "")["records"], 2);
    assert_eq!(functions.json("POST", "/v1/polls/lunch/erase", "")["personalData"], "erasing");
    functions.export();
    functions.count().await;
    assert_eq!(functions.json("GET", "/v1/polls/lunch", "")["personalData"], "erased");
    assert_eq!(functions.ask("GET", "/v1/polls/lunch/votes/ada", "").0, 404);
    assert_eq!(functions.json("POST", "/v1/polls/lunch/recount", "")["matches"], true);
    let results = functions.json("GET", "/v1/polls/lunch/results", "");
    assert_eq!(told(&results), "certified: pizza 3, soup 1 of 4");
}

/// Creates, opens, votes, changes, looks, closes and certifies.
pub(crate) async fn live(functions: &mut Functions) {
    let poll = r#"{"id":"lunch","title":"Lunch?","options":[{"id":"pizza"},{"id":"soup"}],"access":"public","revote":"untilClose"}"#;
    let (status, _) = functions.ask("POST", "/v1/polls", poll);
    assert_eq!(status, 201);
    functions.json("POST", "/v1/polls/lunch/open", "");
    for (voter, choice) in [("ada", "pizza"), ("bob", "soup"), ("Zoë/2", "soup")] {
        let vote = json!({"voterId": voter, "ballot": {"choice": choice}});
        functions.json("POST", "/v1/polls/lunch/votes", &vote.to_string());
    }
    functions.json("PUT", "/v1/polls/lunch/votes/bob", r#"{"ballot":{"choice":"pizza"}}"#);
    let lines = "{\"voterId\":\"eve\",\"ballot\":{\"choice\":\"pizza\"}}\n{\"voterId\":\"ada\",\"ballot\":{\"choice\":\"cake\"}}\n";
    let (status, answers) = functions.ask("POST", "/v1/polls/lunch/votes/batch", lines);
    let statuses: Vec<_> =
        answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].clone()).collect();
    assert_eq!((status, statuses), (200, vec![json!(201), json!(422)]), "{answers}");
    let (status, problem) = functions.ask("DELETE", "/v1/polls/lunch/votes/nobody", "");
    assert_eq!(status, 404, "{problem}");

    functions.count().await;
    let results = functions.json("GET", "/v1/polls/lunch/results", "");
    assert_eq!(told(&results), "open: pizza 3, soup 1 of 4");
    check_stream(functions, &results);

    functions.json("POST", "/v1/polls/lunch/close", "");
    functions.count().await;
    assert_eq!(functions.json("POST", "/v1/polls/lunch/recount", "")["matches"], true);
    functions.json("POST", "/v1/polls/lunch/certify", "");
    let results = functions.json("GET", "/v1/polls/lunch/results", "");
    assert_eq!(told(&results), "certified: pizza 3, soup 1 of 4");
}

/// The stream of results ends with the newest; what the caller has seen is not told again; caches may help.
fn check_stream(functions: &Functions, results: &Value) {
    let (status, events) = functions.ask("GET", "/v1/polls/lunch/results/stream", "");
    let expected = format!("retry: 2000\n\nevent: results\nid: {}\ndata: {results}\n\n", results["sequence"]);
    let data =
        |events: &str| events.lines().find_map(|line| line.strip_prefix("data: ")?.parse::<Value>().ok());
    assert_eq!((status, data(&events)), (200, data(&expected)), "{events}");
    let seen = Message::new("GET /prod/v1/polls/lunch/results/stream HTTP/1.1", "")
        .with("last-event-id", results["sequence"].to_string());
    assert_eq!(String::from_utf8(ask(functions.gateway, &seen).unwrap().body).unwrap(), "retry: 2000\n\n");
    let known = Message::new("GET /prod/v1/polls/lunch/results HTTP/1.1", "")
        .with("if-none-match", format!("\"{}\"", results["sequence"]));
    let answer = ask(functions.gateway, &known).unwrap();
    assert_eq!((answer.target(), answer.field("cache-control")), ("304", Some("public, max-age=1")));
}

/// What the API printed: figures that the table names, and neither voters nor secrets.
fn check_printed(functions: &Functions) {
    let printed = functions.api.printed() + &functions.tally.printed();
    for secret in ["ada", "bob", "Zoë", ADMIN] {
        assert!(
            !printed.contains(&format!("\"{secret}")) && !printed.contains(&format!("{secret}\"")),
            "{printed}"
        );
    }
    let mut told = BTreeSet::new();
    for line in printed.lines().map(|line| serde_json::from_str::<Value>(line).expect("lines are JSON")) {
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        let Some(name) = directive["Metrics"][0]["Name"].as_str() else { continue };
        let metric = METRICS.iter().find(|metric| metric.name == name).expect("the table names it");
        assert_eq!(directive["Namespace"], NAMESPACE);
        assert!(line[STACK].as_str().is_some_and(|stack| !stack.is_empty()), "{line}");
        assert_eq!(directive["Metrics"][0]["Unit"], metric.unit);
        assert!(line[name].is_number());
        if let Some(dimension) = metric.dimension {
            let value = line[dimension.name].as_str().expect("a value");
            assert!(dimension.values.contains(&value), "{name}: {value}");
            told.insert(format!("{name} {value}"));
        } else {
            told.insert(name.to_owned());
        }
    }
    let expected = [
        "BatchAge",
        "ClientErrors",
        "RecordsFolded",
        "RequestLatency other",
        "RequestLatency results",
        "RequestLatency votes",
        "Votes cast",
        "Votes changed",
        "Votes refused",
    ];
    assert_eq!(told, expected.map(str::to_owned).into());
}

fn told(results: &Value) -> String {
    let options = results["options"].as_array().unwrap();
    let options: Vec<_> = options
        .iter()
        .map(|option| format!("{} {}", option["id"].as_str().unwrap(), option["votes"]))
        .collect();
    format!("{}: {} of {}", results["status"].as_str().unwrap(), options.join(", "), results["votes"])
}

#[tokio::test]
async fn a_poll_behind_a_rest_api() {
    check(Api::Rest).await;
}

#[tokio::test]
async fn a_poll_behind_an_http_api() {
    check(Api::Http).await;
}

#[tokio::test]
async fn a_poll_that_time_closes_is_exported_for_the_last_time() {
    let folder = tempfile::tempdir().unwrap();
    let export_to = folder.path().display().to_string();
    let mut functions = Functions::start(Variables { export_to, ..Variables::default() }, Api::Http).await;
    cast_until_closing(&mut functions).await;
    let lines = |written: &Value| written["written"].as_array().unwrap().len();
    assert_eq!(lines(&functions.export()), 2, "the votes so far, and a snapshot");
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(lines(&functions.export()), 1, "the last votes");
    assert_eq!(lines(&functions.export()), 0);
    let mut manifests: Vec<_> = std::fs::read_dir(folder.path().join("manifests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    manifests.sort();
    let manifest = manifests.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>();
    let finals: Vec<_> = manifest
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["final"].clone())
        .filter(Value::is_boolean)
        .collect();
    assert_eq!(finals, [json!(false), json!(true)], "{manifest}");
}

#[tokio::test]
async fn a_poll_that_was_counted_wrong_is_told_once_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let export_to = folder.path().display().to_string();
    let mut functions = Functions::start(Variables { export_to, ..Variables::default() }, Api::Rest).await;
    let poll = r#"{"id":"lunch","title":"T","options":[{"id":"a"}],"status":"open"}"#;
    functions.json("POST", "/v1/polls", poll);
    functions.json("POST", "/v1/polls/lunch/votes", r#"{"voterId":"u1","ballot":{"choice":"a"}}"#);
    let (shard, mut records) = functions.stream.read().await.remove(0);
    functions.fold(&shard, &records);
    // As no stream does: the same vote again in another place.
    for record in &mut records {
        let place = record["dynamodb"]["SequenceNumber"].as_str().unwrap();
        let next = place.parse::<u128>().unwrap() + 1_000;
        record["dynamodb"]["SequenceNumber"] = format!("{next:0width$}", width = place.len()).into();
    }
    functions.fold(&shard, &records);
    tokio::time::sleep(TALLY_AGE_MAX).await;
    functions.json("POST", "/v1/polls/lunch/close", "");
    let export = functions.launch(Program::Export);
    let outcome = export.invoke(b"{}");
    assert!(matches!(outcome, Outcome::Answer(_)), "{outcome:?}");
    // What it prints comes by another way than its answer.
    tokio::time::sleep(TALLY_AGE_MAX).await;
    let printed = export.printed();
    assert!(printed.lines().any(|line| line.contains("\"RecountDifferences\":1.0")), "{printed}");
}

/// Casts a vote in a poll that time closes 4 seconds after this began.
pub(crate) async fn cast_until_closing(functions: &mut Functions) {
    let now = functions.json("POST", "/v1/polls", r#"{"id":"clock","title":"T","options":[{"id":"a"}]}"#);
    let closing = later(now["createdAt"].as_str().unwrap(), 4);
    let poll =
        json!({"id": "soon", "title": "T", "options": [{"id": "a"}], "status": "open", "closesAt": closing});
    functions.json("POST", "/v1/polls", &poll.to_string());
    functions.json("POST", "/v1/polls/soon/votes", r#"{"voterId":"u1","ballot":{"choice":"a"}}"#);
    functions.count().await;
}

fn later(moment: &str, seconds: i64) -> String {
    let moment: canvass_domain::Timestamp = moment.parse().unwrap();
    moment.plus_seconds(seconds).to_string()
}

#[tokio::test]
async fn what_a_caller_can_send_never_gives_a_500() {
    let functions = Functions::start(Variables::default(), Api::Http).await;
    let strange = [
        "GET /prod/v1/polls/%FF%00 HTTP/1.1",
        "GET /prod/v1/polls/.. HTTP/1.1",
        "GET /prod//v1//polls?a=%&b=%zz&=&& HTTP/1.1",
        "GET /prod/p/%C3%28?lang=\u{7f} HTTP/1.1",
        "BREW /prod/v1/polls HTTP/1.1",
        "GET /prod HTTP/1.1",
    ];
    for start in strange {
        let message = Message::new(start, vec![0xff, 0xfe])
            .with("host", "exa mple:99999999")
            .with("x-forwarded-proto", "no scheme at all")
            .with("user-agent", "Zoë")
            .with("bad name", "x")
            .with("cookie", "=;;=; canvass_device=x");
        let answer = ask(functions.gateway, &message).unwrap();
        let status: u16 = answer.target().parse().unwrap();
        assert!(status < 500, "{start}: {answer:?}\n{}", functions.api.printed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_without_room_are_told_with_when_to_come_back() {
    let is_full = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_full);
    let proxy = begin(&endpoint(), move |operation, _| {
        if operation == "PutItem" && seen.load(Ordering::SeqCst) { Fate::Throttled } else { Fate::Done }
    })
    .await;
    let variables = Variables { endpoint: Some(proxy.endpoint.clone()), ..Variables::default() };
    let functions = Functions::start(variables, Api::Rest).await;
    let poll = r#"{"id":"lunch","title":"T","options":[{"id":"a"}],"status":"open"}"#;
    functions.json("POST", "/v1/polls", poll);
    let (path, vote) = ("/v1/polls/lunch/votes", r#"{"voterId":"u1","ballot":{"choice":"a"}}"#);
    let request = Message::new(format!("POST /prod{path} HTTP/1.1"), vote)
        .with("x-api-key", ADMIN)
        .with("content-type", "application/json");
    is_full.store(true, Ordering::SeqCst);
    let refused = ask(functions.gateway, &request).unwrap();
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.target(), &problem["type"]), ("503", &json!("/problems/server-busy")));
    assert!(
        refused.field("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok()),
        "{refused:?}"
    );
    is_full.store(false, Ordering::SeqCst);
    assert_eq!(ask(functions.gateway, &request).unwrap().target(), "201", "nothing was changed before");
}
