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
    #[error("it adds to the ledger of {0} after that item, which says where the ledger ends")]
    Late(String),
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
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                let reasons = cancelled.cancellation_reasons().iter();
                let reasons: Vec<_> = reasons
                    .map(|reason| reason.code().unwrap_or(FINE).to_owned())
                    .collect();
                Self::of_reasons(action, keys, &reasons, error.into())
            }
            Some(other) if other.code().is_some_and(is_lost_race) => Self::Conflict {
                keys: keys.join(", "),
                source: Some(error.into()),
            },
            _ => Self::of(action, error),
        }
    }

    /// What a cancelled transaction means, by the reasons of its items in the order sent.
    fn of_reasons(action: &'static str, keys: &[String], reasons: &[String], source: Source) -> Self {
        let lost = keys.iter().zip(reasons).filter(|(_, code)| is_lost_race(code));
        let lost: Vec<_> = lost.map(|(key, _)| key.as_str()).collect();
        if !lost.is_empty() {
            return Self::Conflict {
                keys: lost.join(", "),
                source: Some(source),
            };
        }
        let meaning = match reasons.iter().map(String::as_str).find(|code| *code != FINE) {
            Some("ThrottlingError" | "ProvisionedThroughputExceeded") => Trouble::Throttled,
            // cancelled, and no item says why: nothing was written, and the same call may work
            None => Trouble::Unavailable,
            code => of_code(code, 400),
        };
        Self::new(action, meaning, source)
    }
}

/// The reason of an item that was not why.
const FINE: &str = "None";

/// Whether the code says that something else was written first.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use aws_sdk_dynamodb::operation::put_item::PutItemError;
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::{TransactionCanceledException, TransactionInProgressException};
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    fn answered<E>(error: E, status: u16) -> SdkError<E, HttpResponse> {
        let raw = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        SdkError::service_error(error, raw)
    }

    fn cancelled(codes: &[&str]) -> TableError {
        let reasons = codes
            .iter()
            .map(|code| CancellationReason::builder().code(*code).build())
            .collect();
        let error = TransactionCanceledException::builder()
            .set_cancellation_reasons(Some(reasons))
            .meta(
                ErrorMetadata::builder()
                    .code("TransactionCanceledException")
                    .build(),
            )
            .build();
        of(TransactWriteItemsError::TransactionCanceledException(error))
    }

    fn of(error: TransactWriteItemsError) -> TableError {
        let keys = ["A / 1".to_owned(), "B / 2".to_owned(), "C / 3".to_owned()];
        TableError::of_transaction("TransactWriteItems", &keys, answered(error, 400))
    }

    fn generic(code: &str) -> ErrorMetadata {
        ErrorMetadata::builder().code(code).build()
    }

    #[test]
    fn a_cancelled_transaction_is_a_conflict_where_a_condition_failed() {
        for (codes, lost) in [
            (&["None", "ConditionalCheckFailed", "None"][..], "B / 2"),
            (
                &["TransactionConflict", "None", "ConditionalCheckFailed"],
                "A / 1, C / 3",
            ),
            // repeating it cannot help, however busy the table is
            (&["ThrottlingError", "ConditionalCheckFailed"], "B / 2"),
        ] {
            let TableError::Conflict { keys, .. } = cancelled(codes) else {
                panic!("{codes:?}: {:?}", cancelled(codes))
            };
            assert_eq!(keys, lost, "{codes:?}");
        }
    }

    #[test]
    fn a_cancelled_transaction_is_no_conflict_otherwise() {
        for codes in [
            &["None", "ThrottlingError"][..],
            &["ProvisionedThroughputExceeded", "None"],
        ] {
            let error = cancelled(codes);
            assert!(
                matches!(error, TableError::Throttled { .. }) && error.is_transient(),
                "{error:?}"
            );
        }
        for codes in [
            &["ValidationError", "None"][..],
            &["None", "ItemCollectionSizeLimitExceeded"],
        ] {
            let error = cancelled(codes);
            assert!(
                matches!(error, TableError::Refused { .. }) && !error.is_transient(),
                "{error:?}"
            );
        }
        for codes in [&[][..], &["None", "None"]] {
            assert!(
                matches!(cancelled(codes), TableError::Unavailable { .. }),
                "{codes:?}"
            );
        }
    }

    #[test]
    fn a_transaction_that_is_still_going_on_or_is_another_one_is_a_conflict() {
        let going_on = TransactionInProgressException::builder()
            .meta(generic("TransactionInProgressException"))
            .build();
        let mismatch = generic("IdempotentParameterMismatchException");
        for error in [
            TransactWriteItemsError::TransactionInProgressException(going_on),
            TransactWriteItemsError::generic(mismatch),
            TransactWriteItemsError::generic(generic("TransactionConflictException")),
        ] {
            let error = of(error);
            let TableError::Conflict { keys, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(keys, "A / 1, B / 2, C / 3");
            assert!(!error.is_transient());
        }
    }

    #[test]
    fn other_failures_are_told_apart() {
        let put = |code| TableError::of("PutItem", answered(PutItemError::generic(generic(code)), 400));
        assert!(matches!(
            put("ProvisionedThroughputExceededException"),
            TableError::Throttled { .. }
        ));
        assert!(matches!(put("AccessDeniedException"), TableError::Denied { .. }));
        assert!(matches!(
            put("InternalServerError"),
            TableError::Unavailable { .. }
        ));
        assert!(matches!(
            put("ResourceNotFoundException"),
            TableError::Refused { .. }
        ));
        let lost = SdkError::<PutItemError, HttpResponse>::timeout_error("no answer");
        assert!(TableError::of("PutItem", lost).is_transient());
    }
}
