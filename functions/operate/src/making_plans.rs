//! Asking the function that reaches clusters what a promotion would change.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Config;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use serde::Deserialize;
use serde_json::json;
use sluice_aws::{Trouble, trouble};
use sluice_domain::api::{Plan, PlanRequest};
use sluice_lambda::{ErrorName, Failure};
use std::time::Duration;

/// How long a plan is awaited: helm renders, and the API server is asked about each object. It is within the 90 s that
/// this function has.
const ANSWER_WITHIN: Duration = Duration::from_secs(80);
/// The most of what Lambda says of a failure that is told, in characters.
const LONGEST: usize = 300;

/// A way to have plans made. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PlanMaker {
    client: Client,
    function: String,
}

/// How a function's error looks on the wire (AWS Lambda developer guide, "Invoke function: errors").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raised {
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error_message: String,
}

impl PlanMaker {
    /// By the function `run-helm` of this name or ARN.
    pub fn new(client: Client, function: impl Into<String>) -> Self {
        let function = function.into();
        Self { client, function }
    }

    /// What promoting the release would change. What `run-helm` refuses is `Refused` with its own message.
    pub async fn plan(&self, request: &PlanRequest) -> Result<Plan, Failure> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(ANSWER_WITHIN)
            .operation_timeout(ANSWER_WITHIN)
            .build();
        let patience = Config::builder()
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(3));
        let answer = self
            .client
            .invoke()
            .function_name(&self.function)
            .payload(Blob::new(json!({ "plan": request }).to_string()))
            .customize()
            .config_override(patience)
            .send()
            .await
            .map_err(|error| {
                let name = match trouble(&error) {
                    Trouble::Throttled | Trouble::Unavailable => ErrorName::Transient,
                    Trouble::Denied | Trouble::Refused => ErrorName::Internal,
                };
                Failure::new(name, "the plan could not be asked of run-helm").caused_by(error)
            })?;
        let payload = answer.payload().map_or(&[][..], Blob::as_ref);
        read(answer.function_error().is_some(), payload)
    }
}

/// Our own names mean what they say; any other was raised by Lambda and not by our code.
fn read(failed: bool, payload: &[u8]) -> Result<Plan, Failure> {
    if !failed {
        return serde_json::from_slice(payload)
            .map_err(|error| Failure::internal("what run-helm answered is no plan").caused_by(error));
    }
    let Ok(Raised {
        error_type,
        error_message,
    }) = serde_json::from_slice(payload)
    else {
        return Err(Failure::internal("run-helm failed without saying how"));
    };
    let mut names = Failure::NAMES.into_iter();
    match names.find(|name| name.as_str() == error_type) {
        Some(name) => Err(Failure::new(name, error_message)),
        None => {
            let said: String = format!("{error_type}: {error_message}")
                .chars()
                .take(LONGEST)
                .collect();
            Err(Failure::transient(format!(
                "run-helm ended before the plan was made ({said})"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_failed_is_told_as_what_it_is() {
        for (failed, payload, wanted) in [
            (
                true,
                r#"{"errorType":"Refused","errorMessage":"no chart"}"#,
                "Refused: no chart",
            ),
            (
                true,
                r#"{"errorType":"Sandbox.Timedout","errorMessage":"after 90 s"}"#,
                "Transient: run-helm ended before the plan was made (Sandbox.Timedout: after 90 s)",
            ),
            (true, "garbage", "Internal: run-helm failed without saying how"),
            (false, "{}", "Internal: what run-helm answered is no plan"),
        ] {
            let failure = read(failed, payload.as_bytes()).unwrap_err();
            assert_eq!(format!("{}: {failure}", failure.name()), wanted);
        }
    }
}
