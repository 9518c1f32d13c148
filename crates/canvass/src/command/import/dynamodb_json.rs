//! `canvass import dynamodb-json`: moves the votes of a document's stack here, poll by poll.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{create, reasons_in_json, show_reasons};
use crate::{
    cli::Access,
    client::Client,
    command::poll::read_poll,
    failure::Failure,
    import::{Sent, Stack, Votes, send},
    output,
};

/// Votes are counted anew: what those stacks had counted is not to be relied on. Imported again, nothing counts twice.
/// All is read before the first vote is sent.
#[derive(Debug, Args)]
pub(crate) struct DynamodbJsonArgs {
    /// The folder of an export to S3 (AWSDynamoDB/…, with manifest-files.json and data/), one of its files, or what
    /// `aws dynamodb scan` printed
    path: PathBuf,
    /// The poll's id there [default: all polls, each into the poll of the same id]
    #[arg(long, value_name = "ID")]
    poll: Option<String>,
    /// The poll's id here, where it is another
    #[arg(long, value_name = "ID", requires = "poll")]
    into: Option<String>,
    /// Create polls that do not exist, open, with an option for each choice and a dimension for each that votes have
    #[arg(long)]
    create: bool,
    /// A dimension of demographics that is not to be carried over
    #[arg(long, value_name = "DIMENSION")]
    leave_out: Vec<String>,
    #[command(flatten)]
    access: Access,
}

/// What became of one poll's votes.
struct Moved {
    poll: String,
    sent: Sent,
    repeated: u64,
    contradicting: u64,
    addresses: u64,
}

pub(crate) async fn run(args: DynamodbJsonArgs) -> Result<(), Failure> {
    let mut client = args.access.client()?;
    let stack = Stack::read(&args.path, args.poll.as_deref())?;
    let (other_items, values_left_out) = (stack.other_items, stack.values_left_out);
    let mut ready = Vec::new();
    for (poll, mut votes) in stack.polls() {
        args.leave_out.iter().for_each(|dimension| votes.leave_out(dimension));
        let poll = args.into.clone().unwrap_or(poll);
        // Every poll is looked at before the first vote is sent.
        let known = find(&mut client, &poll, &votes, args.create).await?;
        ready.push((poll, votes, known));
    }
    if ready.is_empty() {
        return Err(Failure::failed(format!(
            "{}: there are no votes of that poll in it",
            args.path.display()
        )));
    }
    let mut moved = Vec::new();
    for (poll, votes, known) in ready {
        let (repeated, contradicting, addresses) =
            (votes.repeated(), votes.contradicting(), votes.addresses());
        let sent = send(&mut client, &poll, votes.open(&known), &|_| {}).await?;
        moved.push(Moved { poll, sent, repeated, contradicting, addresses });
    }
    if args.access.json {
        show_json(&moved, other_items, values_left_out)?;
    } else {
        moved.iter().try_for_each(show)?;
        show_left_out(other_items, values_left_out)?;
    }
    match moved.iter().map(|moved| moved.sent.refused).sum() {
        0 => Ok(()),
        refused => Err(Failure::failed(format!("{} refused", output::counted(refused, "vote")))),
    }
}

/// The poll as the server has it, which can hold all that its votes tell.
async fn find(client: &mut Client, poll: &str, votes: &Votes, is_created: bool) -> Result<Value, Failure> {
    if is_created {
        create(client, &votes.creation(poll)).await?;
    }
    let known = read_poll(client, poll).await?.json()?;
    let dimensions = votes.dimensions();
    let undeclared: Vec<_> = dimensions
        .keys()
        .filter(|dimension| known["demographics"].get(**dimension).is_none())
        .copied()
        .collect();
    if undeclared.is_empty() {
        return Ok(known);
    }
    Err(Failure::failed(format!(
        "votes of the poll {poll} tell {}, which it does not declare: declare it, or give --leave-out; nothing was sent",
        undeclared.join(", ")
    )))
}

fn show(moved: &Moved) -> Result<(), Failure> {
    let Moved { poll, sent, repeated, contradicting, addresses } = moved;
    let Sent { accepted, already_there, refused, .. } = sent;
    output::line(format_args!(
        "{poll}: {accepted} accepted, {already_there} already there, {refused} refused"
    ))?;
    show_reasons(sent)?;
    if *repeated > 0 {
        output::line(format_args!(
            "  left out: {} of voters who had voted before, {contradicting} of them for another option; the first counts",
            output::counted(*repeated, "vote")
        ))?;
    }
    if *addresses > 0 {
        output::line(format_args!(
            "  {} named by an address: those who shared one had one vote",
            output::counted(*addresses, "voter")
        ))?;
    }
    Ok(())
}

fn show_left_out(other_items: u64, values_left_out: u64) -> Result<(), Failure> {
    output::line(format_args!("Not carried over: when votes were cast; they have the time of the import."))?;
    if other_items > 0 {
        output::line(format_args!(
            "Not carried over: {} without poll, voter and option: no votes.",
            output::counted(other_items, "item")
        ))?;
    }
    if values_left_out > 0 {
        output::line(format_args!(
            "Not carried over: {} of demographics that are lists or the like.",
            output::counted(values_left_out, "value")
        ))?;
    }
    Ok(())
}

fn show_json(moved: &[Moved], other_items: u64, values_left_out: u64) -> Result<(), Failure> {
    let poll = |Moved { poll, sent, repeated, contradicting, addresses }: &Moved| {
        json!({
            "poll": poll, "accepted": sent.accepted, "alreadyThere": sent.already_there, "refused": sent.refused,
            "reasons": reasons_in_json(sent), "repeated": repeated, "contradicting": contradicting, "addresses": addresses,
        })
    };
    let polls: Vec<_> = moved.iter().map(poll).collect();
    Ok(output::json(&json!({"polls": polls, "otherItems": other_items, "valuesLeftOut": values_left_out}))?)
}
