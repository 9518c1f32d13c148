//! `canvass restore`: makes a data directory of a backup.

use std::path::PathBuf;

use canvass_domain::Timestamp;
use canvass_export::Destination;
use canvass_server::{Edge as _, SystemEdge};
use canvass_store::local::{Report, Restored, examine, restore};
use clap::Args;
use serde_json::Value;

use crate::{backups, command::doctor, failure::Failure, output};

/// The new directory says for good that it was restored: at each start, and when the doctor looks at it.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup: a folder, or s3://, gs:// or az:// with BUCKET/PREFIX
    #[arg(long, value_name = "FOLDER or URL")]
    from: Destination,
    /// The new data directory, which must be empty or missing
    #[arg(long, value_name = "NEW_DIR")]
    data: PathBuf,
    /// The last moment whose records are restored, such as 2026-12-01T12:00:00Z; all records if absent
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Read everything that was restored, count it anew, and say what was found
    #[arg(long)]
    verify: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &RestoreArgs) -> Result<(), Failure> {
    let now = SystemEdge::default().now();
    let place = backups::place(&args.from)?;
    let restored =
        restore(place, &args.data, args.to, now).map_err(|error| Failure::failed(error.to_string()))?;
    let report = args.verify.then(|| examine(&args.data)).transpose();
    let report = report.map_err(|error| Failure::failed(error.to_string()))?;
    if args.json {
        output::json(&json(&restored, report.as_ref()))?;
    } else {
        print(args, &restored)?;
        report.as_ref().map_or(Ok(()), doctor::print)?;
    }
    report.as_ref().map_or(Ok(()), doctor::judge)
}

fn print(args: &RestoreArgs, restored: &Restored) -> std::io::Result<()> {
    let records = output::counted(restored.records, "record");
    let latest = restored.last_record_at.map(|at| format!(", the last of {at}")).unwrap_or_default();
    output::line(format_args!("{}: {records} restored{latest}.", args.data.display()))?;
    output::line(format_args!("The backup holds everything up to {}.", restored.backup_at))?;
    if restored.to.is_some_and(|to| to > restored.backup_at) {
        output::line(
            "NOTE: that is earlier than what was asked for; the backup has nothing of the time between.",
        )?;
    }
    if restored.records_left_out > 0 {
        output::line(format_args!(
            "Left out as later: {}.",
            output::counted(restored.records_left_out, "record")
        ))?;
    }
    if restored.records_left_out_of_order > 0 {
        output::line(format_args!(
            "NOTE: {} of these bear an earlier time: they came after a later one, because the clock went back.",
            restored.records_left_out_of_order,
        ))?;
    }
    Ok(())
}

fn json(restored: &Restored, report: Option<&Report>) -> Value {
    let mut json = serde_json::to_value(restored).unwrap_or_default();
    if let Some(report) = report {
        json["verified"] = doctor::json(report);
    }
    json
}
