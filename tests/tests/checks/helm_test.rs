//! A chart's own tests.

use crate::scene::{By, Scene};
use anyhow::{Result, ensure};
use sluice_domain::workload::Verdict;
use sluice_tests::rows::log;
use sluice_tests::service::{Chart, Options};

const KEYS: &str = "hold_for = \"20s\"\nverify = [{ helm_test = true, timeout = \"15s\" }]\n";

/// A service whose chart's test hook has this in its values.
async fn scene(name: &str) -> Result<Scene> {
    let chart = Chart::own("hooks", "message: one\n");
    Scene::with_chart(
        name,
        By::Helm,
        chart,
        "verify = [{ helm_test = true, timeout = \"15s\" }]",
        &[],
    )
    .await
}

async fn with_values(scene: &Scene, values: &str) -> Result<()> {
    let options = Options {
        helm: Some(Chart::own("hooks", values)),
        environment: KEYS.into(),
        ..Options::default()
    };
    scene.service.apply(&scene.ana, &options).await?;
    Ok(())
}

#[tokio::test]
async fn a_chart_s_test_passes_and_fails() -> Result<()> {
    let scene = scene("c-helm-test").await?;
    let first = scene.push(1, &[("test/log", "the paint is dry")]).await?;
    scene.live(1).await?;
    let passed = scene.answered(1).await?;
    ensure!(passed.answer == Some(Verdict::Passed), "{passed:?}");
    let printed = log(&scene.world, &passed).await?;
    ensure!(printed.contains("the paint is dry"), "{printed}");

    scene
        .push(2, &[("test/exit-code", "1"), ("test/log", "the paint is wet")])
        .await?;
    let reason = scene.failed(2).await?;
    ensure!(
        reason.contains("verify helm-test: the chart's tests failed"),
        "{reason}"
    );
    let failed = scene.answered(2).await?;
    let printed = log(&scene.world, &failed).await?;
    ensure!(printed.contains("the paint is wet"), "{printed}");
    scene.live(1).await?;
    scene.assert_pods(&first).await?;
    scene.service.cleanup().await
}

#[tokio::test]
async fn a_chart_s_test_that_never_ends_is_held_and_given_up() -> Result<()> {
    let scene = scene("c-helm-test-silent").await?;
    let first = scene.push(1, &[]).await?;
    scene.live(1).await?;
    with_values(&scene, "message: two\nhooks: {test: {waitsFor: never}}\n").await?;
    scene.push(2, &[]).await?;
    scene.held(2).await?;
    let silent = scene.answered(2).await?;
    ensure!(
        matches!(silent.answer, Some(Verdict::Inconclusive(_))),
        "{silent:?}"
    );
    let reason = scene.failed(2).await?;
    ensure!(reason.contains("nobody decided in time"), "{reason}");
    scene.live(1).await?;
    scene.assert_pods(&first).await?;
    scene.service.cleanup().await
}
