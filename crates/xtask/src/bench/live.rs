//! Live counts: a poll of a million ranked ballots, read while votes go on coming, against the same poll unread.
//!
//! Every ballot ranks all ten options in a random order, so that hardly two are alike: no poll is harder to count.

use std::{
    collections::BTreeSet,
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    Bench,
    table::{median, print, rate, ratio},
};
use crate::{
    load::{self, Load, Pace},
    machine,
    outcome::{Outcome, ensure},
    random::Random,
    server::{ADMIN_KEY, Server, free_address},
};

const BALLOTS: u64 = 1_000_000;
const OPTIONS: u64 = 10;
/// Lines of one batch.
const BATCH_LINES: u64 = 50_000;
const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(1);
/// Between two readings of the results.
const READ_PAUSE: Duration = Duration::from_millis(20);

/// What is measured, in the order of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Unread,
    Read,
    Plurality,
}

const WAYS: [(Way, &str); 3] = [
    (Way::Unread, "ranked poll, nobody reads its results"),
    (Way::Read, "ranked poll, its results read all the time"),
    (Way::Plurality, "plurality poll, its results read all the time"),
];

/// Ballots of voters that are all different.
struct Ballots {
    random: Random,
    voter: u64,
}

impl Ballots {
    /// The next vote for a poll of one of the two kinds.
    fn append(&mut self, into: &mut Vec<u8>, way: Way) {
        self.voter += 1;
        let mut order: Vec<u64> = (0..OPTIONS).collect();
        for place in (1..OPTIONS).rev() {
            let other = self.random.below(place + 1);
            order.swap(usize::try_from(place).unwrap_or(0), usize::try_from(other).unwrap_or(0));
        }
        // Writing to a vector cannot fail.
        let _ = if way == Way::Plurality {
            write!(into, r#"{{"voterId":"v{}","ballot":{{"choice":"{}"}}}}"#, self.voter, order[0])
        } else {
            let ranking: Vec<_> = order.iter().map(|option| format!("\"{option}\"")).collect();
            write!(into, r#"{{"voterId":"v{}","ballot":{{"ranking":[{}]}}}}"#, self.voter, ranking.join(","))
        };
    }
}

impl Way {
    fn poll(self) -> &'static str {
        if self == Self::Plurality { "plurality" } else { "ranked" }
    }

    fn is_read(self) -> bool {
        self != Self::Unread
    }
}

pub(super) fn run(bench: &Bench<'_>) -> Outcome {
    let directory = bench.new_directory("live")?;
    let server = bench.program.start(&directory, free_address()?)?;
    let mut ballots = Ballots { random: Random::from_clock(), voter: 0 };
    for (way, method) in [(Way::Unread, "irv"), (Way::Plurality, "plurality")] {
        fill(&server, way, method, &mut ballots)?;
    }
    let memory = machine::resident_bytes(server.process())?;
    let mut votes: [Vec<f64>; WAYS.len()] = Default::default();
    let mut counts: [Vec<f64>; WAYS.len()] = Default::default();
    for round in 0..bench.options.rounds as usize {
        for turn in 0..WAYS.len() {
            // Each comes first in turn, so that none always follows the same one.
            let at = (round + turn) % WAYS.len();
            let (voted, counted) = measure(&server, WAYS[at].0, bench.measured(), &mut ballots)?;
            eprintln!("round {round}, {}: {voted:.0} votes/s, {counted:.2} counts/s", WAYS[at].1);
            votes[at].push(voted);
            counts[at].push(counted);
        }
    }
    server.kill()?;
    super::remove(&directory)?;
    let row = |(at, (_, name)): (usize, &(Way, &str))| {
        vec![
            (*name).to_owned(),
            rate(median(&votes[at])),
            ratio(&votes[at], &votes[0]),
            format!("{:.1}", median(&counts[at])),
        ]
    };
    println!("The server holds {:.0} MB after {BALLOTS} ballots in each of two polls.\n", megabytes(memory));
    print(
        "Live counts of a million ranked ballots",
        &["what", "votes/s", "of the unread one", "counts republished/s"],
        &WAYS.iter().enumerate().map(row).collect::<Vec<_>>(),
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^53")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn fill(server: &Server, way: Way, method: &str, ballots: &mut Ballots) -> Outcome {
    let options: Vec<Value> = (0..OPTIONS).map(|option| json!({"id": option.to_string()})).collect();
    let poll = json!({
        "id": way.poll(), "title": "T", "options": options, "method": {"type": method}, "status": "open"
    });
    let answer = server.client().post("/v1/polls", &poll)?;
    ensure(answer.status == 201, || answer.shown())?;
    let path = format!("/v1/polls/{}/votes/batch", way.poll());
    for _ in 0..BALLOTS / BATCH_LINES {
        let mut lines = Vec::new();
        for _ in 0..BATCH_LINES {
            ballots.append(&mut lines, way);
            lines.push(b'\n');
        }
        let kind = [("content-type", "application/x-ndjson")];
        let answer = server.client().send("POST", &path, &kind, &lines)?;
        let accepted = memchr::memmem::find_iter(&answer.body, "\"status\":201").count() as u64;
        ensure(accepted == BATCH_LINES, || format!("{accepted} of {BATCH_LINES} votes were accepted"))?;
    }
    Ok(())
}

/// Votes a second, and how many counts a second were seen beside them.
fn measure(server: &Server, way: Way, measured: Duration, ballots: &mut Ballots) -> Outcome<(f64, f64)> {
    let path = format!("/v1/polls/{}/votes", way.poll());
    let mut body = Vec::new();
    let mut next = |into: &mut Vec<u8>| {
        body.clear();
        ballots.append(&mut body, way);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {ADMIN_KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        into.extend_from_slice(head.as_bytes());
        into.extend_from_slice(&body);
        true
    };
    let load = Load {
        address: server.address,
        connections: CONNECTIONS,
        pace: Pace::Closed,
        warm_up: WARM_UP,
        measured: Some(measured),
    };
    let is_over = AtomicBool::new(!way.is_read());
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_results(server, way.poll(), &is_over));
        let voted = load::run(&load, &mut next);
        is_over.store(true, Ordering::Relaxed);
        let counted = reader.join().expect("a reader does not panic")?;
        let voted = voted?;
        ensure(voted.refused == 0, || format!("{} votes were refused", voted.refused))?;
        Ok((voted.per_second, counted))
    })
}

/// Reads a poll's results again and again; gives how many different ones came a second.
fn read_results(server: &Server, poll: &str, is_over: &AtomicBool) -> Outcome<f64> {
    let mut sequences = BTreeSet::new();
    let mut client = server.client();
    let started = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let results = client.get(&format!("/v1/polls/{poll}/results"))?.json();
        sequences.insert(results["sequence"].as_u64());
        thread::sleep(READ_PAUSE);
    }
    let counted = u32::try_from(sequences.len()).map_or(f64::NAN, f64::from);
    Ok(counted / started.elapsed().as_secs_f64())
}
