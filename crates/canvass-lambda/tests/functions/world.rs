//! The functions over tables of their own in DynamoDB Local: their programs, API Gateway in front, the stream between.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use canvass_dynamodb::{Options, create_tables};
use serde_json::{Value, json};

use crate::{
    emulator::{Lambda, Outcome},
    gateway::{Api, STAGE, open},
    harness::ADMIN,
    http::{Message, ask, serve},
    stream::{Stream, TALLY_AGE_MAX, event},
};

/// Names a folder with other builds of the programs than this test's.
const PROGRAMS: &str = "CANVASS_TEST_FUNCTIONS";
const SECRET_NAME: &str = "arn:aws:secretsmanager:local:000000000000:secret:admin-key";

/// The functions' programs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    Api,
    Tally,
    Export,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Tally => "tally",
            Self::Export => "export",
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a test's edge")]
    pub(crate) fn path(self) -> PathBuf {
        let built = match self {
            Self::Api => env!("CARGO_BIN_EXE_api"),
            Self::Tally => env!("CARGO_BIN_EXE_tally"),
            Self::Export => env!("CARGO_BIN_EXE_export"),
        };
        std::env::var_os(PROGRAMS).map_or_else(|| built.into(), |folder| Path::new(&folder).join(self.name()))
    }
}

/// Where DynamoDB Local is.
#[expect(clippy::disallowed_methods, reason = "a test's edge")]
pub(crate) fn endpoint() -> String {
    std::env::var("CANVASS_TEST_DYNAMODB").unwrap_or_else(|_| {
        panic!("CANVASS_TEST_DYNAMODB does not say where DynamoDB Local is; `cargo xtask test` starts it and sets it")
    })
}

/// A number that no other test draws.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What the functions' environment says.
pub(crate) struct Variables {
    pub(crate) prefix: String,
    pub(crate) implicit_polls: bool,
    pub(crate) export_to: String,
    /// Another way to DynamoDB than straight to DynamoDB Local: for all, or for the function `tally` alone.
    pub(crate) endpoint: Option<String>,
    pub(crate) tally_endpoint: Option<String>,
    pub(crate) redis: Option<String>,
    /// Where S3 is, if exports go there.
    pub(crate) s3: Option<String>,
}

impl Default for Variables {
    fn default() -> Self {
        Self {
            prefix: format!("t{:016x}", random()),
            implicit_polls: false,
            export_to: String::new(),
            endpoint: None,
            tally_endpoint: None,
            redis: None,
            s3: None,
        }
    }
}

/// The functions, and what is around them.
pub(crate) struct Functions {
    pub(crate) api: Arc<Lambda>,
    pub(crate) gateway: SocketAddr,
    pub(crate) tally: Lambda,
    pub(crate) stream: Stream,
    launches: BTreeMap<String, Launch>,
}

/// How a function is started.
pub(crate) struct Launch {
    pub(crate) path: PathBuf,
    pub(crate) variables: Vec<(String, String)>,
}

impl Launch {
    fn start(&self) -> Lambda {
        let variables: Vec<_> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Lambda::start(&self.path, &variables).expect("the program starts")
    }
}

impl Functions {
    /// Makes tables, and starts `api` and `tally` on them.
    pub(crate) async fn start(variables: Variables, kind: Api) -> Self {
        let endpoint = endpoint();
        let usual = Options::new(&variables.prefix, Some(endpoint.clone()), [1; 16]);
        let patient = Options { attempt_wait_max: Duration::from_secs(10), ..usual };
        create_tables(&patient).await.expect("tables");
        let secrets = serve(|request| secret(&request)).expect("a free port");
        let launches = [Program::Api, Program::Tally, Program::Export]
            .map(|program| (program.name().to_owned(), launch(program, &variables, secrets)));
        Self::on(&format!("{}-votes", variables.prefix), launches.into(), kind).await
    }

    /// Starts `api` and `tally` on tables that are there.
    pub(crate) async fn on(votes: &str, launches: BTreeMap<String, Launch>, kind: Api) -> Self {
        let stream = Stream::open(&endpoint(), votes).await;
        let api = Arc::new(launches[Program::Api.name()].start());
        let gateway = open(Arc::clone(&api), kind);
        let tally = launches[Program::Tally.name()].start();
        Self { api, gateway, tally, stream, launches }
    }

    /// Starts `tally` anew.
    pub(crate) fn restart_tally(&mut self) {
        self.tally = self.launch(Program::Tally);
    }

    /// Starts a function.
    pub(crate) fn launch(&self, program: Program) -> Lambda {
        self.launches[program.name()].start()
    }

    /// Calls the function `export` once, in a program of its own; again where a busy machine did not answer it in time,
    /// as Lambda does.
    pub(crate) fn export(&self) -> Value {
        const TRIES_MAX: usize = 5;
        let export = self.launch(Program::Export);
        let mut outcome = Outcome::Died;
        for _ in 0..TRIES_MAX {
            outcome = export.invoke(b"{\"source\":\"aws.scheduler\"}");
            if !matches!(&outcome, Outcome::Error(error) if error.contains("DynamoDB does not answer")) {
                break;
            }
        }
        answer(outcome, &export)
    }

    /// Has all that the stream tells counted, and waits until readers see it.
    pub(crate) async fn count(&mut self) {
        let mut has_counted = false;
        for (shard, records) in self.stream.read().await {
            let told = self.fold(&shard, &records);
            assert_eq!(told, json!({"state": {"kept": "as it came"}, "batchItemFailures": []}));
            has_counted = true;
        }
        if has_counted {
            tokio::time::sleep(TALLY_AGE_MAX).await;
        }
    }

    /// Hands `tally` a batch.
    pub(crate) fn fold(&self, shard: &str, records: &[Value]) -> Value {
        answer(self.tally.invoke(event(shard, records).to_string().as_bytes()), &self.tally)
    }

    /// Asks the API as its administrator; answers with status and body.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        ask_as(ADMIN, self.gateway, method, path, body)
    }

    /// Asks for JSON that must come; again where a busy machine had no room for it.
    pub(crate) fn json(&self, method: &str, path: &str, body: &str) -> Value {
        const TRIES_MAX: usize = 10;
        let mut tries = (0..TRIES_MAX).map(|_| self.ask(method, path, body));
        let told = tries.find(|(status, _)| *status != 503);
        let (status, text) = told.expect("a machine with room for it");
        assert!((200..300).contains(&status), "{method} {path}: {status} {text}\n{}", self.api.printed());
        serde_json::from_str(&text).expect("JSON")
    }
}

/// Asks behind a gateway, with a key; answers with status and body.
pub(crate) fn ask_as(key: &str, gateway: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let kind = if path.ends_with("/batch") { "application/x-ndjson" } else { "application/json" };
    let message = Message::new(format!("{method} /{STAGE}{path} HTTP/1.1"), body)
        .with("host", "api.test")
        .with("x-api-key", key)
        .with("content-type", kind);
    let answer = ask(gateway, &message).expect("an answer");
    let status = answer.target().parse().expect("a status");
    (status, String::from_utf8_lossy(&answer.body).into_owned())
}

fn answer(outcome: Outcome, lambda: &Lambda) -> Value {
    match outcome {
        Outcome::Answer(answer) => serde_json::from_slice(&answer).expect("JSON"),
        failed => panic!("{failed:?}\n{}", lambda.printed()),
    }
}

fn launch(program: Program, variables: &Variables, secrets: SocketAddr) -> Launch {
    let Variables { prefix, implicit_polls, export_to, redis, s3, .. } = variables;
    let own = variables.tally_endpoint.clone().filter(|_| matches!(program, Program::Tally));
    let endpoint = own.or_else(|| variables.endpoint.clone()).unwrap_or_else(endpoint);
    let secrets = format!("http://{secrets}");
    let mut given = vec![("CANVASS_TABLE_PREFIX", prefix.as_str()), ("AWS_ENDPOINT_URL_DYNAMODB", &endpoint)];
    given.push(("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", &endpoint));
    given.push(("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets));
    given.push(("CANVASS_ADMIN_KEY_SECRET", SECRET_NAME));
    given.push(("CANVASS_EXPORT_TO", if export_to.is_empty() { "exports" } else { export_to }));
    if *implicit_polls {
        given.push(("CANVASS_IMPLICIT_POLLS", "true"));
    }
    given.extend(redis.as_deref().map(|redis| ("CANVASS_REDIS", redis)));
    given.extend(s3.as_deref().map(|s3| ("AWS_ENDPOINT_URL_S3", s3)));
    let variables = given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Launch { path: program.path(), variables: variables.collect() }
}

/// Secrets Manager as far as it is asked here.
fn secret(request: &Message) -> Message {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    assert_eq!(request.field("x-amz-target"), Some("secretsmanager.GetSecretValue"));
    assert_eq!(asked["SecretId"], SECRET_NAME);
    let told = json!({"ARN": SECRET_NAME, "Name": "admin-key", "SecretString": ADMIN});
    Message::new("HTTP/1.1 200 OK", told.to_string()).with("content-type", "application/x-amz-json-1.1")
}
