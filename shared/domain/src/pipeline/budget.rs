//! Whether a Deployment can be rolled out and back within an environment's times at all.

use super::manifest::{finding, text_at};
use super::yaml::Document;
use super::{EnvironmentSpec, Fault, FaultKind, Seconds};
use serde_json::Value;

/// Kubernetes' default of `terminationGracePeriodSeconds`, in seconds.
const GRACE_DEFAULT: u64 = 30;

/// Faults where even a rollout in which every pod is ready at once takes longer than allowed; a warning where a pod may
/// take longer to stop than a rollback may take.
pub(super) fn check(document: &Document, spec: &EnvironmentSpec) -> Vec<Fault> {
    // A track's pods are made all at once: there is nothing that they replace.
    let least = if spec.strategy.has_tracks() {
        Seconds(ready(&document.value))
    } else {
        Seconds(least(&document.value))
    };
    let name = text_at(&document.value, "/metadata/name").unwrap_or_default();
    let mut found = Vec::new();
    for (what, limit) in [
        ("timeout", spec.timeout),
        ("rollback_within", spec.rollback_within),
    ] {
        if least > limit {
            let key = format!("Deployment {name} spec.minReadySeconds");
            let problem = format!(
                "takes at least {least} to replace its pods, and {what} of {} is {limit}",
                spec.name
            );
            let surge = if spec.strategy.has_tracks() {
                ""
            } else {
                ", or a larger maxSurge"
            };
            let right = format!("{what} = \"{least}\" or more, or fewer seconds{surge}");
            found.push(finding(document, FaultKind::Conflict, &key, problem, right));
        }
    }
    let grace = document
        .value
        .pointer("/spec/template/spec/terminationGracePeriodSeconds")
        .and_then(Value::as_u64);
    let grace = Seconds(grace.unwrap_or(GRACE_DEFAULT));
    if grace > spec.rollback_within {
        let key = format!("Deployment {name} spec.template.spec.terminationGracePeriodSeconds");
        let problem = format!(
            "a pod may take {grace} to stop, and rollback_within of {} is {}: a rollback waits until old pods are gone",
            spec.name, spec.rollback_within
        );
        let right = "a rollback_within that is longer than pods may take to stop".to_owned();
        found.push(finding(document, FaultKind::Warning, &key, problem, right));
    }
    found
}

/// The least time in which every pod of a Deployment with this manifest and so many replicas (none: as many as the
/// manifest says) can be replaced; none where nothing in it says so.
pub fn least_time(deployment: &Value, replicas: Option<i32>) -> Option<Seconds> {
    let mut deployment = deployment.clone();
    let spec = deployment.get_mut("spec").and_then(Value::as_object_mut)?;
    if let Some(replicas) = replicas {
        spec.insert("replicas".to_owned(), replicas.into());
    }
    Some(least(&deployment))
        .filter(|seconds| *seconds > 0)
        .map(Seconds)
}

/// The least time, in seconds, in which every pod can be replaced: batches of `maxSurge + maxUnavailable` pods, each
/// ready for `minReadySeconds` before the next. Without minReadySeconds nothing can be said.
fn least(deployment: &Value) -> u64 {
    let ready = ready(deployment);
    let replicas = deployment.pointer("/spec/replicas").and_then(Value::as_u64);
    let replicas = replicas.unwrap_or(1).max(1);
    let (surge, unavailable) = surge_and_unavailable(deployment, replicas);
    let batch = surge.saturating_add(unavailable).max(1);
    replicas.div_ceil(batch).saturating_mul(ready)
}

/// How many pods more and how many fewer than the replicas there may be while they are replaced.
pub(crate) fn surge_and_unavailable(deployment: &Value, replicas: u64) -> (u64, u64) {
    if text_at(deployment, "/spec/strategy/type") == Some("Recreate") {
        return (0, replicas);
    }
    let share = |name: &str| deployment.pointer(&format!("/spec/strategy/rollingUpdate/{name}"));
    // Kubernetes rounds a percentage of maxSurge up and of maxUnavailable down; both are 25 % by default.
    (
        pods(share("maxSurge"), replicas, true),
        pods(share("maxUnavailable"), replicas, false),
    )
}

/// How long each pod must have been ready.
fn ready(deployment: &Value) -> u64 {
    let seconds = deployment.pointer("/spec/minReadySeconds");
    seconds.and_then(Value::as_u64).unwrap_or(0)
}

fn pods(share: Option<&Value>, replicas: u64, round_up: bool) -> u64 {
    let percent = match share {
        None => 25,
        Some(share) => match (
            share.as_u64(),
            share
                .as_str()
                .and_then(|text| text.strip_suffix('%')?.parse().ok()),
        ) {
            (Some(count), _) => return count,
            (None, Some(percent)) => percent,
            // Not for us to say: the API server refuses it.
            (None, None) => return replicas,
        },
    };
    let part: u64 = replicas.saturating_mul(percent);
    if round_up { part.div_ceil(100) } else { part / 100 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_least_time_is_that_of_the_batches() {
        let with = |replicas: u64, rolling: Value| json!({"spec": {"replicas": replicas, "minReadySeconds": 10, "strategy": {"rollingUpdate": rolling}}});
        let table = [
            (json!({}), 0),
            (json!({"spec": {"minReadySeconds": 10}}), 10),
            (with(4, json!({})), 20),
            (with(10, json!({})), 20),
            (with(10, json!({"maxSurge": 1, "maxUnavailable": 0})), 100),
            (with(10, json!({"maxSurge": "100%", "maxUnavailable": 0})), 10),
            (with(10, json!({"maxSurge": "15%", "maxUnavailable": "15%"})), 40),
            (with(10, json!({"maxSurge": "x"})), 10),
            (
                with(u64::MAX, json!({"maxSurge": 1, "maxUnavailable": 0})),
                u64::MAX,
            ),
        ];
        for (deployment, wanted) in table {
            assert_eq!(least(&deployment), wanted, "{deployment}");
        }
    }

    #[test]
    fn replicas_of_their_own_count_and_without_ready_seconds_nothing_is_said() {
        let one = json!({"spec": {"minReadySeconds": 10, "replicas": 1}});
        assert_eq!(least_time(&one, None), Some(Seconds(10)));
        assert_eq!(least_time(&one, Some(4)), Some(Seconds(20)));
        assert_eq!(least_time(&json!({"spec": {"template": {}}}), Some(4)), None);
        assert_eq!(least_time(&json!({}), Some(4)), None);
    }
}
