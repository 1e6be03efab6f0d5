//! The wiring around a handler, and the clock.

use crate::failure::Failure;
use crate::trust;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use jiff::{Timestamp, Unit};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// One invocation: what was asked, and by whom and until when (`context`).
pub type Invocation<P> = LambdaEvent<P>;

/// How often a call to AWS is tried in all.
const ATTEMPTS: u32 = 4;

/// The present time, to the millisecond. The only place that reads the clock; everything else is given the time.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}

/// How AWS is called: the function's own role and region, four attempts, and no attempt that waits for ever.
///
/// The times are chosen so that all attempts of one call end well within the shortest time limit of a function (30 s).
/// Not the SDK's adaptive retries: they hold back calls by themselves, also those of a rollback.
pub async fn config() -> SdkConfig {
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(2));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(20))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(retries)
        .timeout_config(timeouts);
    if let Some(client) = trust::client() {
        loader = loader.http_client(client);
    }
    loader.load().await
}

/// Serves invocations for as long as Lambda wants. Each failure is logged here, once, and answered by its name.
pub async fn run<P, A, F, Fut>(handler: F) -> Result<(), Error>
where
    P: DeserializeOwned,
    A: Serialize,
    F: Fn(Invocation<P>) -> Fut,
    Fut: Future<Output = Result<A, Failure>>,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        answer(handler, event)
    }))
    .await
}

async fn answer<P, A, F, Fut>(handler: &F, event: LambdaEvent<Value>) -> Result<A, Failure>
where
    P: DeserializeOwned,
    F: Fn(Invocation<P>) -> Fut,
    Fut: Future<Output = Result<A, Failure>>,
{
    let (payload, context) = event.into_parts();
    let answer = match understood(payload) {
        Ok(payload) => handler(LambdaEvent::new(payload, context)).await,
        Err(failure) => Err(failure),
    };
    answer.inspect_err(|failure| tracing::error!(name = %failure.name(), "{}", failure.in_full()))
}

/// The payload, or which field of it is wrong.
fn understood<P: DeserializeOwned>(payload: Value) -> Result<P, Failure> {
    serde_path_to_error::deserialize(payload).map_err(|error| {
        let field = error.path().to_string();
        Failure::invalid(format!(
            "the input cannot be understood: field `{field}`: {}",
            error.into_inner()
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::ErrorName;
    use lambda_runtime::{Context, Diagnostic};
    use serde_json::json;
    use sluice_domain::wire::Step;

    async fn asked(payload: Value) -> Result<u32, Failure> {
        answer(
            &|event: Invocation<Step>| async move { Ok(event.payload.step) },
            LambdaEvent::new(payload, Context::default()),
        )
        .await
    }

    fn step() -> Value {
        json!({
            "work": {"service": "mc-api", "environment": "dev", "release": 1, "attempt": 1},
            "execution": "mc-api-1-dev-1",
            "step": 4,
        })
    }

    #[tokio::test]
    async fn a_payload_reaches_the_handler() {
        assert_eq!(asked(step()).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_payload_that_is_none_names_the_field() {
        let mut bad = step();
        bad.as_object_mut()
            .unwrap()
            .insert("work".to_owned(), json!({"service": "MC", "environment": "dev"}));
        let failure = asked(bad).await.unwrap_err();
        assert_eq!(failure.name(), ErrorName::Invalid);
        assert!(
            failure
                .to_string()
                .contains("field `work.service`: service name `MC`"),
            "{failure}"
        );
        let diagnostic = Diagnostic::from(asked(json!([])).await.unwrap_err());
        assert_eq!(diagnostic.error_type, "Invalid");
    }

    #[test]
    fn the_time_has_milliseconds() {
        assert_eq!(now().subsec_nanosecond() % 1_000_000, 0);
    }
}
