//! `canvass import`: sends the votes of a file, any number of times with the same effect.

mod dynamodb_json;

use std::{io::IsTerminal as _, path::PathBuf};

use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::{
    cli::Access,
    client::{Client, Outcome},
    command::poll::read_poll,
    failure::Failure,
    import::{Election, Format, Reading, Sent, Source, format_of, open_votes, send},
    output,
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    from: Option<Origin>,
    #[command(flatten)]
    file: Option<FileArgs>,
    #[command(flatten)]
    access: Access,
}

/// What is imported that is no file of one poll's votes.
#[derive(Debug, Subcommand)]
enum Origin {
    /// Move the votes of either document's stack here, as DynamoDB exports them
    DynamodbJson(dynamodb_json::DynamodbJsonArgs),
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The file
    file: PathBuf,
    /// The poll's id
    #[arg(long, value_name = "ID")]
    poll: String,
    /// What the file holds [default: by the ending of its name: .csv, .jsonl, and the
    /// rest elections: .json, .blt, .abif, .soc, .soi, .toc, .toi, .cat]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Create the poll, open, with the election's options, if it does not exist
    #[arg(long)]
    create: bool,
    /// Send only the first preference of each ranking, for a plurality poll
    #[arg(long)]
    first_preferences: bool,
    /// What the ids of an election's voters are made of; ballots of the same name, row and number are the same vote
    /// [default: the file's name]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

pub(crate) async fn run(args: ImportArgs) -> Result<(), Failure> {
    match (args.from, args.file) {
        (Some(Origin::DynamodbJson(from)), _) => dynamodb_json::run(from).await,
        (None, Some(file)) => import_file(file, args.access).await,
        (None, None) => Err(Failure::usage("name a file, or dynamodb-json and a folder")),
    }
}

async fn import_file(args: FileArgs, access: Access) -> Result<(), Failure> {
    let format = args.format.map_or_else(|| format_of(&args.file), Ok)?;
    let mut client = access.client()?;
    let source = match format {
        Format::Election => open_election(&args, &mut client).await?,
        _ if args.create || args.first_preferences => {
            return Err(Failure::usage("--create and --first-preferences are for elections"));
        }
        _ => open_votes(&args.file, format, &read_poll(&mut client, &args.poll).await?.json()?)?,
    };
    let bar = progress_bar(source.length, access.json);
    let sent = send(&mut client, &args.poll, source, &|reached| {
        bar.set_position(reached.min(bar.length().unwrap_or(0)));
    })
    .await;
    bar.finish_and_clear();
    report(&sent?, access.json)
}

async fn open_election(args: &FileArgs, client: &mut Client) -> Result<Source, Failure> {
    let election = Election::read(&args.file)?;
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    let reading = Reading {
        first_preferences: args.first_preferences,
        source: args.source.as_deref().unwrap_or(&name),
    };
    if args.create {
        create(client, &election.creation(&args.poll, reading)?).await?;
    }
    election.open(&read_poll(client, &args.poll).await?.json()?, reading)
}

/// Creates the poll; one that exists is used as it is, so that an import can be run again.
async fn create(client: &mut Client, request: &Value) -> Result<(), Failure> {
    match client.exchange(Method::POST, "/v1/polls", &[], Some(request.to_string().into())).await {
        Outcome::Done(_) => Ok(()),
        Outcome::Refused(problem)
            if problem.status == StatusCode::CONFLICT && problem.kind == "poll-exists" =>
        {
            Ok(())
        }
        Outcome::Refused(problem) => Err(problem.into()),
        Outcome::Lost(lost) => Err(client.lost(&lost)),
    }
}

fn progress_bar(length: u64, json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {elapsed} of about {duration}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn report(sent: &Sent, json: bool) -> Result<(), Failure> {
    let Sent { accepted, already_there, refused, .. } = sent;
    if json {
        let reasons = reasons_in_json(sent);
        output::json(
            &json!({"accepted": accepted, "alreadyThere": already_there, "refused": refused, "reasons": reasons}),
        )?;
    } else {
        output::line(format_args!("{accepted} accepted, {already_there} already there, {refused} refused"))?;
        show_reasons(sent)?;
    }
    match refused {
        0 => Ok(()),
        1 => Err(Failure::failed("one vote was refused")),
        more => Err(Failure::failed(format!("{more} votes were refused"))),
    }
}

/// Why the first that were refused were.
fn show_reasons(Sent { refused, reasons, .. }: &Sent) -> Result<(), Failure> {
    for unusable in reasons {
        output::line(format_args!("  {}: {}", unusable.place, unusable.reason))?;
    }
    if *refused > reasons.len() as u64 {
        output::line(format_args!("  and {} more", refused - reasons.len() as u64))?;
    }
    Ok(())
}

fn reasons_in_json(Sent { reasons, .. }: &Sent) -> Vec<Value> {
    let told = reasons.iter();
    told.map(|unusable| json!({"place": unusable.place.to_string(), "reason": unusable.reason})).collect()
}
