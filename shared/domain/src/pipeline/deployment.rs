//! A Deployment of a manifest file: whether Sluice can roll it out at all.

use super::FaultKind;
use super::manifest::Findings;
use super::text::cut;
use serde_json::Value;

/// What would make every rollout of it fail, or an outage.
pub(super) fn check(findings: &mut Findings<'_>) {
    let value = &findings.document.value;
    let containers = container_names(value);
    if containers.is_empty() {
        let problem = "has no containers with a name";
        findings.add(
            FaultKind::Missing,
            "spec.template.spec.containers",
            None,
            problem,
            "at least one container",
        );
    }
    check_selector(findings);
    if value.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        let problem = "a paused Deployment replaces no pod, so that no rollout could end";
        findings.add(
            FaultKind::Value,
            "spec.paused",
            None,
            problem,
            "leave it out; `sluice hold` stops promotion",
        );
    }
    if value.pointer("/spec/replicas").and_then(Value::as_u64) == Some(0) {
        let problem = "nothing would run, so that nothing could be verified";
        findings.add(
            FaultKind::Value,
            "spec.replicas",
            None,
            problem,
            "at least 1, or leave it to an autoscaler",
        );
    }
    check_env(findings);
}

/// Environment variables are text; YAML reads `8080` and `yes` as something else.
pub(super) fn check_env(findings: &mut Findings<'_>) {
    let document = findings.document;
    let env = all_containers(&document.value)
        .filter_map(|container| container.get("env")?.as_array())
        .flatten();
    for variable in env {
        if variable
            .get("value")
            .is_some_and(|value| !value.is_string() && !value.is_null())
        {
            let key = format!(
                "env {}",
                variable
                    .get("name")
                    .and_then(Value::as_str)
                    .map_or("?".to_owned(), cut)
            );
            let shown = variable.get("value").map(|value| cut(&value.to_string()));
            findings.add(
                FaultKind::WrongType,
                &key,
                shown,
                "is not text",
                "put it in quotes",
            );
        }
    }
}

/// The API server refuses a Deployment that does not select its own pods; better now than at the rollout.
fn check_selector(findings: &mut Findings<'_>) {
    let map = |pointer: &str| {
        findings
            .document
            .value
            .pointer(pointer)
            .and_then(Value::as_object)
    };
    let labels = map("/spec/template/metadata/labels");
    let selected = map("/spec/selector/matchLabels")
        .filter(|wanted| !wanted.is_empty())
        .is_some_and(|wanted| {
            wanted
                .iter()
                .all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
        });
    let by_expressions = findings
        .document
        .value
        .pointer("/spec/selector/matchExpressions")
        .is_some();
    if !selected && !by_expressions {
        let problem = "does not select the labels of its own pods";
        let right = "matchLabels with labels that spec.template.metadata.labels has, too";
        findings.add(FaultKind::Conflict, "spec.selector", None, problem, right);
    }
}

/// Every container of a pod template, init containers included.
pub(super) fn all_containers(deployment: &Value) -> impl Iterator<Item = &Value> {
    let lists = [
        "/spec/template/spec/containers",
        "/spec/template/spec/initContainers",
    ];
    lists
        .into_iter()
        .filter_map(|pointer| deployment.pointer(pointer)?.as_array())
        .flatten()
}

/// The names of a Deployment's containers.
pub(super) fn container_names(deployment: &Value) -> Vec<&str> {
    let list = deployment
        .pointer("/spec/template/spec/containers")
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|container| container.get("name")?.as_str())
        .collect()
}
