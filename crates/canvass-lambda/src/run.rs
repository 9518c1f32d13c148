//! Starts a function: environment, log, and the loop that Lambda's runtime interface wants.

use std::process::ExitCode;

use canvass_dynamodb::Options;
use canvass_server::{Edge as _, SystemEdge};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::runtime::Builder;
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

use crate::{
    api::Api,
    environment::Environment,
    export::Export,
    functions::{Function, LOG, TABLE_PREFIX},
    tally::Tally,
};

/// Runs a function until Lambda ends it. What keeps it from starting is logged, and Lambda starts it again.
pub fn run(function: Function) -> ExitCode {
    let outcome = start(function);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There may be no log yet.
            eprintln!("{}", serde_json::json!({"level": "ERROR", "message": error.to_string()}));
            ExitCode::FAILURE
        }
    }
}

fn start(function: Function) -> Result<(), Error> {
    let environment = Environment::read(function)?;
    log(environment.get(&LOG).unwrap_or("info"))?;
    // A function has one request at a time, and less than one processor unless it is given a lot of memory.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(function, &environment))
}

async fn serve(function: Function, environment: &Environment) -> Result<(), Error> {
    match function {
        Function::Api => {
            let api = &Box::pin(Api::start(environment)).await?;
            let answer = |event: LambdaEvent<Value>| async move { api.answer(event.payload).await };
            lambda_runtime::run(service_fn(answer)).await
        }
        Function::Tally => {
            let tally = &Tally::start(environment).await;
            let fold = |event: LambdaEvent<Value>| async move { tally.fold(event.payload).await };
            lambda_runtime::run(service_fn(fold)).await
        }
        Function::Export => {
            let export = &Export::start(environment).await?;
            let write = |_: LambdaEvent<Value>| async move { export.write().await };
            lambda_runtime::run(service_fn(write)).await
        }
    }
}

/// Log lines go to standard error as JSON. They hold no identities.
fn log(filter: &str) -> Result<(), Error> {
    let filter: Targets =
        filter.parse().map_err(|error| format!("{} is no log filter: {error}", LOG.name))?;
    let layer = fmt::layer().with_writer(std::io::stderr).json().flatten_event(true);
    let layer = layer.with_current_span(false).with_span_list(false);
    Ok(registry().with(layer.with_filter(filter)).try_init()?)
}

/// How the engine is set up. Credentials, the region and another endpoint come in through Amazon's SDK.
pub(crate) fn options(environment: &Environment) -> Options {
    let mut instance = [0; 16];
    SystemEdge::default().random(&mut instance);
    Options::new(environment.needed(&TABLE_PREFIX), None, instance)
}
