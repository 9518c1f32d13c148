//! The commands, one file each.

pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod count;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod dynamodb;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod man;
pub(crate) mod migrate;
pub(crate) mod poll;
pub(crate) mod recount;
pub(crate) mod restore;
pub(crate) mod results;
pub(crate) mod serve;
pub(crate) mod vote;

use tokio::runtime::Builder;

use crate::{
    cli::{Cli, Command},
    failure::Failure,
};

/// Does what the command line asks.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(args) => serve::run(*args),
        Command::Demo(args) => demo::run(&args),
        Command::Poll(args) => wait(poll::run(args)),
        Command::Vote(args) => wait(vote::run(args)),
        Command::Results(args) => wait(results::run(args)),
        Command::Import(args) => wait(import::run(args)),
        Command::Export(args) => wait(export::run(args)),
        Command::Recount(args) => wait(recount::run(args)),
        Command::Count(args) => count::run(&args),
        Command::Key(args) => wait(key::run(args)),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Migrate(args) => migrate::run(args),
        Command::Dynamodb(args) => dynamodb::run(*args),
        Command::Config(args) => config::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

fn wait(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(command)
}
