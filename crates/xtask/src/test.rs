//! Everything that must hold before a change lands, in one command that sets up what it needs.

use std::{process::Command, thread, time::Instant};

use clap::Args;

use crate::{
    browser::{self, BrowserOptions},
    client, deployment,
    fault::{self, FaultOptions},
    features::{self, FEATURES},
    outcome::Outcome,
    prometheus, sbom,
    shell::{self, run},
    tidy,
};

/// On Linux a niceness is one thread's, and that of the programs that it starts.
const DOCUMENTATION_NICENESS: i32 = 10;

/// What to leave out while working.
#[derive(Args)]
pub(crate) struct TestOptions {
    /// Without the fault tests, which take minutes.
    #[arg(long)]
    without_faults: bool,
}

/// Runs every check; the first that fails ends the run.
pub(crate) fn test(options: &TestOptions) -> Outcome {
    let steps: [(&str, Step); 7] = [
        ("rules", tidy::tidy),
        ("format", || run("cargo", &["fmt", "--all", "--check"])),
        ("lints", lint),
        ("features", features::test),
        ("tests", test_code),
        ("dependencies", check_dependencies_if_possible),
        ("sbom", sbom::test),
    ];
    for (name, step) in steps {
        timed(name, step)?;
    }
    // The tests have built it last, without features, as most will run it.
    let program = shell::canvass_in(&shell::target()?, "dev");
    thread::scope(|scope| {
        // A browser mostly waits, and this takes what it leaves.
        let documentation = scope.spawn(|| {
            rustix::process::setpriority_process(None, DOCUMENTATION_NICENESS)?;
            timed("documentation", document)
        });
        timed("browser", || browser::browser(&BrowserOptions::for_tests(program.clone())))?;
        timed("client", || client::test(&program))?;
        timed("deployment", deployment::test)?;
        timed("prometheus", || prometheus::test(&program))?;
        documentation.join().map_err(|_| "the documentation's thread ended with a panic")?
    })?;
    if options.without_faults {
        return Ok(());
    }
    timed("faults", || fault::fault(&FaultOptions::for_tests(program)))
}

type Step = fn() -> Outcome;

fn timed(name: &str, step: impl FnOnce() -> Outcome) -> Outcome {
    eprintln!("== {name}");
    let started = Instant::now();
    step()?;
    eprintln!("== {name}: {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn lint() -> Outcome {
    let lint = |chosen: &[&str]| {
        let lint = ["clippy", "--quiet", "--all-targets"];
        run("cargo", &[&lint[..], chosen, &["--", "--deny", "warnings"]].concat())
    };
    lint(&[])?;
    lint(&["--workspace", "--features", FEATURES])
}

/// The product as it is by default, and this tool.
fn test_code() -> Outcome {
    if shell::works("cargo", &["nextest", "--version"]) {
        run("cargo", &["nextest", "run", "--no-fail-fast"])?;
        run("cargo", &["test", "--doc"])?;
    } else {
        run("cargo", &["test", "--no-fail-fast"])?;
    }
    run("cargo", &["test", "--quiet", "--package", "xtask"])
}

fn document() -> Outcome {
    let mut command = Command::new("cargo");
    command.args(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
    // As the lints are run, so that what they know of the libraries is used again.
    command.args(["--features", FEATURES]);
    command.env("RUSTDOCFLAGS", "--deny warnings");
    shell::run_with(&mut command)
}

/// Building cargo-deny takes longer than all tests together, so a machine without it goes without here.
fn check_dependencies_if_possible() -> Outcome {
    if shell::works("cargo", &["deny", "--version"]) {
        return run("cargo", &["deny", "--offline", "check", "bans", "licenses", "sources"]);
    }
    println!(
        "dependencies: SKIPPED, cargo-deny is not installed; `cargo xtask deny` builds it and checks them"
    );
    Ok(())
}

/// Licences, sources, bans and advisories of the dependencies.
pub(crate) fn deny() -> Outcome {
    let tools = shell::target()?.join("tools");
    let program = tools.join("bin/cargo-deny");
    if !program.exists() {
        run("cargo", &["install", "cargo-deny", "--locked", "--root", &tools.display().to_string()])?;
    }
    run(&program.display().to_string(), &["check"])
}
