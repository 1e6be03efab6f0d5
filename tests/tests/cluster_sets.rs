//! StatefulSets and DaemonSets on a real API server: what a chart has besides Deployments.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod kubernetes;

use kube::api::{Patch, PatchParams};
use kubernetes::{NAME, PATIENCE, Place, in_namespace, member_of};
use serde_json::{Value, json};
use sluice_cluster::{Namespace, WaitEnd};
use sluice_domain::bundle::{Bundle, WorkloadBundle, WorkloadKind};
use sluice_domain::ids::Fence;
use sluice_domain::workload::{Leaving, Observation, Verdict, WorkloadRef, verdict};
use std::collections::BTreeMap;

fn manifest(kind: WorkloadKind, image: &str) -> Value {
    let mut manifest = json!({
        "apiVersion": "apps/v1",
        "kind": kind.name(),
        "metadata": {"name": NAME},
        "spec": {
            "selector": {"matchLabels": {"app": NAME}},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {"containers": [{"name": NAME, "image": image}], "terminationGracePeriodSeconds": 1},
            },
        },
    });
    if kind == WorkloadKind::StatefulSet {
        manifest["spec"]["replicas"] = json!(2);
        manifest["spec"]["serviceName"] = json!(NAME);
    }
    manifest
}

fn bundle(kind: WorkloadKind, image: &str) -> Bundle {
    Bundle {
        release: None,
        digest: None,
        children: vec![],
        deployments: vec![WorkloadBundle {
            kind,
            name: NAME.to_owned(),
            container: None,
            replicas: None,
            manifest: json!({}),
            images: BTreeMap::from([(NAME.to_owned(), image.to_owned())]),
        }],
        objects: vec![],
        config_maps: vec![],
        helm: None,
    }
}

/// Sluice watches as an observer: the role that `await-pods` has.
async fn observer(place: &Place) -> Namespace {
    let client = member_of(&place.cluster, "sluice-test", "sluice:observers").await;
    Namespace::with_client(client, &place.cluster.name, &place.name)
}

async fn settles(place: &Place, bundle: &Bundle) -> Verdict {
    let judge = |observed: &Observation| verdict(bundle, observed, Leaving::Awaited);
    let settled = |observed: &Observation| !matches!(judge(observed), Verdict::Inconclusive(_));
    let asked = WorkloadRef::all_of(bundle);
    let end = observer(place)
        .await
        .wait_for(&asked, PATIENCE, Fence(1), settled)
        .await
        .unwrap();
    match end {
        WaitEnd::Settled(observed) => judge(&observed),
        other => panic!("{other:?}"),
    }
}

async fn change(place: &Place, kind: WorkloadKind, patch: Value) {
    place
        .objects("apps", "v1", kind.name())
        .patch(NAME, &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .unwrap();
}

fn with_image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": NAME, "image": image}]}}}})
}

#[tokio::test]
async fn a_set_runs_when_every_pod_of_it_is_of_its_newest_template() {
    for (kind, count) in [(WorkloadKind::StatefulSet, 2), (WorkloadKind::DaemonSet, 1)] {
        in_namespace(|place| async move {
            let (first, second) = (place.image(1, &[]).await, place.image(2, &[]).await);
            place.create(manifest(kind, &first)).await;
            assert_eq!(settles(&place, &bundle(kind, &first)).await, Verdict::Passed);
            change(&place, kind, with_image(&second)).await;
            let second = bundle(kind, &second);
            assert_eq!(settles(&place, &second).await, Verdict::Passed);
            let observed = place.sluice.observe(&WorkloadRef::all_of(&second)).await.unwrap();
            let found = &observed.deployments[0];
            assert_eq!(
                (found.wanted, found.updated, found.total, found.available),
                (count, count, count, count)
            );
            assert!(
                found.pods.iter().all(|pod| pod.current && pod.ready),
                "{:?}",
                found.pods
            );
            assert_eq!(verdict(&second, &observed, Leaving::Awaited), Verdict::Passed);
        })
        .await;
    }
}

#[tokio::test]
async fn a_set_whose_new_pods_cannot_start_fails_at_once() {
    for kind in [WorkloadKind::StatefulSet, WorkloadKind::DaemonSet] {
        in_namespace(|place| async move {
            let first = place.image(1, &[]).await;
            place.create(manifest(kind, &first)).await;
            assert_eq!(settles(&place, &bundle(kind, &first)).await, Verdict::Passed);
            let (repository, _) = first.split_once('@').unwrap();
            let missing = format!("{repository}@sha256:{}", "c".repeat(64));
            change(&place, kind, with_image(&missing)).await;
            let told = settles(&place, &bundle(kind, &missing)).await;
            assert!(
                matches!(&told, Verdict::Failed(why) if why.contains("ImagePullBackOff")),
                "{told:?}"
            );
        })
        .await;
    }
}

#[tokio::test]
async fn a_set_that_leaves_old_pods_alone_says_so_instead_of_waiting() {
    for (kind, strategy, part) in [
        (WorkloadKind::DaemonSet, json!({"type": "OnDelete"}), "OnDelete"),
        (
            WorkloadKind::StatefulSet,
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}),
            "partition 1",
        ),
    ] {
        in_namespace(|place| async move {
            let (first, second) = (place.image(1, &[]).await, place.image(2, &[]).await);
            let mut set = manifest(kind, &first);
            set["spec"]["updateStrategy"] = strategy;
            place.create(set).await;
            assert_eq!(settles(&place, &bundle(kind, &first)).await, Verdict::Passed);
            change(&place, kind, with_image(&second)).await;
            let told = settles(&place, &bundle(kind, &second)).await;
            assert!(
                matches!(&told, Verdict::Failed(why) if why.contains(part)),
                "{told:?}"
            );
        })
        .await;
    }
}
