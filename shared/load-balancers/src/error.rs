//! What can go wrong with Elastic Load Balancing, by what a caller does about it.

use aws_sdk_elasticloadbalancingv2::config::http::HttpResponse;
use aws_sdk_elasticloadbalancingv2::error::{ProvideErrorMetadata, SdkError};
use sluice_aws::{AssumeError, Trouble, trouble};
use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// What went wrong with Elastic Load Balancing.
#[derive(Debug, thiserror::Error)]
pub enum LoadBalancersError {
    /// Too many requests, or no usable answer, for longer than the SDK tries; also what was deleted while it was read.
    #[error("Elastic Load Balancing does not answer ({action})")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// The role has no right to it.
    #[error(
        "access to Elastic Load Balancing is denied ({action}): allow the role elasticloadbalancing:{action} in the account of \
         the environment"
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// It says no, and will again.
    #[error("Elastic Load Balancing refuses the request ({action})")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// The environment's role could not be assumed.
    #[error("Elastic Load Balancing cannot be asked: {0}")]
    Role(#[source] AssumeError),
    /// An answer lacks what it must have, so that nothing can be concluded from it.
    #[error("Elastic Load Balancing answered {action} without {field}")]
    Malformed {
        /// What was asked.
        action: &'static str,
        /// What is missing.
        field: &'static str,
    },
}

impl LoadBalancersError {
    /// Whether the same call may work a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Role(error) => error.trouble().is_transient(),
            Self::Denied { .. } | Self::Refused { .. } | Self::Malformed { .. } => false,
        }
    }

    pub(crate) fn of<E>(action: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        // Codes of API_Describe*: LoadBalancerNotFound, ListenerNotFound, TargetGroupNotFound.
        let is_gone = error.code().is_some_and(|code| code.ends_with("NotFound"));
        let meaning = trouble(&error);
        let source = error.into();
        match meaning {
            Trouble::Throttled | Trouble::Unavailable => Self::Unavailable { action, source },
            Trouble::Refused if is_gone => Self::Unavailable { action, source },
            Trouble::Denied => Self::Denied { action, source },
            Trouble::Refused => Self::Refused { action, source },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_sdk_elasticloadbalancingv2::operation::describe_rules::DescribeRulesError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    #[test]
    fn failures_are_told_apart() {
        let of = |code| {
            let said = ErrorMetadata::builder().code(code).build();
            let raw = HttpResponse::new(StatusCode::try_from(400).unwrap(), SdkBody::empty());
            LoadBalancersError::of(
                "DescribeRules",
                SdkError::service_error(DescribeRulesError::generic(said), raw),
            )
        };
        for code in ["Throttling", "ListenerNotFound", "ServiceUnavailable"] {
            assert!(of(code).is_transient(), "{code}");
        }
        assert!(matches!(of("AccessDenied"), LoadBalancersError::Denied { .. }));
        assert!(matches!(
            of("ValidationError"),
            LoadBalancersError::Refused { .. }
        ));
        assert!(
            of("AccessDenied")
                .to_string()
                .contains("elasticloadbalancing:DescribeRules")
        );
        let lost = SdkError::<DescribeRulesError, HttpResponse>::timeout_error("no answer");
        assert!(LoadBalancersError::of("DescribeRules", lost).is_transient());
    }
}
