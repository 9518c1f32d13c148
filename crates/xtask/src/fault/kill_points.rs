//! A scripted run that is killed before each of its writes and syncs in turn: while the server starts, while it takes
//! votes, and while it writes its checkpoint and stops.
//!
//! The process dies on its way into the call, so the call is not made; dying after a call is dying before the next.

use std::{io, path::Path, thread, time::Duration};

use serde_json::json;

use super::{
    Bench, Verdict,
    books::{Acknowledged, Books, Vote},
    trace::{self, Injection},
};
use crate::{
    http::{Answer, Client},
    outcome::{Outcome, ensure},
    server::{Server, free_address},
};

const POLL: &str = "scripted";
const VOTES: u64 = 10;
/// More calls than one thread of the server makes.
const POINTS_MAX: u32 = 500;
/// The ledger's calls, and those of a checkpoint, whose writes are counted on its file alone.
const CALLS: [&str; 5] = ["pwrite64", "fdatasync", "fsync", "rename", "write"];

/// When the server is killed.
#[derive(Clone, Copy)]
enum Phase {
    /// On its way to be ready, on an empty directory.
    Start,
    /// In the script, and in the stop after it.
    Run,
}

/// What all kills came to.
#[derive(Default)]
struct Sum {
    points: u32,
    acknowledged: usize,
}

/// Kills the server at its first call of each kind, its second, and so on until nothing kills it any more.
pub(super) fn kill_points(bench: &Bench<'_>) -> Outcome<Verdict> {
    if let Err(reason) = trace::is_there()? {
        return Ok(Verdict::Skipped(reason));
    }
    let mut told = Vec::new();
    for (name, phase) in [("starting", Phase::Start), ("running and stopping", Phase::Run)] {
        let mut sum = Sum::default();
        for call in CALLS {
            kill_at_each(bench, phase, call, &mut sum)?;
        }
        told.push(format!("{} while {name} ({} votes acknowledged before)", sum.points, sum.acknowledged));
    }
    Ok(Verdict::Held(format!(
        "killed at each write and sync, {}: 0 lost, 0 double, every recount equal",
        told.join(", ")
    )))
}

fn kill_at_each(bench: &Bench<'_>, phase: Phase, call: &str, sum: &mut Sum) -> Outcome {
    for point in 1..POINTS_MAX {
        let data = bench.directory.join("data");
        let fault = format!("signal=KILL:when={point}");
        let checkpoint = data.join("checkpoint.new");
        let injection = Injection { call, fault: &fault, file: (call == "write").then_some(&*checkpoint) };
        let came_to = match phase {
            Phase::Start => die_while_starting(bench, &data, &injection)?,
            Phase::Run => die_while_running(bench, &data, &injection)?,
        };
        let at = |error| format!("killed at {call} {point}: {error}");
        come_back(bench, &data, &came_to.acknowledged).map_err(at)?;
        std::fs::remove_dir_all(&data)?;
        if !came_to.was_killed {
            return Ok(());
        }
        sum.points += 1;
        sum.acknowledged += came_to.acknowledged.len();
    }
    Err(format!("more {call} than expected").into())
}

struct CameTo {
    was_killed: bool,
    acknowledged: Vec<Acknowledged>,
}

fn die_while_starting(bench: &Bench<'_>, data: &Path, injection: &Injection<'_>) -> Outcome<CameTo> {
    let mut server = bench.program.start_under(&injection.prefix(), data, free_address()?)?;
    let is_ready = server.is_ready_before_it_ends()?;
    if is_ready {
        server.kill()?;
    }
    Ok(CameTo { was_killed: !is_ready, acknowledged: Vec::new() })
}

fn die_while_running(bench: &Bench<'_>, data: &Path, injection: &Injection<'_>) -> Outcome<CameTo> {
    let mut server = bench.program.start(data, free_address()?)?;
    // The next segment is made ready by a thread of its own, whose writes would be counted too.
    while data.join("ledger/next.segment").metadata().is_ok_and(|file| is_still_written(&file)) {
        thread::sleep(Duration::from_millis(5));
    }
    let _tracer = injection.attach(server.process())?;
    let mut acknowledged = Vec::new();
    match run_script(&mut server.client(), &mut acknowledged) {
        Ok(()) => {}
        Err(Stopped::Gone(error)) => must_have_ended(&mut server, &error)?,
        Err(Stopped::Wrong(reason)) => return Err(reason.into()),
    }
    // A server that was killed has ended already, and its status says so.
    let was_killed = server.has_ended()? || !server.stop()?.success();
    Ok(CameTo { was_killed, acknowledged })
}

/// Zeros are really written, so a file that is ready has all its blocks.
fn is_still_written(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.blocks() * 512 < file.len()
}

fn must_have_ended(server: &mut Server, error: &io::Error) -> Outcome {
    for _ in 0..500 {
        if server.has_ended()? {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(format!("a connection failed though the server lives: {error}").into())
}

/// Starts the server again: what was acknowledged is there, and the script, sent again, counts once.
fn come_back(bench: &Bench<'_>, data: &Path, acknowledged: &[Acknowledged]) -> Outcome<Books> {
    let server = bench.program.start(data, free_address()?)?;
    let mut client = server.client();
    for one in acknowledged {
        let answer = client.get(&format!("/v1/polls/{POLL}/votes/{}", one.vote.voter))?;
        let is_there = answer.json()["voteId"] == one.vote_id.as_str();
        ensure(is_there, || format!("{one:?} was acknowledged, and now: {}", answer.shown()))?;
    }
    let mut again = Vec::new();
    match run_script(&mut client, &mut again) {
        Ok(()) => {}
        Err(Stopped::Gone(error)) => return Err(error.into()),
        Err(Stopped::Wrong(reason)) => return Err(reason.into()),
    }
    for (before, after) in acknowledged.iter().zip(&again) {
        ensure(before.vote_id == after.vote_id, || format!("{before:?} became {after:?}"))?;
    }
    let books = Books::compare(&mut client, POLL, &again)?;
    books.must_balance()?;
    Ok(books)
}

/// Why the script did not come to its end.
enum Stopped {
    /// The server is gone.
    Gone(io::Error),
    /// It answered what it must not.
    Wrong(String),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// A poll's life with every kind of write, each step of which can be sent again.
fn run_script(client: &mut Client, acknowledged: &mut Vec<Acknowledged>) -> Result<(), Stopped> {
    let options = [json!({"id": "a", "label": "A"}), json!({"id": "b", "label": "B"})];
    let poll = json!({"id": POLL, "title": "Scripted", "options": options, "method": {"type": "plurality"}});
    expect(&client.post("/v1/polls", &poll)?, &[201, 409])?;
    expect(&client.send("POST", &format!("/v1/polls/{POLL}/open"), &[], b"")?, &[200])?;
    for number in 0..VOTES {
        let vote = Vote::numbered("v", number);
        let answer = vote.send(client, POLL)?;
        expect(&answer, &[201])?;
        acknowledged.push(
            Acknowledged::new(vote, &answer.json()).map_err(|error| Stopped::Wrong(error.to_string()))?,
        );
        if number == VOTES / 2 {
            let path = format!("/v1/polls/{POLL}");
            let headers = [("content-type", "application/json")];
            expect(&client.send("PATCH", &path, &headers, br#"{"title": "Corrected"}"#)?, &[200])?;
        }
    }
    Ok(())
}

fn expect(answer: &Answer, statuses: &[u16]) -> Result<(), Stopped> {
    if statuses.contains(&answer.status) { Ok(()) } else { Err(Stopped::Wrong(answer.shown())) }
}
