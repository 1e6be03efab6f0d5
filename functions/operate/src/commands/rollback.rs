//! `rollback`: the caller is known here, the rest is `roll-back`'s.

use crate::door::Door;
use crate::error::OperateError;
use crate::place::{Place, permit};
use jiff::Timestamp;
use serde_json::json;
use sluice_domain::api::{Answer, RollbackAnswer};
use sluice_domain::canonical::{canonical_json, sha256_hex};
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::pipeline::Action;
use sluice_domain::service::RollbackRequest;
use sluice_lambda::Failure;
use sluice_rollback_call::expires;

/// Puts the last good release back, or the one that is named.
pub async fn run(
    door: &Door,
    caller_arn: &str,
    at: &Place,
    to: Option<ReleaseNumber>,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let by = permit(door, caller_arn, at, Action::RollBack).await?;
    let asked = Asked {
        caller_arn,
        by,
        to,
        reason,
        restore: false,
    };
    Ok(Answer::RolledBack(call(door, at, asked, now).await?))
}

/// What is asked of `roll-back`, and by whom.
pub struct Asked<'a> {
    /// The caller's ARN.
    pub caller_arn: &'a str,
    /// The caller, as the ledger shows them.
    pub by: String,
    /// The release to return to.
    pub to: Option<ReleaseNumber>,
    /// Why.
    pub reason: Option<String>,
    /// Bring back what was live before an unfinished promotion.
    pub restore: bool,
}

/// Calls `roll-back`.
pub async fn call(
    door: &Door,
    at: &Place,
    asked: Asked<'_>,
    now: Timestamp,
) -> Result<RollbackAnswer, Failure> {
    let id = id_of(at, &asked, now)?;
    let request = RollbackRequest {
        id,
        service: at.service.clone(),
        environment: at.environment.clone(),
        to: asked.to,
        reason: asked.reason,
        by: asked.by,
        restore: asked.restore,
        undoes: None,
        expires: expires(now),
    };
    door.roll_back.call(request).await
}

/// The request's own name: the same caller asking for the same in the same millisecond asks once.
fn id_of(at: &Place, asked: &Asked<'_>, now: Timestamp) -> Result<String, Failure> {
    let Asked {
        caller_arn,
        by,
        to,
        reason,
        restore,
    } = asked;
    let content = json!([
        at.service,
        at.environment,
        caller_arn,
        by,
        to,
        reason,
        restore,
        now
    ]);
    let content = canonical_json(&content)
        .map_err(|error| Failure::internal(format!("a request has no JSON: {error}")))?;
    Ok(sha256_hex(&content).chars().take(32).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::{at, place};

    #[test]
    fn each_request_has_a_name_of_its_own() {
        let id = |caller: &str, to: Option<u32>, environment: &str, second| {
            let to = to.map(ReleaseNumber);
            let asked = Asked {
                caller_arn: caller,
                by: "ana".into(),
                to,
                reason: None,
                restore: false,
            };
            id_of(&place(environment), &asked, at(second)).unwrap()
        };
        let first = id("a", None, "dev", 1);
        assert_eq!(first, id("a", None, "dev", 1));
        assert_eq!(first.len(), 32);
        for other in [
            id("b", None, "dev", 1),
            id("a", Some(1), "dev", 1),
            id("a", None, "qa", 1),
            id("a", None, "dev", 2),
        ] {
            assert_ne!(first, other);
        }
    }
}
