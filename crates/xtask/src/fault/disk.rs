//! Disks that fail and run full, and a directory that two servers want.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    Bench, Verdict,
    books::{Acknowledged, Books, Vote, keep_trying, make_poll},
    trace::{self, Injection},
};
use crate::{
    http::Answer,
    machine,
    outcome::{Outcome, ensure},
    server::{ADMIN_KEY, Server, free_address},
    shell,
};

const POLL: &str = "failing";

/// A disk that fails to sync: 503 from then on, reading goes on, and after a restart each vote counts once.
pub(super) fn failed_sync(bench: &Bench<'_>) -> Outcome<Verdict> {
    if let Err(reason) = trace::is_there()? {
        return Ok(Verdict::Skipped(reason));
    }
    let data = bench.directory.join("data");
    // Votes accepted before are known to the poll; making it takes some syncs.
    let server = bench.program.start(&data, free_address()?)?;
    make_poll(&mut server.client(), POLL, "never")?;
    server.stop()?;
    let injection = Injection { call: "fdatasync", fault: "error=EIO:when=6+", file: None };
    let server = bench.program.start_under(&injection.prefix(), &data, free_address()?)?.until_ready()?;
    let (acknowledged, refused) = vote_until_refused(&server)?;
    ensure(!acknowledged.is_empty() && acknowledged.len() < 6, || {
        format!("{} votes were acknowledged before the sixth sync failed", acknowledged.len())
    })?;
    must_be_unavailable(&server, &acknowledged)?;
    server.kill()?;
    let server = bench.program.start(&data, free_address()?)?;
    let mut client = server.client();
    let mut all = acknowledged.clone();
    let (answer, _) = keep_trying(|| refused.send(&mut client, POLL))?;
    all.push(Acknowledged::new(refused, &answer.json())?);
    let books = Books::compare(&mut client, POLL, &all)?;
    books.must_balance()?;
    Ok(Verdict::Held(format!(
        "{} votes acknowledged before fdatasync failed, then 503 and reads; after a restart and a retry {books}",
        acknowledged.len()
    )))
}

/// Votes one by one; answers with those that were acknowledged and the first that was not.
fn vote_until_refused(server: &Server) -> Outcome<(Vec<Acknowledged>, Vote)> {
    let mut client = server.client();
    let mut acknowledged = Vec::new();
    for number in 0..100 {
        let vote = Vote::numbered("v", number);
        let answer = vote.send(&mut client, POLL)?;
        match answer.status {
            201 => acknowledged.push(Acknowledged::new(vote, &answer.json())?),
            503 => {
                must_be_a_503(&answer)?;
                return Ok((acknowledged, vote));
            }
            _ => return Err(format!("a vote was answered {}", answer.shown()).into()),
        }
    }
    Err("no vote was refused although fdatasync failed".into())
}

fn must_be_a_503(answer: &Answer) -> Outcome {
    let is_plain = answer.status == 503 && answer.header("retry-after").is_some();
    ensure(is_plain, || format!("expected 503 with Retry-After, not {}", answer.shown()))?;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    ensure(!body.contains("os error") && !body.contains("fdatasync"), || format!("storage text in {body}"))
}

/// Writing stays refused, and everything that was acknowledged can be read.
fn must_be_unavailable(server: &Server, acknowledged: &[Acknowledged]) -> Outcome {
    let mut client = server.client();
    for number in 100..110 {
        must_be_a_503(&Vote::numbered("later", number).send(&mut client, POLL)?)?;
    }
    let readiness = client.get("/readyz")?;
    ensure(readiness.status == 503, || format!("/readyz says {}", readiness.shown()))?;
    let results = client.get(&format!("/v1/polls/{POLL}/results"))?;
    let counted = results.json()["votes"].as_u64();
    ensure(counted == Some(acknowledged.len() as u64), || format!("reading says {}", results.shown()))
}

/// A disk without space: 503, nothing acknowledged is lost, and votes go on when there is space again.
pub(super) fn full_disk(bench: &Bench<'_>) -> Outcome<Verdict> {
    const FILLER_BYTES: usize = 3 << 20;
    let Some(mount) = Mount::new(&bench.directory.join("small"), "10m")? else {
        return Ok(Verdict::Skipped("only root may mount a small file system".into()));
    };
    let filler = mount.0.join("filler");
    std::fs::write(&filler, vec![1; FILLER_BYTES])?;
    let data = mount.0.join("data");
    let server = bench.program.start(&data, free_address()?)?;
    let mut client = server.client();
    make_poll(&mut client, POLL, "never")?;
    let mut acknowledged = Vec::new();
    let refused = fill(&server, &mut acknowledged)?;
    let before = acknowledged.len();
    let results = client.get(&format!("/v1/polls/{POLL}/results"))?.json();
    ensure(results["votes"] == before, || {
        format!("a full disk says {results}, and {before} were acknowledged")
    })?;
    std::fs::remove_file(&filler)?;
    for vote in refused {
        let (answer, _) = keep_trying(|| vote.send(&mut client, POLL))?;
        ensure(answer.status == 201, || format!("with space again: {}", answer.shown()))?;
        acknowledged.push(Acknowledged::new(vote, &answer.json())?);
    }
    server.kill()?;
    let server = bench.program.start(&data, free_address()?)?;
    let books = Books::compare(&mut server.client(), POLL, &acknowledged)?;
    books.must_balance()?;
    server.kill()?;
    Ok(Verdict::Held(format!(
        "{before} votes until a small disk was full, then 503 and reads; with space again {books}"
    )))
}

/// Sends batches until lines are refused; answers with the votes that were.
fn fill(server: &Server, acknowledged: &mut Vec<Acknowledged>) -> Outcome<Vec<Vote>> {
    // A server that waits a while for space before it refuses a line must not outwait the client.
    let mut client = server.client();
    for batch in 0..200 {
        let numbers = batch * 1_000..(batch + 1) * 1_000;
        let votes: Vec<_> = numbers.map(|number| Vote::numbered("v", number)).collect();
        let body: String = votes.iter().map(Vote::line).collect();
        let path = format!("/v1/polls/{POLL}/votes/batch");
        let answer =
            client.send("POST", &path, &[("content-type", "application/x-ndjson")], body.as_bytes())?;
        ensure(answer.status == 200, || answer.shown())?;
        let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut refused = Vec::new();
        for (vote, line) in votes.into_iter().zip(lines) {
            let told: serde_json::Value = serde_json::from_slice(line)?;
            match told["status"].as_u64() {
                Some(201) => acknowledged.push(Acknowledged::new(vote, &told)?),
                Some(503) => refused.push(vote),
                _ => return Err(format!("a line was answered {told}").into()),
            }
        }
        if !refused.is_empty() {
            return Ok(refused);
        }
    }
    Err("the small disk never ran full".into())
}

/// A small file system in memory, unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path, size: &str) -> Outcome<Option<Self>> {
        std::fs::create_dir_all(at)?;
        let (options, target) = (format!("size={size},mode=0700"), at.display().to_string());
        let mounted = machine::is_root()
            && shell::works("mount", &["-t", "tmpfs", "-o", &options, "canvass-fault", &target]);
        Ok(mounted.then(|| Self(at.to_owned())))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, in case a server that failed still holds it.
        shell::works("umount", &["--lazy", &self.0.display().to_string()]);
    }
}

/// A second server on a directory says why it does not start, and the first goes on.
pub(super) fn two_servers(bench: &Bench<'_>) -> Outcome<Verdict> {
    let data = bench.directory.join("data");
    let server = bench.program.start(&data, free_address()?)?;
    make_poll(&mut server.client(), POLL, "never")?;
    let mut second = Command::new(bench.program.path());
    second.arg("serve").arg("--data").arg(&data).args(["--listen", &free_address()?.to_string()]);
    second.env("CANVASS_ADMIN_KEY", ADMIN_KEY).stdin(Stdio::null());
    let mut child = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    for _ in 0..1_000 {
        if child.try_wait()?.is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    // It has ended by itself, or it has not and the status says so.
    let _ = child.kill();
    let output = child.wait_with_output()?;
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure(output.status.code() == Some(1) && told.contains("another server"), || {
        format!("the second server ended with {} and said: {told}", output.status)
    })?;
    let vote = Vote::numbered("v", 1);
    let answer = vote.send(&mut server.client(), POLL)?;
    ensure(answer.status == 201, || format!("the first server then answers {}", answer.shown()))?;
    Ok(Verdict::Held("the second is refused, saying why; the first goes on".into()))
}
