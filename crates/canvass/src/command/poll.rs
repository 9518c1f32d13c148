//! `canvass poll`: creates polls and leads them through their life.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::{
    cli::Access,
    client::{Answer, Client, segment},
    failure::Failure,
    limits::POLLS_PAGE,
    option_ids::option_ids,
    output,
};

#[derive(Debug, Args)]
pub(crate) struct PollArgs {
    #[command(subcommand)]
    command: PollCommand,
}

#[derive(Debug, Subcommand)]
enum PollCommand {
    /// Create a poll
    Create(Box<CreateArgs>),
    /// List polls, newest first
    List(ListArgs),
    /// Show a poll
    Show(PollRef),
    /// Let a poll take votes, for the first time or after a pause
    Open(PollRef),
    /// Let a poll take no votes for now
    Pause(PollRef),
    /// Let a poll take no more votes
    Close(PollRef),
    /// Count a closed poll anew, and make its result final if that agrees
    Certify(PollRef),
    /// Put a poll away
    Archive(PollRef),
    /// Erase what votes tell of voters, of all or of one, in polls that are over
    Erase(EraseArgs),
    /// Make one-time codes for a poll whose access is `code`; they are shown this once
    Codes(CodesArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// The question
    #[arg(required_unless_present = "file")]
    title: Option<String>,
    /// The options: LABEL, or ID=LABEL
    #[arg(value_name = "OPTION")]
    options: Vec<String>,
    /// A poll in JSON as the API takes it, in place of everything else; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["title", "options"])]
    file: Option<PathBuf>,
    /// The poll's id; one is made if absent
    #[arg(long)]
    id: Option<String>,
    /// More about the question
    #[arg(long)]
    description: Option<String>,
    /// How it is counted: plurality, approval, score, star, irv, stvScottish, stvMeek, schulze, rankedPairs, minimax,
    /// borda, quadratic or dot; or its JSON with rules, such as {"type":"approval","maxChoices":3}
    #[arg(long, default_value = "plurality")]
    method: String,
    /// How many options win
    #[arg(long, value_name = "NUMBER")]
    seats: Option<u16>,
    /// How a tie is broken that the method leaves open: report, order (that of the options), lot=SEED, or its JSON
    /// as the API takes it
    #[arg(long, value_name = "RULE")]
    tie_break: Option<String>,
    /// Who may vote
    #[arg(long = "access", value_parser = ["key", "public", "code", "open"])]
    access_rule: Option<String>,
    /// Whether votes may change
    #[arg(long, value_parser = ["never", "untilClose"])]
    revote: Option<String>,
    /// When the count may be seen
    #[arg(long, value_parser = ["live", "afterVote", "afterClose", "private"])]
    results_visible: Option<String>,
    /// What a vote may tell of its voter: NAME, or NAME=VALUE,VALUE,…; may be repeated
    #[arg(long, value_name = "DIMENSION")]
    demographic: Vec<String>,
    /// Breakdown figures below this are hidden
    #[arg(long, value_name = "NUMBER")]
    minimum_cell: Option<u32>,
    /// Let a caller with a key give votes a weight
    #[arg(long)]
    weighted: bool,
    /// When to open by itself, for example 2026-12-01T09:00:00Z
    #[arg(long, value_name = "TIME")]
    opens_at: Option<String>,
    /// From when no vote is accepted
    #[arg(long, value_name = "TIME")]
    closes_at: Option<String>,
    /// Open it at once
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only polls that stand there
    #[arg(long, value_parser = ["draft", "scheduled", "open", "paused", "closed", "certified", "archived"])]
    status: Option<String>,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Args)]
struct PollRef {
    /// The poll's id
    poll: String,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Args)]
struct EraseArgs {
    /// The poll's id
    #[arg(required_unless_present = "all_polls")]
    poll: Option<String>,
    /// Only what this voter's votes tell
    #[arg(long, value_name = "VOTER")]
    voter: Option<String>,
    /// The voter's votes in all polls that are over; those that are not are named, and then the exit code is 1
    #[arg(long, requires = "voter", conflicts_with = "poll")]
    all_polls: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Args)]
struct CodesArgs {
    /// The poll's id
    poll: String,
    /// How many: 1 to 100000
    #[arg(long, value_name = "NUMBER")]
    count: u32,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn run(args: PollArgs) -> Result<(), Failure> {
    match args.command {
        PollCommand::Create(args) => create(*args).await,
        PollCommand::List(args) => list(&args).await,
        PollCommand::Show(poll) => show(&poll).await,
        PollCommand::Open(poll) => step(&poll, "open").await,
        PollCommand::Pause(poll) => step(&poll, "pause").await,
        PollCommand::Close(poll) => step(&poll, "close").await,
        PollCommand::Certify(poll) => step(&poll, "certify").await,
        PollCommand::Archive(poll) => step(&poll, "archive").await,
        PollCommand::Erase(args) => erase(args).await,
        PollCommand::Codes(args) => codes(&args).await,
    }
}

async fn create(args: CreateArgs) -> Result<(), Failure> {
    let mut client = args.access.client()?;
    let (file, json) = (args.file.clone(), args.access.json);
    let body = match file {
        Some(path) => read_input(&path)?,
        None => request(args)?.to_string().into_bytes(),
    };
    let answer = client.send(Method::POST, "/v1/polls", Some(body)).await?;
    if json {
        return Ok(output::answer(&answer)?);
    }
    let poll = answer.json()?;
    let (id, status) = (output::text(&poll["id"]), output::text(&poll["status"]));
    output::line(format_args!("Poll {id} is created ({status})"))?;
    if status == "draft" {
        output::line(format_args!("It takes votes after: canvass poll open {id}"))?;
    }
    Ok(())
}

fn request(args: CreateArgs) -> Result<Value, Failure> {
    let labels: Vec<_> = args.options.iter().map(|option| option.split_once('=')).collect();
    let plain: Vec<&str> = args.options.iter().map(String::as_str).collect();
    let made = option_ids(&plain);
    let options: Vec<_> = labels
        .iter()
        .zip(plain.iter().zip(made))
        .map(|(given, (label, made))| match given {
            Some((id, label)) => json!({"id": id, "label": label}),
            None => json!({"id": made, "label": label}),
        })
        .collect();
    let mut request = json!({"title": args.title, "options": options, "method": method(&args.method)?});
    let tie_break = args.tie_break.as_deref().map(tie_break).transpose()?;
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            request[name] = value;
        }
    };
    set("id", args.id.map(Value::from));
    set("description", args.description.map(Value::from));
    set("seats", args.seats.map(Value::from));
    set("tieBreak", tie_break);
    set("access", args.access_rule.map(Value::from));
    set("revote", args.revote.map(Value::from));
    set("resultsVisible", args.results_visible.map(Value::from));
    set("demographics", (!args.demographic.is_empty()).then(|| dimensions(&args.demographic)));
    set("minimumCell", args.minimum_cell.map(Value::from));
    set("weighted", args.weighted.then_some(Value::Bool(true)));
    set("opensAt", args.opens_at.map(Value::from));
    set("closesAt", args.closes_at.map(Value::from));
    set("status", args.open.then(|| Value::from("open")));
    Ok(request)
}

fn method(text: &str) -> Result<Value, Failure> {
    if !text.starts_with('{') {
        return Ok(json!({"type": text}));
    }
    serde_json::from_str(text).map_err(|error| Failure::usage(format!("--method is not JSON: {error}")))
}

fn tie_break(text: &str) -> Result<Value, Failure> {
    if let Some(seed) = text.strip_prefix("lot=") {
        return Ok(json!({"type": "lot", "seed": seed}));
    }
    if !text.starts_with('{') {
        return Ok(json!({"type": text}));
    }
    serde_json::from_str(text).map_err(|error| Failure::usage(format!("--tie-break is not JSON: {error}")))
}

fn dimensions(given: &[String]) -> Value {
    let dimension = |text: &String| match text.split_once('=') {
        None | Some((_, "")) => (text.trim_end_matches('=').to_owned(), Value::Null),
        Some((name, values)) => (name.to_owned(), values.split(',').map(Value::from).collect()),
    };
    Value::Object(given.iter().map(dimension).collect())
}

fn read_input(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| Failure::file(path, &error))?;
        return Ok(bytes);
    }
    std::fs::read(path).map_err(|error| Failure::file(path, &error))
}

async fn list(args: &ListArgs) -> Result<(), Failure> {
    let mut client = args.access.client()?;
    let status = args.status.as_ref().map(|status| format!("&status={status}")).unwrap_or_default();
    let mut polls = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get_json(&format!("/v1/polls?limit={POLLS_PAGE}{status}{cursor}")).await?;
        polls.extend(page["items"].as_array().into_iter().flatten().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", segment(next)),
            None => break,
        }
    }
    if args.access.json {
        return Ok(output::json(&json!({"items": polls}))?);
    }
    let columns = ["id", "status", "access", "title"];
    let mut rows = vec![columns.map(str::to_owned).to_vec()];
    rows.extend(polls.iter().map(|poll| columns.map(|name| output::text(&poll[name])).to_vec()));
    Ok(output::table(&rows)?)
}

async fn show(args: &PollRef) -> Result<(), Failure> {
    let answer = read_poll(&mut args.access.client()?, &args.poll).await?;
    if args.access.json {
        return Ok(output::answer(&answer)?);
    }
    Ok(print(&answer.json()?)?)
}

/// A poll as the server has it.
pub(crate) async fn read_poll(client: &mut Client, id: &str) -> Result<Answer, Failure> {
    client.get(&format!("/v1/polls/{}", segment(id))).await
}

fn print(poll: &Value) -> std::io::Result<()> {
    output::line(output::text(&poll["title"]))?;
    let fields = [
        ("id", "id"),
        ("status", "status"),
        ("method", "method"),
        ("seats", "seats"),
        ("access", "access"),
        ("revote", "revote"),
        ("results visible", "resultsVisible"),
        ("opens at", "opensAt"),
        ("closes at", "closesAt"),
        ("version", "version"),
    ];
    let rows = fields.iter().filter(|(_, field)| !poll[field].is_null()).map(|(name, field)| {
        let value = if *field == "method" { &poll["method"]["type"] } else { &poll[field] };
        vec![format!("  {name}"), output::text(value)]
    });
    output::table(&rows.collect::<Vec<_>>())?;
    output::line("  options")?;
    let options = poll["options"].as_array().into_iter().flatten();
    let rows = options
        .map(|option| vec![format!("    {}", output::text(&option["id"])), output::text(&option["label"])]);
    output::table(&rows.collect::<Vec<_>>())
}

async fn step(args: &PollRef, step: &str) -> Result<(), Failure> {
    let path = format!("/v1/polls/{}/{step}", segment(&args.poll));
    let answer = args.access.client()?.send(Method::POST, &path, None).await?;
    if args.access.json {
        return Ok(output::answer(&answer)?);
    }
    let poll = answer.json()?;
    Ok(output::line(format_args!("Poll {} is {}", output::text(&poll["id"]), output::text(&poll["status"])))?)
}

async fn erase(args: EraseArgs) -> Result<(), Failure> {
    let EraseArgs { poll, voter, access, .. } = args;
    match (poll, voter) {
        (Some(poll), None) => step(&PollRef { poll, access }, "erase").await,
        (Some(poll), Some(voter)) => {
            let answer = erase_voter(&mut access.client()?, &poll, &voter).await?;
            if access.json {
                return Ok(output::answer(&answer)?);
            }
            tell_erased(&answer.json()?)
        }
        (None, voter) => erase_voter_everywhere(&access, &voter.unwrap_or_default()).await,
    }
}

async fn erase_voter(client: &mut Client, poll: &str, voter: &str) -> Result<Answer, Failure> {
    let path = format!("/v1/polls/{}/votes/{}/erase", segment(poll), segment(voter));
    client.send(Method::POST, &path, None).await
}

fn tell_erased(erased: &Value) -> Result<(), Failure> {
    let (poll, records) = (output::text(&erased["pollId"]), output::text(&erased["records"]));
    Ok(output::line(format_args!("Poll {poll}: {records} records tell of nobody any more"))?)
}

/// Polls that are not over are left, for their voters could vote again.
async fn erase_voter_everywhere(access: &Access, voter: &str) -> Result<(), Failure> {
    let mut client = access.client()?;
    let (mut items, mut left, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = client.get_json(&format!("/v1/polls?limit={POLLS_PAGE}{cursor}")).await?;
        for poll in page["items"].as_array().into_iter().flatten() {
            let id = output::text(&poll["id"]);
            match poll["status"].as_str() {
                Some("closed" | "certified" | "archived") => {
                    let erased = erase_voter(&mut client, &id, voter).await?.json()?;
                    if !access.json {
                        tell_erased(&erased)?;
                    }
                    items.push(erased);
                }
                Some("draft" | "scheduled") => {}
                _ => left.push(id),
            }
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", segment(next)),
            None => break,
        }
    }
    if access.json {
        output::json(&json!({"items": items, "notOver": left}))?;
    }
    if left.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("not over yet, and left as they are: {}", left.join(", "))))
}

async fn codes(args: &CodesArgs) -> Result<(), Failure> {
    let path = format!("/v1/polls/{}/codes", segment(&args.poll));
    let request = json!({"count": args.count});
    let answer = args.access.client()?.send_json(Method::POST, &path, &request).await?;
    if args.access.json {
        return Ok(output::answer(&answer)?);
    }
    for code in answer.json()?["codes"].as_array().into_iter().flatten() {
        output::line(output::text(code))?;
    }
    Ok(())
}
