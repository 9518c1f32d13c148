//! Counting against other programs on the same ballots: ours by Criterion, the others by their own clock.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

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
    shell,
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
    let folder = bench.new_directory("elections")?;
    for case in &CASES {
        let file = case.file_in(&folder);
        std::fs::write(&file, case.election().write(Written::Json)?).context(file.display())?;
    }
    count_by_criterion(&folder)?;
    let mut rows = Vec::new();
    for case in &CASES {
        let own = criterion_median(case.method)?;
        rows.push([case.name, "canvass-counting", &milliseconds(own), "1"].map(str::to_owned).to_vec());
        if let Some(python) = &python {
            for (program, seconds) in others(python, case.method, &case.file_in(&folder))? {
                let times = format!("{:.0}", seconds / own);
                rows.push([case.name, &program, &milliseconds(seconds), &times].map(str::to_owned).to_vec());
            }
        }
    }
    let header = ["count", "program", "median", "times as long"];
    table::print("Counting, on the same ballots", &header, &rows);
    Ok(())
}

/// Runs all of `canvass-counting`'s benchmarks, and these elections besides.
fn count_by_criterion(folder: &Path) -> Outcome {
    let mut command = Command::new("cargo");
    command.args(["bench", "--quiet", "--package", "canvass-counting", "--bench", "counting"]);
    shell::run_with(command.env("CANVASS_BENCH_ELECTIONS", folder))
}

/// The median that Criterion wrote down for a benchmark, in seconds.
fn criterion_median(name: &str) -> Outcome<f64> {
    let file = shell::target()?.join("criterion").join(name).join("new/estimates.json");
    let text = std::fs::read(&file).context(file.display())?;
    let estimates: Value = serde_json::from_slice(&text).context(file.display())?;
    let nanoseconds = estimates["median"]["point_estimate"].as_f64();
    Ok(nanoseconds.ok_or("Criterion's estimates have no median")? / 1e9)
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1_000.0)
}

impl Case {
    fn file_in(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.method))
    }

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
