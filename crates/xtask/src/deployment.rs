//! The deployment on AWS (`deploy/`): its tests by Node, with the CDK from npm and cfn-lint from PyPI.

use std::{path::Path, process::Command};

use crate::{
    machine,
    outcome::{Context, Outcome, ensure},
    python, shell,
};

/// What looks at the template besides the tests, at the version that it was written with.
const LINTER: [&str; 1] = ["cfn-lint==1.58.0"];
/// What the tests find it by.
const VARIABLE: &str = "CANVASS_CFN_LINT";
/// Ends with 0 where Node is new enough for the CDK.
const NODE_IS_NEW: &str = "process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)";

/// Tests the template, the construct that it is made from, and what both say of the functions.
///
/// # Errors
/// A test that fails; what is missing, with `CI=true`, where nothing may be left out.
pub(crate) fn test() -> Outcome {
    let folder = shell::root().join("deploy/cdk");
    if !machine::get(&["nodejs", "npm"], has_node) {
        return leave_out("Node 20 or newer with npm is not installed");
    }
    if !install_packages(&folder)? {
        return leave_out("npm cannot install the CDK");
    }
    // It says itself what is missing.
    let Some(python) = python::with("cfn-lint", &LINTER)? else { return Ok(()) };
    let mut command = Command::new("npm");
    command.args(["test", "--silent", "--prefix"]).arg(&folder);
    shell::run_with(command.env(VARIABLE, python.with_file_name("cfn-lint")))
}

/// An older Debian's Node is too old.
fn has_node() -> bool {
    shell::works("node", &["-e", NODE_IS_NEW]) && shell::works("npm", &["--version"])
}

/// Whether what the lock names is there, fetched once for each lock.
fn install_packages(folder: &Path) -> Outcome<bool> {
    let lock = std::fs::read(folder.join("package-lock.json")).context("deploy/cdk/package-lock.json")?;
    let marker = folder.join("node_modules/.installed-lock");
    if std::fs::read(&marker).is_ok_and(|installed| installed == lock) {
        return Ok(true);
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder);
    let is_there = npm.status().is_ok_and(|status| status.success());
    if is_there {
        std::fs::write(marker, lock)?;
    }
    Ok(is_there)
}

fn leave_out(what: &str) -> Outcome {
    ensure(!machine::is_ci(), || what.into())?;
    println!("deployment: SKIPPED, {what}");
    Ok(())
}
