//! How soon the functions for AWS Lambda answer, as they are deployed.

use std::process::Command;

use crate::{
    features::EVERYTHING,
    outcome::Outcome,
    package::{PackageOptions, package},
    services::Services,
    shell::run_with,
};

/// Measures the starts of the functions as they are deployed.
pub(crate) fn measure() -> Outcome {
    let programs = package(&PackageOptions::default())?;
    let mut services = Services::default();
    services.start_dynamodb()?;
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--test", "functions"]).args(EVERYTHING);
    command.args(["measure", "--", "--ignored", "--nocapture"]).env("CANVASS_TEST_FUNCTIONS", programs);
    run_with(services.tell(&mut command))
}
