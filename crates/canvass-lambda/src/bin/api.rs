//! The function `api`: answers what API Gateway is asked.

use std::process::ExitCode;

fn main() -> ExitCode {
    canvass_lambda::run(canvass_lambda::Function::Api)
}
