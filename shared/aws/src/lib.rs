//! What every adapter to AWS needs alike: what a failed call means, and being in an environment's own account and region.
//!
//! The SDK repeats a call by itself a few times; what arrives here has outlived that.

mod clients;
mod place;

pub use clients::Clients;
pub use place::{AssumeError, AwsPlace};

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;
use std::fmt;

/// What a failed call means for whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Too many requests: the same call may work later.
    Throttled,
    /// No answer, or none that could be read: the call may work later, and **may have taken effect**.
    Unavailable,
    /// The caller has no right to it, or could not say who it is.
    Denied,
    /// The service understood the call and says no; it will say no again.
    Refused,
}

/// Codes of throttling, over all services that Sluice calls: the SDK's own list (`aws-runtime`, `THROTTLING_ERRORS`)
/// without `LimitExceededException`, which for most services is a quota that waiting does not raise, and without
/// `TransactionInProgressException`, which is a lost race.
const THROTTLED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
];

/// Codes that say who may not do what, over all services that Sluice calls (AWS's "Common Errors" and the services' own).
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "KmsAccessDeniedException",
    "KMSAccessDeniedException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes of a service that cannot answer now, whatever status they come with.
const UNAVAILABLE: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

/// What the failure means.
pub fn trouble<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E, HttpResponse>) -> Trouble {
    match error {
        SdkError::ServiceError(answer) => of_code(answer.err().code(), answer.raw().status().as_u16()),
        SdkError::ResponseError(_) => Trouble::Unavailable,
        SdkError::ConstructionFailure(_) => credentials(error).unwrap_or(Trouble::Refused),
        // a timeout, a dispatch failure, and what a later SDK may add: the call may have arrived
        _ => credentials(error).unwrap_or(Trouble::Unavailable),
    }
}

/// What an error code with its HTTP status means.
pub fn of_code(code: Option<&str>, status: u16) -> Trouble {
    let code = code.unwrap_or_default();
    if THROTTLED.contains(&code) || status == 429 {
        Trouble::Throttled
    } else if DENIED.contains(&code) {
        Trouble::Denied
    } else if UNAVAILABLE.contains(&code) || status >= 500 {
        Trouble::Unavailable
    } else if status == 401 || status == 403 {
        Trouble::Denied
    } else {
        Trouble::Refused
    }
}

/// The trouble with our own credentials, where that is why the call was not sent.
fn credentials(error: &(dyn Error + 'static)) -> Option<Trouble> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<CredentialsError>() {
            return Some(match found {
                CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                    Trouble::Denied
                }
                _ => Trouble::Unavailable,
            });
        }
        next = cause.source();
    }
    None
}

impl Trouble {
    /// Whether the same call may work a little later.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throttled => "too many requests",
            Self::Unavailable => "no usable answer",
            Self::Denied => "not allowed",
            Self::Refused => "refused",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    type Failure = SdkError<ErrorMetadata, HttpResponse>;

    fn answered(code: &str, status: u16) -> Failure {
        let raw = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        SdkError::service_error(ErrorMetadata::builder().code(code).build(), raw)
    }

    #[test]
    fn codes_say_what_they_mean_whatever_the_status() {
        for (code, status, meaning) in [
            ("ThrottlingException", 400, Trouble::Throttled),
            ("ProvisionedThroughputExceededException", 400, Trouble::Throttled),
            ("", 429, Trouble::Throttled),
            ("AccessDeniedException", 400, Trouble::Denied),
            ("ExpiredTokenException", 400, Trouble::Denied),
            ("SomethingNew", 403, Trouble::Denied),
            ("InternalServerError", 500, Trouble::Unavailable),
            ("ServerException", 400, Trouble::Unavailable),
            ("", 503, Trouble::Unavailable),
            ("ValidationException", 400, Trouble::Refused),
            ("LimitExceededException", 400, Trouble::Refused),
        ] {
            assert_eq!(trouble(&answered(code, status)), meaning, "{code} {status}");
        }
    }

    #[test]
    fn without_an_answer_the_call_may_have_taken_effect() {
        let raw = || HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::empty());
        for failure in [
            Failure::timeout_error("slow"),
            Failure::dispatch_failure(ConnectorError::io("reset".into())),
            Failure::response_error("half an answer", raw()),
        ] {
            assert_eq!(trouble(&failure), Trouble::Unavailable, "{failure:?}");
        }
        assert_eq!(
            trouble(&Failure::construction_failure("no such field")),
            Trouble::Refused
        );
    }

    #[test]
    fn missing_credentials_are_no_outage() {
        let none = CredentialsError::not_loaded("no provider has any");
        assert_eq!(
            trouble(&Failure::dispatch_failure(ConnectorError::other(
                none.into(),
                None
            ))),
            Trouble::Denied
        );
        let none = CredentialsError::not_loaded("no provider has any");
        assert_eq!(trouble(&Failure::construction_failure(none)), Trouble::Denied);
        let slow = CredentialsError::provider_timed_out(std::time::Duration::from_secs(1));
        assert_eq!(
            trouble(&Failure::dispatch_failure(ConnectorError::other(
                slow.into(),
                None
            ))),
            Trouble::Unavailable
        );
    }
}
