//! What the cluster adapter does when calls fail, and when their answers are lost. Rules name the test's own namespace
//! and end by themselves, so that tests do not disturb each other.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod kubernetes;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kubernetes::identity::{Role, address, clusters, with_role, with_role_in};
use kubernetes::{NAME, PATIENCE, Place, manifest};
use serde_json::json;
use sluice_cluster::{ClusterError, Namespace, WaitEnd};
use sluice_domain::bundle::{Bundle, WorkloadKind};
use sluice_domain::ids::Fence;
use sluice_domain::workload::{Leaving, Verdict, WorkloadRef, verdict};
use sluice_local::faults::{Action, Held, Rule};
use sluice_tests::wait::until;

const PENDING: &str = include_str!("../../shared/cluster/src/golden/helm-4-v3.json");

impl Place {
    /// Calls with this method to this kind in the test's own namespace.
    fn calls(&self, method: &str, kind: &str) -> Rule {
        Rule::kubernetes(
            &self.cluster.name,
            method,
            &format!("/namespaces/{}/{kind}", self.name),
        )
    }

    async fn fails(&self, rule: Rule, status: u16) {
        let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "injected"});
        self.local
            .faults()
            .add(rule.then(Action::Error {
                status,
                body: body.to_string(),
            }))
            .await
            .unwrap();
    }

    /// How often a rule acted on calls to this kind here.
    async fn fired(&self, kind: &str) -> usize {
        let path = format!("/namespaces/{}/{kind}", self.name);
        let fired = self.local.faults().fired().await.unwrap();
        fired
            .iter()
            .filter(|fired| fired.call.path.contains(&path))
            .count()
    }

    /// The next call that this rule holds is dropped, once it is held.
    async fn drop_next(&self, rule: Rule) {
        let held = self.hold_next(rule).await;
        self.local.faults().drop_call(&held).await.unwrap();
    }

    /// The next call that this rule holds, once it is held.
    async fn hold_next(&self, rule: Rule) -> Held {
        self.local.faults().add(rule).await.unwrap();
        let here = format!("/namespaces/{}/", self.name);
        let held = until("a held call", PATIENCE, || async {
            let held = self.local.faults().held().await?;
            let mine = held.iter().find(|held| held.call.path.contains(&here));
            Ok(mine.cloned().ok_or_else(|| format!("{held:?}")))
        });
        held.await.unwrap()
    }
}

/// The place, by a role that it lets in.
async fn connected(place: &Place, role: &Role) -> Namespace {
    clusters(place)
        .connect(&address(place, Some(role)))
        .await
        .unwrap()
}

async fn bundle(place: &Place) -> Bundle {
    place.plan(&place.release(1, &[]).await, vec![manifest()]).await
}

async fn passes(here: &Namespace, bundle: &Bundle) {
    let judge = |observed: &_| verdict(bundle, observed, Leaving::Awaited) == Verdict::Passed;
    let end = here
        .wait_for(&[WorkloadRef::deployment(NAME)], PATIENCE, Fence(9), judge)
        .await
        .unwrap();
    assert!(matches!(end, WaitEnd::Settled(_)), "{end:?}");
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_replaced_once() {
    with_role(true, |place, role| async move {
        let here = connected(&place, &role).await;
        place.fails(place.calls("GET", "replicasets"), 401).await;
        here.observe(&[WorkloadRef::deployment(NAME)]).await.unwrap();
        assert_eq!(place.fired("replicasets").await, 1);
        place.fails(place.calls("GET", "replicasets").times(2), 401).await;
        let told = here.observe(&[WorkloadRef::deployment(NAME)]).await;
        assert!(matches!(told, Err(ClusterError::Unauthorized { .. })), "{told:?}");
        assert_eq!(place.fired("replicasets").await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_repeated() {
    with_role(true, |place, role| async move {
        let here = connected(&place, &role).await;
        let bundle = bundle(&place).await;
        here.apply(&bundle, Fence(1)).await.unwrap();
        for (fence, action, written) in [(2, Action::HoldAfter, false), (3, Action::HoldBefore, true)] {
            let rule = place.calls("PATCH", "deployments").then(action);
            let (lost, ()) = tokio::join!(here.apply(&bundle, Fence(fence)), place.drop_next(rule));
            assert!(lost.as_ref().is_err_and(ClusterError::is_transient), "{lost:?}");
            let again = here.apply(&bundle, Fence(fence)).await.unwrap();
            assert_eq!(!again.written.is_empty(), written, "{again:?}");
            assert_eq!(place.observe().await.deployments[0].fence, Fence(fence));
        }
    })
    .await;
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_not_repeated() {
    with_role(true, |place, role| async move {
        let here = connected(&place, &role).await;
        place.create_config("web", "value").await;
        let manifest = kubernetes::manifest_with_config("web");
        let bundle = place.plan(&place.release(1, &[]).await, vec![manifest]).await;
        for (kind, written) in [("configmaps", true), ("deployments", false)] {
            let rule = place.calls("POST", kind).then(Action::HoldAfter);
            let (lost, ()) = tokio::join!(here.apply(&bundle, Fence(1)), place.drop_next(rule));
            assert!(
                lost.as_ref().is_err_and(ClusterError::is_transient),
                "{kind}: {lost:?}"
            );
            // Also the second loss is of this fence, so that the last try finds everything done.
            if !written {
                let again = here.apply(&bundle, Fence(1)).await.unwrap();
                assert!(again.written.is_empty(), "{again:?}");
            }
        }
        passes(&here, &bundle).await;
    })
    .await;
}

#[tokio::test]
async fn a_watch_that_breaks_is_taken_up_again() {
    with_role(true, |place, role| async move {
        let here = connected(&place, &role).await;
        let bundle = bundle(&place).await;
        for (status, kind) in [(500, "pods"), (410, "pods"), (401, "pods"), (503, "replicasets")] {
            place.fails(place.calls("GET", kind), status).await;
        }
        here.apply(&bundle, Fence(1)).await.unwrap();
        passes(&here, &bundle).await;
        assert_eq!(
            (place.fired("pods").await, place.fired("replicasets").await),
            (3, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn what_waiting_does_not_heal_ends_the_wait() {
    with_role(true, |place, role| async move {
        let here = connected(&place, &role).await;
        place.fails(place.calls("GET", "pods"), 403).await;
        let end = here
            .wait_for(&[WorkloadRef::deployment(NAME)], PATIENCE, Fence(1), |_| false)
            .await;
        assert!(matches!(end, Err(ClusterError::Refused { .. })), "{end:?}");
    })
    .await;
}

#[tokio::test]
async fn a_fence_or_a_job_whose_answer_is_lost_is_not_written_twice() {
    with_role(true, |place, role| async move {
        let here = connected(&place, &role).await;
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
            "spec": {"suspend": true, "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "m", "image": "x"}]}}},
        });
        for action in [Action::HoldBefore, Action::HoldAfter] {
            let rule = place.calls("POST", "configmaps").then(action.clone());
            let (lost, ()) = tokio::join!(here.write_helm_fence(Fence(1)), place.drop_next(rule));
            // After the first loss nothing is there; after the second everything is.
            assert!(lost.as_ref().is_err_and(ClusterError::is_transient), "{lost:?}");
            let rule = place.calls("POST", "jobs").then(action);
            let (lost, ()) = tokio::join!(here.create_job(&job, Fence(1)), place.drop_next(rule));
            assert!(lost.as_ref().is_err_and(ClusterError::is_transient), "{lost:?}");
        }
        here.write_helm_fence(Fence(1)).await.unwrap();
        here.create_job(&job, Fence(1)).await.unwrap();
        let rule = place.calls("PATCH", "configmaps").then(Action::HoldAfter);
        let (lost, ()) = tokio::join!(here.write_helm_fence(Fence(2)), place.drop_next(rule));
        assert!(lost.is_err_and(|lost| lost.is_transient()));
        here.write_helm_fence(Fence(2)).await.unwrap();
        assert_eq!(here.helm_fence().await.unwrap(), Some(Fence(2)));
    })
    .await;
}

#[tokio::test]
async fn the_watch_of_a_job_is_taken_up_again_and_a_missing_log_is_no_error() {
    with_role(true, |place, role| async move {
        let here = connected(&place, &role).await;
        let image = place.image(1, &[("log", "done")]).await;
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": image}]}}},
        });
        here.create_job(&job, Fence(1)).await.unwrap();
        for (status, kind) in [(500, "jobs"), (401, "jobs"), (410, "pods")] {
            place.fails(place.calls("GET", kind), status).await;
        }
        let seen = here.wait_for_job("migrate", PATIENCE).await.unwrap().unwrap();
        assert!(seen.complete, "{seen:?}");
        assert_eq!((place.fired("jobs").await, place.fired("pods").await), (2, 1));
        place.fails(place.calls("GET", "pods/migrate"), 500).await;
        let log = here.job_logs("migrate", 1_000).await.unwrap();
        assert!(log.contains("no log: ") && log.contains("injected"), "{log}");
        let log = here.job_logs("migrate", 1_000).await.unwrap();
        assert!(log.contains("done"), "{log}");
        place.fails(place.calls("GET", "jobs"), 403).await;
        let end = here.wait_for_job("migrate", PATIENCE).await;
        assert!(matches!(end, Err(ClusterError::Refused { .. })), "{end:?}");
    })
    .await;
}

#[tokio::test]
async fn only_the_kinds_that_are_asked_for_are_read() {
    with_role(true, |place, role| async move {
        let here = connected(&place, &role).await;
        let bundle = bundle(&place).await;
        here.apply(&bundle, Fence(1)).await.unwrap();
        let others = ["statefulsets", "daemonsets", "controllerrevisions"];
        for kind in others {
            place.fails(place.calls("GET", kind), 403).await;
        }
        here.observe(&[WorkloadRef::deployment(NAME)]).await.unwrap();
        passes(&here, &bundle).await;
        for kind in others {
            assert_eq!(place.fired(kind).await, 0, "{kind}");
        }
        let set = WorkloadRef {
            kind: WorkloadKind::StatefulSet,
            name: NAME.to_owned(),
        };
        let refused = here.observe(&[set]).await;
        assert!(
            matches!(refused, Err(ClusterError::Refused { .. })),
            "{refused:?}"
        );
        assert_eq!(place.fired("replicasets").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_revision_that_somebody_writes_in_the_same_moment_is_not_given_up() {
    with_role_in(Some("sluice:helm"), |place, role| async move {
        let here = connected(&place, &role).await;
        let mut secret: Secret = serde_json::from_str(PENDING).unwrap();
        secret.metadata.namespace = None;
        let name = secret.metadata.name.clone().unwrap();
        let secrets = Api::<Secret>::namespaced(place.admin.clone(), &place.name);
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        let meanwhile = async {
            let rule = place.calls("PATCH", "secrets").then(Action::HoldBefore);
            let held = place.hold_next(rule).await;
            let status = json!({"metadata": {"labels": {"status": "deployed"}}});
            secrets
                .patch(&name, &PatchParams::default(), &Patch::Merge(status))
                .await
                .unwrap();
            place.local.faults().release(&held).await.unwrap();
        };
        let (told, ()) = tokio::join!(
            here.fail_helm_revision("mc-api", 3, "its helm is gone"),
            meanwhile
        );
        assert!(matches!(told, Err(ClusterError::Conflict { .. })), "{told:?}");
        let labels = secrets.get(&name).await.unwrap().metadata.labels.unwrap();
        assert_eq!(labels["status"], "deployed");
        // One whose answer is lost is found done.
        let rule = place.calls("PATCH", "secrets").then(Action::HoldAfter);
        let (lost, ()) = tokio::join!(
            here.fail_helm_revision("mc-api", 3, "its helm is gone"),
            place.drop_next(rule)
        );
        assert!(lost.is_err_and(|lost| lost.is_transient()));
        here.fail_helm_revision("mc-api", 3, "another word")
            .await
            .unwrap();
        let found = here.helm_revision("mc-api", 3).await.unwrap().unwrap();
        assert_eq!(found.description, "its helm is gone");
    })
    .await;
}
