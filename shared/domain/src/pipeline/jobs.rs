//! The Jobs of `before`, `verify` and `preview`: one in a file, from which each run is made.

use super::deployment::{all_containers, check_env};
use super::files::{Files, JOB_FILE};
use super::manifest::{Findings, check_metadata, finding, is_object_name, label, text_at};
use super::text::{code, cut, quote};
use super::workload::is_dns_label;
use super::yaml::Document;
use super::{CheckAction, EnvironmentSpec, Fault, FaultKind};
use serde_json::Value;
use std::collections::BTreeMap;

/// What Sluice tells each container of a Job.
const OWN_VARIABLES: [&str; 3] = ["SLUICE_IMAGE", "SLUICE_RELEASE", "SLUICE_ENVIRONMENT"];

/// The Jobs of an environment by their file, each in the environment's namespace; and what is wrong with them.
pub(super) fn read<R: FnMut(&str) -> Result<String, String>>(
    files: &mut Files<R>,
    spec: &EnvironmentSpec,
) -> (BTreeMap<String, Value>, Vec<Fault>) {
    let (mut jobs, mut faults) = (BTreeMap::new(), Vec::new());
    for check in spec
        .before
        .iter()
        .chain(&spec.verify)
        .chain(spec.strategy.preview())
    {
        let CheckAction::Job { file } = &check.run else {
            continue;
        };
        if jobs.contains_key(file) {
            continue;
        }
        let Some(documents) = files.documents(file, JOB_FILE) else {
            continue;
        };
        match one(file, documents) {
            Ok(mut document) => {
                faults.append(&mut check_job(&document, &spec.namespace));
                put_into(&mut document.value, &spec.namespace);
                jobs.insert(file.clone(), document.value);
            }
            Err(fault) => faults.push(*fault),
        }
    }
    (jobs, faults)
}

fn one(file: &str, documents: Vec<Document>) -> Result<Document, Box<Fault>> {
    let count = documents.len();
    let mut documents = documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(only), None) => Ok(only),
        (_, second) => Err(Box::new(Fault {
            file: file.to_owned(),
            line: second.map_or(1, |second| second.line),
            column: 1,
            key: String::new(),
            kind: FaultKind::Value,
            found: None,
            problem: format!("the file has {count} documents"),
            right: "one Job (batch/v1); what it needs beside it is applied by other means".to_owned(),
        })),
    }
}

fn put_into(job: &mut Value, namespace: &str) {
    if let Some(metadata) = job.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), Value::from(namespace));
    }
}

fn check_job(document: &Document, namespace: &str) -> Vec<Fault> {
    let value = &document.value;
    if (text_at(value, "/apiVersion"), text_at(value, "/kind")) != (Some("batch/v1"), Some("Job")) {
        let found = [text_at(value, "/apiVersion"), text_at(value, "/kind")].map(Option::unwrap_or_default);
        let problem = format!("is no Job of batch/v1 ({})", cut(found.join(" ").trim()));
        let right = "apiVersion: batch/v1 and kind: Job".to_owned();
        return vec![finding(document, FaultKind::Value, "kind", problem, right)];
    }
    let mut findings = Findings::of(document);
    check_name(&mut findings);
    check_metadata(&mut findings, namespace);
    check_run(&mut findings);
    check_containers(&mut findings);
    check_env(&mut findings);
    let mut faults = findings.faults;
    faults.extend(short_lived(document));
    faults
}

/// The name is a label of the Job's pods, too.
fn check_name(findings: &mut Findings<'_>) {
    let found = text_at(&findings.document.value, "/metadata/name");
    if !found.is_some_and(|name| is_object_name(name) && is_dns_label(name)) {
        let problem = if found.is_some() {
            "is no name of a Job"
        } else {
            "has no name"
        };
        let right = "1 to 63 lowercase letters, digits and inner hyphens; no generateName";
        let found = found.map(quote);
        findings.add(FaultKind::Value, "metadata.name", found, problem, right);
    }
}

/// What would keep it from ending, or was copied from one that ran.
fn check_run(findings: &mut Findings<'_>) {
    let value = &findings.document.value;
    let policy = text_at(value, "/spec/template/spec/restartPolicy");
    if !matches!(policy, Some("Never" | "OnFailure")) {
        let kind = if policy.is_some() {
            FaultKind::Value
        } else {
            FaultKind::Missing
        };
        let problem = if policy.is_some() {
            "cannot be: a Job ends"
        } else {
            "is missing"
        };
        let key = "spec.template.spec.restartPolicy";
        findings.add(kind, key, policy.map(quote), problem, "Never or OnFailure");
    }
    let value = &findings.document.value;
    if value.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        let problem = "a suspended Job never starts";
        findings.add(FaultKind::Value, "spec.suspend", None, problem, "leave it out");
    }
    let value = &findings.document.value;
    if value.pointer("/spec/selector").is_some() {
        let problem = "is written by the cluster, and was likely copied from one";
        findings.add(FaultKind::Value, "spec.selector", None, problem, "leave it out");
    }
}

/// The image is the container's own, or the release's: left out, or `SLUICE_IMAGE`.
fn check_containers(findings: &mut Findings<'_>) {
    let document = findings.document;
    let pointer = "/spec/template/spec/containers";
    let containers = document.value.pointer(pointer).and_then(Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        let problem = "is empty, so that nothing would run";
        let key = "spec.template.spec.containers";
        findings.add(FaultKind::Missing, key, None, problem, "at least one container");
    }
    for container in all_containers(&document.value) {
        let name = container.get("name").and_then(Value::as_str);
        let key = format!("container {}", name.map_or("?".to_owned(), cut));
        if !name.is_some_and(is_dns_label) {
            let right = "1 to 63 lowercase letters, digits and inner hyphens";
            findings.add(FaultKind::Value, &key, None, "has no name of a container", right);
        }
        let image = container.get("image").filter(|image| !image.is_null());
        if image.is_some_and(|image| image.as_str().is_none_or(str::is_empty)) {
            let right = "leave it out, or SLUICE_IMAGE, for the release's; else an image of its own";
            findings.add(FaultKind::Value, &key, None, "has an image that is none", right);
        }
        let variables = container
            .get("env")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for variable in variables.filter_map(|variable| variable.get("name")?.as_str()) {
            if OWN_VARIABLES.contains(&variable) {
                let problem = format!("{} is set by Sluice", code(variable));
                findings.add(FaultKind::Conflict, &key, None, problem, "leave it out");
            }
        }
    }
}

/// A Job that removes itself may be gone with its log before they are read.
fn short_lived(document: &Document) -> Option<Fault> {
    document.value.pointer("/spec/ttlSecondsAfterFinished")?;
    let key = format!("{} spec.ttlSecondsAfterFinished", label(&document.value));
    let problem = "lets the cluster remove the Job, perhaps before its result and log are read".to_owned();
    let right = "leave it out: Sluice removes its Jobs".to_owned();
    Some(finding(document, FaultKind::Warning, &key, problem, right))
}
