//! The program `canvass`: command line, configuration and wiring. The only place that reads the environment.

#[cfg(feature = "tls")]
mod acme;
mod backups;
mod cli;
mod client;
mod command;
mod config;
mod cost;
mod domains;
mod edge;
mod engine;
mod exports;
mod failure;
mod import;
mod limits;
mod logging;
mod notices;
mod option_ids;
mod output;
mod post;
mod start;
mod tls;

use std::process::ExitCode;

use clap::Parser;

/// A vote makes and drops a few dozen small pieces of memory, some of them on another thread than their own; the
/// system's allocator took a seventh of the server's time with them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match command::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
