//! What happens while a check runs or is held: somebody rolls back, or pods crash.

use crate::scene::{By, Scene, is_about};
use anyhow::{Result, ensure};
use sluice_domain::check;
use sluice_tests::seen::until_state;
use std::time::{Duration, Instant};

/// A Job of an image that never ends; of any other it ends at once.
const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: check}\nspec:\n  template:\n    spec:\n      \
                   restartPolicy: Never\n      containers: [{name: check, args: [check]}]\n";
const NEVER_ENDS: (&str, &str) = ("check/never-ready", "true");
/// A rollback is not to wait for the check's end. Not a measure of speed.
const AT_ONCE: Duration = Duration::from_secs(40);

async fn scene(name: &str, by: By, timeout: &str) -> Result<Scene> {
    let keys = format!("verify = [{{ job = \"check.yaml\", timeout = \"{timeout}\" }}]");
    Scene::new(name, by, &keys, &[("check.yaml", JOB)]).await
}

async fn rolled_back(scene: &Scene) -> Result<()> {
    let started = Instant::now();
    scene.ana.run(&["rollback", &scene.service.name, "dev"]).await?;
    scene.live(1).await?;
    ensure!(started.elapsed() < AT_ONCE, "it took {:?}", started.elapsed());
    until_state(&scene.ana, &scene.service.name, "dev", 2, "preempted").await?;
    Ok(())
}

#[tokio::test]
async fn a_rollback_does_not_wait_for_a_check() -> Result<()> {
    for (name, by) in [("c-wins", By::Manifests), ("c-wins-helm", By::Helm)] {
        let scene = scene(name, by, "5m").await?;
        let first = scene.push(1, &[]).await?;
        scene.live(1).await?;
        scene.push(2, &[NEVER_ENDS]).await?;
        let runs = |row: &sluice_domain::environment::Environment| {
            row.under_way()
                .is_some_and(|rollout| check::running(rollout).is_some())
        };
        scene.row(|row| is_about(row, 2) && runs(row)).await?;
        rolled_back(&scene).await?;
        scene.assert_pods(&first).await?;
        scene.service.cleanup().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_rollback_does_not_wait_for_a_person() -> Result<()> {
    for (name, by) in [("c-held", By::Manifests), ("c-held-helm", By::Helm)] {
        let scene = scene(name, by, "10s").await?;
        let first = scene.push(1, &[]).await?;
        scene.live(1).await?;
        scene.push(2, &[NEVER_ENDS]).await?;
        scene.held(2).await?;
        rolled_back(&scene).await?;
        scene.assert_pods(&first).await?;
        scene.service.cleanup().await?;
    }
    Ok(())
}

#[tokio::test]
async fn pods_that_crash_while_a_check_runs_end_the_rollout() -> Result<()> {
    for (name, by) in [("c-crash", By::Manifests), ("c-crash-helm", By::Helm)] {
        let scene = scene(name, by, "10m").await?;
        let first = scene.push(1, &[]).await?;
        scene.live(1).await?;
        // Long before the check's time is over
        scene
            .push(
                2,
                &[
                    NEVER_ENDS,
                    ("crash-after", "5s"),
                    ("check/crash-after", "1h"),
                    ("log", "out of paint"),
                ],
            )
            .await?;
        let reason = scene.failed(2).await?;
        ensure!(!reason.contains("check"), "{reason}");
        scene.live(1).await?;
        scene.assert_pods(&first).await?;
        scene.service.cleanup().await?;
    }
    Ok(())
}
