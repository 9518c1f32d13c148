//! A scripted run that is killed before each of its writes and syncs in turn.
//!
//! The process dies on its way into the call, so the call is not made; dying after a call is dying before the next.

use std::{io, path::Path, thread, time::Duration};

use serde_json::json;

use super::{
    Bench, Verdict,
    books::{Acknowledged, Books, Vote},
    trace::{self, DISK_CALLS},
};
use crate::{
    http::{Answer, Client},
    outcome::{Outcome, ensure},
    server::{Server, free_address},
};

const POLL: &str = "scripted";
const VOTES: u64 = 10;
/// More calls than the script makes.
const POINTS_MAX: u32 = 2_000;

/// Kills the script at its first call, its second, and so on until it runs to its end.
pub(super) fn kill_points(bench: &Bench<'_>) -> Outcome<Verdict> {
    if let Err(reason) = trace::is_there()? {
        return Ok(Verdict::Skipped(reason));
    }
    let (mut acknowledged, mut before_ready) = (0, 0);
    for point in 1..POINTS_MAX {
        let data = bench.directory.join(format!("point-{point}"));
        let came_to = die_at(bench, &data, point)?;
        let books = come_back(bench, &data, &came_to.acknowledged)
            .map_err(|error| format!("killed at call {point}: {error}"))?;
        if came_to.ended {
            return Ok(Verdict::Held(format!(
                "killed at each of {} writes and syncs, {before_ready} of them while starting: \
                 {acknowledged} votes acknowledged before a kill, 0 lost, 0 double; the whole run: {books}",
                point - 1
            )));
        }
        acknowledged += came_to.acknowledged.len();
        before_ready += u32::from(!came_to.was_ready);
        std::fs::remove_dir_all(&data)?;
    }
    Err("the script makes more calls than expected".into())
}

struct CameTo {
    was_ready: bool,
    /// Whether nothing killed it.
    ended: bool,
    acknowledged: Vec<Acknowledged>,
}

/// Runs the script on a server that dies at a call.
fn die_at(bench: &Bench<'_>, data: &Path, point: u32) -> Outcome<CameTo> {
    let prefix = trace::inject(DISK_CALLS, &format!("signal=KILL:when={point}"));
    let mut server = bench.program.start_under(&prefix, data, free_address()?)?;
    let mut acknowledged = Vec::new();
    let was_ready = server.is_ready_before_it_ends()?;
    if was_ready {
        match run_script(&mut server.client(), &mut acknowledged) {
            Ok(()) => {}
            Err(Stopped::Gone(error)) => must_have_ended(&mut server, &error)?,
            Err(Stopped::Wrong(reason)) => return Err(reason.into()),
        }
    }
    // A stop writes a checkpoint, whose writes and syncs are points too.
    let ended = server.stop().is_ok_and(|status| status.success());
    Ok(CameTo { was_ready, ended, acknowledged })
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
