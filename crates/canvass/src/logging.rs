//! Where log lines go: standard error, as JSON for machines or as text for people. They hold no identities.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

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
    let (filter, layer) = (filter(settings)?, fmt::layer().with_writer(std::io::stderr));
    let outcome = if human {
        let layer = layer.with_ansi(std::io::stderr().is_terminal());
        registry().with(layer.with_filter(filter)).try_init()
    } else {
        let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
        registry().with(layer.with_filter(filter)).try_init()
    };
    outcome.map_err(|error| Failure::failed(format!("cannot start logging: {error}")))
}

fn filter(settings: &Settings) -> Result<Targets, Failure> {
    settings.log.parse().map_err(|error: tracing_subscriber::filter::ParseError| {
        Failure::usage(format!("log = {:?} is no log filter: {error}", settings.log))
    })
}
