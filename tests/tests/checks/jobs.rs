//! Checks that are Jobs.

use crate::scene::{By, Scene};
use anyhow::{Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::ListParams;
use sluice_domain::workload::Verdict;
use sluice_tests::rows::log;

/// Runs the release's image; what it does, the image's labels for `check` say.
const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: check}\nspec:\n  template:\n    spec:\n      \
                   restartPolicy: Never\n      containers: [{name: check, args: [check]}]\n";
const PRINTS: (&str, &str) = (
    "check/log",
    "it is $SLUICE_IMAGE, release $SLUICE_RELEASE, in $SLUICE_ENVIRONMENT",
);
const FAILS: (&str, &str) = ("check/exit-code", "3");
const NEVER_ENDS: (&str, &str) = ("check/never-ready", "true");

async fn scene(name: &str, by: By, stage: &str) -> Result<Scene> {
    let keys = format!("{stage} = [{{ job = \"check.yaml\", timeout = \"10s\" }}]");
    Scene::new(name, by, &keys, &[("check.yaml", JOB)]).await
}

async fn jobs(scene: &Scene) -> Result<Vec<Job>> {
    let (client, namespace) = scene.service.admin("dev").await?;
    let all = Api::<Job>::namespaced(client, &namespace)
        .list(&ListParams::default())
        .await?;
    let checks = |job: &Job| {
        job.metadata
            .name
            .as_ref()
            .is_some_and(|name| name.starts_with("check-"))
    };
    Ok(all.into_iter().filter(checks).collect())
}

/// The first release passes, the second fails, the third never answers.
async fn all_three(scene: &Scene, stage: &str) -> Result<()> {
    // Given a release whose check passes, and is told of the release
    let first = scene.push(1, &[PRINTS]).await?;
    scene.live(1).await?;
    scene.assert_pods(&first).await?;
    let passed = scene.answered(1).await?;
    ensure!(passed.answer == Some(Verdict::Passed), "{passed:?}");
    let printed = log(&scene.world, &passed).await?;
    let wanted = format!("@{}, release 1, in dev", first.digest);
    ensure!(printed.contains(&wanted), "{printed}");
    let before = scene.written().await?;

    // When one fails, then the first is what runs, and the promotion says why
    scene
        .push(2, &[FAILS, ("check/log", "there is no column paint")])
        .await?;
    let reason = scene.failed(2).await?;
    ensure!(
        reason.contains(&format!("{stage} check: Job check-2-dev-")),
        "{reason}"
    );
    let failed = scene.answered(2).await?;
    ensure!(log(&scene.world, &failed).await?.contains("no column paint"));
    scene.live(1).await?;
    scene.assert_pods(&first).await?;
    if stage == "before" {
        ensure!(
            scene.written().await? == before,
            "{before:?}\n{:?}",
            scene.written().await?
        );
    }

    // When one never answers, then it is held for a person, its Job is stopped, and nobody decides
    scene.push(3, &[NEVER_ENDS]).await?;
    scene.held(3).await?;
    let silent = scene.answered(3).await?;
    ensure!(
        matches!(silent.answer, Some(Verdict::Inconclusive(_))),
        "{silent:?}"
    );
    let jobs = jobs(scene).await?;
    let stopped = jobs.iter().find(|job| {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        name.starts_with("check-3-dev-")
    });
    let stopped = stopped.and_then(|job| job.spec.as_ref()?.suspend);
    ensure!(jobs.len() == 3 && stopped == Some(true), "{jobs:?}");
    scene.row(|row| row.under_way().is_none()).await?;
    let reason = scene.failed(3).await?;
    ensure!(reason.contains("nobody decided in time"), "{reason}");
    scene.live(1).await?;
    scene.assert_pods(&first).await?;
    if stage == "before" {
        ensure!(
            scene.written().await? == before,
            "{before:?}\n{:?}",
            scene.written().await?
        );
    }
    scene.service.cleanup().await
}

#[tokio::test]
async fn before_manifests_are_written() -> Result<()> {
    all_three(&scene("c-job-before", By::Manifests, "before").await?, "before").await
}

#[tokio::test]
async fn before_helm_runs() -> Result<()> {
    all_three(&scene("c-job-before-helm", By::Helm, "before").await?, "before").await
}

#[tokio::test]
async fn after_manifests_are_written() -> Result<()> {
    all_three(&scene("c-job-verify", By::Manifests, "verify").await?, "verify").await
}

#[tokio::test]
async fn after_helm_has_run() -> Result<()> {
    all_three(&scene("c-job-verify-helm", By::Helm, "verify").await?, "verify").await
}

#[tokio::test]
async fn a_first_release_whose_check_fails_leaves_no_pods() -> Result<()> {
    for (name, by) in [("c-first", By::Manifests), ("c-first-helm", By::Helm)] {
        let scene = scene(name, by, "verify").await?;
        scene.push(1, &[FAILS]).await?;
        let reason = scene.failed(1).await?;
        ensure!(reason.contains("verify check"), "{reason}");
        let left = scene.pods().await?;
        ensure!(left.pods == 0, "{left:?}");
        scene.service.cleanup().await?;
    }
    Ok(())
}

#[tokio::test]
async fn checks_run_one_after_the_other_and_the_first_that_fails_is_the_last() -> Result<()> {
    let keys = "before = [{ job = \"a.yaml\", timeout = \"30s\" }, { job = \"b.yaml\", timeout = \"30s\" }, \
                { job = \"c.yaml\", timeout = \"30s\" }]";
    let file = |name: &str| {
        JOB.replace("name: check}\nspec", &format!("name: {name}}}\nspec"))
            .replace("[check]", &format!("[{name}]"))
    };
    let (a, b, c) = (file("a"), file("b"), file("c"));
    let files = [
        ("a.yaml", a.as_str()),
        ("b.yaml", b.as_str()),
        ("c.yaml", c.as_str()),
    ];
    let scene = Scene::new("c-order", By::Manifests, keys, &files).await?;
    scene.push(1, &[]).await?;
    scene.live(1).await?;
    scene.push(2, &[("b/exit-code", "1")]).await?;
    let reason = scene.failed(2).await?;
    ensure!(reason.contains("before b: "), "{reason}");
    let row = scene.row(|row| crate::scene::is_about(row, 2)).await?;
    let run: Vec<&str> = sluice_tests::rows::checks(&row)
        .iter()
        .map(|run| run.name.as_str())
        .collect();
    ensure!(run == ["a", "b"], "{run:?}");
    scene.service.cleanup().await
}
