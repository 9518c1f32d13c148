//! `canvass dynamodb`: the tables, and what they cost.

use std::io::Write as _;

use clap::{Args, Subcommand};

use crate::{
    config::ServerArgs,
    cost::{Basis, Month},
    engine::create_tables,
    failure::Failure,
    output,
};

#[derive(Debug, Args)]
pub(crate) struct DynamoDbArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the tables that are missing, restorable to any second and safe from deletion
    Create(Box<CreateArgs>),
    /// Say what a month costs on AWS, by list prices and measured units
    Cost(CostArgs),
}

#[derive(Debug, Args)]
struct CostArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
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
    match args.command {
        Command::Create(args) => create(*args),
        Command::Cost(args) => cost(&args),
    }
}

fn create(CreateArgs { server, json }: CreateArgs) -> Result<(), Failure> {
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

fn cost(args: &CostArgs) -> Result<(), Failure> {
    let basis = Basis::built_in().map_err(|error| Failure::failed(error.to_string()))?;
    let months = basis.months();
    if args.json {
        let json = serde_json::json!({ "prices": basis.prices.stated, "months": months });
        return Ok(output::json(&json)?);
    }
    let heading = [
        "Votes",
        "Write units each",
        "Writes",
        "Reads",
        "Storage",
        "Functions",
        "HTTP",
        "Redis",
        "Other",
        "Dollars a month",
    ];
    let rows = months.iter().map(row);
    let rows: Vec<_> = std::iter::once(heading.map(str::to_owned).to_vec()).chain(rows).collect();
    output::table(&rows)?;
    let (least, most) = (basis.compared.dollars_least, basis.compared.dollars_most);
    output::line(format_args!(
        "Prices: {}; stated in prices.toml, not fetched. The second seed document's design: {least} to {most} at 5,000 a day.",
        basis.prices.stated
    ))?;
    Ok(())
}

fn row(month: &Month) -> Vec<String> {
    let Month { writes, reads, storage, functions, http, redis, other, total, .. } = month;
    let dollars = [writes, reads, storage, functions, http, redis, other, total];
    let dollars = dollars.map(|dollars| format!("{dollars:.2}"));
    [month.votes.clone(), format!("{:.2}", month.write_units_a_vote)].into_iter().chain(dollars).collect()
}
