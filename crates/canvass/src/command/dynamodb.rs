//! `canvass dynamodb`: the tables.

use std::io::Write as _;

use clap::{Args, Subcommand};

use crate::{config::ServerArgs, engine::create_tables, failure::Failure};

#[derive(Debug, Args)]
pub(crate) struct DynamoDbArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the tables that are missing, restorable to any second and safe from deletion
    Create(CreateArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: DynamoDbArgs) -> Result<(), Failure> {
    let Command::Create(CreateArgs { server, json }) = args.command;
    let made = create_tables(&server.settings()?)?;
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::json!({ "created": made }))?;
    } else if made.is_empty() {
        writeln!(out, "All tables are there")?;
    } else {
        writeln!(out, "Created {}", made.join(", "))?;
    }
    Ok(())
}
