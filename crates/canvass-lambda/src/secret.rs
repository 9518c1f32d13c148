//! The admin key, from Secrets Manager.

use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::limits::SECRET_WAIT_MAX;

/// The whole text of a secret.
///
/// # Errors
/// It cannot be read, or is empty. What is said names the secret and never tells it.
pub(crate) async fn read(resource_name: &str) -> Result<String, String> {
    let failed = |why: &str| format!("the secret {resource_name} cannot be read: {why}");
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder().operation_timeout(SECRET_WAIT_MAX).build();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts);
    let client = aws_sdk_secretsmanager::Client::new(&config.load().await);
    let read = client.get_secret_value().secret_id(resource_name).send().await;
    let secret = read.map_err(|error| failed(error.code().unwrap_or("Secrets Manager does not answer")))?;
    let text = secret.secret_string.filter(|text| !text.is_empty());
    text.ok_or_else(|| failed("it has no text"))
}
