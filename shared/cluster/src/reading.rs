//! From what the API server lists to the domain's observation. Pure.

use crate::fence::fence_of;
use crate::namespace::FIELD_MANAGER;
use crate::pods::observed_pod;
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::core::{DynamicObject, ObjectMeta};
use serde_json::Value;
use sluice_domain::ids::Fence;
use sluice_domain::plan::images_of;
use sluice_domain::workload::{Observation, ObservedDeployment};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Where the Deployment controller counts a Deployment's templates, on the Deployment and on its ReplicaSets.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The objects of a namespace at one time.
pub(crate) struct Snapshot<'s> {
    pub deployments: Vec<&'s DynamicObject>,
    pub replica_sets: Vec<&'s ReplicaSet>,
    pub pods: Vec<&'s Pod>,
}

/// What is around the Deployments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// Names of the Deployments that an autoscaler targets.
    pub autoscaled: BTreeSet<String>,
    /// The highest fence on objects other than Deployments.
    pub highest_fence: Fence,
}

/// The Deployments of these names, in this order, with their pods.
pub(crate) fn observation(names: &[String], snapshot: &Snapshot<'_>, around: &Surroundings) -> Observation {
    let named = |name: &String| {
        let is_it = |found: &&&DynamicObject| found.metadata.name.as_ref() == Some(name);
        snapshot
            .deployments
            .iter()
            .find(is_it)
            .map(|found| observed(name, found, snapshot, around))
    };
    let deployments: Vec<ObservedDeployment> = names.iter().filter_map(named).collect();
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
    name: &str,
    found: &DynamicObject,
    snapshot: &Snapshot<'_>,
    around: &Surroundings,
) -> ObservedDeployment {
    let spec = found.data.get("spec").cloned().unwrap_or_default();
    let status = found.data.get("status").cloned().unwrap_or_default();
    let status: DeploymentStatus = serde_json::from_value(status).unwrap_or_default();
    let replicas = spec
        .get("replicas")
        .and_then(Value::as_i64)
        .and_then(|n| i32::try_from(n).ok());
    let template = spec.get("template").cloned().unwrap_or_default();
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
    let mut pods: Vec<_> = pods.collect();
    pods.sort_by(|one, other| one.name.cmp(&other.name));
    ObservedDeployment {
        kind: Default::default(),
        name: name.to_owned(),
        generation: found.metadata.generation.unwrap_or(0),
        observed_generation: status.observed_generation.unwrap_or(0),
        wanted: replicas.unwrap_or(1),
        total: status.replicas.unwrap_or(0),
        updated: status.updated_replicas.unwrap_or(0),
        available: status.available_replicas.unwrap_or(0),
        fence: fence_of(&found.metadata),
        images: images_of(Some(&template)),
        failures: failures(&status, &found.metadata, newest),
        autoscaled: around.autoscaled.contains(name),
        labels: found.metadata.labels.clone().unwrap_or_default(),
        spec: without(spec, &["template", "replicas"]),
        template,
        pods,
    }
}

fn is_owned(owned: &ObjectMeta, owner: &ObjectMeta) -> bool {
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
