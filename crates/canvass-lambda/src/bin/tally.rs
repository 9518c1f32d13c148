//! The function `tally`: folds the stream of votes into the counters.

use std::process::ExitCode;

fn main() -> ExitCode {
    canvass_lambda::run(canvass_lambda::Function::Tally)
}
