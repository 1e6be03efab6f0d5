//! What is asked of `roll-back`.

use jiff::Timestamp;
use serde_json::json;
use sluice_domain::alarm::Blame;
use sluice_domain::canonical::{canonical_json, sha256_hex};
use sluice_domain::environment::Environment;
use sluice_domain::rollback::Undoes;
use sluice_domain::service::RollbackRequest;
use sluice_domain::watch::Exposed;
use sluice_lambda::Failure;
use sluice_rollback_call::expires;

/// Why a release goes back.
#[derive(Debug, Clone)]
pub(crate) struct Why {
    /// In a sentence.
    pub reason: String,
    /// The alarm that blames it, if one does.
    pub blame: Option<Blame>,
}

/// The request that undoes what is exposed: what was there before an unfinished rollout, or the release before a watched one.
///
/// Its name is what it asks for, so that two looks at the same alarm are one request.
pub(crate) fn request(
    environment: &Environment,
    exposed: &Exposed,
    why: Why,
    now: Timestamp,
) -> Result<RollbackRequest, Failure> {
    let Why { reason, blame } = why;
    let reason = reason_of(exposed, &reason);
    let restore = !exposed.watched;
    let content = json!([
        environment.service,
        environment.name,
        exposed.execution,
        restore,
        reason,
        blame
    ]);
    let content = canonical_json(&content)
        .map_err(|error| Failure::internal("a request has no JSON").caused_by(error))?;
    let id: String = sha256_hex(&content).chars().take(32).collect();
    Ok(RollbackRequest {
        id: format!("alarm-{id}"),
        service: environment.service.clone(),
        environment: environment.name.clone(),
        to: None,
        reason: Some(reason),
        by: "sluice".to_owned(),
        restore,
        undoes: Some(Undoes {
            execution: exposed.execution.clone(),
            blame,
        }),
        expires: expires(now),
    })
}

/// The reason names the release and since when it has traffic. Nothing of the moment of asking is in it.
fn reason_of(exposed: &Exposed, reason: &str) -> String {
    let release = exposed
        .release
        .map_or_else(|| "the release".to_owned(), |release| release.to_string());
    let since = exposed.since.strftime("%Y-%m-%d %H:%M:%S UTC");
    let what = if exposed.watched {
        "is watched"
    } else {
        "is rolled out"
    };
    format!("{reason}; {release} {what} and has traffic since {since}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sluice_domain::ids::{EnvironmentName, ExecutionName, Hash, ReleaseNumber, ServiceName};

    fn asked(alarm: &str, watched: bool, now: i64) -> RollbackRequest {
        let environment = Environment::new(
            ServiceName::parse("mc-api").unwrap(),
            EnvironmentName::parse("production").unwrap(),
        );
        let at = |second| Timestamp::from_second(second).unwrap();
        let exposed = Exposed {
            release: Some(ReleaseNumber(42)),
            execution: ExecutionName::parse("mc-api-42-production-1").unwrap(),
            pipeline: Hash::parse(&"ab".repeat(32)).unwrap(),
            since: at(1_000),
            despite: vec![],
            watched,
        };
        let blame = Blame {
            alarm: alarm.into(),
            at: at(1_100),
            reason: "crossed".into(),
        };
        let why = Why {
            reason: blame.to_string(),
            blame: Some(blame),
        };
        request(&environment, &exposed, why, at(now)).unwrap()
    }

    #[test]
    fn two_looks_at_one_alarm_are_one_request() {
        let (first, again) = (asked("5xx", true, 1_200), asked("5xx", true, 1_300));
        assert_eq!(
            RollbackRequest {
                expires: first.expires,
                ..again
            },
            first
        );
        assert_ne!(asked("p99", true, 1_200).id, first.id);
        assert_ne!(asked("5xx", false, 1_200).id, first.id);
        assert!(!first.restore && asked("5xx", false, 1_200).restore);
        insta::assert_snapshot!(first.reason.unwrap(), @"alarm 5xx went into ALARM at 1970-01-01 00:18:20 UTC (crossed); #42 is watched and has traffic since 1970-01-01 00:16:40 UTC");
    }
}
