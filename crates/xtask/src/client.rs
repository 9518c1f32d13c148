//! The module for applications (`web/client/`): its tests by Node against a real server, and its types by TypeScript.

use std::{path::Path, process::Command};

use crate::{
    machine,
    outcome::{Outcome, ensure},
    server::{ADMIN_KEY, Program, free_address},
    shell,
};

/// What checks the types, at the version that was last tried.
const TYPESCRIPT: &str = "typescript@5.9.3";

/// Tests the module with the program that is built.
///
/// # Errors
/// A test that fails; Node or TypeScript that is missing, with `CI=true`, where nothing may be left out.
pub(crate) fn test(program: &Path) -> Outcome {
    if !shell::works("node", &["--version"]) {
        return leave_out("Node 20 or newer is not installed");
    }
    let directory = tempfile::Builder::new().prefix("canvass-client-").tempdir()?;
    let server = Program::new(program.to_owned()).start(&directory.path().join("data"), free_address()?)?;
    let mut command = Command::new("node");
    command.args(["--test", "web/client/tests/client.test.js"]);
    command.env("CANVASS_SERVER", format!("http://{}", server.address)).env("CANVASS_KEY", ADMIN_KEY);
    shell::run_with(&mut command)?;
    check_types()
}

fn check_types() -> Outcome {
    let npx = ["--yes", "--package", TYPESCRIPT, "tsc"];
    if !shell::works("npx", &[&npx[..], &["--version"]].concat()) {
        return leave_out("npx cannot run TypeScript");
    }
    let options =
        ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom", "--module", "nodenext"];
    shell::run("npx", &[&npx[..], &options, &["web/client/tests/types.ts"]].concat())
}

fn leave_out(what: &str) -> Outcome {
    ensure(!machine::is_ci(), || what.into())?;
    println!("client: SKIPPED, {what}");
    Ok(())
}
