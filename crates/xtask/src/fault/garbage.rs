//! Made-up requests on every route of the OpenAPI description, by schemathesis: no answer may be a 5xx.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Bench, Verdict, books::make_poll};
use crate::{
    machine,
    outcome::{Context, Outcome, ensure},
    server::{ADMIN_KEY, Server, free_address},
    shell,
};

/// The version that is installed, so that a run does not depend on its day.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// The routes that could revoke the key which all others are tried with come last: ids are learnt from answers.
const LAST: [&str; 2] = ["--include-operation-id-regex", "^(revoke|rotate)_key$"];
/// And a stream does not end while anybody reads it; its own tests read it.
const OTHERS: [&str; 2] = ["--exclude-operation-id-regex", "^(revoke_key|rotate_key|stream_results)$"];
/// What schemathesis must be told of JSON Lines.
const HOOKS: &str = r#"
import json
import schemathesis

@schemathesis.serializer("application/x-ndjson")
def json_lines(context, value):
    if isinstance(value, bytes):
        return value
    lines = value if isinstance(value, list) else [value]
    return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode("utf-8", "replace")
"#;

/// Sends garbage everywhere; afterwards the server is well.
pub(super) fn garbage(bench: &Bench<'_>) -> Outcome<Verdict> {
    let program = match schemathesis() {
        Ok(program) => program,
        Err(error) if machine::is_ci() => return Err(error),
        Err(error) => return Ok(Verdict::Skipped(error.to_string())),
    };
    let server = bench.program.start(&bench.directory.join("data"), free_address()?)?;
    make_poll(&mut server.client(), "lunch", "untilClose")?;
    let all_but_one = attack(bench, &program, &server, OTHERS)?;
    let last = attack(bench, &program, &server, LAST)?;
    let health = server.client().get("/readyz")?;
    ensure(health.status == 200, || format!("/readyz says {} afterwards", health.shown()))?;
    Ok(Verdict::Held(format!("no 5xx; {all_but_one}; and revoking and rotating keys: {last}")))
}

/// Runs schemathesis with or without the route that revokes keys; answers with its own count of requests.
fn attack(bench: &Bench<'_>, program: &Path, server: &Server, filter: [&str; 2]) -> Outcome<String> {
    let hooks = bench.directory.join("canvass_hooks.py");
    std::fs::write(&hooks, HOOKS)?;
    let mut command = Command::new(program);
    command.env("SCHEMATHESIS_HOOKS", "canvass_hooks").env("PYTHONPATH", bench.directory);
    command.arg("run").arg(format!("http://{}/openapi.json", server.address));
    // The stateful phase does not start: it infers links between routes that do not fit together.
    command.args(["--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing"]);
    command.args(filter);
    command.args(["--header", &format!("x-api-key: {ADMIN_KEY}")]);
    command.args(["--max-examples", &bench.options.examples.to_string(), "--workers", "2", "--no-color"]);
    let output = command.current_dir(bench.directory).output().context("schemathesis")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure(output.status.success(), || told.clone())?;
    let count = told.lines().skip_while(|line| !line.starts_with("Test cases:")).nth(1);
    Ok(count.unwrap_or("no count").trim().to_owned())
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
