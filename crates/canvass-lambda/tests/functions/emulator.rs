//! Lambda's runtime interface (version 2018-06-01) around a function's real program: it is started with the variables
//! that Lambda sets, asks for its next event, and answers it.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufRead as _, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::http::{Message, serve};

const ANSWER_WAIT_MAX: Duration = Duration::from_mins(1);
const MEMORY_MB: &str = "512";

/// A function that runs. It ends when this is dropped.
pub(crate) struct Lambda {
    shared: Arc<Shared>,
    child: Mutex<Child>,
    printed: Arc<Mutex<String>>,
    /// When it was started.
    pub(crate) started_at: Instant,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    events: VecDeque<(String, Vec<u8>)>,
    answers: HashMap<String, Result<Vec<u8>, String>>,
    invocations: u64,
    /// When it first asked for an event: then it is ready.
    ready_at: Option<Instant>,
}

/// What came of an event.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Answer(Vec<u8>),
    /// The function said that it failed, and how.
    Error(String),
    /// The program has ended.
    Died,
}

impl Lambda {
    /// Starts a program, in an environment of these variables and Lambda's own.
    #[expect(clippy::disallowed_methods, reason = "how long a start takes is measured here")]
    pub(crate) fn start(program: &Path, variables: &[(&str, &str)]) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let address = serve(move |request| serving.answer(&request))?;
        let started_at = Instant::now();
        let mut child = Command::new(program)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY_MB)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "local")
            .env("AWS_ACCESS_KEY_ID", "canvass")
            .env("AWS_SECRET_ACCESS_KEY", "canvass")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let printed = Arc::new(Mutex::new(String::new()));
        for stream in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().flatten() {
            let printed = Arc::clone(&printed);
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
                    printed.push_str(&line);
                    printed.push('\n');
                }
            });
        }
        Ok(Self { shared, child: Mutex::new(child), printed, started_at })
    }

    /// Hands it an event, and waits for what comes of it.
    pub(crate) fn invoke(&self, event: &[u8]) -> Outcome {
        let invocation = self.shared.push(event);
        match self.wait(&invocation) {
            None => Outcome::Died,
            Some(Ok(answer)) => Outcome::Answer(answer),
            Some(Err(error)) => Outcome::Error(error),
        }
    }

    /// Hands it an event, and ends it by force a while later, or when it answers, if that is sooner: the answer is lost.
    pub(crate) fn invoke_and_kill(&self, event: &[u8], after: Duration) {
        let invocation = self.shared.push(event);
        let state = self.shared.state();
        let is_open = |state: &mut State| !state.answers.contains_key(&invocation);
        let _ended = self.shared.changed.wait_timeout_while(state, after, is_open);
        self.kill();
    }

    /// Ends it by force.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Has it stand still, as Lambda does between requests; or go on.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        let process = self.child.lock().unwrap_or_else(PoisonError::into_inner).id().to_string();
        let signal = if is_frozen { "-STOP" } else { "-CONT" };
        let told = Command::new("kill").args([signal, &process]).status();
        assert!(told.is_ok_and(|told| told.success()), "kill {signal}");
    }

    /// All that it has printed so far.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long it took from its start until it asked for its first event.
    pub(crate) fn start_time(&self) -> Option<Duration> {
        Some(self.shared.state().ready_at?.duration_since(self.started_at))
    }

    fn wait(&self, invocation: &str) -> Option<Result<Vec<u8>, String>> {
        let mut state = self.shared.state();
        loop {
            if let Some(answer) = state.answers.remove(invocation) {
                return Some(answer);
            }
            let waited = self.shared.changed.wait_timeout(state, Duration::from_millis(200));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            let has_ended = child.try_wait().is_ok_and(|ended| ended.is_some());
            if has_ended && !state.answers.contains_key(invocation) {
                return None;
            }
            assert!(self.started_at.elapsed() < ANSWER_WAIT_MAX * 20, "the function does not answer");
        }
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        self.kill();
    }
}

fn boxed(stream: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(stream)
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: &[u8]) -> String {
        let mut state = self.state();
        state.invocations += 1;
        let invocation = format!("00000000-0000-0000-0000-{:012}", state.invocations);
        state.events.push_back((invocation.clone(), event.to_vec()));
        self.changed.notify_all();
        invocation
    }

    fn answer(&self, request: &Message) -> Message {
        let path = request.target().trim_start_matches("/2018-06-01/runtime/").to_owned();
        match *path.split('/').collect::<Vec<_>>() {
            ["invocation", "next"] => self.next(),
            ["invocation", id, "response"] => self.take(id, Ok(request.body.clone())),
            ["invocation", id, "error"] => {
                self.take(id, Err(String::from_utf8_lossy(&request.body).into_owned()))
            }
            _ => Message::new("HTTP/1.1 404 Not Found", ""),
        }
    }

    /// The next event, as soon as there is one.
    #[expect(clippy::disallowed_methods, reason = "how long a start takes is measured here")]
    fn next(&self) -> Message {
        let mut state = self.state();
        state.ready_at.get_or_insert_with(Instant::now);
        loop {
            if let Some((invocation, event)) = state.events.pop_front() {
                return Message::new("HTTP/1.1 200 OK", event)
                    .with("lambda-runtime-aws-request-id", invocation)
                    .with("lambda-runtime-deadline-ms", "4102444800000")
                    .with(
                        "lambda-runtime-invoked-function-arn",
                        "arn:aws:lambda:local:000000000000:function:function",
                    )
                    .with("content-type", "application/json");
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take(&self, invocation: &str, answer: Result<Vec<u8>, String>) -> Message {
        self.state().answers.insert(invocation.to_owned(), answer);
        self.changed.notify_all();
        Message::new("HTTP/1.1 202 Accepted", "{\"status\":\"OK\"}")
    }
}
