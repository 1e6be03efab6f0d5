//! Checks that are HTTPS endpoints.

use crate::scene::{By, Scene};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_domain::workload::Verdict;
use sluice_tests::World;
use sluice_tests::rows::{checks, log};
use sluice_tests::vendor::{Answer, Vendor, failed, passed};

async fn scene(name: &str, by: By, stage: &str, vendor: &Vendor, timeout: &str) -> Result<Scene> {
    let Vendor { url, secret, .. } = vendor;
    let keys = format!(
        "{stage} = [{{ webhook = \"{url}\", secret = \"{secret}\", name = \"vendor\", timeout = \"{timeout}\", \
         answered_by = [\"ana\"] }}]"
    );
    Scene::new(name, by, &keys, &[]).await
}

fn release(asked: &Value) -> u64 {
    asked.get("release").and_then(Value::as_u64).unwrap_or_default()
}

async fn yes_and_no(name: &str, by: By, stage: &str) -> Result<()> {
    let world = World::load().await?;
    let vendor = Vendor::open(&world, name, |asked, before| match (release(asked), before) {
        (2, _) => failed("3 of 40 tests"),
        (3, 0 | 1) => Answer::Status(500),
        _ => passed(),
    })
    .await?;
    let scene = scene(name, by, stage, &vendor, "60s").await?;
    // Given one that passes: it was asked about exactly this release
    let first = scene.push(1, &[]).await?;
    scene.live(1).await?;
    let seen = vendor.seen()?;
    let one = seen.first().context("nothing was asked")?;
    let told = |key: &str| one.body.get(key).cloned().unwrap_or_default();
    ensure!(seen.len() == 1 && one.path == "/check", "{seen:?}");
    ensure!(
        told("digest") == first.digest.as_str() && told("service") == name,
        "{one:?}"
    );
    ensure!(
        told("environment") == "dev" && told("stage") == stage && told("check") == "vendor",
        "{one:?}"
    );
    ensure!(told("id") == one.key.as_str() && !one.key.is_empty(), "{one:?}");
    let answered = scene.answered(1).await?;
    ensure!(log(&scene.world, &answered).await? == "all 40 tests passed");
    // When one says no
    scene.push(2, &[]).await?;
    let reason = scene.failed(2).await?;
    ensure!(
        reason.contains(&format!("{stage} vendor: 3 of 40 tests")),
        "{reason}"
    );
    scene.live(1).await?;
    scene.assert_pods(&first).await?;
    // When it is in trouble twice, then it is asked again, and knows that it is the same question
    scene.push(3, &[]).await?;
    scene.live(3).await?;
    let seen = vendor.seen()?;
    let third: Vec<&str> = seen.iter().skip(2).map(|one| one.key.as_str()).collect();
    ensure!(
        third.len() == 3 && third.iter().all(|key| Some(key) == third.first()),
        "{third:?}"
    );
    scene.service.cleanup().await
}

#[tokio::test]
async fn before_a_rollout() -> Result<()> {
    yes_and_no("c-hook-before", By::Manifests, "before").await
}

#[tokio::test]
async fn after_helm() -> Result<()> {
    yes_and_no("c-hook-verify-helm", By::Helm, "verify").await
}

/// One that gives no answer that counts, which the check's record says in these words.
async fn no_answer(name: &'static str, answer: Answer, words: &str) -> Result<()> {
    let world = World::load().await?;
    let vendor = Vendor::open(&world, name, move |asked, _| match release(asked) {
        1 => passed(),
        _ => answer.clone(),
    })
    .await?;
    let scene = scene(name, By::Manifests, "verify", &vendor, "10s").await?;
    let first = scene.push(1, &[]).await?;
    scene.live(1).await?;
    scene.push(2, &[]).await?;
    scene.held(2).await?;
    let Some(Verdict::Inconclusive(why)) = scene.answered(2).await?.answer else {
        anyhow::bail!("it is no verdict");
    };
    ensure!(why.contains(words), "{why}");
    ensure!(
        vendor.seen()?.iter().all(|one| one.path == "/check"),
        "it was followed elsewhere"
    );
    let reason = scene.failed(2).await?;
    ensure!(reason.contains("nobody decided in time"), "{reason}");
    scene.live(1).await?;
    scene.assert_pods(&first).await?;
    scene.service.cleanup().await
}

#[tokio::test]
async fn a_redirect_is_not_followed() -> Result<()> {
    no_answer("c-hook-redirect", Answer::Redirect, "302").await
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() -> Result<()> {
    no_answer("c-hook-endless", Answer::Endless, "more than 65536 bytes").await
}

#[tokio::test]
async fn one_that_never_answers_is_not_waited_for() -> Result<()> {
    no_answer("c-hook-silent", Answer::Silence, "did not answer in time").await
}

#[tokio::test]
async fn what_is_no_verdict_is_none() -> Result<()> {
    no_answer("c-hook-odd", Answer::Says(json!({"ok": true})), "is no verdict").await
}

#[tokio::test]
async fn an_answer_that_was_promised_is_awaited_until_its_time_is_over() -> Result<()> {
    let world = World::load().await?;
    let vendor = Vendor::open(&world, "c-hook-later", |asked, _| match release(asked) {
        1 => passed(),
        _ => Answer::Status(202),
    })
    .await?;
    let scene = scene("c-hook-later", By::Manifests, "before", &vendor, "15s").await?;
    let first = scene.push(1, &[]).await?;
    scene.live(1).await?;
    let before = scene.written().await?;
    // When it says that it answers later, then it is asked once, and awaited
    scene.push(2, &[]).await?;
    let later = |row: &sluice_domain::environment::Environment| {
        checks(row)
            .last()
            .is_some_and(|run| run.later && run.answer.is_none())
    };
    scene
        .row(|row| crate::scene::is_about(row, 2) && later(row))
        .await?;
    // When the answer does not come, then it is held for a person, and given up
    scene.held(2).await?;
    ensure!(vendor.seen()?.len() == 2, "{:?}", vendor.seen()?);
    let reason = scene.failed(2).await?;
    ensure!(reason.contains("no answer by"), "{reason}");
    ensure!(scene.written().await? == before);
    scene.live(1).await?;
    scene.assert_pods(&first).await?;
    scene.service.cleanup().await
}

#[tokio::test]
async fn a_later_answer_decides_and_is_taken_once() -> Result<()> {
    let world = World::load().await?;
    let vendor = Vendor::open(&world, "c-hook-answered", |_, _| Answer::Status(202)).await?;
    let scene = scene("c-hook-answered", By::Manifests, "verify", &vendor, "5m").await?;
    let service = scene.service.name.clone();
    let waits = |release| {
        let later = move |row: &sluice_domain::environment::Environment| {
            let last = checks(row).last();
            crate::scene::is_about(row, release) && last.is_some_and(|run| run.later && run.answer.is_none())
        };
        scene.row(later)
    };
    let answer = |how: &'static str| [service.clone(), how.to_owned()];
    // Given a release whose check answers later
    let first = scene.push(1, &[]).await?;
    waits(1).await?;
    // When somebody answers who may not, then nothing is decided; when Ana says yes, then it is live
    let [name, yes] = answer("--passed");
    let carl = scene.world.person("carl").await?;
    let refused = carl.sluice(&["answer", &name, "dev", "vendor", &yes]).await?;
    ensure!(refused.status != 0, "carl's answer was taken: {}", refused.out);
    scene.ana.run(&["answer", &name, "dev", "vendor", &yes]).await?;
    scene.live(1).await?;
    scene.assert_pods(&first).await?;
    // When she says no to the next one, then it is taken back, with her reason
    scene.push(2, &[]).await?;
    waits(2).await?;
    let no = [
        "answer",
        &name,
        "dev",
        "vendor",
        "--failed",
        "--reason",
        "the sum is wrong",
    ];
    scene.ana.run(&no).await?;
    let reason = scene.failed(2).await?;
    ensure!(reason.contains("verify vendor: the sum is wrong"), "{reason}");
    scene.live(1).await?;
    scene.assert_pods(&first).await?;
    // And the same answer again is the same; another one comes too late
    scene.ana.run(&no).await?;
    let late = scene
        .ana
        .sluice(&["answer", &name, "dev", "vendor", "--passed"])
        .await?;
    ensure!(late.status != 0, "{}", late.out);
    scene.service.cleanup().await
}
