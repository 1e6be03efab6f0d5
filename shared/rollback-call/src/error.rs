//! What can go wrong with a call, by what a caller does about it.

use sluice_aws::Trouble;
use sluice_lambda::{ErrorName, Failure};
use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// What went wrong with a call of `roll-back`. The same call again joins what an unanswered one began.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No usable answer. The rollback may have begun.
    #[error("roll-back did not answer; the same command again joins what it may have begun")]
    Unavailable {
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// The calling function's role may not invoke it.
    #[error("access to the function roll-back is denied")]
    Denied {
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// Lambda says no, and will again: there is no such function, or it cannot be started.
    #[error("Lambda refuses to invoke roll-back")]
    Refused {
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// It answered with one of our own error names.
    #[error("{message}")]
    Failed {
        /// The name.
        name: ErrorName,
        /// What it says.
        message: String,
    },
    /// It ended before it answered: a time-out, too little memory, a crash. The rollback may have begun.
    #[error(
        "roll-back ended before it answered ({kind}: {message}); the same command again joins what it may have begun"
    )]
    Ended {
        /// Lambda's name of it, such as `Sandbox.Timedout`.
        kind: String,
        /// What Lambda says.
        message: String,
    },
    /// What it answered is not what `roll-back` answers: another version of it, or another function.
    #[error("what roll-back answered cannot be understood: {what}")]
    Malformed {
        /// What was found.
        what: String,
        /// The parser's own error, where there is one.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// Another request is stored under this one's id.
    #[error("another rollback request is stored as `{id}`")]
    Taken {
        /// The id.
        id: String,
    },
}

impl CallError {
    pub(crate) fn new(meaning: Trouble, source: Source) -> Self {
        match meaning {
            Trouble::Throttled | Trouble::Unavailable => Self::Unavailable { source },
            Trouble::Denied => Self::Denied { source },
            Trouble::Refused => Self::Refused { source },
        }
    }

    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed {
            what: what.into(),
            source: None,
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let name = match &error {
            CallError::Failed { name, .. } => *name,
            CallError::Unavailable { .. } | CallError::Ended { .. } => ErrorName::Transient,
            CallError::Denied { .. } | CallError::Refused { .. } => ErrorName::Refused,
            CallError::Malformed { .. } | CallError::Taken { .. } => ErrorName::Internal,
        };
        Self::from_error(name, error)
    }
}
