//! `canvass backup`: brings a backup of a data directory up to date, once.

use std::path::PathBuf;

use canvass_export::Destination;
use canvass_server::{Edge as _, SystemEdge};
use canvass_store::local::{BackedUp, back_up};
use clap::Args;
use serde_json::json;

use crate::{backups, failure::Failure, output};

/// A server may be running on the data directory, which is only read. What was copied once is not copied again.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The data directory
    #[arg(
        long,
        value_name = "DIR",
        env = "CANVASS_DATA",
        hide_env_values = true,
        default_value = "./canvass-data"
    )]
    data: PathBuf,
    /// The backup: a folder, made if it is missing, or s3://, gs:// or az:// with BUCKET/PREFIX
    #[arg(long, value_name = "FOLDER or URL")]
    to: Destination,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &BackupArgs) -> Result<(), Failure> {
    let place = backups::place(&args.to)?;
    let done = back_up(&args.data, place, &|| SystemEdge::default().now())
        .map_err(|error| Failure::failed(error.to_string()))?;
    let json = json!({
        "folder": args.to.to_string(),
        "at": done.at,
        "bytes": done.bytes,
        "bytesNew": done.bytes_new,
        "erased": done.erased,
    });
    Ok(output::either(args.json, &json, text(args, &done))?)
}

fn text(args: &BackupArgs, done: &BackedUp) -> String {
    let erased = match done.erased {
        0 => String::new(),
        erased => {
            let erased = output::counted(erased as u64, "record");
            format!("\nErased in it, as in the data: the personal part of {erased}.")
        }
    };
    format!(
        "{} holds everything acknowledged before {}: {}, {} of them new.{erased}",
        args.to,
        done.at,
        output::counted(done.bytes, "byte"),
        done.bytes_new,
    )
}
