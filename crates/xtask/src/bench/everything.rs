//! A server that does all that it can beside voting (exports and snapshots each minute, a backup each second, a webhook),
//! against one that only takes votes: speed, memory from minute to minute, and that nothing is lost.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    Bench,
    servers::Kind,
    table::{median, print, rate, ratio},
    votes::{Served, Voters, measure},
};
use crate::{
    load::Pace,
    machine,
    outcome::{Context, Outcome, ensure},
    server::{Program, Server},
};

const CONNECTIONS: usize = 64;
/// How long each of the two servers takes votes in each of its turns: alike, so that both hold about as many.
const TURN: Duration = Duration::from_mins(1);
/// Votes between two words of new results.
const RESULTS_VOTES: u64 = 10_000;
/// Time in which the last votes are told, copied and exported: a minute until the schedule says so, and the export.
const SETTLE_WAIT_MAX: Duration = Duration::from_mins(5);
const EXPORTS_OF_THE_POLL: &str = "exports/exports/bench";
const MEMORY_HEADER: [&str; 7] =
    ["round", "votes", "MiB", "bytes a vote", "votes alone: votes", "MiB", "bytes a vote"];
const SPEED_HEADER: [&str; 5] =
    ["server", "votes/s", "of votes alone", "server's processor µs a vote", "of votes alone"];
const SETTLE_PAUSE: Duration = Duration::from_secs(5);

pub(super) fn run(bench: &Bench<'_>) -> Outcome {
    let folder = bench.new_directory("everything")?;
    let hook = Hook::start()?;
    let busy = Kind::Durable.start(&busy_program(bench, &folder), &folder.join("busy"))?;
    let plain = Kind::Durable.start(&bench.program, &folder.join("plain"))?;
    listen(&busy, &hook)?;
    let servers = [&busy, &plain];
    let (mut rates, mut processor) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let (mut created, mut memory) = ([0; 2], Vec::new());
    let mut voters = Voters::new();
    for round in 1..=bench.options.minutes {
        // Each comes first in its turn.
        let order = if round % 2 == 1 { [0, 1] } else { [1, 0] };
        for at in order {
            let Served { measured, processor_us } = turn(servers[at], servers[1 - at], TURN, &mut voters)?;
            rates[at].push(measured.per_second);
            processor[at].push(processor_us);
            created[at] += measured.created;
            eprintln!(
                "round {round}, {}: {:.0} votes/s",
                ["everything", "votes alone"][at],
                measured.per_second
            );
        }
        memory.push(memory_row(round, servers, created)?);
        keep_newest(&folder.join(EXPORTS_OF_THE_POLL))?;
    }
    print("Memory, minute by minute", &MEMORY_HEADER, &memory);
    let row = |name: &str, at: usize| {
        let processor_row = format!("{:.1}", median(&processor[at]));
        let of_alone = [ratio(&rates[at], &rates[1]), processor_row, ratio(&processor[at], &processor[1])];
        [vec![name.to_owned(), rate(median(&rates[at]))], of_alone.to_vec()].concat()
    };
    print(
        "Single votes at 64 connections, in turns",
        &SPEED_HEADER,
        &[row("votes alone", 1), row("everything", 0)],
    );
    let votes = votes_in_results(&busy, created[0], bench.options.minutes)?;
    settle(&busy, &hook, &folder, votes)?;
    plain.kill()?;
    busy.kill()?;
    check_restored(bench, &folder, votes)?;
    println!(
        "Nothing lost: {votes} votes in the results, in the last export, in the last of {} words to the webhook, and in \
         what the backup restored.\n",
        hook.told.load(Ordering::Relaxed)
    );
    super::remove(&folder)
}

/// The program with exports, snapshots and a backup.
fn busy_program(bench: &Bench<'_>, folder: &Path) -> Program {
    let to = |name: &str| folder.join(name).display().to_string();
    bench.program.clone().with_environment(&[
        ("CANVASS_EXPORT_TO", &to("exports")),
        ("CANVASS_EXPORT_SCHEDULE", "* * * * * UTC"),
        ("CANVASS_SNAPSHOT_MINUTES", "1"),
        ("CANVASS_BACKUP_TO", &to("backup")),
        ("CANVASS_BACKUP_SECONDS", "1"),
        ("CANVASS_WEBHOOK_PRIVATE_ADDRESSES", "true"),
    ])
}

/// Puts votes on a server while another one is stopped, so that it takes nothing of the cores.
fn turn(server: &Server, stopped: &Server, time: Duration, voters: &mut Voters) -> Outcome<Served> {
    signal(stopped, Signal::STOP)?;
    let served = measure(server, CONNECTIONS, Pace::Closed, time, voters);
    signal(stopped, Signal::CONT)?;
    served
}

/// What the servers hold: as a whole, and for each of their votes, since a poll's voters are in memory.
fn memory_row(round: u32, servers: [&Server; 2], votes: [u64; 2]) -> Outcome<Vec<String>> {
    let mut row = vec![round.to_string()];
    for (server, votes) in servers.into_iter().zip(votes) {
        let bytes = machine::resident_bytes(server.process())?;
        row.extend([votes.to_string(), (bytes >> 20).to_string(), (bytes / votes.max(1)).to_string()]);
    }
    Ok(row)
}

/// Removes all exports but the newest: each has all votes until then, so that they would fill the disk.
fn keep_newest(folder: &Path) -> Outcome {
    let mut files = files_in(folder)?;
    files.pop();
    files.into_iter().try_for_each(|file| fs::remove_file(&file).context(file.display()))
}

/// A folder's files, the newest last: their names begin with their moment. None if the folder is not there yet.
fn files_in(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

fn signal(server: &Server, signal: Signal) -> Outcome {
    let process = i32::try_from(server.process()).ok().and_then(Pid::from_raw).ok_or("no such process")?;
    kill_process(process, signal).context("a signal")
}

/// Has the server tell a webhook of new results.
fn listen(server: &Server, hook: &Hook) -> Outcome {
    let webhook = serde_json::json!({
        "url": format!("http://{}/hook", hook.address),
        "types": ["results.changed"],
        "resultsVotes": RESULTS_VOTES,
        "resultsSeconds": 1,
    });
    let answer = server.client().post("/v1/webhooks", &webhook)?;
    ensure(answer.status == 201, || format!("the webhook was not made: {}", answer.shown()))
}

/// How many votes the results have: all that were accepted, and of each turn at most those whose answers nobody awaited.
fn votes_in_results(server: &Server, accepted: u64, turns: u32) -> Outcome<u64> {
    let results = server.client().get("/v1/polls/bench/results")?.json();
    let votes = results["votes"].as_u64().ok_or_else(|| format!("results without votes: {results}"))?;
    let most = accepted + u64::from(turns) * CONNECTIONS as u64;
    ensure((accepted..=most).contains(&votes), || {
        format!("{accepted} votes were accepted, and {votes} count")
    })?;
    Ok(votes)
}

/// Waits until all votes are told, exported and in a snapshot; then nothing may have failed.
fn settle(server: &Server, hook: &Hook, folder: &Path, votes: u64) -> Outcome {
    let started = Instant::now();
    while let Err(failure) = check_written(hook, folder, votes) {
        ensure(started.elapsed() < SETTLE_WAIT_MAX, || format!("{failure}\n{}", server.log()))?;
        thread::sleep(SETTLE_PAUSE);
    }
    let figures = String::from_utf8(server.client().get("/metrics")?.body)?;
    for name in [
        "canvass_backup_failures_total",
        "canvass_exports_total{kind=\"failed\"}",
        "canvass_storage_failures_total",
    ] {
        let is_zero = figures.lines().any(|line| line.strip_prefix(name) == Some(" 0"));
        ensure(is_zero, || format!("{name} is not 0:\n{}", server.log()))?;
    }
    Ok(())
}

/// Whether the newest of all that is written has all votes.
fn check_written(hook: &Hook, folder: &Path, votes: u64) -> Outcome {
    let told = hook.votes.load(Ordering::Relaxed);
    ensure(told == votes, || format!("the webhook was told of {told} of {votes} votes"))?;
    let snapshots = files_in(&folder.join("exports/snapshots"))?;
    let snapshot = snapshots.last().ok_or("there is no snapshot")?;
    let snapshot: Value = serde_json::from_slice(&fs::read(snapshot)?)?;
    let counted = &snapshot["results"][0]["votes"];
    ensure(counted.as_u64() == Some(votes), || format!("the last snapshot has {counted} of {votes} votes"))?;
    let exports = files_in(&folder.join(EXPORTS_OF_THE_POLL))?;
    let rows = lines_of(exports.last().ok_or("there is no export")?)?.saturating_sub(1);
    ensure(rows == votes, || format!("the last export has {rows} of {votes} votes"))
}

fn lines_of(file: &Path) -> Outcome<u64> {
    let mut from = BufReader::with_capacity(1 << 20, fs::File::open(file).context(file.display())?);
    let mut lines = 0;
    loop {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Ok(lines);
        }
        lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        let read = bytes.len();
        from.consume(read);
    }
}

/// What the backup restores has every vote, and counts right.
fn check_restored(bench: &Bench<'_>, folder: &Path, votes: u64) -> Outcome {
    let mut command = Command::new(bench.program.path());
    command.args(["restore", "--verify", "--json", "--from"]).arg(folder.join("backup"));
    let output = command.arg("--data").arg(folder.join("restored")).output()?;
    let restored: Value = serde_json::from_slice(&output.stdout)
        .context(format!("restore: {}", String::from_utf8_lossy(&output.stderr)))?;
    let verified = &restored["verified"];
    let is_whole = verified["findings"] == serde_json::json!([]) && verified["votes"].as_u64() == Some(votes);
    ensure(is_whole, || format!("{votes} votes, and restored {restored}"))
}

/// A receiver that counts what it is told, and keeps how many votes the newest results had.
struct Hook {
    address: SocketAddr,
    told: Arc<AtomicU64>,
    votes: Arc<AtomicU64>,
}

impl Hook {
    /// It answers until the program ends.
    fn start() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let hook = Self { address: listener.local_addr()?, told: Arc::default(), votes: Arc::default() };
        let (told, votes) = (Arc::clone(&hook.told), Arc::clone(&hook.votes));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that leaves comes again.
                let _ = answer(stream, &told, &votes);
            }
        });
        Ok(hook)
    }
}

/// Answers one connection's requests until it ends.
fn answer(stream: TcpStream, told: &AtomicU64, votes: &AtomicU64) -> io::Result<()> {
    let mut from = BufReader::new(stream);
    while let Some(length) = read_head(&mut from)? {
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        votes.store(message["data"]["results"]["votes"].as_u64().unwrap_or(0), Ordering::Relaxed);
        told.fetch_add(1, Ordering::Relaxed);
        from.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
    Ok(())
}

/// Reads a request's head; gives the length of its body, or nothing at the connection's end.
fn read_head(from: &mut BufReader<TcpStream>) -> io::Result<Option<usize>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            return Ok(Some(length));
        }
        let header = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        length = header.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(length);
    }
}
