//! `canvass migrate`: carries everything from a data directory to DynamoDB, or back.

use std::path::PathBuf;

use clap::Args;

use crate::{engine, failure::Failure, output};

/// The source is only read. Stop every server on either side first. What was cut off can be started again, and what was
/// carried is counted again on both sides before it is called done.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The data directory to carry to tables
    #[arg(
        long,
        value_name = "DIR",
        requires = "to_table_prefix",
        conflicts_with_all = ["from_table_prefix", "to"],
        required_unless_present = "from_table_prefix"
    )]
    from: Option<PathBuf>,
    /// What the names of these tables begin with; they are made by `canvass dynamodb create`
    #[arg(long, value_name = "NAME", requires = "from")]
    to_table_prefix: Option<String>,
    /// What the names of the tables begin with that are to be carried to a data directory
    #[arg(long, value_name = "NAME", requires = "to")]
    from_table_prefix: Option<String>,
    /// The new data directory, or one that the same tables were carried to before
    #[arg(long, value_name = "NEW_DIR", requires = "from_table_prefix")]
    to: Option<PathBuf>,
    /// Where DynamoDB is, if not at Amazon in the region that AWS_REGION names
    #[arg(long, value_name = "URL", env = "CANVASS_DYNAMODB_ENDPOINT", hide_env_values = true)]
    dynamodb_endpoint: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which way.
pub(crate) enum Way {
    /// From a data directory to tables.
    In(PathBuf, String),
    /// From tables to a data directory.
    Out(String, PathBuf),
}

/// What was carried.
pub(crate) struct Carried {
    pub(crate) polls: u64,
    pub(crate) records: u64,
    pub(crate) votes: u64,
    pub(crate) keys: u64,
    pub(crate) left: Vec<String>,
}

pub(crate) fn run(args: MigrateArgs) -> Result<(), Failure> {
    let way = match (args.from, args.to_table_prefix, args.from_table_prefix, args.to) {
        (Some(from), Some(to), None, None) => Way::In(from, to),
        (None, None, Some(from), Some(to)) => Way::Out(from, to),
        _ => {
            return Err(Failure::usage(
                "write --from with --to-table-prefix, or --from-table-prefix with --to",
            ));
        }
    };
    let Carried { polls, records, votes, keys, left } =
        engine::migrate(&way, args.dynamodb_endpoint.as_deref())?;
    if args.json {
        let json = serde_json::json!({
            "polls": polls, "records": records, "votes": votes, "keys": keys, "left": left, "matches": true,
        });
        return Ok(output::json(&json)?);
    }
    output::line(format_args!(
        "Carried {}, {}, {} and {}. Counted again on both sides: they are the same.",
        output::counted(polls, "poll"),
        output::counted(records, "record"),
        output::counted(votes, "vote"),
        output::counted(keys, "key"),
    ))?;
    for what in left {
        output::line(format_args!("NOTE: not carried: {what}."))?;
    }
    Ok(())
}
