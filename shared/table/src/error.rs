//! What can go wrong with the table, by what a caller does about it.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use sluice_aws::{Trouble, of_code, trouble};
use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// What went wrong with the table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// An item is not as it was when it was read, or is there already: load again and decide again.
    ///
    /// A write whose answer was lost can end here too, when its repetition finds its own effect.
    #[error("{keys} changed meanwhile")]
    Conflict {
        /// The items, where DynamoDB says which.
        keys: String,
        /// What the SDK says.
        #[source]
        source: Option<Source>,
    },
    /// Too many requests, for longer than the SDK tries.
    #[error("the table is throttled ({action})")]
    Throttled {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// No usable answer, for longer than the SDK tries. A write may have taken effect.
    #[error("the table did not answer ({action})")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// The function's role has no right to it.
    #[error("access to the table is denied ({action})")]
    Denied {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// DynamoDB says no, and will again: there is no such table, or the request is malformed.
    #[error("the table refuses the request ({action})")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What DynamoDB or the check before it says.
        #[source]
        source: Source,
    },
    /// What is stored is not what it should be.
    #[error("item {key} cannot be read: {what}")]
    Corrupt {
        /// The item.
        key: String,
        /// The field, and what was found.
        what: String,
        /// The parser's own error, where there is one.
        #[source]
        source: Option<Source>,
    },
    /// An item that must be there is not.
    #[error("item {key} does not exist")]
    Missing {
        /// The item.
        key: String,
    },
    /// Content beyond what one item or one blob holds.
    #[error("{key} has {bytes} bytes, at most {most} fit")]
    TooLarge {
        /// The item or the blob.
        key: String,
        /// Its size in bytes.
        bytes: usize,
        /// The most that fits.
        most: usize,
    },
}

/// Why a transaction was not even sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsendable {
    #[error("it has {0} writes, at most {most} fit", most = crate::MOST_WRITES)]
    TooMany(usize),
    #[error("it has no write")]
    Empty,
    #[error("it writes {0} twice")]
    Twice(String),
    #[error("{0} has no version to compare with")]
    Unversioned(String),
    #[error("it adds to the ledger of {0} without writing that item, which says where the ledger ends")]
    HeadNotMoved(String),
}

impl TableError {
    /// Whether the same call may work a little later, without loading anything again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unavailable { .. })
    }

    /// What a failed read or a failed single put means.
    pub(crate) fn of<E>(action: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let meaning = trouble(&error);
        Self::new(action, meaning, error.into())
    }

    fn new(action: &'static str, meaning: Trouble, source: Source) -> Self {
        match meaning {
            Trouble::Throttled => Self::Throttled { action, source },
            Trouble::Unavailable => Self::Unavailable { action, source },
            Trouble::Denied => Self::Denied { action, source },
            Trouble::Refused => Self::Refused { action, source },
        }
    }

    /// What a failed transaction means; `keys` are its items in the order sent.
    ///
    /// DynamoDB gives a reason for each item (API reference, `TransactWriteItems`, `CancellationReasons`). A condition
    /// that does not hold outweighs throttling: repeating the same transaction cannot help.
    pub(crate) fn of_transaction(
        action: &'static str,
        keys: &[String],
        error: SdkError<TransactWriteItemsError, HttpResponse>,
    ) -> Self {
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled
                .cancellation_reasons()
                .iter()
                .map(|reason| reason.code().unwrap_or("None").to_owned())
                .collect(),
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => vec![IN_PROGRESS.to_owned()],
            Some(other) if other.code().is_some_and(is_lost_race) => vec![IN_PROGRESS.to_owned()],
            _ => return Self::of(action, error),
        };
        Self::of_reasons(action, keys, &reasons, error.into())
    }

    fn of_reasons(action: &'static str, keys: &[String], reasons: &[String], source: Source) -> Self {
        if reasons.iter().any(|code| is_lost_race(code)) {
            let lost: Vec<_> = keys
                .iter()
                .zip(reasons)
                .filter(|(_, code)| is_lost_race(code))
                .collect();
            let lost: Vec<_> = lost.into_iter().map(|(key, _)| key.as_str()).collect();
            return Self::Conflict {
                keys: lost.join(", "),
                source: Some(source),
            };
        }
        let failed = reasons.iter().find(|code| code.as_str() != "None");
        let meaning = match failed.map(String::as_str) {
            Some("ThrottlingError") => Trouble::Throttled,
            Some("ProvisionedThroughputExceeded") => Trouble::Throttled,
            // cancelled, and no item says why: nothing was written, and the same call may work
            None => Trouble::Unavailable,
            code => of_code(code, 400),
        };
        Self::new(action, meaning, source)
    }
}

const IN_PROGRESS: &str = "TransactionInProgressException";

fn is_lost_race(code: &str) -> bool {
    matches!(
        code,
        "ConditionalCheckFailed"
            | "ConditionalCheckFailedException"
            | "TransactionConflict"
            | "TransactionConflictException"
            | "TransactionInProgressException"
            // the SDK repeats a transaction under one token; another content under it is a write we do not know
            | "IdempotentParameterMismatchException"
    )
}
