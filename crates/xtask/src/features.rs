//! The tests of what the product leaves out by default: the engine on DynamoDB, the functions, object stores, TLS.

use std::process::Command;

use crate::{
    outcome::Outcome,
    python,
    services::Services,
    shell::{self, run_with},
};

/// The packages that change with the features, and all features: always chosen together, for each other choice would
/// have libraries built anew.
pub(crate) const EVERYTHING: [&str; 12] = [
    "--package",
    "canvass",
    "--package",
    "canvass-dynamodb",
    "--package",
    "canvass-export",
    "--package",
    "canvass-lambda",
    "--package",
    "canvass-notify",
    "--features",
    FEATURES,
];
/// The program with all that is left out by default.
pub(crate) const FEATURES: &str = "canvass/dynamodb,canvass/object-stores,canvass/tls";
/// The tests of the program and of the exports that features change, and all of the other packages; no measurement.
const CHOSEN: &str = "(not package(canvass) and not package(canvass-export) or \
                      test(/acme|dynamodb|bucket|tls|topic|webhook|mail/)) and not test(measure)";
/// What the names of all tests that need a service besides DynamoDB Local have in common.
const NAMES: [(&str, &str); 4] = [
    ("CANVASS_TEST_PEBBLE", "acme"),
    ("CANVASS_TEST_REDIS", "redis"),
    ("CANVASS_TEST_S3", "bucket"),
    ("CANVASS_TEST_SNS", "topic"),
];
/// What checks webhooks and mail, each at the version that was last tried.
const CHECKERS: [&str; 4] = ["standardwebhooks==1.1.0", "PyNaCl==1.6.2", "aiosmtpd==1.4.6", "trustme==1.2.1"];

/// Runs all tests of the features that can be run here.
pub(crate) fn test() -> Outcome {
    let services = Services::start()?;
    let missing: Vec<&str> =
        NAMES.iter().filter(|(variable, _)| !services.has(variable)).map(|(_, name)| *name).collect();
    let mut command = Command::new("cargo");
    if shell::works("cargo", &["nextest", "--version"]) {
        command.args(["nextest", "run", "--no-fail-fast"]).args(EVERYTHING);
        let mut chosen = vec![CHOSEN.to_owned()];
        chosen.extend(missing.iter().map(|name| format!("not test(/{name}/)")));
        if !services.has("CANVASS_TEST_DYNAMODB") {
            chosen.push("not binary(functions)".into());
        }
        command.args(["--filterset", &chosen.join(" and ")]);
        // Those of object stores are left out with those of DynamoDB: both are marked as ignored alike.
        if services.has("CANVASS_TEST_DYNAMODB") {
            command.args(["--run-ignored", "all"]);
        }
    } else {
        command.args(["test", "--no-fail-fast"]).args(EVERYTHING).args(["--", "--skip", "measure"]);
        for name in missing {
            command.args(["--skip", name]);
        }
        if services.has("CANVASS_TEST_DYNAMODB") {
            command.arg("--include-ignored");
        }
    }
    run_with(services.tell(&mut command))?;
    if services.has("CANVASS_TEST_DYNAMODB") {
        play_scripts_on_dynamodb(&services)?;
    }
    watching()
}

/// The scripts that every engine answers alike, by a server on DynamoDB; the functions have answered them with all else.
fn play_scripts_on_dynamodb(services: &Services) -> Outcome {
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--test", "functions"]).args(EVERYTHING);
    command.args(["--", "contract::", "dialects::", "votes::"]).env("CANVASS_TEST_ANSWERED_BY", "server");
    run_with(services.tell(&mut command))
}

/// Webhooks over TLS and mail, of a server that is built with them, checked by others' programs from PyPI. Without
/// Python and its registry that is said, and with `CI=true` it is an error.
fn watching() -> Outcome {
    let Some(python) = python::with("python-watching", &CHECKERS)? else { return Ok(()) };
    run_with(Command::new("cargo").args(["build", "--quiet", "--bin", "canvass"]).args(EVERYTHING))?;
    let program = shell::canvass_in(&shell::target()?, "dev");
    run_with(Command::new(python).arg(python::script("watching.py")).arg(program))
}
