//! Counts generated elections with the program and with independent ones, and compares who is elected; exports votes and
//! reads the files with the programs that they are for.

use std::process::Command;

use clap::Args;

use crate::{outcome::Outcome, python, shell};

/// How much is compared.
#[derive(Args)]
pub(crate) struct CompareOptions {
    /// Elections of each method.
    #[arg(long, default_value_t = 60)]
    elections: u32,
    /// Votes that are exported.
    #[arg(long, default_value_t = 20_000)]
    votes: u32,
}

/// Fails where a count differs that is no matter of how ties are broken.
pub(crate) fn compare(options: &CompareOptions) -> Outcome {
    let Some(python) = python::with_packages()? else { return Ok(()) };
    let program = shell::build_canvass("dev")?;
    let scripts = [("compare_counts.py", options.elections), ("check_exports.py", options.votes)];
    scripts.into_iter().try_for_each(|(script, number)| {
        let mut command = Command::new(&python);
        shell::run_with(command.arg(python::script(script)).arg(&program).arg(number.to_string()))
    })
}
