//! What can go wrong with Step Functions, by what a caller does about it.

use aws_sdk_sfn::config::http::HttpResponse;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use sluice_aws::{Trouble, trouble};
use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// What went wrong with Step Functions.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionsError {
    /// Too many requests, or no usable answer, for longer than the SDK tries. The call may have taken effect; making
    /// it again is harmless.
    #[error("Step Functions does not answer ({action})")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// The function's role has no right to it.
    #[error("access to Step Functions is denied ({action})")]
    Denied {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// Step Functions says no, and will again: there is no such state machine, or the input is too large.
    #[error("Step Functions refuses the request ({action})")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
}

/// What is kept of an answer that may quote a task token.
#[derive(Debug, thiserror::Error)]
#[error("{code}")]
struct CodeOnly {
    code: String,
}

impl ExecutionsError {
    /// Whether the same call may work a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn of<E>(action: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let meaning = trouble(&error);
        Self::new(action, meaning, error.into())
    }

    /// Of a call that carried a task token: what the service said of it is left out, but for its code.
    pub(crate) fn of_token_call<E>(action: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let meaning = trouble(&error);
        let code = match &error {
            SdkError::ServiceError(answer) => answer.err().code().unwrap_or("an unnamed error").to_owned(),
            SdkError::TimeoutError(_) => "timed out".to_owned(),
            SdkError::DispatchFailure(_) => "could not be sent".to_owned(),
            SdkError::ResponseError(_) => "answered unreadably".to_owned(),
            _ => "could not be made".to_owned(),
        };
        Self::new(action, meaning, Box::new(CodeOnly { code }))
    }

    fn new(action: &'static str, meaning: Trouble, source: Source) -> Self {
        match meaning {
            Trouble::Throttled | Trouble::Unavailable => Self::Unavailable { action, source },
            Trouble::Denied => Self::Denied { action, source },
            Trouble::Refused => Self::Refused { action, source },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_sdk_sfn::operation::send_task_success::SendTaskSuccessError;
    use aws_sdk_sfn::operation::start_execution::StartExecutionError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    fn answered<E>(error: E) -> SdkError<E, HttpResponse> {
        SdkError::service_error(
            error,
            HttpResponse::new(StatusCode::try_from(400).unwrap(), SdkBody::from("token-7")),
        )
    }

    #[test]
    fn what_is_said_of_a_token_is_not_kept() {
        for code in [
            "ValidationException",
            "AccessDeniedException",
            "ThrottlingException",
        ] {
            let said = ErrorMetadata::builder()
                .code(code)
                .message("1 validation error: token-7 is too long")
                .build();
            let error = ExecutionsError::of_token_call(
                "SendTaskSuccess",
                answered(SendTaskSuccessError::generic(said)),
            );
            let text = format!("{error} {error:?} {}", error.source().unwrap());
            assert!(!text.contains("token-7"), "{text}");
            assert!(text.contains(code), "{text}");
        }
    }

    #[test]
    fn failures_are_told_apart() {
        let of = |code| {
            let said = ErrorMetadata::builder().code(code).build();
            ExecutionsError::of("StartExecution", answered(StartExecutionError::generic(said)))
        };
        assert!(of("ThrottlingException").is_transient());
        assert!(matches!(
            of("AccessDeniedException"),
            ExecutionsError::Denied { .. }
        ));
        assert!(matches!(
            of("StateMachineDoesNotExist"),
            ExecutionsError::Refused { .. }
        ));
        let lost = SdkError::<StartExecutionError, HttpResponse>::timeout_error("no answer");
        assert!(ExecutionsError::of("StartExecution", lost).is_transient());
    }
}
