//! Checks that are Lambda functions.

use crate::scene::{By, Scene};
use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use sluice_domain::workload::Verdict;
use sluice_tests::World;
use sluice_tests::rows::log;

/// What it answers, the number of the release says.
const CODE: &str = "
import json, time

def handler(event, context):
    release = event['release']
    if release == 2:
        return {'passed': False, 'reason': '3 of 40 tests'}
    if release == 3:
        raise ValueError('no such table')
    if release == 4:
        return 'perhaps'
    if release == 5:
        time.sleep(45)
    return {'passed': True, 'log': json.dumps(event)}
";

/// A zip archive with that code, as a path to it.
async fn archive(world: &World) -> Result<Vec<u8>> {
    let script = "import io, sys, zipfile\nout = io.BytesIO()\nwith zipfile.ZipFile(out, 'w') as file:\n    \
                  file.writestr('check.py', sys.argv[1])\nsys.stdout.buffer.write(out.getvalue())";
    let made = tokio::process::Command::new(world.local.sam_bin.join("python"))
        .args(["-c", script, CODE])
        .output()
        .await?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(made.stdout)
}

async fn function(world: &World, name: &str) -> Result<String> {
    let code = FunctionCode::builder()
        .zip_file(Blob::new(archive(world).await?))
        .build();
    let made = aws_sdk_lambda::Client::new(&world.config)
        .create_function()
        .function_name(name)
        .runtime(Runtime::Python311)
        .handler("check.handler")
        .role("arn:aws:iam::000000000000:role/sso-pusher")
        .timeout(60)
        .code(code)
        .send()
        .await
        .context("making a function")?;
    made.function_arn.context("a function without an ARN")
}

async fn scene(name: &str, by: By, stage: &str) -> Result<Scene> {
    let arn = function(&World::load().await?, &format!("check-{name}")).await?;
    let keys = format!("{stage} = [{{ lambda = \"{arn}\", timeout = \"10s\", name = \"smoke\" }}]");
    Scene::new(name, by, &keys, &[]).await
}

async fn answers(name: &str, by: By, stage: &str) -> Result<()> {
    let scene = scene(name, by, stage).await?;
    let first = scene.push(1, &[]).await?;
    scene.live(1).await?;
    let passed = scene.answered(1).await?;
    let printed = log(&scene.world, &passed).await?;
    ensure!(
        printed.contains(&first.digest) && printed.contains("\"environment\": \"dev\""),
        "{printed}"
    );
    let before = scene.written().await?;
    for (release, words) in [(2, "smoke: 3 of 40 tests"), (3, "no such table")] {
        scene.push(release, &[]).await?;
        let reason = scene.failed(release).await?;
        ensure!(reason.contains(stage) && reason.contains(words), "{reason}");
        scene.live(1).await?;
        scene.assert_pods(&first).await?;
    }
    for (release, words) in [(4, "is no verdict"), (5, "did not answer in time")] {
        scene.push(release, &[]).await?;
        scene.held(release).await?;
        let Some(Verdict::Inconclusive(why)) = scene.answered(release).await?.answer else {
            anyhow::bail!("it is a verdict");
        };
        ensure!(why.contains(words), "{why}");
        scene.row(|row| row.under_way().is_none()).await?;
        let reason = scene.failed(release).await?;
        ensure!(reason.contains("nobody decided in time"), "{reason}");
        scene.live(1).await?;
        scene.assert_pods(&first).await?;
    }
    if stage == "before" {
        ensure!(scene.written().await? == before);
    }
    scene.service.cleanup().await
}

#[tokio::test]
async fn before_helm() -> Result<()> {
    answers("c-lambda-before", By::Helm, "before").await
}

#[tokio::test]
async fn after_manifests() -> Result<()> {
    answers("c-lambda-verify", By::Manifests, "verify").await
}

#[tokio::test]
async fn one_that_sluice_may_not_call_or_that_is_not_there_fails() -> Result<()> {
    let world = World::load().await?;
    let own = function(&world, "other-c-lambda").await?;
    let gone = own.replace("other-c-lambda", "check-c-lambda-gone");
    for (name, arn) in [("c-lambda-denied", own), ("c-lambda-gone", gone)] {
        let keys = format!("before = [{{ lambda = \"{arn}\", timeout = \"30s\" }}]");
        let scene = Scene::new(name, By::Manifests, &keys, &[]).await?;
        scene.push(1, &[]).await?;
        let reason = scene.failed(1).await?;
        ensure!(
            reason.contains(&arn) && reason.contains("cannot be invoked"),
            "{reason}"
        );
        ensure!(scene.pods().await?.pods == 0);
        scene.service.cleanup().await?;
    }
    Ok(())
}
