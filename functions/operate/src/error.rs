//! Why a command was not carried out, and how that is told.

use sluice_domain::api::{Refusal, RefusalKind};
use sluice_domain::pipeline::{Denied, DeniedReason};
use sluice_domain::rollout::Declined;
use sluice_lambda::{ErrorName, Failure};
use sluice_table::TableError;
use sluice_transitions::racing;

/// Why a command was not carried out.
#[derive(Debug)]
pub enum OperateError {
    /// Sluice says no, and why. Nothing was changed.
    Refusal(Refusal),
    /// Something that Sluice needs failed. A change may have been recorded.
    Failure(Failure),
}

impl From<Refusal> for OperateError {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Failure> for OperateError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<TableError> for OperateError {
    fn from(error: TableError) -> Self {
        Self::Failure(error.into())
    }
}

/// Runs a change until it does not lose its race; a refusal ends it.
pub async fn deciding<T, F, Fut>(mut change: F) -> Result<T, OperateError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, OperateError>>,
{
    let decided = racing(|| {
        let change = change();
        async {
            match change.await {
                Ok(done) => Ok(Ok(done)),
                Err(OperateError::Refusal(refusal)) => Ok(Err(refusal)),
                Err(OperateError::Failure(failure)) => Err(failure),
            }
        }
    });
    Ok(decided.await??)
}

/// The command is wrong.
pub fn invalid(message: impl Into<String>, next: impl Into<String>) -> OperateError {
    Refusal::new(RefusalKind::Invalid, message, Some(next.into())).into()
}

/// It cannot be done as things stand.
pub fn refused(message: impl Into<String>, next: impl Into<String>) -> OperateError {
    Refusal::new(RefusalKind::Refused, message, Some(next.into())).into()
}

/// There is no such thing.
pub fn not_found(message: impl Into<String>, next: impl Into<String>) -> OperateError {
    Refusal::new(RefusalKind::NotFound, message, Some(next.into())).into()
}

/// What the domain says of a command that makes no sense now.
pub fn declined(why: Declined) -> OperateError {
    refused(why.why, why.next)
}

/// The caller may not. What is next is to see as whom one calls: another profile is the usual reason.
pub fn denied(why: impl std::fmt::Display) -> OperateError {
    let next = "aws sts get-caller-identity".to_owned();
    Refusal::new(RefusalKind::Denied, format!("{why}."), Some(next)).into()
}

/// What the domain's one authorisation function says. An environment that asks for no approval denies nobody.
pub fn not_authorised(why: &Denied, status: impl Into<String>) -> OperateError {
    match why.reason {
        DeniedReason::NotOperator | DeniedReason::NotApprover | DeniedReason::NotAnswering => denied(why),
        DeniedReason::NoApproval | DeniedReason::NoEnvironment => refused(format!("{why}."), status),
    }
}

/// A failure as it is told. `reads` says that the command changes nothing; `request_id` is Lambda's, to find the log by.
pub fn told(failure: &Failure, reads: bool, request_id: &str) -> Refusal {
    match failure.name() {
        ErrorName::Invalid => Refusal::new(RefusalKind::Invalid, sentence(failure), None),
        ErrorName::Refused | ErrorName::Preempted => {
            Refusal::new(RefusalKind::Refused, sentence(failure), None)
        }
        ErrorName::Transient | ErrorName::Conflict => unavailable(&sentence(failure), reads),
        ErrorName::Internal => {
            let defect = format!(
                "This is a defect of Sluice: {failure}. The log of `operate` says more under the request {request_id}."
            );
            unavailable(&defect, reads)
        }
    }
}

fn unavailable(what: &str, reads: bool) -> Refusal {
    let message = if reads {
        format!("{what} The same command may work a little later.")
    } else {
        format!("{what} Whether the command was recorded is shown by `sluice status`; it may be given again.")
    };
    Refusal::new(
        RefusalKind::Unavailable,
        message,
        Some("sluice status".to_owned()),
    )
}

/// Capital letter, full stop.
fn sentence(failure: &Failure) -> String {
    let text = failure.to_string();
    let mut rest = text.trim_end_matches('.').chars();
    let first: String = rest
        .next()
        .map(|first| first.to_uppercase().collect())
        .unwrap_or_default();
    format!("{first}{}.", rest.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn all(reads: bool) -> String {
        let lines = Failure::NAMES.map(|name| {
            let refusal = told(
                &Failure::new(name, "the table did not answer (Query)"),
                reads,
                "6f1c",
            );
            let next = refusal
                .next
                .map(|next| format!("\n  next: {next}"))
                .unwrap_or_default();
            format!("{name} -> {} {}{next}", refusal.kind.status(), refusal.message)
        });
        lines.join("\n")
    }

    #[test]
    fn every_failure_is_told() {
        insta::assert_snapshot!(all(false));
        insta::assert_snapshot!(all(true));
    }

    #[test]
    fn a_message_becomes_a_sentence() {
        assert_eq!(sentence(&Failure::refused("ähnlich.")), "Ähnlich.");
        assert_eq!(
            sentence(&Failure::refused("#41 is gone. Next: sluice status")),
            "#41 is gone. Next: sluice status."
        );
        assert_eq!(sentence(&Failure::refused("")), ".");
    }
}
