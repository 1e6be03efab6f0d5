//! What can go wrong with CloudWatch. It ends as the reason why an alarm is unreadable.

use aws_sdk_cloudwatch::error::{ProvideErrorMetadata, SdkError};
use sluice_aws::{AssumeError, Trouble, trouble};
use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudWatchError {
    /// A call failed, for longer than the SDK tries.
    #[error("{action}: {trouble}{message}")]
    Call {
        /// What was called.
        action: &'static str,
        /// What that means.
        trouble: Trouble,
        /// What CloudWatch says to it, with a colon before it; empty where it says nothing.
        message: String,
        /// What CloudWatch or the SDK says.
        #[source]
        source: Source,
    },
    /// The environment's role could not be assumed.
    #[error(transparent)]
    Role(#[from] AssumeError),
    /// What came back cannot be understood.
    #[error("{action}: {what}")]
    Malformed {
        /// What was called.
        action: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

impl CloudWatchError {
    pub(crate) fn new<E>(action: &'static str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        Self::Call {
            action,
            trouble: trouble(&error),
            message: error
                .message()
                .map(|said| format!(": {said}"))
                .unwrap_or_default(),
            source: error.into(),
        }
    }

    /// For people, as a part of a sentence. The causes go to the log.
    pub(crate) fn said(&self) -> String {
        let causes = std::iter::successors(self.source(), |cause: &&(dyn Error + 'static)| {
            Error::source(*cause)
        });
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        tracing::warn!(error = %self, causes = %causes.join(": "), "CloudWatch cannot be read");
        self.to_string()
    }
}
