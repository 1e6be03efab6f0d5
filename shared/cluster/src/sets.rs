//! StatefulSets and DaemonSets, as their controllers speak of them. Pure.
//!
//! Their pods carry the label `controller-revision-hash` (Kubernetes, well-known labels): of a StatefulSet the name of the
//! revision that its status calls `updateRevision`, of a DaemonSet the label of the same name on the newest of its
//! ControllerRevisions.

use crate::pods::observed_pod;
use crate::reading::{Progress, Snapshot, is_owned, replicas_of, status_of};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSetStatus, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::core::{DynamicObject, ObjectMeta};
use serde_json::Value;
use sluice_domain::workload::ObservedPod;

const REVISION_HASH: &str = "controller-revision-hash";

pub(crate) fn stateful_set(found: &DynamicObject, snapshot: &Snapshot<'_>) -> Progress {
    let status: StatefulSetStatus = status_of(found);
    let is_updating = status.current_revision != status.update_revision;
    let pods = pods_of(found, snapshot, status.update_revision.as_deref());
    Progress {
        observed_generation: status.observed_generation,
        wanted: replicas_of(found),
        total: status.replicas,
        // Once an update is complete nothing is counted any more: every pod is of the one revision there is.
        updated: if is_updating {
            status.updated_replicas.unwrap_or(0)
        } else {
            status.replicas
        },
        available: status.available_replicas.unwrap_or(0),
        failures: stays_old(found, &pods).into_iter().collect(),
        pods,
    }
}

pub(crate) fn daemon_set(found: &DynamicObject, snapshot: &Snapshot<'_>) -> Progress {
    let status: DaemonSetStatus = status_of(found);
    let own = snapshot.revisions.iter().copied();
    let own = own.filter(|revision| is_owned(&revision.metadata, &found.metadata));
    let newest = own.max_by_key(|revision: &&ControllerRevision| revision.revision);
    let pods = pods_of(
        found,
        snapshot,
        newest.and_then(|newest| hash_of(&newest.metadata)),
    );
    Progress {
        observed_generation: status.observed_generation,
        wanted: status.desired_number_scheduled,
        total: status.current_number_scheduled,
        updated: status.updated_number_scheduled.unwrap_or(0),
        available: status.number_available.unwrap_or(0),
        failures: stays_old(found, &pods).into_iter().collect(),
        pods,
    }
}

fn pods_of(found: &DynamicObject, snapshot: &Snapshot<'_>, newest: Option<&str>) -> Vec<ObservedPod> {
    let own = snapshot.pods.iter().copied();
    let own = own.filter(|pod| is_owned(&pod.metadata, &found.metadata));
    own.map(|pod: &Pod| {
        let current = newest.is_some() && hash_of(&pod.metadata) == newest;
        observed_pod(pod, current)
    })
    .collect()
}

fn hash_of(metadata: &ObjectMeta) -> Option<&str> {
    metadata.labels.as_ref()?.get(REVISION_HASH).map(String::as_str)
}

/// Why an old pod stays for ever: its update strategy leaves it alone, so that waiting does not help.
fn stays_old(found: &DynamicObject, pods: &[ObservedPod]) -> Option<String> {
    let strategy = found.data.pointer("/spec/updateStrategy")?;
    let mut old = pods
        .iter()
        .filter(|pod| !pod.current && !pod.terminating && !pod.ended);
    if strategy.get("type").and_then(Value::as_str) == Some("OnDelete") {
        let pod = &old.next()?.name;
        return Some(format!(
            "its updateStrategy is OnDelete: old pod {pod} stays until somebody deletes it"
        ));
    }
    let partition = strategy.pointer("/rollingUpdate/partition")?.as_u64()?;
    let kept = old.find(|pod| ordinal(&pod.name).is_some_and(|ordinal| ordinal < partition))?;
    Some(format!(
        "its updateStrategy has partition {partition}: old pod {} is below it and stays",
        kept.name
    ))
}

/// The number at the end of a StatefulSet's pod's name.
fn ordinal(pod: &str) -> Option<u64> {
    pod.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
#[path = "sets_tests.rs"]
mod tests;
