//! A world with its own time and randomness, and a script language to ask it: one line a request. Where its requests are
//! answered says the module `place`: here, or where the tests of the functions send them.
//!
//! Lines of a script:
//! - `GET /path`, or with a body, `POST /path {"json": 1}`; `⏎` in a body stands for a line's end
//! - `form /path a=1&b=2`: sends a form as a page of this server does
//! - `with name: value`: a field of the next request
//! - `as admin`, `as nobody`, `as NAME`: whose key is sent from here on
//! - `key NAME {"scopes": […]}`: makes a key
//! - `cookie off`: forgets every cookie
//! - `wait 90`: lets seconds pass
//! - `# …`: says what for
//!
//! Ids, secrets and codes are masked as `‹1›`, `‹2›`, … in the order they come up; scripts can name them so too, and the
//! secret of a key as `‹NAME›`, and the newest entity tag as `‹etag›`.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, Request, StatusCode, header::ETAG},
};
use canvass_domain::Timestamp;
use canvass_server::{App, Edge, Settings};
use canvass_store::{
    Store,
    local::{LocalOptions, LocalStore},
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::place;

/// The admin key of every world.
pub(crate) const ADMIN: &str = "admin-secret-of-the-tests";

/// Time and randomness that the test decides.
#[derive(Clone, Debug)]
pub(crate) struct TestEdge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    microseconds: AtomicI64,
    draws: AtomicU64,
}

impl TestEdge {
    fn new() -> Self {
        let noon: Timestamp = "2026-12-01T12:00:00Z".parse().expect("a time");
        Self(Arc::new(Inner { microseconds: AtomicI64::new(noon.microseconds()), draws: AtomicU64::new(0) }))
    }

    pub(crate) fn wait(&self, seconds: i64) {
        self.0.microseconds.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Edge for TestEdge {
    fn now(&self) -> Timestamp {
        Timestamp::from_microseconds(self.0.microseconds.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.microseconds.load(Ordering::SeqCst).unsigned_abs())
    }

    /// SplitMix64, so that runs are alike.
    fn random(&self, into: &mut [u8]) {
        for bytes in into.chunks_mut(8) {
            let draw = self.0.draws.fetch_add(1, Ordering::SeqCst) + 1;
            let mut bits = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let count = bytes.len();
            bytes.copy_from_slice(&(bits ^ (bits >> 31)).to_le_bytes()[..count]);
        }
    }
}

/// A server and those who ask it.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) edge: TestEdge,
    pub(crate) store: Arc<LocalStore>,
    router: Router,
    keys: Vec<(String, String)>,
    key: Option<String>,
    /// Cookies as `name=value`.
    cookies: Vec<String>,
    fields: Vec<(String, String)>,
    /// The last answer's entity tag that had one.
    tag: String,
    masked: Vec<String>,
    transcript: String,
    /// The statuses of all answers in the transcript.
    pub(crate) statuses: BTreeSet<u16>,
    directory: tempfile::TempDir,
}

/// One answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the answer is JSON")
    }
}

/// Runs a script in a world of its own and compares the transcript with the one that is kept.
pub(crate) async fn check(name: &str, script: &str) {
    let mut world = World::new().await;
    world.play(script).await;
    world.compare(name);
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    /// With the operator's own choices.
    pub(crate) async fn with(settings: Settings) -> Self {
        Self::around(settings, |store| store).await
    }

    /// With something around the store.
    pub(crate) async fn around(
        settings: Settings,
        wrap: impl FnOnce(Arc<LocalStore>) -> Arc<dyn Store>,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let edge = TestEdge::new();
        let store = open(&directory, &edge);
        let wrapped = wrap(Arc::clone(&store));
        Self::over(directory, edge, (store, wrapped), settings).await
    }

    async fn over(
        directory: tempfile::TempDir,
        edge: TestEdge,
        (store, wrapped): (Arc<LocalStore>, Arc<dyn Store>),
        settings: Settings,
    ) -> Self {
        let settings = Settings { admin_key: Some(ADMIN.to_owned()), ..settings };
        let chosen = settings.clone();
        let app = App::new(wrapped, edge.clone(), settings);
        assert_eq!(
            app.bootstrap().await.expect("a fresh store"),
            None,
            "the key was chosen, so none is shown"
        );
        Self {
            router: place::router(&app, &chosen).await,
            app,
            edge,
            store,
            keys: Vec::new(),
            key: Some(ADMIN.to_owned()),
            cookies: Vec::new(),
            fields: Vec::new(),
            tag: String::new(),
            masked: Vec::new(),
            transcript: String::new(),
            statuses: BTreeSet::new(),
            directory,
        }
    }

    /// The same world after the server was stopped and started again.
    pub(crate) async fn restarted(self) -> Self {
        let Self { directory, edge, store, transcript, masked, keys, app, router, .. } = self;
        store.close();
        drop((app, router, store));
        let store = open(&directory, &edge);
        let wrapped = Arc::clone(&store) as Arc<dyn Store>;
        let world = Self::over(directory, edge, (store, wrapped), Settings::default()).await;
        Self { keys, masked, transcript, ..world }
    }

    pub(crate) async fn play(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.step(line).await;
        }
    }

    /// Leaves out of the transcript what only prepared.
    pub(crate) fn forget(&mut self) {
        self.transcript.clear();
    }

    pub(crate) fn compare(&self, name: &str) {
        place::compare(name, &self.transcript);
    }

    async fn step(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "#" => self.note(&format!("\n# {rest}\n")),
            "as" => {
                self.note(&format!("\nas {rest}\n"));
                self.key = self.key_of(rest);
            }
            "cookie" => self.cookies.clear(),
            "wait" => {
                self.note(&format!("\nwait {rest}\n"));
                place::wait(&self.edge, rest.parse().expect("seconds"));
            }
            "with" => {
                let (name, value) = rest.split_once(": ").expect("name: value");
                self.fields.push((name.to_owned(), self.unmasked(value)));
            }
            "key" => self.make_key(rest).await,
            "form" => {
                self.fields.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
                self.fields.push(("sec-fetch-site".to_owned(), "same-origin".to_owned()));
                let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
                let answer = self.ask("POST", path, self.unmasked(body)).await;
                self.record(line, &answer);
            }
            method => {
                let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
                let answer =
                    self.ask(method, &self.unmasked(path), self.unmasked(body).replace('⏎', "\n")).await;
                self.record(line, &answer);
            }
        }
    }

    fn key_of(&self, name: &str) -> Option<String> {
        match name {
            "admin" => Some(ADMIN.to_owned()),
            "nobody" => None,
            "a stranger" => Some("canvass_nobody-knows-this-one".to_owned()),
            name => self.keys.iter().find(|(known, _)| known == name).map(|(_, secret)| secret.clone()),
        }
    }

    async fn make_key(&mut self, rest: &str) {
        let (name, body) = rest.split_once(' ').expect("key NAME {…}");
        let mut request: serde_json::Value = serde_json::from_str(body).expect("JSON");
        request["name"] = name.into();
        let before = self.key.replace(ADMIN.to_owned());
        let answer = self.ask("POST", "/v1/keys", request.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        self.key = before;
        let secret = answer.json()["secret"].as_str().expect("a secret").to_owned();
        self.keys.push((name.to_owned(), secret));
    }

    /// One request, with the key, the cookie and the fields that were set before.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: impl Into<Body> + AsRef<[u8]>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        let fields = std::mem::take(&mut self.fields);
        if !body.as_ref().is_empty() && !fields.iter().any(|(name, _)| name == "content-type") {
            let lines = path.ends_with("/batch");
            let kind = if lines { "application/x-ndjson" } else { "application/json" };
            request = request.header("content-type", kind);
        }
        for (name, value) in fields {
            request = request.header(name, value);
        }
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        if !self.cookies.is_empty() {
            request = request.header("cookie", self.cookies());
        }
        self.send(request.body(body.into()).expect("a request")).await
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes().to_vec();
        for cookie in head.headers.get_all("set-cookie") {
            self.keep(cookie.to_str().expect("text"));
        }
        if let Some(tag) = head.headers.get(ETAG) {
            tag.to_str().expect("text").clone_into(&mut self.tag);
        }
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Every cookie, as a request sends them.
    pub(crate) fn cookies(&self) -> String {
        self.cookies.join("; ")
    }

    fn keep(&mut self, cookie: &str) {
        let pair = cookie.split(';').next().unwrap_or_default();
        let name = pair.split('=').next().unwrap_or_default();
        self.cookies.retain(|known| known.split('=').next() != Some(name));
        self.cookies.push(pair.to_owned());
    }

    /// Adds a request and its answer to the transcript.
    pub(crate) fn record(&mut self, line: &str, answer: &Answer) {
        self.statuses.insert(answer.status.as_u16());
        let mut text = format!("\n{line}\n{}\n", answer.status.as_u16());
        let mut fields: Vec<_> = answer
            .headers
            .iter()
            .map(|(name, value)| {
                format!("{name}: {}", told(name, &String::from_utf8_lossy(value.as_bytes())))
            })
            .collect();
        fields.sort();
        let _ = writeln!(text, "{}", fields.join("\n"));
        if !answer.body.is_empty() {
            let _ = writeln!(text, "{}", said(answer).trim_end());
        }
        self.note(&text);
    }

    fn note(&mut self, text: &str) {
        let masked = self.mask(text);
        self.transcript.push_str(&masked);
    }

    fn mask(&mut self, text: &str) -> String {
        let mut masked = String::new();
        let is_word = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
            let word = &rest[..end];
            if is_secret(word) {
                let place = self.masked.iter().position(|known| known == word).unwrap_or_else(|| {
                    self.masked.push(word.to_owned());
                    self.masked.len() - 1
                });
                let _ = write!(masked, "‹{}›", place + 1);
            } else {
                masked.push_str(word);
            }
            let after = rest[end..].chars().next();
            masked.extend(after);
            rest = &rest[end + after.map_or(0, char::len_utf8)..];
        }
        masked
    }

    pub(crate) fn unmasked(&self, text: &str) -> String {
        let mut plain = text.to_owned();
        for (index, value) in self.masked.iter().enumerate() {
            plain = plain.replace(&format!("‹{}›", index + 1), value);
        }
        for (name, secret) in &self.keys {
            plain = plain.replace(&format!("‹{name}›"), secret);
        }
        plain = plain.replace("‹admin›", ADMIN).replace("‹etag›", &self.tag);
        plain
    }
}

/// A field's value. When a poll was created stands in its entity tag, and differs from engine to engine.
fn told(name: &HeaderName, value: &str) -> String {
    let cut = value
        .split_once('-')
        .filter(|(_, rest)| name == ETAG && rest.starts_with(|first: char| first.is_ascii_digit()));
    cut.map_or(value.to_owned(), |(version, _)| format!("{version}\""))
}

/// What an answer says. The frame of a page is the same everywhere, and names files by their hash.
fn said(answer: &Answer) -> String {
    let text = answer.text();
    let inner = text.split_once("<main").and_then(|(_, rest)| rest.split_once("</main>"));
    inner.map_or_else(|| text.clone(), |(inner, _)| format!("<main{inner}</main>"))
}

/// Lines of a batch, one for each of so many voters.
pub(crate) fn lines(voters: impl Iterator<Item = usize>, vote: impl Fn(usize) -> String) -> String {
    voters.map(|voter| vote(voter) + "\n").collect()
}

fn open(directory: &tempfile::TempDir, edge: &TestEdge) -> Arc<LocalStore> {
    let clock = edge.clone();
    let options = LocalOptions::new(directory.path(), [7; 16]);
    let opened = LocalStore::open(&options, Arc::new(move || clock.now()));
    Arc::new(opened.expect("a fresh directory").0)
}

/// Ids, secrets, tokens of devices, receipts and one-time codes: what no two runs need share.
fn is_secret(word: &str) -> bool {
    let lengths = |separator| word.split(separator).map(str::len).collect::<Vec<_>>();
    let is_hexadecimal =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-.".contains(&byte));
    let is_uuid = lengths('-') == [8, 4, 4, 4, 12] && is_hexadecimal(word);
    let is_form_key = word.len() == 32 && is_hexadecimal(word);
    let is_signature = |text: &str| text.len() == 64 && is_hexadecimal(text);
    let is_token = word.rsplit_once('.').is_some_and(|(_, signature)| is_signature(signature));
    let is_code = lengths('-') == [4, 4, 4, 4] && word.bytes().any(|byte| byte.is_ascii_digit());
    let is_key = word.strip_prefix("canvass_").is_some_and(|secret| secret.len() == 43);
    let hash = word.strip_prefix("device-").or(word.strip_prefix("code-"));
    is_uuid
        || is_form_key
        || is_signature(word)
        || is_token
        || is_code
        || is_key
        || hash.is_some_and(|hash| hash.len() == 32)
}
