//! Webhooks over TLS and mail, of a server that is built with them, checked by others' programs from PyPI.

use std::process::Command;

use crate::{outcome::Outcome, python, shell, test::FEATURES};

/// What checks them, each at the version that was last tried.
const PACKAGES: [&str; 4] = ["standardwebhooks==1.1.0", "PyNaCl==1.6.2", "aiosmtpd==1.4.6", "trustme==1.2.1"];

/// Builds the program with TLS and tests it. Without Python and its registry that is said, and with `CI=true` it is an
/// error.
pub(crate) fn test() -> Outcome {
    let notify = ["--package", "canvass-notify", "--features", "tls"];
    shell::run("cargo", &[&["test", "--quiet"][..], &notify].concat())?;
    let https = ["--package", "canvass", "--features", FEATURES, "--test", "program", "tls::"];
    shell::run("cargo", &[&["test", "--quiet"][..], &https].concat())?;
    let Some(python) = python::with("python-watching", &PACKAGES)? else { return Ok(()) };
    shell::run("cargo", &["build", "--quiet", "--package", "canvass", "--features", FEATURES])?;
    let program = shell::canvass_in(&shell::target()?, "dev");
    shell::run_with(Command::new(python).arg(python::script("watching.py")).arg(program))
}
