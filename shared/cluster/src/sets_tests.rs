#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::reading::{Surroundings, observation};
use serde_json::json;
use sluice_domain::bundle::WorkloadKind;
use sluice_domain::workload::{ObservedDeployment, WorkloadRef};

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn owner() -> Value {
    json!([{"apiVersion": "apps/v1", "kind": "x", "name": "db", "uid": "s", "controller": true}])
}

fn object(kind: &str, spec: Value, status: Value) -> DynamicObject {
    read(json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": "db", "uid": "s", "generation": 2},
        "spec": spec, "status": status,
    }))
}

fn pod(name: &str, hash: &str) -> Pod {
    read(json!({
        "metadata": {"name": name, "ownerReferences": owner(), "labels": {"controller-revision-hash": hash}},
        "spec": {"containers": []},
    }))
}

fn revision(number: i64, hash: &str) -> ControllerRevision {
    read(json!({
        "metadata": {"name": format!("db-{hash}"), "ownerReferences": owner(), "labels": {"controller-revision-hash": hash}},
        "revision": number,
    }))
}

fn observe(
    kind: WorkloadKind,
    object: &DynamicObject,
    revisions: &[ControllerRevision],
    pods: &[Pod],
) -> ObservedDeployment {
    let snapshot = Snapshot {
        workloads: [(kind, vec![object])].into(),
        revisions: revisions.iter().collect(),
        pods: pods.iter().collect(),
        ..Snapshot::default()
    };
    let name = "db".to_owned();
    let asked = [WorkloadRef::deployment("db"), WorkloadRef { kind, name }];
    let mut all = observation(&asked, &snapshot, &Surroundings::default()).deployments;
    assert_eq!(all.len(), 1, "the Deployment of this name is another");
    all.remove(0)
}

fn current(found: &ObservedDeployment) -> Vec<bool> {
    found.pods.iter().map(|pod| pod.current).collect()
}

#[test]
fn a_stateful_set_that_is_updated_counts_its_updated_pods_and_then_all() {
    for (current_revision, counted, wanted) in [("db-1", 1, 1), ("db-2", 0, 3)] {
        let status = json!({
            "observedGeneration": 2, "replicas": 3, "availableReplicas": 2, "updatedReplicas": counted,
            "currentRevision": current_revision, "updateRevision": "db-2",
        });
        let set = object("StatefulSet", json!({"replicas": 3}), status);
        let found = observe(
            WorkloadKind::StatefulSet,
            &set,
            &[],
            &[pod("db-0", "db-1"), pod("db-1", "db-2")],
        );
        assert_eq!(
            (found.wanted, found.total, found.updated, found.available),
            (3, 3, wanted, 2)
        );
        assert_eq!(current(&found), [false, true]);
    }
}

#[test]
fn a_new_set_has_no_status_and_no_current_pod() {
    let set = object("StatefulSet", json!({}), Value::Null);
    let found = observe(WorkloadKind::StatefulSet, &set, &[], &[pod("db-0", "db-1")]);
    assert_eq!((found.wanted, found.total, found.observed_generation), (1, 0, 0));
    assert_eq!(current(&found), [false]);
}

#[test]
fn a_daemon_set_wants_a_pod_for_each_node_and_its_newest_revision() {
    let status = json!({
        "observedGeneration": 2, "desiredNumberScheduled": 3, "currentNumberScheduled": 2,
        "updatedNumberScheduled": 1, "numberAvailable": 1, "numberMisscheduled": 0, "numberReady": 1,
    });
    let set = object("DaemonSet", json!({"replicas": 9}), status);
    let pods = [pod("db-a", "old"), pod("db-b", "new")];
    let revisions = [revision(10, "new"), revision(9, "old")];
    let found = observe(WorkloadKind::DaemonSet, &set, &revisions, &pods);
    assert_eq!(
        (found.wanted, found.total, found.updated, found.available),
        (3, 2, 1, 1)
    );
    assert_eq!(current(&found), [false, true]);
    let found = observe(WorkloadKind::DaemonSet, &set, &[], &pods);
    assert_eq!(
        current(&found),
        [false, false],
        "nothing says which is the newest"
    );
}

#[test]
fn a_strategy_that_leaves_old_pods_alone_is_told_only_while_there_are_some() {
    let on_delete = json!({"type": "OnDelete"});
    let partition = |number: u32| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": number}});
    let old = || pod("db-1", "db-1");
    let new = || pod("db-1", "db-2");
    let mut going = old();
    going.metadata.deletion_timestamp = Some(read(json!("2026-11-23T08:00:00Z")));
    for (what, strategy, pod, wanted) in [
        (
            "an old pod",
            on_delete.clone(),
            old(),
            Some("OnDelete: old pod db-1 stays until"),
        ),
        ("one that is deleted", on_delete.clone(), going, None),
        ("a new pod", on_delete, new(), None),
        (
            "below the partition",
            partition(2),
            old(),
            Some("partition 2: old pod db-1 is below"),
        ),
        ("at the partition", partition(1), old(), None),
        (
            "new, below the partition: nothing was changed",
            partition(2),
            new(),
            None,
        ),
        ("no partition", partition(0), old(), None),
    ] {
        let status = json!({"replicas": 1, "currentRevision": "db-1", "updateRevision": "db-2"});
        let set = object("StatefulSet", json!({"updateStrategy": strategy}), status);
        let found = observe(WorkloadKind::StatefulSet, &set, &[], &[pod]);
        match wanted {
            Some(part) => assert!(found.failures[0].contains(part), "{what}: {:?}", found.failures),
            None => assert!(found.failures.is_empty(), "{what}: {:?}", found.failures),
        }
    }
}
