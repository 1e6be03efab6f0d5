//! Jobs on a real API server with its real Job controller: before a rollout, and after it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod kubernetes;

use kube::api::{Api, Patch, PatchParams};
use kubernetes::{PATIENCE, Place, in_namespace, member_of};
use serde_json::{Value, json};
use sluice_cluster::{ClusterError, Namespace};
use sluice_domain::ids::Fence;
use sluice_domain::plan::FENCE_ANNOTATION;
use sluice_domain::workload::ObservedJob;
use sluice_tests::wait::until;
use std::time::Duration;

const JOB: &str = "migrate";
const MOST: usize = 10_000;

fn manifest(image: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": JOB},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "m", "image": image, "env": [{"name": "SLUICE_IMAGE", "value": image}]}],
        }}},
    })
}

async fn started(place: &Place, labels: &[(&str, &str)], fence: u64) -> Value {
    let manifest = manifest(&place.image(1, labels).await);
    place.sluice.create_job(&manifest, Fence(fence)).await.unwrap();
    manifest
}

async fn ended(place: &Place) -> ObservedJob {
    let seen = observer(place)
        .await
        .wait_for_job(JOB, PATIENCE)
        .await
        .unwrap()
        .unwrap();
    assert!(seen.is_over(), "{seen:?}");
    seen
}

async fn observer(place: &Place) -> Namespace {
    let client = member_of(&place.cluster, "sluice-test", "sluice:observers").await;
    Namespace::with_client(client, &place.cluster.name, &place.name)
}

#[tokio::test]
async fn a_job_runs_once_and_its_log_is_read() {
    in_namespace(|place| async move {
        let manifest = started(&place, &[("log", "migrated to $SLUICE_IMAGE")], 5).await;
        let seen = ended(&place).await;
        assert_eq!(
            (seen.complete, seen.failure.as_ref(), seen.problem.as_ref()),
            (true, None, None)
        );
        assert_eq!((seen.succeeded, seen.failed, seen.fence), (1, 0, Fence(5)));
        let image = manifest["spec"]["template"]["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap();
        let log = observer(&place).await.job_logs(JOB, MOST).await.unwrap();
        assert!(log.contains(&format!("migrated to {image}\n")), "{log}");
        assert!(
            log.contains("--- pod migrate-") && log.contains("container m"),
            "{log}"
        );
        assert!(observer(&place).await.job_logs(JOB, 50).await.unwrap().len() <= 50);
        place
            .sluice
            .create_job(&manifest, Fence(5))
            .await
            .expect("an earlier try got through");
        let again = place.sluice.create_job(&manifest, Fence(6)).await;
        assert!(
            matches!(&again, Err(ClusterError::Refused { message, .. }) if message.contains("from fence 5")),
            "{again:?}"
        );
        let late = place.sluice.create_job(&manifest, Fence(4)).await;
        assert!(matches!(late, Err(ClusterError::Preempted { .. })), "{late:?}");
        place.sluice.suspend_job(JOB, Fence(6)).await.unwrap();
        assert_eq!(
            place.sluice.job(JOB).await.unwrap().unwrap().fence,
            Fence(5),
            "one that is over is left alone"
        );
    })
    .await;
}

#[tokio::test]
async fn a_job_that_fails_says_why_and_what_it_printed() {
    in_namespace(|place| async move {
        let labels = [("exit-code", "3"), ("log", "no table\nmc_api")];
        started(&place, &labels, 1).await;
        let seen = ended(&place).await;
        let failure = seen.failure.unwrap();
        assert!(failure.starts_with("BackoffLimitExceeded: "), "{failure}");
        assert_eq!((seen.complete, seen.failed), (false, 1));
        let log = place.sluice.job_logs(JOB, MOST).await.unwrap();
        assert!(log.ends_with("no table\nmc_api\n"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_pod_can_never_start_is_not_waited_for() {
    in_namespace(|place| async move {
        let (repository, _) = {
            let image = place.image(1, &[]).await;
            let (repository, digest) = image.split_once('@').unwrap();
            (repository.to_owned(), digest.to_owned())
        };
        let missing = format!("{repository}@sha256:{}", "d".repeat(64));
        place
            .sluice
            .create_job(&manifest(&missing), Fence(1))
            .await
            .unwrap();
        let seen = ended(&place).await;
        let problem = seen.problem.unwrap();
        assert!(
            problem.contains("ImagePullBackOff") && problem.contains("container m"),
            "{problem}"
        );
        let log = place.sluice.job_logs(JOB, MOST).await.unwrap();
        assert!(
            log.contains("no log: ") && log.contains("waiting to start"),
            "{log}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_job_that_never_ends_is_watched_to_the_limit_and_then_suspended() {
    in_namespace(|place| async move {
        started(&place, &[("never-ready", "true")], 5).await;
        let seen = place
            .sluice
            .wait_for_job(JOB, Duration::from_secs(3))
            .await
            .unwrap()
            .unwrap();
        assert!(!seen.is_over() && seen.active == 1, "{seen:?}");
        let own = place.sluice.suspend_job(JOB, Fence(5)).await;
        assert!(
            matches!(&own, Err(ClusterError::Invalid { message, .. }) if message.contains("a greater one")),
            "{own:?}"
        );
        let late = place.sluice.suspend_job(JOB, Fence(4)).await;
        assert!(matches!(late, Err(ClusterError::Preempted { .. })), "{late:?}");
        for fence in [6, 7] {
            place.sluice.suspend_job(JOB, Fence(fence)).await.unwrap();
        }
        let gone = until("the end of its pods", PATIENCE, || async {
            let pods: Api<k8s_openapi::api::core::v1::Pod> =
                Api::namespaced(place.admin.clone(), &place.name);
            let left = pods.list(&Default::default()).await?.items.len();
            Ok(if left == 0 {
                Ok(())
            } else {
                Err(format!("{left} are left"))
            })
        });
        gone.await.unwrap();
        let seen = place.sluice.job(JOB).await.unwrap().unwrap();
        assert_eq!((seen.fence, seen.is_over()), (Fence(6), false));
        let log = place.sluice.job_logs(JOB, MOST).await.unwrap();
        assert!(log.contains("has no pod"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn a_job_that_is_not_there_is_not_waited_for() {
    in_namespace(|place| async move {
        assert_eq!(place.sluice.job(JOB).await.unwrap(), None);
        assert_eq!(place.sluice.wait_for_job(JOB, PATIENCE).await.unwrap(), None);
        place.sluice.suspend_job(JOB, Fence(1)).await.unwrap();
        let log = place.sluice.job_logs(JOB, MOST).await.unwrap();
        assert!(log.contains("no log: Job migrate has no pod"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn the_policy_fences_jobs() {
    in_namespace(|place| async move {
        started(&place, &[("never-ready", "true")], 5).await;
        let jobs: Api<k8s_openapi::api::batch::v1::Job> = Api::namespaced(place.member.clone(), &place.name);
        for fence in ["5", "4", "x"] {
            let patch =
                json!({"metadata": {"annotations": {FENCE_ANNOTATION: fence}}, "spec": {"suspend": true}});
            let refused = jobs
                .patch(JOB, &PatchParams::default(), &Patch::Merge(patch))
                .await;
            assert!(
                matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403),
                "{fence}: {refused:?}"
            );
        }
        let bare = serde_json::from_value(manifest("x")).unwrap();
        let unfenced = jobs.create(&Default::default(), &bare).await;
        assert!(
            matches!(&unfenced, Err(kube::Error::Api(status)) if status.code == 403),
            "{unfenced:?}"
        );
        let mut typo = manifest("x");
        typo["metadata"]["name"] = json!("typo");
        typo["spec"]["backofLimit"] = json!(1);
        let told = place.sluice.create_job(&typo, Fence(1)).await.unwrap_err();
        assert!(told.to_string().contains("backofLimit"), "{told}");
    })
    .await;
}
