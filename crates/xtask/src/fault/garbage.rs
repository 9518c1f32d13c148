//! Made-up requests on every route of the OpenAPI description, by schemathesis: no answer may be a 5xx.

use std::{path::PathBuf, process::Command};

use super::{Bench, Verdict, books::make_poll};
use crate::{
    machine,
    outcome::{Context, Outcome, ensure},
    server::{ADMIN_KEY, free_address},
    shell,
};

/// The version that is installed, so that a run does not depend on its day.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// Answers that end only when the client goes.
const ENDLESS_ROUTES: &str = "/stream$";

/// Sends garbage everywhere; afterwards the server is well.
pub(super) fn garbage(bench: &Bench<'_>) -> Outcome<Verdict> {
    let program = match schemathesis() {
        Ok(program) => program,
        Err(error) if machine::is_ci() => return Err(error),
        Err(error) => return Ok(Verdict::Skipped(error.to_string())),
    };
    let server = bench.program.start(&bench.directory.join("data"), free_address()?)?;
    make_poll(&mut server.client(), "lunch", "untilClose")?;
    let mut command = Command::new(program);
    command.arg("run").arg(format!("http://{}/openapi.json", server.address));
    command.args(["--checks", "not_a_server_error", "--exclude-path-regex", ENDLESS_ROUTES]);
    command.args(["--header", &format!("x-api-key: {ADMIN_KEY}")]);
    command.args(["--max-examples", &bench.options.examples.to_string(), "--workers", "2", "--no-color"]);
    let output = command.current_dir(bench.directory).output().context("schemathesis")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure(output.status.success(), || told.clone())?;
    let health = server.client().get("/readyz")?;
    ensure(health.status == 200, || format!("/readyz says {} afterwards", health.shown()))?;
    let summary = told
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("Test cases:") || line.starts_with("Operations:"));
    let summary: Vec<_> = summary.collect();
    Ok(Verdict::Held(format!("no 5xx; {}", summary.join("; "))))
}

/// The program, installed into a folder of the target directory.
fn schemathesis() -> Outcome<PathBuf> {
    let directory = shell::target()?.join("schemathesis");
    let program = directory.join("bin/schemathesis");
    if !program.exists() {
        let environment = directory.display().to_string();
        shell::run("python3", &["-m", "venv", &environment])?;
        let python = directory.join("bin/python").display().to_string();
        shell::run(
            &python,
            &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS],
        )?;
    }
    Ok(program)
}
