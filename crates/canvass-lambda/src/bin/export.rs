//! The function `export`: writes the polls that have changed to files.

use std::process::ExitCode;

fn main() -> ExitCode {
    canvass_lambda::run(canvass_lambda::Function::Export)
}
