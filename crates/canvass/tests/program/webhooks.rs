//! Webhooks and alarms of a real server, delivered to a real receiver, through a kill.

#![expect(clippy::disallowed_methods, reason = "a test's edge")]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use canvass_notify::SigningKey;
use serde_json::{Value, json};

use crate::harness::Server;

/// What was posted to the receiver.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// What it was answered with.
    status: u16,
}

impl Received {
    fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn is_signed_by(&self, key: &SigningKey) -> bool {
        let sent_at = self.headers["webhook-timestamp"].parse().unwrap();
        let signature = key.sign(&self.headers["webhook-id"], sent_at, self.body.as_bytes());
        self.headers["webhook-signature"] == signature
    }
}

/// A small HTTP server that keeps what it is sent, and answers by turns.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// Answers with these statuses in turn.
    pub(crate) fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let keeps = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // The sender may be killed in the middle.
                let _ = receive(stream.unwrap(), &keeps, statuses);
            }
        });
        Self { address, received }
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until what was received is as it should be.
    fn wait(&self, what: &str, done: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let until = Instant::now() + Duration::from_mins(1);
        loop {
            let all = self.all();
            if done(&all) {
                return all;
            }
            assert!(Instant::now() < until, "{what} did not come: {all:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn receive(stream: TcpStream, keeps: &Mutex<Vec<Received>>, statuses: &[u16]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut headers, mut line) = (BTreeMap::new(), String::new());
    reader.read_line(&mut line)?;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).unwrap();
    let status = {
        let mut received = keeps.lock().unwrap();
        let status = statuses[received.len() % statuses.len()];
        received.push(Received { headers, body, status });
        status
    };
    let location = if status == 302 { "location: http://127.0.0.1:1/elsewhere\r\n" } else { "" };
    let answer = format!("HTTP/1.1 {status} X\r\n{location}content-length: 0\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes())
}

/// Sends JSON that must be taken, and reads the answer.
fn post(server: &Server, path: &str, body: &Value, expected: u16) -> Value {
    let (status, answer) = server.connect().request("POST", path, &body.to_string()).unwrap();
    assert_eq!(status, expected, "{path}: {answer}");
    serde_json::from_str(&answer).unwrap_or_default()
}

fn get(server: &Server, path: &str) -> Value {
    let (status, answer) = server.connect().request("GET", path, "").unwrap();
    assert_eq!(status, 200, "{path}: {answer}");
    serde_json::from_str(&answer).unwrap_or(Value::String(answer))
}

fn create_poll(server: &Server, id: &str) {
    let options = json!([{"id": "a"}, {"id": "b"}]);
    let poll = json!({"id": id, "title": "T", "options": options, "status": "open"});
    post(server, "/v1/polls", &poll, 201);
}

fn vote(server: &Server, poll: &str, voters: std::ops::Range<u32>) {
    for voter in voters {
        let vote = json!({"voterId": format!("v{voter}"), "ballot": {"choice": "a"}});
        post(server, &format!("/v1/polls/{poll}/votes"), &vote, 201);
    }
}

const PRIVATE: &str = "--webhook-private-addresses";

#[test]
fn every_event_arrives_in_order_through_refusals_and_a_kill() {
    let receiver = Receiver::start(&[204, 204, 500, 204, 302]);
    let mut server = Server::start(&[PRIVATE]);
    let types = ["poll.created", "poll.opened", "poll.closed", "poll.certified", "results.changed"];
    let url = format!("http://localhost:{}/hook?token=x", receiver.address.port());
    let hook = json!({"url": url, "types": types, "resultsVotes": 5, "resultsSeconds": 1});
    let made = post(&server, "/v1/webhooks", &hook, 201);
    let key: SigningKey = made["secret"].as_str().unwrap().parse().unwrap();
    create_poll(&server, "first");
    vote(&server, "first", 0..12);
    receiver.wait("the first", |all| all.len() > 2);
    server.kill();
    server.restart_with(&[PRIVATE]);
    create_poll(&server, "second");
    post(&server, "/v1/polls/first/close", &json!({}), 200);
    post(&server, "/v1/polls/first/certify", &json!({}), 200);
    vote(&server, "second", 0..3);
    let query = format!("/v1/events?types={}&everyVotes=5", types.join(","));
    let told = get(&server, &query);
    let told: Vec<_> = told["items"].as_array().unwrap().iter().map(|event| event["id"].clone()).collect();
    let is_last = |received: &Received| {
        let event = received.event();
        received.status == 204
            && event["data"]["results"]["votes"] == 3
            && event["data"]["pollId"] == "second"
    };
    let all = receiver.wait("the last", |all| all.iter().any(is_last));
    // Each is signed, and what came twice bears the same id and says the same.
    let mut positions: Vec<u64> = Vec::new();
    let mut delivered: BTreeMap<String, Value> = BTreeMap::new();
    for received in &all {
        assert!(received.is_signed_by(&key), "{received:?}");
        let event = received.event();
        assert_eq!(event["id"], received.headers["webhook-id"]);
        if received.status == 204 {
            let position = event["position"].as_u64().unwrap();
            let known = delivered.insert(received.headers["webhook-id"].clone(), event.clone());
            match known {
                None => positions.push(position),
                Some(known) => {
                    assert_eq!((&known["type"], &known["position"]), (&event["type"], &event["position"]));
                }
            }
        }
    }
    assert!(positions.is_sorted(), "in the order of the ledger: {positions:?}");
    for id in told {
        assert!(delivered.contains_key(id.as_str().unwrap()), "{id} was lost");
    }
    assert!(all.iter().any(|received| received.status == 500 || received.status == 302), "some were refused");
    let shown = get(&server, "/v1/webhooks").to_string();
    assert!(!shown.contains("whsec_") && shown.contains(r#""state":""#), "{shown}");
}

#[test]
fn events_are_delivered_again_when_somebody_asks() {
    let receiver = Receiver::start(&[200]);
    let server = Server::start(&[PRIVATE]);
    let url = format!("http://{}/", receiver.address);
    let made = post(&server, "/v1/webhooks", &json!({"url": url}), 201);
    create_poll(&server, "p");
    let first = receiver.wait("the opening", |all| all.len() == 1);
    let path = format!("/v1/webhooks/{}/redeliver", made["id"].as_str().unwrap());
    post(&server, &path, &json!({"after": 0}), 200);
    let both = receiver.wait("it again", |all| all.len() == 2);
    assert_eq!(both[1].headers["webhook-id"], first[0].headers["webhook-id"]);
    assert_eq!(both[1].body, first[0].body);
}

#[test]
fn a_receiver_that_is_gone_is_not_asked_again_until_somebody_wants_it() {
    let receiver = Receiver::start(&[410, 200]);
    let server = Server::start(&[PRIVATE]);
    let made = post(&server, "/v1/webhooks", &json!({"url": format!("http://{}/", receiver.address)}), 201);
    create_poll(&server, "p");
    receiver.wait("the opening", |all| all.len() == 1);
    wait_for(|| get(&server, "/v1/webhooks")["items"][0]["state"] == "disabled");
    post(&server, &format!("/v1/webhooks/{}/redeliver", made["id"].as_str().unwrap()), &json!({}), 200);
    receiver.wait("the opening again", |all| all.len() == 2);
    wait_for(|| get(&server, "/v1/webhooks")["items"][0]["state"] == "active");
}

#[test]
fn a_name_of_a_private_address_is_not_reached() {
    let receiver = Receiver::start(&[200]);
    let server = Server::start(&[]);
    let url = format!("http://localhost:{}/", receiver.address.port());
    post(&server, "/v1/webhooks", &json!({"url": url}), 201);
    create_poll(&server, "p");
    wait_for(|| get(&server, "/v1/webhooks")["items"][0]["state"] == "failing");
    let trouble = get(&server, "/v1/webhooks")["items"][0]["trouble"].clone();
    assert_eq!(trouble, "the host's address is private, which this server may not reach");
    assert!(receiver.all().is_empty(), "nothing was sent");
}

/// A server whose alarm on votes begins after three in a second, and its webhook for a receiver.
fn alarming(receiver: &Receiver) -> (Server, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("canvass.toml");
    let alarm = "[[alarm]]\nname = \"vote-volume\"\nthreshold = 3\nperiod-seconds = 1\n\n[[alarm]]\nname = \"client-errors\"\n";
    std::fs::write(&file, alarm).unwrap();
    let server = Server::start(&[PRIVATE, "--config", file.to_str().unwrap()]);
    let hook = json!({"url": format!("http://{}/", receiver.address), "types": ["alarm.changed"]});
    let hook = post(&server, "/v1/webhooks", &hook, 201);
    create_poll(&server, "p");
    (server, hook)
}

#[test]
fn an_alarm_that_was_not_taken_is_told_first_when_somebody_asks() {
    let receiver = Receiver::start(&[410, 200]);
    let (server, hook) = alarming(&receiver);
    let mut voter = 0;
    wait_for(|| {
        vote(&server, "p", voter..voter + 10);
        voter += 10;
        get(&server, "/v1/webhooks")["items"][0]["state"] == "disabled"
    });
    post(&server, &format!("/v1/webhooks/{}/redeliver", hook["id"].as_str().unwrap()), &json!({}), 200);
    let told = receiver.wait("it again", |all| all.len() > 1);
    assert_eq!(told[1].headers["webhook-id"], told[0].headers["webhook-id"]);
    assert_eq!(told[1].event()["data"]["alarm"]["state"], "alarm");
}

/// The documents' own alarm on the volume of votes watched a metric that nobody wrote; this one fires.
#[test]
fn the_alarm_on_many_votes_begins_and_ends_and_is_told() {
    let receiver = Receiver::start(&[200]);
    let (server, _) = alarming(&receiver);
    let state = || get(&server, "/v1/alarms")["items"][0]["state"].clone();
    assert_eq!(state(), "ok");
    let mut voter = 0;
    wait_for(|| {
        vote(&server, "p", voter..voter + 10);
        voter += 10;
        state() == "alarm"
    });
    let metrics = get(&server, "/metrics").to_string();
    assert!(metrics.contains(r#"canvass_alarm_active{alarm=\"vote-volume\"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"canvass_alarm_active{alarm=\"client-errors\"} 0"#), "{metrics}");
    wait_for(|| state() == "ok");
    let told = receiver.wait("both", |all| all.len() == 2);
    let told: Vec<_> = told.iter().map(|received| received.event()["data"]["alarm"].clone()).collect();
    let about = |told: &Value| (told["name"].clone(), told["state"].clone());
    assert_eq!(about(&told[0]), (json!("vote-volume"), json!("alarm")));
    assert_eq!(about(&told[1]), (json!("vote-volume"), json!("ok")));
    assert!(told[0]["value"].as_u64() >= Some(3), "{told:?}");
}

fn wait_for(done: impl FnMut() -> bool) {
    let mut done = done;
    let until = Instant::now() + Duration::from_mins(1);
    while !done() {
        assert!(Instant::now() < until, "it did not come");
        thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_program_without_tls_says_how_to_get_it() {
    let mail = ["--mail-server", "smtps://example.com", "--mail-from", "a@b.c", "--mail-to", "d@e.f"];
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let output = crate::harness::run(&[&["serve", "--data", data.to_str().unwrap()][..], &mail].concat());
    assert_eq!((output.code, data.exists()), (2, false));
    assert!(output.stderr.contains("--features tls"), "{}", output.stderr);
    let server = Server::start(&[]);
    let refused = post(&server, "/v1/webhooks", &json!({"url": "https://example.com/"}), 422);
    assert!(refused["detail"].as_str().unwrap().contains("--features tls"), "{refused}");
    let refused =
        post(&server, "/v1/webhooks", &json!({"url": "http://example.com/", "signature": "v1a"}), 422);
    assert!(refused["detail"].as_str().unwrap().contains("--features tls"), "{refused}");
}
