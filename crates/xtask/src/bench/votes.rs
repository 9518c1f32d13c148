//! One vote a request: how much of a server's speed durability costs.

use std::time::Duration;

use super::{
    Bench,
    servers::Kind,
    table::{median, print, rate, ratio},
};
use crate::{
    load::{self, Load, Measured, Pace},
    machine,
    outcome::{Outcome, ensure},
    server::{ADMIN_KEY, Server},
    vote::VoteRequests,
};

const KINDS: [Kind; 3] = [Kind::Durable, Kind::Answering, Kind::Plain];
const CONNECTIONS: [usize; 2] = [64, 256];
const WARM_UP: Duration = Duration::from_secs(1);
/// The share of its highest rate that a server is given when latencies are taken.
const OPEN_SHARE: f64 = 0.7;

/// A figure of each round, by connections and by server.
type Figures = [[Vec<f64>; KINDS.len()]; CONNECTIONS.len()];

/// Voters whose numbers differ from call to call.
pub(super) struct Voters(u64);

impl Voters {
    /// No voter has voted.
    pub(super) fn new() -> Self {
        Self(0)
    }

    /// A number from which on nobody has voted in any run of this program's.
    pub(super) fn fresh(&mut self) -> u64 {
        self.0 += 1;
        self.0 << 40
    }
}

/// What a server came to under some load.
pub(super) struct Served {
    /// What the load generator saw.
    pub(super) measured: Measured,
    /// Microseconds of the server's processor time for each vote. Other work on the machine hardly disturbs it.
    pub(super) processor_us: f64,
}

/// Puts votes on a server for a while; all must be accepted.
pub(super) fn measure(
    server: &Server,
    connections: usize,
    pace: Pace,
    measured: Duration,
    voters: &mut Voters,
) -> Outcome<Served> {
    let before = machine::processor_seconds(server.process())?;
    let mut requests = VoteRequests::new("bench", ADMIN_KEY, voters.fresh());
    let load =
        Load { address: server.address, connections, pace, warm_up: WARM_UP, measured: Some(measured) };
    let measured = load::run(&load, &mut |into| {
        requests.append(into);
        true
    })?;
    ensure(measured.refused == 0, || {
        format!("{} votes were refused, the first by {:?}", measured.refused, measured.first_refusal)
    })?;
    let seconds = machine::processor_seconds(server.process())? - before;
    // Fewer votes than 2^53.
    #[expect(clippy::cast_precision_loss, reason = "counts of votes are far below 2^53")]
    let processor_us = seconds * 1e6 / measured.created as f64;
    Ok(Served { measured, processor_us })
}

pub(super) fn run(bench: &Bench<'_>) -> Outcome {
    let mut servers = Vec::new();
    for kind in KINDS {
        servers.push(kind.start(&bench.program, &bench.new_directory(&format!("votes-{kind:?}"))?)?);
    }
    let mut voters = Voters::new();
    let mut highest = Figures::default();
    let mut processor = Figures::default();
    for round in 0..bench.options.rounds as usize {
        for (at, connections) in CONNECTIONS.into_iter().enumerate() {
            for turn in 0..KINDS.len() {
                // Each kind comes first in turn, so that none always follows the same one.
                let kind = (round + turn) % KINDS.len();
                let Served { measured, processor_us } =
                    measure(&servers[kind], connections, Pace::Closed, bench.measured(), &mut voters)?;
                eprintln!(
                    "round {round}, {connections} connections, {:?}: {:.0}",
                    KINDS[kind], measured.per_second
                );
                highest[at][kind].push(measured.per_second);
                processor[at][kind].push(processor_us);
            }
        }
    }
    print_rates(&highest, &processor);
    print_latencies(bench, &servers, &highest, &mut voters)?;
    for server in servers {
        server.kill()?;
    }
    super::remove(&bench.directory.join("votes-Durable"))
}

fn print_rates(highest: &Figures, processor: &Figures) {
    let mut rows = Vec::new();
    for (at, connections) in CONNECTIONS.into_iter().enumerate() {
        let rates = &highest[at];
        for ((kind, figures), processor) in KINDS.into_iter().zip(rates).zip(&processor[at]) {
            rows.push(vec![
                connections.to_string(),
                kind.name().to_owned(),
                rate(median(figures)),
                ratio(figures, &rates[2]),
                ratio(figures, &rates[1]),
                format!("{:.1}", median(processor)),
            ]);
        }
    }
    let header = [
        "connections",
        "server",
        "votes/s",
        "of plain axum",
        "of the same without storing",
        "server's processor µs a vote",
    ];
    print("Single votes, as many as go (closed loop)", &header, &rows);
}

fn print_latencies(bench: &Bench<'_>, servers: &[Server], highest: &Figures, voters: &mut Voters) -> Outcome {
    let mut rows = Vec::new();
    for (at, connections) in CONNECTIONS.into_iter().enumerate() {
        // All are given the same rate: what the product bears with room to spare.
        let given = median(&highest[at][0]) * OPEN_SHARE;
        for (kind, server) in KINDS.into_iter().zip(servers) {
            let Served { measured, .. } =
                measure(server, connections, Pace::Open(given), bench.measured(), voters)?;
            let mut row =
                vec![connections.to_string(), kind.name().to_owned(), rate(given), rate(measured.per_second)];
            row.extend([500, 900, 990, 999, 1000].map(|share| format!("{:.2}", measured.latency_ms(share))));
            rows.push(row);
        }
    }
    let header =
        ["connections", "server", "sent/s", "answered/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"];
    print("Single votes at a fixed rate (open loop, from the intended time)", &header, &rows);
    Ok(())
}
