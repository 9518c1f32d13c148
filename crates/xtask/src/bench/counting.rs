//! Counting against other programs on the same ballots.

use std::{path::Path, process::Command, time::Instant};

use canvass_counting::{
    Ballot, Rank, Weight,
    formats::{Election, Format, Row, Rules, Written},
};
use serde_json::Value;

use crate::{
    bench::{Bench, table},
    outcome::{Context, Outcome, ensure},
    python,
    random::Random,
};

/// An election that is counted.
struct Case {
    name: &'static str,
    method: &'static str,
    ballots: usize,
    options: u16,
    ranks_max: u64,
    seats: usize,
}

const CASES: [Case; 2] = [
    Case {
        name: "IRV, 254,016 ballots, 13 options",
        method: "irv",
        ballots: 254_016,
        options: 13,
        ranks_max: 5,
        seats: 1,
    },
    Case {
        name: "Scottish STV, 10,000 ballots, 11 options",
        method: "stv_scottish",
        ballots: 10_000,
        options: 11,
        ranks_max: 11,
        seats: 4,
    },
];

/// Measures each case here and, where they can be had, by the other programs.
pub(crate) fn run(bench: &Bench<'_>) -> Outcome {
    let python = python::with_packages()?;
    let mut rows = Vec::new();
    for case in &CASES {
        let election = case.election();
        let own = measure(&election, bench.options.rounds)?;
        rows.push([case.name, "canvass-counting", &milliseconds(own), "1"].map(str::to_owned).to_vec());
        if let Some(python) = &python {
            let file = bench.directory.join(format!("{}.json", case.method));
            std::fs::write(&file, election.write(Written::Json)?).context(file.display())?;
            for (program, seconds) in others(python, case.method, &file)? {
                let times = format!("{:.0}", seconds / own);
                rows.push([case.name, &program, &milliseconds(seconds), &times].map(str::to_owned).to_vec());
            }
        }
    }
    let header = ["count", "program", "median", "times as long"];
    table::print("Counting, on the same ballots", &header, &rows);
    Ok(())
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1_000.0)
}

impl Case {
    /// Ballots without a structure that would make them alike; options with a low number are liked more.
    fn election(&self) -> Election {
        let mut random = Random::from_seed(1);
        let mut row = || {
            let mut left: Vec<u16> = (0..self.options).collect();
            let length = random.below(self.ranks_max) + 1;
            let ranks = (0..length).map(|_| {
                let size = left.len() as u64;
                let place = random.below(size).min(random.below(size));
                Rank::One(left.remove(usize::try_from(place).expect("a place of a short list fits")))
            });
            Row { ballot: Ballot::Ranking(ranks.collect()), scores: None, count: 1, weight: Weight::ONE }
        };
        Election {
            format: Format::Json,
            title: Some(self.name.to_owned()),
            options: (1..=self.options).map(|number| format!("Option {number}")).collect(),
            withdrawn: Vec::new(),
            seats: Some(self.seats),
            method: Some(self.method.to_owned()),
            rules: Rules::default(),
            rows: (0..self.ballots).map(|_| row()).collect(),
            pairwise: None,
        }
    }
}

/// The median of several counts of a profile, as a poll counts it.
fn measure(election: &Election, rounds: u32) -> Outcome<f64> {
    let mut rules = Rules::default();
    rules.set("tie_break", "lot".into());
    let instructions = election.instructions(None, &rules)?;
    let profile = election.profile(&instructions);
    let seats = election.seats.unwrap_or(1);
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let count = canvass_counting::count(&profile, &instructions.method, seats, &instructions.tie_break);
        seconds.push(start.elapsed().as_secs_f64());
        ensure(count.winners.len() == seats, || "a seat is not filled".into())?;
    }
    Ok(table::median(&seconds))
}

/// How often the others count: each count takes seconds.
const OTHERS_ROUNDS: &str = "3";

fn others(python: &Path, method: &str, file: &Path) -> Outcome<Vec<(String, f64)>> {
    let mut command = Command::new(python);
    command.arg(python::script("count_others.py")).arg(method).arg(file).arg(OTHERS_ROUNDS);
    let output = command.output().context("the other programs")?;
    ensure(output.status.success(), || {
        format!("the other programs failed: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    let mut times = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let said: Value = serde_json::from_str(line).context("what the other programs print")?;
        let seconds = said["seconds"].as_f64().ok_or("the other programs print no seconds")?;
        times.push((said["program"].as_str().unwrap_or_default().to_owned(), seconds));
    }
    Ok(times)
}
