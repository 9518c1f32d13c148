//! The functions' archives in the template's environment: the whole story of a poll, on DynamoDB Local and moto's S3 and
//! Secrets Manager, in an emulator of Lambda.

use std::{path::Path, process::Command};

use crate::{features::EVERYTHING, outcome::Outcome, services::Services, shell};

/// What the test finds the archives by. Without it, it takes the programs of the build that it belongs to.
const VARIABLE: &str = "CANVASS_TEST_ARCHIVES";

/// Plays it with the archives of a folder.
///
/// # Errors
/// What fails in the story, or is missing to play it.
pub(crate) fn play(archives: &Path) -> Outcome {
    let services = Services::start()?;
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet"]).args(EVERYTHING).args(["--test", "functions", "deployed"]);
    command.args(["--", "--ignored"]).env(VARIABLE, archives);
    shell::run_with(services.tell(&mut command))
}
