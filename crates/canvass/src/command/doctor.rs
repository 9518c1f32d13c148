//! `canvass doctor`: checks a data directory that no server uses.

use std::path::PathBuf;

use canvass_store::local::{Report, Restored, examine};
use clap::Args;
use serde_json::{Value, json};

use crate::{failure::Failure, output};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The data directory, if it is not named by --data
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The data directory
    #[arg(
        long,
        value_name = "DIR",
        env = "CANVASS_DATA",
        hide_env_values = true,
        default_value = "./canvass-data"
    )]
    data: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let directory = args.directory.as_ref().unwrap_or(&args.data);
    let report = examine(directory).map_err(|error| Failure::failed(error.to_string()))?;
    if args.json {
        output::json(&json(&report))?;
    } else {
        print(&report)?;
    }
    judge(&report)
}

/// A failure if anything is wrong.
pub(crate) fn judge(report: &Report) -> Result<(), Failure> {
    match report.findings.len() {
        0 => Ok(()),
        1 => Err(Failure::failed("one thing is wrong; see above for what to do")),
        more => Err(Failure::failed(format!("{more} things are wrong; see above for what to do"))),
    }
}

/// Says what was found.
pub(crate) fn print(report: &Report) -> std::io::Result<()> {
    let counted = |number: usize, noun| output::counted(number as u64, noun);
    output::line(format_args!(
        "{} of ledger in {}: {}, every checksum of which was read.",
        output::counted(report.ledger_bytes, "byte"),
        counted(report.segments, "segment"),
        output::counted(report.records, "record"),
    ))?;
    output::line(format_args!(
        "{}, {} in force, {} without its voter after an erasure.",
        counted(report.polls, "poll"),
        output::counted(report.votes, "vote"),
        report.erased,
    ))?;
    if report.torn_bytes > 0 {
        output::line(format_args!(
            "{} of a last write that was never acknowledged were cut off.",
            output::counted(report.torn_bytes, "byte")
        ))?;
    }
    if let Some(restored) = &report.restored {
        output::line(restored_line(restored))?;
    }
    for finding in &report.findings {
        output::line(format_args!("WRONG: {}\n  {}.", finding.what, finding.advice))?;
    }
    if report.findings.is_empty() {
        output::line("All is well: no damage, and no voter counts twice.")
    } else {
        Ok(())
    }
}

/// Where a data directory came from, for people.
pub(crate) fn restored_line(restored: &Restored) -> String {
    let to = restored.to.map_or(restored.backup_at, |to| to.min(restored.backup_at));
    format!("Restored at {} from {}, as it was at {to}.", restored.restored_at, restored.from.display())
}

/// What was found, for programs.
pub(crate) fn json(report: &Report) -> Value {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| json!({"what": finding.what, "advice": finding.advice}))
        .collect();
    json!({
        "ledgerBytes": report.ledger_bytes,
        "segments": report.segments,
        "records": report.records,
        "polls": report.polls,
        "votes": report.votes,
        "erased": report.erased,
        "tornBytes": report.torn_bytes,
        "restored": report.restored,
        "findings": findings,
    })
}
