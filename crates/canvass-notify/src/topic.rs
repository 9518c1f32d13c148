//! A topic of Amazon SNS, which tells whoever is subscribed to it.

use std::{fmt, str::FromStr};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client, error::ProvideErrorMetadata, error::SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::{
    Letter,
    limits::{CONNECT_WAIT_MAX, TOPIC_NAME_BYTES_MAX, TOPIC_WAIT_MAX},
};

/// Where letters are published. Credentials, and another endpoint than Amazon's (`AWS_ENDPOINT_URL_SNS`), are looked up
/// as Amazon's own tools do; the region is the topic's.
#[derive(Clone)]
pub struct Topic {
    client: Client,
    arn: String,
}

/// Why a letter is not published. It names no credential.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The topic's name is none.
    #[error(
        "write the topic as arn:aws:sns:REGION:ACCOUNT:NAME; first-in-first-out topics are not published to"
    )]
    Name,
    /// SNS said no: the code of its answer, such as `NotFound` or `InvalidClientTokenId`.
    #[error("SNS answered {0}")]
    Refused(String),
    /// SNS was not reached, or did not answer.
    #[error("SNS cannot be reached")]
    Unreachable,
    /// The request could not be made.
    #[error("no credentials for SNS were found, or they cannot be used")]
    Credentials,
}

impl Topic {
    /// The topic of a name (ARN). Nobody is asked yet.
    ///
    /// # Errors
    /// [`TopicError::Name`].
    pub async fn new(arn: &str) -> Result<Self, TopicError> {
        let Name { region } = arn.parse()?;
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_WAIT_MAX)
            .operation_attempt_timeout(TOPIC_WAIT_MAX)
            .build();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(Region::new(region))
            // Whoever publishes knows when to try again.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        Ok(Self { client: Client::new(&loader.load().await), arn: arn.to_owned() })
    }

    /// Publishes a letter, once.
    ///
    /// # Errors
    /// What SNS said, or why it was not asked.
    pub async fn publish(&self, letter: &Letter) -> Result<(), TopicError> {
        let request = self.client.publish().topic_arn(&self.arn);
        let sent = request.subject(&letter.subject).message(&letter.text).send().await;
        sent.map(drop).map_err(|error| failure(&error))
    }
}

/// Only the code is told: messages of SNS may repeat what was asked and by whom.
fn failure<E, R>(error: &SdkError<E, R>) -> TopicError
where
    E: ProvideErrorMetadata,
{
    match error {
        SdkError::ServiceError(service) => {
            TopicError::Refused(service.err().code().unwrap_or("with an error that has no code").to_owned())
        }
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
            TopicError::Unreachable
        }
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => TopicError::Unreachable,
        _ => TopicError::Credentials,
    }
}

/// What is looked at of `arn:PARTITION:sns:REGION:ACCOUNT:NAME`.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    region: String,
}

impl FromStr for Name {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "sns", region, account, name] = parts[..] else {
            return Err(TopicError::Name);
        };
        let fits = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|one| one.is_ascii_alphanumeric() || more.contains(one))
        };
        let is_whole = partition.starts_with("aws")
            && fits(region, "-")
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && name.len() <= TOPIC_NAME_BYTES_MAX
            && fits(name, "-_");
        is_whole.then(|| Self { region: region.to_owned() }).ok_or(TopicError::Name)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Topic").field("arn", &self.arn).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The region of a topic; none if it is no topic.
    fn check(arn: &str, expected: Option<&str>) {
        assert_eq!(arn.parse::<Name>().ok().map(|name| name.region).as_deref(), expected, "{arn}");
    }

    #[test]
    fn a_topic_is_named_with_its_region_and_account() {
        check("arn:aws:sns:eu-central-1:123456789012:canvass_alarms", Some("eu-central-1"));
        check("arn:aws-us-gov:sns:us-gov-west-1:123456789012:a-b", Some("us-gov-west-1"));
        check("arn:aws:sqs:eu-central-1:123456789012:a", None);
        check("arn:aws:sns::123456789012:a", None);
        check("arn:aws:sns:eu-central-1:12345678901:a", None);
        check("arn:aws:sns:eu-central-1:123456789012:", None);
        check("arn:aws:sns:eu-central-1:123456789012:a.fifo", None);
        check("arn:aws:sns:eu-central-1:123456789012:a:subscription", None);
        check(&format!("arn:aws:sns:eu-central-1:123456789012:{}", "a".repeat(257)), None);
    }
}
