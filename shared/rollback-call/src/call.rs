//! The call.

use crate::answer::read;
use crate::error::CallError;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::config::{Builder, Config};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use serde_json::json;
use sluice_aws::trouble;
use sluice_domain::api::RollbackAnswer;
use sluice_domain::service::RollbackRequest;
use sluice_lambda::Failure;
use sluice_table::{Table, TableError, Transaction};
use std::time::Duration;

/// How long an answer is awaited. `roll-back` answers in seconds; a cold start and a slow cluster are within this, and
/// this is within the 30 s that our functions have. The SDK's usual attempt is shorter and would call it twice.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// A way to call `roll-back`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RollBack {
    client: Client,
    function: String,
    table: Table,
}

impl RollBack {
    /// The function of this name or ARN.
    pub fn new(client: Client, function: impl Into<String>, table: Table) -> Self {
        Self {
            client,
            function: function.into(),
            table,
        }
    }

    /// Records who asks, and calls. The same request again joins what the first one began.
    ///
    /// The request's `id` is of this request alone; its `expires` comes from [`crate::expires`]. What `roll-back`
    /// refuses is `Refused` with its own message, which names the next command.
    pub async fn call(&self, request: RollbackRequest) -> Result<RollbackAnswer, Failure> {
        self.record(&request).await?;
        Ok(self.invoke(&request).await?)
    }

    /// A request that is there already is this one, sent again, or a defect of whoever chose its id.
    async fn record(&self, request: &RollbackRequest) -> Result<(), Failure> {
        let mut transaction = Transaction::new();
        transaction.create(request);
        let conflict = match transaction.commit(&self.table).await {
            Err(conflict @ TableError::Conflict { .. }) => conflict,
            other => return Ok(other?),
        };
        let Some(stored) = self.table.request(&request.service, &request.id).await? else {
            return Err(conflict.into());
        };
        let same = RollbackRequest {
            expires: request.expires,
            ..stored
        } == *request;
        if same {
            Ok(())
        } else {
            Err(CallError::Taken {
                id: request.id.clone(),
            }
            .into())
        }
    }

    async fn invoke(&self, request: &RollbackRequest) -> Result<RollbackAnswer, CallError> {
        let payload = json!({"service": request.service, "request": request.id});
        let answer = self
            .client
            .invoke()
            .function_name(&self.function)
            .invocation_type(InvocationType::RequestResponse)
            .payload(Blob::new(payload.to_string()))
            .customize()
            .config_override(patience())
            .send()
            .await
            .map_err(|error| CallError::new(trouble(&error), error.into()))?;
        let payload = answer.payload().map_or(&[][..], Blob::as_ref);
        read(request, answer.status_code(), answer.function_error(), payload)
    }
}

/// One attempt as long as an answer may take; a second one only where the first failed early, such as throttled.
fn patience() -> Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(ANSWER_WITHIN)
        .operation_timeout(ANSWER_WITHIN)
        .build();
    Config::builder()
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
}
