//! The servers that are compared: the product, the product's own HTTP side answering without storing, and plain axum.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{Json, Router, http::StatusCode, routing};
use canvass_domain::{
    Poll, PollId, Profile, Sequence, VoterId,
    code::CodeHash,
    decide::PollCommand,
    key::Key,
    poll::NewPoll,
    record::Setting,
    vote::{StoredVote, VoteCommand},
};
use canvass_server::{
    App, Edge as _, Settings, SystemEdge, router,
    serve::{Listeners, ServeOptions},
};
use canvass_store::{
    Health, Pending, PollPage, PollQuery, Receipt, RecordPage, Snapshot, Store, VoteOutcome, VoteResult,
    local::{LocalOptions, LocalStore},
};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    outcome::{Context, Outcome, ensure},
    server::{ADMIN_KEY, Program, Server, free_address},
    vote::OPTIONS,
};

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The product.
    Durable,
    /// The product's router and listening loop over a store that only answers.
    Answering,
    /// `axum::serve` on a runtime of many threads, with a handler that reads a vote and answers 201.
    Plain,
}

impl Kind {
    /// What the tables call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable vote",
            Self::Answering => "answering without storing",
            Self::Plain => "plain axum, nothing stored",
        }
    }

    /// Starts it with the poll `bench`.
    pub(super) fn start(self, program: &Program, data: &Path) -> Outcome<Server> {
        let address = free_address()?;
        let server = match self {
            Self::Durable => program.start(data, address)?,
            Self::Answering => bench_server("answering", data, address)?,
            Self::Plain => bench_server("plain", data, address)?,
        };
        let answer = server.client().post("/v1/polls", &poll())?;
        ensure(answer.status == 201, || {
            format!("{}: the poll was not made: {}", self.name(), answer.shown())
        })?;
        Ok(server)
    }
}

/// The poll that all votes go to.
fn poll() -> serde_json::Value {
    let options = OPTIONS.map(|id| serde_json::json!({"id": id, "label": id}));
    serde_json::json!({
        "id": "bench", "title": "Benchmark", "options": options, "method": {"type": "plurality"}, "status": "open"
    })
}

fn bench_server(kind: &str, data: &Path, address: SocketAddr) -> Outcome<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bench-server").arg(kind).arg(data).arg(address.to_string());
    Server::spawn(command, data, address)?.until_ready()
}

/// How a server to compare with is started.
#[derive(Args)]
pub(crate) struct BenchServerOptions {
    #[arg(value_enum)]
    kind: Kind,
    data: PathBuf,
    address: SocketAddr,
}

/// Serves until the process is killed.
pub(crate) fn serve(options: &BenchServerOptions) -> Outcome {
    match options.kind {
        Kind::Durable => Err("the product serves itself".into()),
        Kind::Answering => serve_answering(options),
        Kind::Plain => serve_plain(options),
    }
}

fn serve_answering(options: &BenchServerOptions) -> Outcome {
    let edge = SystemEdge::default();
    let clock = SystemEdge::default();
    let local = LocalOptions::new(&options.data, [0; 16]);
    let (inner, _) = LocalStore::open(&local, Arc::new(move || clock.now()))?;
    let store = Arc::new(AnsweringStore { inner, clock: SystemEdge::default(), sequence: AtomicU64::new(0) });
    let settings = Settings { admin_key: Some(ADMIN_KEY.to_owned()), ..Settings::default() };
    let app = App::new(store, edge, settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(app.bootstrap())?;
    let listeners = Listeners::bind(options.address, ServeOptions::default())?;
    listeners.serve(router(app), std::future::pending())?;
    Ok(())
}

/// Answers votes as if they were stored; all else is the local store's.
struct AnsweringStore {
    inner: LocalStore,
    clock: SystemEdge,
    sequence: AtomicU64,
}

impl Store for AnsweringStore {
    fn vote<'a>(&'a self, _: &'a PollId, commands: Vec<VoteCommand>) -> Pending<'a, Vec<VoteResult>> {
        let cast_at = self.clock.now();
        let answer = |command: VoteCommand| {
            let sequence = Some(Sequence(self.sequence.fetch_add(1, Ordering::Relaxed)));
            let VoteCommand { vote_id, operation, .. } = command;
            Ok(VoteOutcome::Accepted(Receipt { vote_id, operation, cast_at, sequence }))
        };
        let answers = commands.into_iter().map(answer).collect();
        Box::pin(std::future::ready(Ok(answers)))
    }

    fn create_poll<'a>(&'a self, request: NewPoll, id: PollId, actor: &'a str) -> Pending<'a, Arc<Poll>> {
        self.inner.create_poll(request, id, actor)
    }

    fn change_poll<'a>(
        &'a self,
        poll: &'a PollId,
        command: PollCommand,
        version: Option<u64>,
        actor: &'a str,
    ) -> Pending<'a, Arc<Poll>> {
        self.inner.change_poll(poll, command, version, actor)
    }

    fn add_codes<'a>(&'a self, poll: &'a PollId, hashes: Vec<CodeHash>, actor: &'a str) -> Pending<'a, ()> {
        self.inner.add_codes(poll, hashes, actor)
    }

    fn poll<'a>(&'a self, poll: &'a PollId) -> Pending<'a, Arc<Poll>> {
        self.inner.poll(poll)
    }

    fn list_polls(&self, query: PollQuery) -> Pending<'_, PollPage> {
        self.inner.list_polls(query)
    }

    fn read_vote<'a>(&'a self, poll: &'a PollId, voter: &'a VoterId) -> Pending<'a, Option<StoredVote>> {
        self.inner.read_vote(poll, voter)
    }

    fn erase_voter<'a>(&'a self, poll: &'a PollId, voter: &'a VoterId, actor: &'a str) -> Pending<'a, u64> {
        self.inner.erase_voter(poll, voter, actor)
    }

    fn tally<'a>(&'a self, poll: &'a PollId) -> Pending<'a, Snapshot> {
        self.inner.tally(poll)
    }

    fn profile<'a>(&'a self, poll: &'a PollId, into: Profile) -> Pending<'a, (Snapshot, Option<Profile>)> {
        self.inner.profile(poll, into)
    }

    fn records<'a>(&'a self, poll: &'a PollId, after: Sequence) -> Pending<'a, RecordPage> {
        self.inner.records(poll, after)
    }

    fn watch<'a>(&'a self, poll: &'a PollId) -> Pending<'a, watch::Receiver<Sequence>> {
        self.inner.watch(poll)
    }

    fn keys(&self) -> Pending<'_, Vec<Arc<Key>>> {
        self.inner.keys()
    }

    fn put_key(&self, key: Key) -> Pending<'_, ()> {
        self.inner.put_key(key)
    }

    fn setting(&self, setting: Setting) -> Pending<'_, String> {
        self.inner.setting(setting)
    }

    fn read_setting<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>> {
        self.inner.read_setting(name)
    }

    fn put_setting(&self, setting: Setting) -> Pending<'_, ()> {
        self.inner.put_setting(setting)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}

fn serve_plain(options: &BenchServerOptions) -> Outcome {
    let app = Router::new()
        .route("/readyz", routing::get(|| std::future::ready(StatusCode::OK)))
        .route("/v1/polls", routing::post(|| std::future::ready(StatusCode::CREATED)))
        .route("/v1/polls/{poll}/votes", routing::post(answer_plainly));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(options.address).await.context(options.address)?;
        Ok(axum::serve(listener, app).await?)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainVote {
    voter_id: String,
    ballot: PlainBallot,
}

#[derive(Serialize, Deserialize)]
struct PlainBallot {
    choice: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlainAnswer {
    voter_id: String,
    ballot: PlainBallot,
}

async fn answer_plainly(Json(vote): Json<PlainVote>) -> (StatusCode, Json<PlainAnswer>) {
    (StatusCode::CREATED, Json(PlainAnswer { voter_id: vote.voter_id, ballot: vote.ballot }))
}
