//! A server that does all that it can beside voting (exports and snapshots each minute, a backup each second, a webhook),
//! against one that only takes votes: speed, memory from minute to minute, and that nothing is lost.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    Bench,
    servers::Kind,
    table::{median, print, rate, ratio},
    votes::{Voters, measure},
};
use crate::{
    load::Pace,
    machine,
    outcome::{Context, Outcome, ensure},
    server::Server,
};

const CONNECTIONS: usize = 64;
/// Votes between two words of new results.
const RESULTS_VOTES: u64 = 10_000;
/// Time in which what is new is told, copied and exported.
const SETTLE_WAIT: Duration = Duration::from_secs(75);

pub(super) fn run(bench: &Bench<'_>) -> Outcome {
    let folder = bench.new_directory("everything")?;
    let hook = Hook::start()?;
    let busy = Kind::Durable.start(&busy_program(bench, &folder), &folder.join("busy"))?;
    let plain = Kind::Durable.start(&bench.program, &folder.join("plain"))?;
    listen(&busy, &hook)?;
    let (mut rates, mut memory) = ([Vec::new(), Vec::new()], Vec::new());
    let (mut voters, mut votes) = (Voters::new(), 0);
    for minute in 1..=bench.options.minutes {
        votes += turn(&busy, &plain, Duration::from_mins(1), &mut voters, &mut rates[0])?;
        turn(&plain, &busy, Duration::from_secs(30), &mut voters, &mut rates[1])?;
        let bytes = machine::resident_bytes(busy.process())?;
        eprintln!("minute {minute}: {:.0} and {:.0} votes/s", rates[0][minute - 1], rates[1][minute - 1]);
        memory.push(vec![minute.to_string(), votes.to_string(), (bytes >> 20).to_string()]);
    }
    thread::sleep(SETTLE_WAIT);
    let told = hook.told.load(Ordering::Relaxed);
    check(&busy, votes, told)?;
    plain.kill()?;
    busy.kill()?;
    check_restored(bench, &folder, votes)?;
    print("Memory of the busy server", &["minute", "votes", "MiB"], &memory);
    let row =
        |name: &str, figures: &[f64]| vec![name.to_owned(), rate(median(figures)), ratio(figures, &rates[1])];
    let rows = [row("votes alone", &rates[1]), row("everything", &rates[0])];
    print("Single votes at 64 connections, in turns", &["server", "votes/s", "of votes alone"], &rows);
    println!(
        "Nothing lost: {votes} votes in the results and in the backup; the webhook was told {told} times.\n"
    );
    super::remove(&folder)
}

/// The program with exports, snapshots and a backup.
fn busy_program(bench: &Bench<'_>, folder: &Path) -> crate::server::Program {
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

/// Puts votes on a server while another one is stopped, so that it takes nothing of the cores; gives their number.
fn turn(
    server: &Server,
    stopped: &Server,
    time: Duration,
    voters: &mut Voters,
    rates: &mut Vec<f64>,
) -> Outcome<u64> {
    signal(stopped, Signal::STOP)?;
    let served = measure(server, CONNECTIONS, Pace::Closed, time, voters);
    signal(stopped, Signal::CONT)?;
    let measured = served?.measured;
    rates.push(measured.per_second);
    Ok(measured.created)
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

/// Every vote is in the results, everything was exported, copied and told, and nothing failed.
fn check(server: &Server, votes: u64, told: u64) -> Outcome {
    let mut client = server.client();
    let results = client.get("/v1/polls/bench/results")?.json();
    ensure(results["votes"].as_u64() >= Some(votes), || format!("{votes} votes, and results of {results}"))?;
    let figures = String::from_utf8(client.get("/metrics")?.body)?;
    let figure = |name: &str| {
        let value = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    let failures = figure("canvass_backup_failures_total") + figure("canvass_export_failures_total");
    ensure(failures == 0.0, || format!("{failures} exports or copies failed:\n{}", server.log()))?;
    let exported = figure("canvass_exports_total{kind=\"scheduled\"}");
    ensure(exported >= 1.0, || format!("{exported} exports were made"))?;
    ensure(told > 0, || "the webhook was told nothing".into())
}

/// What the backup restores has every vote, and counts right.
fn check_restored(bench: &Bench<'_>, folder: &Path, votes: u64) -> Outcome {
    let mut command = std::process::Command::new(bench.program.path());
    command.args(["restore", "--verify", "--json", "--from"]).arg(folder.join("backup"));
    let output = command.arg("--data").arg(folder.join("restored")).output()?;
    let restored: serde_json::Value = serde_json::from_slice(&output.stdout)
        .context(format!("restore: {}", String::from_utf8_lossy(&output.stderr)))?;
    let is_whole = restored["verified"]["findings"] == serde_json::json!([])
        && restored["records"].as_u64() >= Some(votes);
    ensure(is_whole, || format!("{votes} votes, and restored {restored}"))
}

/// A receiver that counts what it is told.
struct Hook {
    address: SocketAddr,
    told: Arc<AtomicU64>,
}

impl Hook {
    /// It answers until the program ends.
    fn start() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let hook = Self { address: listener.local_addr()?, told: Arc::default() };
        let told = Arc::clone(&hook.told);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that leaves comes again.
                let _ = answer(stream, &told);
            }
        });
        Ok(hook)
    }
}

/// Answers one connection's requests until it ends.
fn answer(stream: TcpStream, told: &AtomicU64) -> std::io::Result<()> {
    use std::io::BufRead as _;
    let mut from = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            let header = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            length = header.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(length);
        }
        from.read_exact(&mut vec![0; length])?;
        told.fetch_add(1, Ordering::Relaxed);
        from.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
