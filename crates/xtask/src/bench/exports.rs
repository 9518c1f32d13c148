//! Exports of a large poll: how fast they are, what memory the server takes for them, and whether others' programs find in
//! them what was voted.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use super::{
    Bench,
    batch::send_streams,
    servers::Kind,
    table::{print, rate},
    votes::Voters,
};
use crate::{
    machine,
    outcome::{Context, Outcome, ensure},
    python,
    server::{ADMIN_KEY, Server},
    shell,
};

/// Python reads a workbook at some ten thousand rows a second.
const WORKBOOK_VOTES_MAX: u64 = 300_000;

pub(super) fn run(bench: &Bench<'_>) -> Outcome {
    let votes = bench.options.votes;
    let folder = bench.new_directory("exports")?;
    let mut rows = export(bench, &folder, votes, &["csv", "parquet"])?;
    rows.extend(export(bench, &folder, votes.min(WORKBOOK_VOTES_MAX), &["xlsx"])?);
    print("Exports of a poll", &["format", "votes", "votes/s", "bytes a vote", "memory more, MiB"], &rows);
    if let Some(python) = python::with_packages()? {
        let mut read = Command::new(python);
        read.arg(python::script("check_bench_exports.py")).arg(&folder);
        shell::run_with(read.args([votes, votes.min(WORKBOOK_VOTES_MAX)].map(|votes| votes.to_string())))?;
    }
    super::remove(&folder)
}

/// Fills a server with votes and exports them in each of the formats; gives a row of the table for each.
fn export(bench: &Bench<'_>, folder: &Path, votes: u64, formats: &[&str]) -> Outcome<Vec<Vec<String>>> {
    let server = Kind::Durable.start(&bench.program, &bench.new_directory("exports-data")?)?;
    let filled = send_streams(server.address, 2, votes, Voters::new().fresh())?;
    ensure(filled.accepted == votes, || format!("{} of {votes} votes were accepted", filled.accepted))?;
    let rows = formats.iter().map(|format| row(bench, &server, folder, (votes, format))).collect();
    server.kill()?;
    super::remove(&bench.directory.join("exports-data"))?;
    rows
}

fn row(
    bench: &Bench<'_>,
    server: &Server,
    folder: &Path,
    (votes, format): (u64, &str),
) -> Outcome<Vec<String>> {
    let file = folder.join(format!("votes.{format}"));
    let resting_bytes = machine::resident_bytes(server.process())?;
    machine::forget_peak(server.process())?;
    let started = Instant::now();
    let mut command = Command::new(bench.program.path());
    command.args(["export", "bench", "--format", format, "--output"]).arg(&file).stdout(Stdio::null());
    command.env("CANVASS_SERVER", format!("http://{}", server.address)).env("CANVASS_KEY", ADMIN_KEY);
    shell::run_with(&mut command)?;
    let seconds = started.elapsed().as_secs_f64();
    let more_bytes = machine::peak_bytes(server.process())?.saturating_sub(resting_bytes);
    let bytes = fs::metadata(&file).context(file.display())?.len();
    // Votes and bytes are far below 2^53.
    #[expect(clippy::cast_precision_loss, reason = "votes and bytes are far below 2^53")]
    let (votes_float, bytes) = (votes as f64, bytes as f64);
    Ok(vec![
        format.to_owned(),
        votes.to_string(),
        rate(votes_float / seconds),
        format!("{:.1}", bytes / votes_float),
        (more_bytes >> 20).to_string(),
    ])
}
