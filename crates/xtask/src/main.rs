//! The tools that test, break and measure the project: `cargo xtask --help`.
//!
//! Nothing here is part of the product. What is heavy, such as a second HTTP server to compare with, is a dependency of
//! this crate only.
#![expect(clippy::disallowed_methods, reason = "a tool that runs and times programs is its own edge")]

mod bench;
mod browser;
mod client;
mod compare;
mod deployment;
mod fault;
mod features;
mod functions;
mod http;
mod load;
mod machine;
mod outcome;
mod package;
mod prometheus;
mod python;
mod random;
mod sbom;
mod server;
mod services;
mod shell;
mod story;
mod test;
mod tidy;
mod vote;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::outcome::Outcome;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tests, breaks and measures Canvass")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must hold before a change lands: format, lints, documentation, rules, tests, faults.
    Test(test::TestOptions),
    /// The repository's own rules.
    Tidy,
    /// Licences, sources and known faults of the dependencies; builds cargo-deny if it is not installed.
    Deny,
    /// Breaks a real server in every way that it promises to bear, and counts the votes afterwards.
    Fault(fault::FaultOptions),
    /// Votes and watches in a real browser (Chromium), checks every page with axe-core, and keeps pictures.
    Browser(browser::BrowserOptions),
    /// Tests the module for applications by Node, against a real server.
    Client,
    /// Tests the template for AWS and the construct that it is made from; deploys nothing.
    Deployment,
    /// Tests the alarms and the dashboard by a real Prometheus, against a real server.
    Prometheus,
    /// Tests what is left out by default (DynamoDB, functions, object stores, TLS), against real services.
    Features,
    /// Counts generated elections with independent programs from PyPI as well, and compares.
    Compare(compare::CompareOptions),
    /// Measures speed and size; builds with --release.
    Bench(bench::BenchOptions),
    /// Builds the functions for AWS Lambda and packs each as it is deployed, with checksums.
    Package(package::PackageOptions),
    /// The same, and measures how soon each answers after it was started.
    Functions,
    /// What a program is made of, as CycloneDX tells it.
    Sbom(sbom::SbomOptions),
    /// A server to compare with.
    #[command(hide = true)]
    BenchServer(bench::servers::BenchServerOptions),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Test(options) => test::test(&options),
        Command::Tidy => tidy::tidy(),
        Command::Deny => test::deny(),
        Command::Fault(options) => fault::fault(&options),
        Command::Browser(options) => browser::browser(&options),
        Command::Client => client::test(&shell::build_canvass("dev")?),
        Command::Deployment => deployment::test(),
        Command::Prometheus => prometheus::test(&shell::build_canvass("dev")?),
        Command::Features => features::test(),
        Command::Compare(options) => compare::compare(&options),
        Command::Bench(options) => bench::bench(&options),
        Command::Package(options) => package::package(&options).map(|_| ()),
        Command::Functions => functions::measure(),
        Command::Sbom(options) => sbom::sbom(&options),
        Command::BenchServer(options) => bench::servers::serve(&options),
    }
}
