//! What a large store costs: speed, memory, disk and the time to open it.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    Bench,
    batch::send_streams,
    servers::Kind,
    table::{median, print, rate, ratio},
    votes::{Served, Voters, measure},
};
use crate::{
    load::Pace,
    machine,
    outcome::{Outcome, ensure},
    server::{Server, free_address},
};

const CONNECTIONS: usize = 256;
const CHECKPOINT_WAIT_MAX: Duration = Duration::from_secs(10);

pub(super) fn run(bench: &Bench<'_>) -> Outcome {
    let votes = bench.options.votes;
    let data = bench.new_directory("large")?;
    let large = Kind::Durable.start(&bench.program, &data)?;
    let mut voters = Voters::new();
    let empty_bytes = machine::resident_bytes(large.process())?;
    let filled = send_streams(large.address, 2, votes, voters.fresh())?;
    ensure(filled.accepted == votes, || format!("{} of {votes} votes were accepted", filled.accepted))?;
    let full_bytes = machine::resident_bytes(large.process())?;
    wait_for_checkpoint(&data);
    let disk_bytes = machine::disk_bytes(&data)?;
    let rates = compare_with_empty(bench, &large, &mut voters)?;
    print_rates(votes, &rates);
    large.stop()?;
    let (opened, from_checkpoint_ms) = time_to_ready(bench, &data)?;
    let opened_bytes = machine::resident_bytes(opened.process())?;
    opened.kill()?;
    let (opened, after_kill_ms) = time_to_ready(bench, &data)?;
    opened.kill()?;
    let per_vote = |bytes: u64| format!("{:.1}", as_float(bytes) / as_float(votes));
    let rows = vec![
        vec!["filled by two batches at once, votes/s".into(), rate(filled.per_second)],
        vec!["memory after filling, bytes a vote".into(), per_vote(full_bytes.saturating_sub(empty_bytes))],
        vec!["memory after opening, bytes a vote".into(), per_vote(opened_bytes.saturating_sub(empty_bytes))],
        vec!["disk, bytes a vote".into(), per_vote(disk_bytes)],
        vec!["start to ready after a stop, ms".into(), format!("{from_checkpoint_ms:.0}")],
        vec!["start to ready after kill -9, ms".into(), format!("{after_kill_ms:.0}")],
    ];
    print(&format!("A store of {votes} votes"), &["what", "figure"], &rows);
    super::remove(&data)
}

/// While a checkpoint is written, the one before is there too.
fn wait_for_checkpoint(data: &Path) {
    let begun = Instant::now();
    while data.join("checkpoint.new").exists() && begun.elapsed() < CHECKPOINT_WAIT_MAX {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Rates of the large store and of new empty ones, round by round.
fn compare_with_empty(bench: &Bench<'_>, large: &Server, voters: &mut Voters) -> Outcome<[Vec<f64>; 2]> {
    let mut rates = [Vec::new(), Vec::new()];
    for round in 0..bench.options.rounds {
        let empty = Kind::Durable.start(&bench.program, &bench.new_directory("empty")?)?;
        let mut order = [(0, large), (1, &empty)];
        if round % 2 == 1 {
            order.reverse();
        }
        for (at, server) in order {
            let Served { measured, .. } =
                measure(server, CONNECTIONS, Pace::Closed, bench.measured(), voters)?;
            eprintln!("round {round}, {}: {:.0}", ["large", "empty"][at], measured.per_second);
            rates[at].push(measured.per_second);
        }
        empty.kill()?;
    }
    super::remove(&bench.directory.join("empty"))?;
    Ok(rates)
}

fn print_rates(votes: u64, [large, empty]: &[Vec<f64>; 2]) {
    let row = |name: String, figures: &[f64]| vec![name, rate(median(figures)), ratio(figures, empty)];
    print(
        &format!("Single votes at {CONNECTIONS} connections"),
        &["store", "votes/s", "of the empty store"],
        &[row("empty".to_owned(), empty), row(format!("{votes} votes"), large)],
    );
}

/// Milliseconds from starting the program to its answer that it is ready.
fn time_to_ready(bench: &Bench<'_>, data: &Path) -> Outcome<(Server, f64)> {
    let address = free_address()?;
    let started = Instant::now();
    let server = bench.program.start(data, address)?;
    Ok((server, started.elapsed().as_secs_f64() * 1000.0))
}

#[expect(clippy::cast_precision_loss, reason = "bytes and votes are far below 2^53")]
fn as_float(number: u64) -> f64 {
    number as f64
}
