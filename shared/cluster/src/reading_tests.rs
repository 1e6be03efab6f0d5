#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use serde_json::json;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn owner(kind: &str, uid: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": uid, "controller": true}])
}

fn deployment(status: Value) -> DynamicObject {
    read(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "api", "uid": "d", "generation": 3, "labels": {"team": "mc"},
            "annotations": {"deployment.kubernetes.io/revision": "2", "sluice.dev/fence": "5"},
            "managedFields": [
                {"manager": "sluice", "operation": "Update", "time": "2026-11-23T08:00:00Z"},
                {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "time": "2026-11-23T09:00:00Z"},
            ],
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "api"}},
            "template": {"spec": {"containers": [{"name": "api", "image": "a@sha256:1"}], "aFieldOfTheFuture": true}},
        },
        "status": status,
    }))
}

fn set(uid: &str, revision: &str, status: Value) -> ReplicaSet {
    read(json!({
        "metadata": {
            "name": uid, "uid": uid, "generation": 1, "ownerReferences": owner("Deployment", "d"),
            "annotations": {"deployment.kubernetes.io/revision": revision},
        },
        "status": status,
    }))
}

fn pod(name: &str, set: &str) -> Pod {
    read(
        json!({"metadata": {"name": name, "ownerReferences": owner("ReplicaSet", set)}, "spec": {"containers": []}}),
    )
}

fn observe(deployment: &DynamicObject, sets: &[ReplicaSet], pods: &[Pod]) -> ObservedDeployment {
    let snapshot = Snapshot {
        workloads: [(WorkloadKind::Deployment, vec![deployment])].into(),
        replica_sets: sets.iter().collect(),
        pods: pods.iter().collect(),
        ..Snapshot::default()
    };
    let around = Surroundings {
        autoscaled: [WorkloadRef::deployment("api")].into(),
        highest_fence: Fence(4),
    };
    let mut all = observation(
        &["absent", "api"].map(WorkloadRef::deployment),
        &snapshot,
        &around,
    );
    assert_eq!(all.highest_fence, Fence(5));
    all.deployments.pop().unwrap()
}

#[test]
fn a_deployment_is_read_whole() {
    let status =
        json!({"observedGeneration": 3, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 1});
    let found = observe(&deployment(status), &[], &[]);
    assert_eq!((found.generation, found.observed_generation), (3, 3));
    assert_eq!(
        (found.wanted, found.total, found.updated, found.available),
        (2, 3, 2, 1)
    );
    assert_eq!((found.fence, found.autoscaled), (Fence(5), true));
    assert_eq!(
        found.template["spec"]["aFieldOfTheFuture"], true,
        "a captured template must not lose what is new"
    );
    assert_eq!(found.spec, json!({"selector": {"matchLabels": {"app": "api"}}}));
    assert_eq!(found.images["api"], "a@sha256:1");
}

#[test]
fn a_new_deployment_has_no_status() {
    let found = observe(&deployment(Value::Null), &[], &[]);
    assert_eq!(
        (
            found.observed_generation,
            found.total,
            found.updated,
            found.available
        ),
        (0, 0, 0, 0)
    );
}

#[test]
fn pods_are_found_through_their_replica_sets() {
    let sets = [set("old", "1", json!({})), set("new", "2", json!({}))];
    let mut foreign = pod("other-1", "elsewhere");
    let pods = [pod("api-new-1", "new"), pod("api-old-1", "old"), foreign.clone()];
    let found = observe(&deployment(json!({})), &sets, &pods);
    let seen: Vec<_> = found
        .pods
        .iter()
        .map(|pod| (pod.name.as_str(), pod.current))
        .collect();
    assert_eq!(seen, [("api-new-1", true), ("api-old-1", false)]);
    foreign.metadata.owner_references = read(owner("ReplicaSet", "new"));
    foreign.metadata.owner_references.as_mut().unwrap()[0].controller = None;
    assert!(
        observe(&deployment(json!({})), &sets, &[foreign]).pods.is_empty(),
        "an owner that does not control it"
    );
}

#[test]
fn without_a_revision_no_replica_set_is_the_newest() {
    let mut new = deployment(json!({}));
    new.metadata.annotations.as_mut().unwrap().remove(REVISION);
    let mut bare = set("bare", "1", json!({}));
    bare.metadata.annotations = None;
    let found = observe(&new, &[bare], &[pod("api-1", "bare")]);
    assert!(!found.pods[0].current);
}

fn condition(kind: &str, status: &str, reason: &str, at: &str) -> Value {
    json!({"conditions": [
        {"type": kind, "status": status, "reason": reason, "message": "said so", "lastUpdateTime": at, "lastTransitionTime": at},
    ]})
}

#[test]
fn a_deployment_that_cannot_go_on_says_so() {
    let (before, then, after) = (
        "2026-11-23T07:59:59Z",
        "2026-11-23T08:00:00Z",
        "2026-11-23T08:10:00Z",
    );
    let deadline = "ProgressDeadlineExceeded";
    for (what, status, wanted) in [
        (
            "its deadline passed",
            condition("Progressing", "False", deadline, after),
            vec!["ProgressDeadlineExceeded: said so"],
        ),
        (
            "that was before our write",
            condition("Progressing", "False", deadline, before),
            vec![],
        ),
        (
            "that was in the second of our write",
            condition("Progressing", "False", deadline, then),
            vec![],
        ),
        (
            "its ReplicaSet is refused",
            condition("Progressing", "False", "ReplicaSetCreateError", then),
            vec!["ReplicaSetCreateError: said so"],
        ),
        (
            "it goes on",
            condition("Progressing", "True", "ReplicaSetUpdated", after),
            vec![],
        ),
        (
            "a person paused it",
            condition("Progressing", "Unknown", "DeploymentPaused", after),
            vec![],
        ),
        (
            "no ReplicaSet can be made",
            condition("ReplicaFailure", "True", "FailedCreate", after),
            vec!["FailedCreate: said so"],
        ),
        (
            "it is not available yet",
            condition("Available", "False", "MinimumReplicasUnavailable", after),
            vec![],
        ),
    ] {
        assert_eq!(observe(&deployment(status), &[], &[]).failures, wanted, "{what}");
    }
}

#[test]
fn pods_that_are_refused_are_the_newest_replica_sets_failure() {
    let refused = |generation: i64| {
        json!({"replicas": 0, "observedGeneration": generation, "conditions": [
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"},
        ]})
    };
    let also_said = condition("ReplicaFailure", "True", "FailedCreate", "2026-11-23T08:10:00Z");
    let good = json!({"replicas": 2, "observedGeneration": 1});
    for (what, old, new, wanted) in [
        (
            "the newest is refused",
            good.clone(),
            refused(1),
            vec!["FailedCreate: exceeded quota"],
        ),
        ("an old one was", refused(1), good.clone(), vec![]),
        (
            "what it says is of another size",
            good.clone(),
            refused(0),
            vec![],
        ),
    ] {
        let sets = [set("old", "1", old), set("new", "2", new)];
        assert_eq!(
            observe(&deployment(also_said.clone()), &sets, &[]).failures,
            wanted,
            "{what}"
        );
    }
}
