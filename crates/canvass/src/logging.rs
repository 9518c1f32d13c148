//! Where log lines go: standard error, as JSON for machines or as text for people. They hold no identities.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    config::{LogFormat, Settings},
    failure::Failure,
};

/// Whether the log filter can be read.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    filter(settings).map(|_| ())
}

/// Starts logging for the rest of the program's life.
pub(crate) fn start(settings: &Settings) -> Result<(), Failure> {
    let human = match settings.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Human => true,
    };
    let builder = fmt().with_env_filter(filter(settings)?).with_writer(std::io::stderr);
    let outcome = if human {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    outcome.map_err(|error| Failure::failed(format!("cannot start logging: {error}")))
}

fn filter(settings: &Settings) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(&settings.log)
        .map_err(|error| Failure::usage(format!("log = {:?} is no log filter: {error}", settings.log)))
}
