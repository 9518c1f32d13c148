//! The way to DynamoDB: how it is reached, how often it is asked again, and what its failures mean.
//!
//! The SDK's own retries are off. Whether a write may have been done is known only to who saw each attempt: a write that
//! was sent and not answered, and then throttled, is not a write that changed nothing.

use std::{
    collections::HashMap,
    future::Future,
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{
    config::{Credentials, http::HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use canvass_store::StoreError;
use tokio::time::Instant;

use crate::{
    limits::{RETRY_PAUSE_MAX, RETRY_PAUSE_MIN},
    options::Options,
};

/// An item as DynamoDB gives it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The services that the engine asks.
pub(crate) struct Clients {
    pub(crate) tables: aws_sdk_dynamodb::Client,
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
    wait_max: Duration,
    retries: AtomicU64,
}

/// Whether an endpoint is on this machine.
pub fn is_local(endpoint: &str) -> bool {
    let after_scheme = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Clients {
    pub(crate) async fn new(options: &Options) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(options.attempt_wait_max)
            .operation_attempt_timeout(options.attempt_wait_max)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
            // DynamoDB Local keeps tables apart by key and region unless told otherwise, and takes any.
            if is_local(endpoint) {
                let anyone = Credentials::new("canvass", "canvass", None, None, "local endpoint");
                loader = loader.region(Region::new("local")).credentials_provider(anyone);
            }
        }
        let config = loader.load().await;
        Self {
            tables: aws_sdk_dynamodb::Client::new(&config),
            streams: aws_sdk_dynamodbstreams::Client::new(&config),
            wait_max: options.write_wait_max,
            retries: AtomicU64::new(0),
        }
    }

    /// How often something was asked again.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Asks for something that changes nothing, again if need be.
    pub(crate) async fn read<T, E, F>(&self, ask: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::fmt::Debug,
    {
        match self.ask(ask).await {
            Ok(answer) => Ok(answer),
            Err(Failed::Service(error)) => Err(unexpected(&error)),
            Err(Failed::Unknown | Failed::Busy) => Err(StoreError::busy("DynamoDB does not answer")),
        }
    }

    /// Asks, again where it was throttled or not answered, for as long as a vote may take. The write must be one that
    /// does the same when it is done twice.
    pub(crate) async fn ask<T, E, F>(&self, ask: impl Fn() -> F) -> Result<T, Failed<E>>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata,
    {
        let until = Instant::now() + self.wait_max;
        let (mut pause, mut is_unknown) = (RETRY_PAUSE_MIN, false);
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match kind(&error) {
                Kind::Answer => match error {
                    SdkError::ServiceError(service) => return Err(Failed::Service(service.into_err())),
                    _ => return Err(Failed::Unknown),
                },
                Kind::NotSent => return Err(Failed::Busy),
                Kind::Throttled => {}
                Kind::Unknown => is_unknown = true,
            }
            let turn = self.retries.fetch_add(1, Ordering::Relaxed);
            let pause_now = spread(pause, turn);
            if Instant::now() + pause_now >= until {
                return Err(if is_unknown { Failed::Unknown } else { Failed::Busy });
            }
            tokio::time::sleep(pause_now).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }
}

/// Why DynamoDB did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failed<E> {
    /// It said so.
    Service(E),
    /// It did not say; it may have.
    Unknown,
    /// It had no room for it; nothing changed.
    Busy,
}

impl<E: ProvideErrorMetadata + std::fmt::Debug> Failed<E> {
    /// What it means to a caller, where no answer of the service was expected.
    pub(crate) fn into_store_error(self) -> StoreError {
        match self {
            Self::Service(error) => unexpected(&error),
            Self::Unknown => StoreError::OutcomeUnknown,
            Self::Busy => StoreError::busy("DynamoDB has no room for more"),
        }
    }
}

enum Kind {
    Answer,
    Throttled,
    Unknown,
    NotSent,
}

fn kind<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Kind {
    match error {
        SdkError::ServiceError(service) => match service.err().code() {
            Some(
                "ProvisionedThroughputExceededException"
                | "ThrottlingException"
                | "RequestLimitExceeded"
                | "TransactionConflictException"
                | "TransactionInProgressException"
                | "LimitExceededException",
            ) => Kind::Throttled,
            _ if service.raw().status().as_u16() >= 500 => Kind::Unknown,
            _ => Kind::Answer,
        },
        SdkError::ConstructionFailure(_) => Kind::NotSent,
        _ => Kind::Unknown,
    }
}

fn unexpected<E: ProvideErrorMetadata + std::fmt::Debug>(error: &E) -> StoreError {
    let (code, message) = (error.code().unwrap_or("an unknown error"), error.message().unwrap_or_default());
    tracing::error!(code, message, "DynamoDB refused what it was asked");
    StoreError::busy("DynamoDB refused what it was asked")
}

/// Half of a pause to all of it, another part each time, so that servers do not come back together.
fn spread(pause: Duration, turn: u64) -> Duration {
    let part = u32::try_from(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).unwrap_or(0);
    pause / 2 + pause / 2 * part / 255
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn local_endpoints_are_told_from_others() {
        let told = [
            "http://127.0.0.1:8000",
            "http://localhost:8000/",
            "http://[::1]:8000",
            "https://10.0.0.1",
            "https://dynamodb.eu-west-1.amazonaws.com",
            "http://localhost.example.com:8000",
        ]
        .map(|endpoint| (endpoint, is_local(endpoint)));
        let local: Vec<_> =
            told.into_iter().filter(|(_, local)| *local).map(|(endpoint, _)| endpoint).collect();
        assert_eq!(local, ["http://127.0.0.1:8000", "http://localhost:8000/", "http://[::1]:8000"]);
    }
}
