//! The program `canvass`: command line, configuration and wiring. The only place that reads the environment.

mod cli;
mod client;
mod command;
mod config;
mod edge;
mod failure;
mod import;
mod limits;
mod logging;
mod output;
mod start;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match command::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
