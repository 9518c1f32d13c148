//! `canvass export`: every vote of a poll, to a file or to standard output.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::{
    cli::Access,
    client::{self, Outcome, segment, whole},
    failure::Failure,
    output,
};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The poll's id
    poll: String,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// How voters are named
    #[arg(long, value_enum, default_value_t = Voters::Given)]
    voters: Voters,
    /// The file, which appears when it is complete; standard output if absent
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Voters {
    /// As they were given
    Given,
    /// By a keyed hash, the same for a voter in every export of the poll
    Pseudonyms,
    /// Not at all
    Omitted,
}

impl Voters {
    fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Pseudonyms => "pseudonyms",
            Self::Omitted => "omitted",
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Comma-separated values
    Csv,
    /// A JSON object a line
    Jsonl,
    /// One list of JSON objects
    Json,
    /// A workbook for spreadsheets
    Xlsx,
    /// Typed columns for analysis
    Parquet,
    /// The ballots without their voters, as an election in JSON
    Election,
    /// The ballots without their voters, as BLT: rankings and single choices
    Blt,
    /// The ballots without their voters, as ABIF
    Abif,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Xlsx => "xlsx",
            Self::Parquet => "parquet",
            Self::Election => "election",
            Self::Blt => "blt",
            Self::Abif => "abif",
        }
    }
}

pub(crate) async fn run(args: ExportArgs) -> Result<(), Failure> {
    let mut client = args.access.client()?;
    let (format, voters) = (args.format.name(), args.voters.name());
    let path = format!("/v1/polls/{}/export?format={format}&voters={voters}", segment(&args.poll));
    let response = client.stream(Method::GET, &path, None, whole(Bytes::new())).await;
    let response = response.map_err(|lost| client.lost(&lost))?;
    if !response.status().is_success() {
        return Err(match client::read(response).await {
            Outcome::Refused(problem) => problem.into(),
            Outcome::Lost(lost) => client.lost(&lost),
            Outcome::Done(_) => Failure::failed("the server's answer is no export"),
        });
    }
    match &args.output {
        None => copy(response.into_body(), &mut io::stdout().lock()).await.map(|_| ()),
        Some(path) => {
            let bytes = write_file(response.into_body(), path).await?;
            let text = format!("{} written to {}", output::counted(bytes, "byte"), path.display());
            let json = serde_json::json!({"file": path, "bytes": bytes});
            Ok(output::either(args.access.json, &json, text)?)
        }
    }
}

/// Writes under another name first, so that a file of the wanted name is always complete.
async fn write_file(body: Incoming, path: &Path) -> Result<u64, Failure> {
    let name = path.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", path.display())))?;
    let partial = path.with_file_name(format!(".{}.{}.part", name.display(), std::process::id()));
    let outcome = fill(body, &partial, path).await;
    if outcome.is_err() {
        // It is of no use, and its removal is no news beside the failure itself.
        let _ = fs::remove_file(&partial);
    }
    outcome
}

async fn fill(body: Incoming, partial: &Path, path: &Path) -> Result<u64, Failure> {
    let failed = |error: &io::Error| Failure::file(path, error);
    let mut file = File::create(partial).map_err(|error| failed(&error))?;
    let bytes = copy(body, &mut file).await?;
    file.sync_all().map_err(|error| failed(&error))?;
    fs::rename(partial, path).map_err(|error| failed(&error))?;
    Ok(bytes)
}

async fn copy(mut body: Incoming, into: &mut impl Write) -> Result<u64, Failure> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Failure::failed(format!("the export was cut off ({error}); run it again")))?;
        if let Some(data) = frame.data_ref() {
            into.write_all(data)?;
            bytes += data.len() as u64;
        }
    }
    into.flush()?;
    Ok(bytes)
}
