//! Breaks a real server in every way that the project promises to bear, and counts afterwards.
//!
//! Each fault is a function that gives a line of figures, says why it cannot be tried on this machine, or fails. In a
//! run for a change that wants to land (`CI=true`) nothing may be left out but what does not come with the project.

mod books;
mod crash;
mod disk;
mod elections;
mod garbage;
mod kill_points;
mod methods;
mod slow;
mod trace;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;

use crate::{
    machine,
    outcome::{Outcome, ensure},
    server::Program,
    shell,
};

/// Which faults, and how often.
#[derive(Args)]
pub(crate) struct FaultOptions {
    /// Only faults whose name holds one of these words.
    names: Vec<String>,
    /// Rounds of load and kill -9.
    #[arg(long, default_value_t = 30)]
    pub(crate) rounds: u32,
    /// Inputs that are made up for each route.
    #[arg(long, default_value_t = 50)]
    pub(crate) examples: u32,
    /// The profile that the server is built with.
    #[arg(long, default_value = "release")]
    profile: String,
    /// A server that is built already.
    #[arg(long)]
    pub(crate) program: Option<PathBuf>,
}

impl FaultOptions {
    /// Every fault, with few rounds, against a server that is built already.
    pub(crate) fn for_tests(program: PathBuf) -> Self {
        Self { names: Vec::new(), rounds: 8, examples: 15, profile: "dev".into(), program: Some(program) }
    }
}

/// What trying a fault came to.
enum Verdict {
    /// The server bore it; the figures.
    Held(String),
    /// It cannot be tried here, and why.
    Skipped(String),
    /// What it is tried with does not come with the project, and is not here.
    Absent(String),
}

/// What every fault needs.
struct Bench<'a> {
    program: Program,
    options: &'a FaultOptions,
    /// An empty directory of its own.
    directory: &'a Path,
}

type Fault = fn(&Bench<'_>) -> Outcome<Verdict>;

/// Every fault by its name.
const FAULTS: [(&str, Fault); 14] = [
    ("kill-rounds", crash::kill_rounds),
    ("kill-points", kill_points::kill_points),
    ("failed-sync", disk::failed_sync),
    ("full-disk", disk::full_disk),
    ("two-servers", disk::two_servers),
    ("endless-body", slow::endless_body),
    ("endless-line", slow::endless_line),
    ("slow-clients", slow::slow_clients),
    ("idle-connections", slow::idle_connections),
    ("garbage", garbage::garbage),
    ("elections", elections::one_vote_a_ballot),
    ("election-batch", elections::batch_twice),
    ("election-import", elections::import_twice),
    ("election-methods", methods::by_their_methods),
];

/// How many faults held, failed, and were not tried.
#[derive(Default)]
struct Score {
    held: u32,
    failed: u32,
    skipped: u32,
    absent: u32,
}

/// Tries the faults that were asked for, and fails if the server did not bear one.
pub(crate) fn fault(options: &FaultOptions) -> Outcome {
    let score = try_all(options)?;
    let Score { held, failed, skipped, absent } = score;
    println!("\nfaults: {held} passed, {failed} failed, {} skipped", skipped + absent);
    ensure(failed == 0, || "the server did not bear every fault".to_owned())?;
    ensure(skipped == 0 || !machine::is_ci(), || "a run with CI=true leaves no fault out".to_owned())
}

fn try_all(options: &FaultOptions) -> Outcome<Score> {
    let path = match &options.program {
        Some(path) => path.clone(),
        None => shell::build_canvass(&options.profile)?,
    };
    machine::raise_open_files();
    let program = Program::new(path);
    let mut score = Score::default();
    for (name, fault) in FAULTS {
        if options.names.is_empty() || options.names.iter().any(|word| name.contains(word)) {
            try_one(name, fault, &program, options, &mut score)?;
        }
    }
    Ok(score)
}

fn try_one(
    name: &str,
    fault: Fault,
    program: &Program,
    options: &FaultOptions,
    score: &mut Score,
) -> Outcome {
    let directory = tempfile::Builder::new().prefix("canvass-fault-").tempdir()?;
    let started = Instant::now();
    let verdict = fault(&Bench { program: program.clone(), options, directory: directory.path() });
    let seconds = started.elapsed().as_secs_f64();
    match verdict {
        Ok(Verdict::Held(figures)) => {
            score.held += 1;
            println!("{name}: {figures} ({seconds:.1} s)");
        }
        Ok(Verdict::Skipped(reason)) => {
            score.skipped += 1;
            println!("{name}: SKIPPED, {reason}");
        }
        Ok(Verdict::Absent(reason)) => {
            score.absent += 1;
            println!("{name}: SKIPPED, {reason}");
        }
        Err(error) => {
            score.failed += 1;
            println!("{name}: FAILED, {error}; what it left is in {}", directory.keep().display());
        }
    }
    Ok(())
}
