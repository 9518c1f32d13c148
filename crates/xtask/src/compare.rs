//! Counts generated elections with the program and with independent ones, and compares who is elected.

use std::process::Command;

use clap::Args;

use crate::{outcome::Outcome, python, shell};

/// How much is compared.
#[derive(Args)]
pub(crate) struct CompareOptions {
    /// Elections of each method.
    #[arg(long, default_value_t = 60)]
    elections: u32,
}

/// Fails where a count differs that is no matter of how ties are broken.
pub(crate) fn compare(options: &CompareOptions) -> Outcome {
    let Some(python) = python::with_packages()? else { return Ok(()) };
    let program = shell::build_canvass("dev")?;
    let mut command = Command::new(python);
    command.arg(python::script("compare_counts.py")).arg(program).arg(options.elections.to_string());
    shell::run_with(&mut command)
}
