//! What the project is fast at, as ratios within one run: the machine's noise falls on both sides alike.
//!
//! `docs/benchmarks.md` says how the figures are taken and what they do not tell.

mod batch;
mod counting;
mod everything;
mod exports;
mod live;
pub(crate) mod servers;
mod size;
mod table;
mod votes;
mod watchers;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::{Args, ValueEnum};

use crate::{
    machine,
    outcome::{Context, Outcome},
    server::Program,
    shell,
};

/// Which parts to run, and how long.
#[derive(Args)]
pub(crate) struct BenchOptions {
    /// Only these parts.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Rounds, of which the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Votes that fill the large store, and the poll that is exported.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    votes: u64,
    /// Votes of each batch that is measured.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    batch_votes: u64,
    /// Minutes of the server that does everything at once.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    minutes: u32,
    /// Where the stores are made and removed; by default a folder of the target directory.
    #[arg(long)]
    directory: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Durable votes against a server that stores nothing.
    Votes,
    /// The batch route against the ledger alone.
    Batch,
    /// A poll of a million ranked ballots that is read while votes come, against the same unread.
    Live,
    /// Thousands who watch one poll: time to the screens, memory of each, votes lost by them.
    Watchers,
    /// Counts against other programs from PyPI.
    Counting,
    /// A large store against an empty one; memory, disk, time to open.
    Size,
    /// A large poll exported: speed, memory, and the files read by others' programs; only where it is named.
    Exports,
    /// A server that exports, backs up and tells others at the same time, against one that only takes votes; only where it
    /// is named.
    Everything,
}

/// What every part needs.
struct Bench<'a> {
    options: &'a BenchOptions,
    program: Program,
    directory: &'a Path,
}

impl Bench<'_> {
    fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.options.seconds)
    }

    /// An empty directory for a store.
    fn new_directory(&self, name: &str) -> Outcome<PathBuf> {
        let directory = self.directory.join(name);
        remove(&directory)?;
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }
}

fn remove(directory: &Path) -> Outcome {
    if directory.exists() {
        std::fs::remove_dir_all(directory).context(directory.display())?;
    }
    Ok(())
}

/// Runs the parts and prints their tables.
pub(crate) fn bench(options: &BenchOptions) -> Outcome {
    if cfg!(debug_assertions) {
        return again_with_release();
    }
    let needs_server = options.parts.iter().any(|part| *part != Part::Counting) || options.parts.is_empty();
    let program = Program::new(if needs_server {
        shell::build_canvass("release")?
    } else {
        shell::canvass_in(&shell::target()?, "release")
    });
    let directory = match &options.directory {
        Some(directory) => directory.clone(),
        None => shell::target()?.join("bench"),
    };
    std::fs::create_dir_all(&directory).context(directory.display())?;
    machine::raise_open_files();
    let bench = Bench { options, program, directory: &directory };
    println!("# Benchmarks\n\n{}; the load generator and the servers share the cores.", machine::describe());
    println!("Medians of {} rounds, interleaved, of {} s each.\n", options.rounds, options.seconds);
    let all = [
        (Part::Votes, votes::run as fn(&Bench<'_>) -> Outcome),
        (Part::Batch, batch::run),
        (Part::Live, live::run),
        (Part::Watchers, watchers::run),
        (Part::Counting, counting::run),
        (Part::Size, size::run),
        (Part::Exports, exports::run),
        (Part::Everything, everything::run),
    ];
    for (part, run) in all {
        // These take long and gigabytes of disk.
        let is_usual = options.parts.is_empty() && !matches!(part, Part::Exports | Part::Everything);
        if is_usual || options.parts.contains(&part) {
            run(&bench)?;
        }
    }
    Ok(())
}

/// A load generator that was built for debugging would measure itself.
fn again_with_release() -> Outcome {
    let mut command = Command::new("cargo");
    command
        .args(["run", "--quiet", "--release", "--package", "xtask", "--"])
        .args(std::env::args_os().skip(1));
    shell::run_with(&mut command)
}
