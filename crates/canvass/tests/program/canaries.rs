//! A text of its own in every field that tells of a person or is secret, searched for wherever no such text may be.

#![expect(clippy::disallowed_methods, reason = "a test's edge")]

use std::{
    fs::{self, File},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{Connection, after, finish, program},
    webhooks::Receiver,
};

/// What must not be seen, by what it is. What the server makes itself is added when it is known.
const CANARIES: [(&str, &str); 7] = [
    ("voter", "canary-voter@example.org"),
    ("answer", "canary-city"),
    ("idempotency key", "canary-idempotency"),
    ("admin key", "canary-admin-key-canary-admin-key"),
    ("unknown key", "canary-unknown-key"),
    ("mail password", "canary-mail-password"),
    ("Redis password", "canary-redis-password"),
];

/// A server that writes all that it logs into a file, and whose alarm begins with the first vote.
pub(crate) struct Logging {
    directory: TempDir,
    process: Child,
    address: String,
}

impl Drop for Logging {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Logging {
    /// Starts one with more variables and options.
    pub(crate) fn start(variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(directory.path().join(name)).unwrap();
        let alarm = "[[alarm]]\nname = \"vote-volume\"\nthreshold = 1\nperiod-seconds = 1\nperiods = 1\n";
        fs::write(directory.path().join("canvass.toml"), alarm).unwrap();
        let mut command = program();
        command.current_dir(directory.path()).args(["serve", "--listen", "127.0.0.1:0", "--log", "debug"]);
        command.args(["--log-format", "json", "--webhook-private-addresses"]).args(arguments);
        command.env("CANVASS_ADMIN_KEY", canary("admin key")).envs(variables.iter().copied());
        let process = command.stdout(file("out")).stderr(file("log")).spawn().unwrap();
        let out = wait_for(|| {
            let out = fs::read_to_string(directory.path().join("out")).unwrap();
            out.contains("\nData: ").then_some(out)
        });
        let address = after(&out, "Canvass listens on http://").to_owned();
        Self { directory, process, address }
    }

    /// Starts one that hands mails to a server that is not there.
    fn with_mail() -> Self {
        if !cfg!(feature = "tls") {
            return Self::start(&[], &[]);
        }
        let server = format!("smtp://canary-mail-user:{}@127.0.0.1:9", canary("mail password"));
        let mail = ["--mail-from", "from@example.org", "--mail-to", "to@example.org"];
        Self::start(&[("CANVASS_MAIL_SERVER", &server)], &mail)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    fn ask(&self, key: &str, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut connection = Connection::open(&self.address, key);
        if !key.is_empty() {
            return connection.request(method, path, body).unwrap();
        }
        connection.send(format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).unwrap();
        connection.answer().unwrap()
    }

    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.ask(canary("admin key"), method, path, &body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or_default()
    }
}

fn canary(what: &str) -> &'static str {
    CANARIES.iter().find(|(name, _)| *name == what).unwrap().1
}

pub(crate) fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "it did not come");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A poll that anyone votes in and one with codes, a vote in each, and a key and a webhook; gives the secrets that the
/// server made.
fn prepare(server: &Logging, receiver: &Receiver) -> Vec<(&'static str, String)> {
    let options = json!([{"id": "a"}, {"id": "b"}]);
    let hook = json!({"url": format!("http://{}/", receiver.address), "types": ["poll.opened", "poll.closed",
        "results.changed", "alarm.changed", "poll.voterErasureBegun", "poll.voterErased", "poll.erased"], "resultsSeconds": 1});
    let hook = server.admin("POST", "/v1/webhooks", &hook);
    let key = json!({"name": "front end", "scopes": ["votes:write"]});
    let key = server.admin("POST", "/v1/keys", &key);
    let town = json!({"id": "town", "title": "Town", "options": options, "status": "open", "access": "open",
        "revote": "untilClose", "demographics": {"city": null, "age": ["old", "young"]}, "minimumCell": 5});
    server.admin("POST", "/v1/polls", &town);
    let coded =
        json!({"id": "coded", "title": "Coded", "options": options, "status": "open", "access": "code"});
    server.admin("POST", "/v1/polls", &coded);
    let codes = server.admin("POST", "/v1/polls/coded/codes", &json!({"count": 2}));
    let vote = json!({"ballot": {"choice": "a"}, "code": codes["codes"][0]});
    server.admin("POST", "/v1/polls/coded/votes", &vote);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    vec![
        ("webhook's secret", text(&hook["secret"])),
        ("key's secret", text(&key["secret"])),
        ("used code", text(&codes["codes"][0])),
        ("unused code", text(&codes["codes"][1])),
    ]
}

/// Requests with canaries in them, and what is answered to those that are refused.
fn refused(server: &Logging) -> Vec<(String, String)> {
    let (voter, city, key) = (canary("voter"), canary("answer"), canary("admin key"));
    let vote = json!({"voterId": voter, "ballot": {"choice": "a"}, "demographics": {"city": city}});
    server.admin("POST", "/v1/polls/town/votes", &vote);
    let votes = "/v1/polls/town/votes";
    let own = format!("{votes}/{voter}");
    let requests = [
        (key, "POST", votes, json!({"voterId": voter, "ballot": {"choice": "c"}}).to_string()),
        (key, "POST", votes, format!("{{\"voterId\":\"{voter}\",\"demographics\":{{\"city\":\"{city}\"")),
        (key, "POST", votes, json!({"voterId": format!("{voter}\u{1}"), "ballot": {"choice": "a"}}).to_string()),
        (
            key,
            "POST",
            votes,
            json!({"voterId": voter, "ballot": {"choice": "a"}, "demographics": {"age": city}}).to_string(),
        ),
        (
            key,
            "POST",
            votes,
            json!({"voterId": voter, "ballot": {"choice": "a"}, "demographics": {city: "x"}}).to_string(),
        ),
        (key, "POST", votes, json!({"voterId": [voter]}).to_string()),
        (key, "PUT", &own, json!({"voterId": "other", "ballot": {"choice": "a"}}).to_string()),
        (key, "GET", "/v1/polls/town/votes/canary-voter@example.org-2", String::new()),
        (key, "GET", "/v1/polls/coded/votes/canary-voter@example.org", String::new()),
        (key, "POST", "/v1/polls/coded/votes", json!({"ballot": {"choice": "a"}, "code": city}).to_string()),
        (key, "POST", "/vote", json!({"pollId": "town", "optionId": "a", "voterId": voter, "idempotencyKey": canary("idempotency key")}).to_string()),
        (key, "POST", "/vote", json!({"pollId": "town", "optionId": "none", "voterId": voter}).to_string()),
        (key, "POST", &format!("{own}/erase"), String::new()),
        (canary("unknown key"), "GET", "/v1/polls", String::new()),
        (canary("unknown key"), "POST", votes, json!({"voterId": voter}).to_string()),
    ];
    let answers = requests.into_iter().filter_map(|(key, method, path, body)| {
        let (status, answer) = server.ask(key, method, path, &body);
        (status >= 400).then(|| (format!("{method} {} {body}: {status}", path.replace(voter, "…")), answer))
    });
    answers.collect()
}

/// What anybody may see, and what an administrator sees who did not ask for a vote.
fn shown(server: &Logging) -> Vec<(String, String)> {
    let public = [
        "/",
        "/metrics",
        "/readyz",
        "/p/town",
        "/p/town/results",
        "/p/town/projector",
        "/p/town/analytics",
        "/embed/town",
        "/embed/town/results",
        "/v1/polls/town",
        "/v1/polls/town/results",
        "/v1/polls/town/timeline?step=hour",
        "/results?pollId=town",
        "/p/coded",
        "/p/coded/results",
    ];
    let administered = [
        "/metrics",
        "/v1/polls",
        "/v1/events",
        "/v1/polls/town/events",
        "/v1/polls/coded/events",
        "/v1/keys",
        "/v1/webhooks",
        "/v1/alarms",
    ];
    let as_nobody = public.map(|path| ("", path));
    let as_admin = administered.map(|path| (canary("admin key"), path));
    let seen = as_nobody.into_iter().chain(as_admin).map(|(key, path)| {
        let (status, text) = server.ask(key, "GET", path, "");
        // What a stranger may not see is refused with a page of its own.
        assert!(matches!(status, 200 | 403), "{path}: {status} {text}");
        (path.to_owned(), text)
    });
    seen.collect()
}

#[test]
fn nothing_personal_and_no_secret_is_where_it_must_not_be() {
    let receiver = Receiver::start(&[200]);
    let server = Logging::with_mail();
    let mut canaries: Vec<_> = CANARIES.map(|(what, text)| (what, text.to_owned())).into();
    canaries.extend(prepare(&server, &receiver));
    let mut places = refused(&server);
    assert!(places.len() >= 12, "these are refusals: {places:#?}");
    // Who may see results is told which answers were given, with their figures hidden below the smallest cell: until
    // they are erased.
    places.extend(shown(&server).into_iter().filter(|(path, _)| path != "/p/town/analytics"));
    let is_told = |kind: &str| receiver.all().iter().any(|received| received.body.contains(kind));
    wait_for(|| (is_told("alarm.changed") && is_told("results.changed")).then_some(()));
    for step in ["close", "votes/canary-voter@example.org/erase", "erase"] {
        server.admin("POST", &format!("/v1/polls/town/{step}"), &Value::Null);
    }
    wait_for(|| is_told("poll.erased").then_some(()));
    places.extend(shown(&server));
    if cfg!(feature = "tls") {
        wait_for(|| server.file("log").contains("a notice was not handed over").then_some(()));
    }
    places.extend(receiver.all().into_iter().map(|received| ("webhook".to_owned(), format!("{received:?}"))));
    places.push(("log".to_owned(), server.file("log")));
    places.push(("output".to_owned(), server.file("out")));
    let redis = format!("redis://:{}@127.0.0.1:6379", canary("Redis password"));
    let mail = format!("smtp://user:{}@127.0.0.1:9", canary("mail password"));
    let variables = [
        ("CANVASS_REDIS", &*redis),
        ("CANVASS_MAIL_SERVER", &mail),
        ("CANVASS_ADMIN_KEY", canary("admin key")),
    ];
    for command in [&["config", "print"][..], &["config", "print", "--json"], &["config", "check"]] {
        let output = finish(program().current_dir(server.directory.path()).envs(variables).args(command));
        places.push((command.join(" "), output.stdout + &output.stderr));
    }
    let mut found = Vec::new();
    for (place, text) in &places {
        let seen = canaries.iter().filter(|(_, canary)| text.contains(canary.as_str()));
        found.extend(seen.map(|(what, canary)| {
            let at = text.find(canary.as_str()).unwrap();
            format!(
                "{what} in {place}: …{}",
                text[at.saturating_sub(200)..].chars().take(400).collect::<String>()
            )
        }));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    // What is searched is not empty, and the search finds what is there.
    let log = server.file("log");
    assert!(log.lines().count() > 2 && log.contains("an alarm has changed"), "{log}");
    let vote = server.admin(
        "POST",
        "/v1/polls",
        &json!({"id": canary("idempotency key"), "title": "T", "options": [{"id": "a"}]}),
    );
    assert!(vote.to_string().contains(canary("idempotency key")));
}
