//! From what the API server lists to the domain's observation. Pure.

use crate::fence::fence_of;
use crate::namespace::FIELD_MANAGER;
use crate::pods::observed_pod;
use crate::sets;
use k8s_openapi::api::apps::v1::{ControllerRevision, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::core::{DynamicObject, ObjectMeta};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_domain::bundle::WorkloadKind;
use sluice_domain::ids::Fence;
use sluice_domain::plan::images_of;
use sluice_domain::workload::{Observation, ObservedDeployment, ObservedPod, WorkloadRef};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Where the Deployment controller counts a Deployment's templates, on the Deployment and on its ReplicaSets.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The objects of a namespace at one time: of the kinds that were asked for.
#[derive(Default)]
pub(crate) struct Snapshot<'s> {
    pub workloads: BTreeMap<WorkloadKind, Vec<&'s DynamicObject>>,
    /// What Deployments keep of their templates.
    pub replica_sets: Vec<&'s ReplicaSet>,
    /// What DaemonSets keep of theirs.
    pub revisions: Vec<&'s ControllerRevision>,
    pub pods: Vec<&'s Pod>,
}

/// What is around the workloads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// The workloads that an autoscaler targets.
    pub autoscaled: BTreeSet<WorkloadRef>,
    /// The highest fence on objects other than workloads.
    pub highest_fence: Fence,
}

/// What the controller of a workload says of it, and its pods.
pub(crate) struct Progress {
    pub observed_generation: Option<i64>,
    pub wanted: i32,
    pub total: i32,
    pub updated: i32,
    pub available: i32,
    pub failures: Vec<String>,
    pub pods: Vec<ObservedPod>,
}

/// These workloads, in this order, with their pods.
pub(crate) fn observation(
    asked: &[WorkloadRef],
    snapshot: &Snapshot<'_>,
    around: &Surroundings,
) -> Observation {
    let named = |one: &WorkloadRef| {
        let mut objects = snapshot.workloads.get(&one.kind).into_iter().flatten();
        let found = objects.find(|found| found.metadata.name.as_ref() == Some(&one.name))?;
        Some(observed(one, found, snapshot, around))
    };
    let deployments: Vec<ObservedDeployment> = asked.iter().filter_map(named).collect();
    let highest_fence = deployments
        .iter()
        .map(|d| d.fence)
        .max()
        .unwrap_or_default()
        .max(around.highest_fence);
    Observation {
        deployments,
        highest_fence,
    }
}

fn observed(
    one: &WorkloadRef,
    found: &DynamicObject,
    snapshot: &Snapshot<'_>,
    around: &Surroundings,
) -> ObservedDeployment {
    let spec = found.data.get("spec").cloned().unwrap_or_default();
    let mut progress = match one.kind {
        WorkloadKind::Deployment => deployment(found, snapshot),
        WorkloadKind::StatefulSet => sets::stateful_set(found, snapshot),
        WorkloadKind::DaemonSet => sets::daemon_set(found, snapshot),
    };
    progress.pods.sort_by(|one, other| one.name.cmp(&other.name));
    let template = spec.get("template").cloned().unwrap_or_default();
    ObservedDeployment {
        kind: one.kind,
        name: one.name.clone(),
        generation: found.metadata.generation.unwrap_or(0),
        observed_generation: progress.observed_generation.unwrap_or(0),
        wanted: progress.wanted,
        total: progress.total,
        updated: progress.updated,
        available: progress.available,
        fence: fence_of(&found.metadata),
        images: images_of(Some(&template)),
        failures: progress.failures,
        autoscaled: around.autoscaled.contains(one),
        labels: found.metadata.labels.clone().unwrap_or_default(),
        spec: without(spec, &["template", "replicas"]),
        template,
        pods: progress.pods,
    }
}

fn deployment(found: &DynamicObject, snapshot: &Snapshot<'_>) -> Progress {
    let status: DeploymentStatus = status_of(found);
    let sets: Vec<&ReplicaSet> = snapshot
        .replica_sets
        .iter()
        .copied()
        .filter(|set| is_owned(&set.metadata, &found.metadata))
        .collect();
    let newest = sets
        .iter()
        .copied()
        .find(|set| revision(&set.metadata) == revision(&found.metadata));
    let newest = newest.filter(|_| revision(&found.metadata).is_some());
    let pods = sets.iter().flat_map(|set| {
        let current = newest.is_some_and(|newest| newest.metadata.uid == set.metadata.uid);
        let own = snapshot
            .pods
            .iter()
            .filter(|pod| is_owned(&pod.metadata, &set.metadata));
        own.map(move |pod| observed_pod(pod, current))
    });
    Progress {
        observed_generation: status.observed_generation,
        wanted: replicas_of(found),
        total: status.replicas.unwrap_or(0),
        updated: status.updated_replicas.unwrap_or(0),
        available: status.available_replicas.unwrap_or(0),
        failures: failures(&status, &found.metadata, newest),
        pods: pods.collect(),
    }
}

pub(crate) fn status_of<S: Default + DeserializeOwned>(found: &DynamicObject) -> S {
    let status = found.data.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

/// `spec.replicas`; 1 where absent (Kubernetes, the defaults of apps/v1).
pub(crate) fn replicas_of(found: &DynamicObject) -> i32 {
    let said = found.data.pointer("/spec/replicas").and_then(Value::as_i64);
    said.and_then(|said| i32::try_from(said).ok()).unwrap_or(1)
}

pub(crate) fn is_owned(owned: &ObjectMeta, owner: &ObjectMeta) -> bool {
    let controls = |reference: &OwnerReference| reference.controller == Some(true);
    let references = owned.owner_references.iter().flatten();
    references
        .filter(|reference| controls(reference))
        .any(|reference| owner.uid.as_ref() == Some(&reference.uid))
}

fn revision(metadata: &ObjectMeta) -> Option<&String> {
    metadata.annotations.as_ref()?.get(REVISION)
}

/// Why it cannot go on.
///
/// The newest ReplicaSet says for itself that its pods are refused. The Deployment's condition of the same name is used
/// only where there is no ReplicaSet: it also repeats what an old ReplicaSet said. That it made no progress is sticky: the
/// controller says so until the next progress, also of a template that was replaced since; so it counts only if it was
/// said after our last write.
fn failures(status: &DeploymentStatus, metadata: &ObjectMeta, newest: Option<&ReplicaSet>) -> Vec<String> {
    let said =
        |condition: &DeploymentCondition| match (condition.reason.as_deref(), condition.message.as_deref()) {
            (Some(reason), Some(message)) => format!("{reason}: {message}"),
            (reason, message) => reason.or(message).unwrap_or(&condition.type_).to_owned(),
        };
    let last_write = last_write(metadata);
    let since_write = |condition: &DeploymentCondition| match (&condition.last_update_time, last_write) {
        (Some(said), Some(written)) => said.0.cmp(&written.0),
        _ => Ordering::Greater,
    };
    let counts = |condition: &&DeploymentCondition| {
        match (
            condition.type_.as_str(),
            condition.status.as_str(),
            condition.reason.as_deref(),
        ) {
            ("ReplicaFailure", "True", _) => newest.is_none() && since_write(condition).is_ge(),
            // Times are whole seconds, and a deadline is one second or more: what was said in the second of our write
            // was said of what it replaced.
            ("Progressing", "False", Some("ProgressDeadlineExceeded")) => since_write(condition).is_gt(),
            ("Progressing", "False", Some("ReplicaSetCreateError")) => since_write(condition).is_ge(),
            _ => false,
        }
    };
    let conditions = status.conditions.iter().flatten().filter(counts);
    let refused = newest.into_iter().flat_map(refusals);
    refused.chain(conditions.map(said)).collect()
}

fn refusals(set: &ReplicaSet) -> impl Iterator<Item = String> {
    let status = set.status.as_ref();
    let seen = status.and_then(|status| status.observed_generation) >= set.metadata.generation;
    let conditions = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten();
    let failed = conditions.filter(move |c| seen && c.type_ == "ReplicaFailure" && c.status == "True");
    failed.map(|condition| {
        let message = condition.message.as_deref().unwrap_or("no reason is given");
        format!(
            "{}: {message}",
            condition.reason.as_deref().unwrap_or("ReplicaFailure")
        )
    })
}

/// When Sluice last wrote the object, by the API server's clock.
fn last_write(metadata: &ObjectMeta) -> Option<&Time> {
    let entries = metadata.managed_fields.iter().flatten();
    let ours = entries
        .filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.subresource.is_none());
    ours.filter_map(|entry| entry.time.as_ref())
        .max_by_key(|time| time.0)
}

fn without(mut object: Value, keys: &[&str]) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.retain(|key, _| !keys.contains(&key.as_str()));
    }
    object
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
