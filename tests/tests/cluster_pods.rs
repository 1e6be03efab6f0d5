//! Observing and awaiting pods on a real API server, with simulated nodes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod kubernetes;

use kubernetes::{NAME, PATIENCE, Place, in_namespace, manifest};
use serde_json::json;
use sluice_cluster::WaitEnd;
use sluice_domain::ids::Fence;
use sluice_domain::workload::{Observation, Verdict, WorkloadRef};
use std::sync::Arc;
use std::time::Duration;

fn failure(verdict: Verdict) -> String {
    match verdict {
        Verdict::Failed(reason) => reason,
        other => panic!("{other:?}"),
    }
}

async fn good(place: &Arc<Place>, number: u32) -> sluice_domain::bundle::Bundle {
    place
        .plan(&place.release(number, &[]).await, vec![manifest()])
        .await
}

#[tokio::test]
async fn a_release_runs_when_its_pods_say_so() {
    in_namespace(|place| async move {
        let first = good(&place, 1).await;
        assert_eq!(place.roll(&first, 1).await, Verdict::Passed);
        let second = good(&place, 2).await;
        assert_eq!(place.roll(&second, 2).await, Verdict::Passed);
        let found = place.observe().await.deployments.remove(0);
        assert_eq!(
            (found.wanted, found.updated, found.available, found.pods.len()),
            (2, 2, 2, 2)
        );
        let digest = second.digest.unwrap();
        for pod in &found.pods {
            assert!(pod.current && pod.ready, "{pod:?}");
            assert!(pod.image_ids[NAME].ends_with(digest.as_str()), "{pod:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_image_that_is_not_there_fails_at_once_and_the_old_release_comes_back() {
    in_namespace(|place| async move {
        let first = good(&place, 1).await;
        assert_eq!(place.roll(&first, 1).await, Verdict::Passed);
        let captured = place.capture().await;
        let missing = place.release_of(2, &format!("sha256:{}", "c".repeat(64)));
        let missing = place.plan(&missing, vec![manifest()]).await;
        let reason = failure(place.roll(&missing, 2).await);
        assert!(
            reason.contains("ImagePullBackOff") && reason.contains("pod api-"),
            "{reason}"
        );
        assert_eq!(place.roll(&captured, 3).await, Verdict::Passed);
    })
    .await;
}

#[tokio::test]
async fn a_crash_tells_how_it_ended() {
    in_namespace(|place| async move {
        let release = place
            .release(
                1,
                &[("crash-at-start", "cannot open the database"), ("exit-code", "7")],
            )
            .await;
        let bundle = place.plan(&release, vec![manifest()]).await;
        let reason = failure(place.roll(&bundle, 1).await);
        assert!(reason.contains("CrashLoopBackOff: exit code 7"), "{reason}");
        assert!(reason.contains("cannot open the database"), "{reason}");
    })
    .await;
}

#[tokio::test]
async fn what_a_quota_refuses_fails_and_is_forgotten_after_the_restore() {
    in_namespace(|place| async move {
        let first = good(&place, 1).await;
        assert_eq!(place.roll(&first, 1).await, Verdict::Passed);
        let captured = place.capture().await;
        place
            .create(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}}))
            .await;
        let second = good(&place, 2).await;
        let reason = failure(place.roll(&second, 2).await);
        assert!(reason.contains("exceeded quota"), "{reason}");
        assert_eq!(place.roll(&captured, 3).await, Verdict::Passed);
    })
    .await;
}

/// The controller goes on saying `ProgressDeadlineExceeded` of a template that was replaced, until the next progress.
#[tokio::test]
async fn a_deadline_that_passed_is_not_held_against_what_is_restored() {
    in_namespace(|place| async move {
        let first = good(&place, 1).await;
        assert_eq!(place.roll(&first, 1).await, Verdict::Passed);
        let captured = place.capture().await;
        let mut slow = manifest();
        slow["spec"]["progressDeadlineSeconds"] = json!(2);
        let never = place.release(2, &[("never-ready", "true")]).await;
        let second = place.plan(&never, vec![slow]).await;
        let reason = failure(place.roll(&second, 2).await);
        assert!(reason.contains("ProgressDeadlineExceeded"), "{reason}");
        place.sluice.apply(&captured, Fence(3)).await.unwrap();
        let found = place.observe().await.deployments.remove(0);
        assert_eq!(found.failures, Vec::<String>::new());
        assert_eq!(place.settle(&captured, 3).await, Verdict::Passed);
    })
    .await;
}

#[tokio::test]
async fn a_greater_fence_ends_the_wait() {
    in_namespace(|place| async move {
        let bundle = good(&place, 1).await;
        place.sluice.apply(&bundle, Fence(1)).await.unwrap();
        let waiting = tokio::spawn({
            let place = place.clone();
            let (seen, is_seen) = tokio::sync::oneshot::channel();
            let seen = std::sync::Mutex::new(Some(seen));
            let never = move |_: &Observation| {
                if let Some(seen) = seen.lock().unwrap().take() {
                    let _ = seen.send(());
                }
                false
            };
            let wait = async move {
                place
                    .sluice
                    .wait_for(&[WorkloadRef::deployment(NAME)], PATIENCE, Fence(1), never)
                    .await
            };
            async move { (tokio::spawn(wait), is_seen.await) }
        });
        let (waiting, seen) = waiting.await.unwrap();
        seen.unwrap();
        place.sluice.apply(&bundle, Fence(2)).await.unwrap();
        assert_eq!(
            waiting.await.unwrap().unwrap(),
            WaitEnd::Preempted { seen: Fence(2) }
        );
    })
    .await;
}

#[tokio::test]
async fn time_that_is_over_shows_what_was_seen_last() {
    in_namespace(|place| async move {
        let bundle = good(&place, 1).await;
        place.sluice.apply(&bundle, Fence(1)).await.unwrap();
        let names = [WorkloadRef::deployment(NAME), WorkloadRef::deployment("absent")];
        let end = place
            .sluice
            .wait_for(&names, Duration::from_secs(2), Fence(1), |_| false)
            .await
            .unwrap();
        let WaitEnd::TimedOut(seen) = end else {
            panic!("{end:?}")
        };
        assert_eq!(seen.deployments.len(), 1, "what is not there is not observed");
    })
    .await;
}
