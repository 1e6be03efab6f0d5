//! A check that is a Lambda function.

use crate::handler::Asked;
use crate::reply::{read, shortened};
use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::primitives::Blob;
use sluice_domain::workload::Verdict;
use sluice_lambda::Failure;
use std::time::Duration;

/// The longest that a function may run (Lambda quotas, "Function timeout").
const LONGEST: Duration = Duration::from_secs(900);

/// A client that waits for a function's end, and does not call it again by itself.
pub(crate) fn client(config: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(LONGEST)
        .operation_timeout(LONGEST)
        .read_timeout(LONGEST)
        .build();
    let config = aws_sdk_lambda::config::Builder::from(config)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .build();
    Client::from_conf(config)
}

/// Invokes the function and awaits its answer; none where `limit` was over before it.
pub(crate) async fn invoke(
    client: &Client,
    function: &str,
    asked: &Asked<'_>,
    limit: Duration,
) -> Result<Option<(Verdict, Option<String>)>, Failure> {
    let payload = serde_json::to_vec(asked).map_err(|error| Failure::internal(error.to_string()))?;
    let call = client
        .invoke()
        .function_name(function)
        .payload(Blob::new(payload))
        .send();
    let Ok(answer) = tokio::time::timeout(limit, call).await else {
        return Ok(None);
    };
    let answer = answer.map_err(|error| failed(function, &error))?;
    let body = answer.payload.map(Blob::into_inner).unwrap_or_default();
    Ok(Some(match answer.function_error {
        None => read(&body),
        Some(kind) => {
            let why = shortened(&String::from_utf8_lossy(&body));
            (
                Verdict::Failed(format!("the function failed ({kind}): {why}")),
                None,
            )
        }
    }))
}

fn failed<E: ProvideErrorMetadata + std::fmt::Debug, R: std::fmt::Debug>(
    function: &str,
    error: &SdkError<E, R>,
) -> Failure {
    let said = error.message().unwrap_or("no reason was given");
    let what = format!("the function {function} cannot be invoked: {said}");
    match error.code() {
        Some("AccessDeniedException" | "ResourceNotFoundException" | "InvalidParameterValueException") => {
            Failure::refused(what)
        }
        _ => Failure::transient(what),
    }
}
