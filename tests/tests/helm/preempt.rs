//! Two at once: a rollback wins over a helm that runs, a second promotion waits, and so does Sluice for a person's helm.

use crate::delivery::assert_pods;
use crate::held::{
    assert_settled, hooked, newest, open_gate, processes, refused, revisions, signal, until_gone, until_hook,
    until_hook_after,
};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::Value;
use sluice_local::image::{Image, Pushed};
use sluice_tests::outside::{executions, ledger};
use sluice_tests::seen::{PATIENCE, environment, until_live, until_state};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::wait::until;
use sluice_tests::{Person, World};
use std::time::{Duration, Instant};

/// A service whose second release's helm is held in a hook that ends when its gate is there.
async fn held_in_a_hook(world: &World, ana: &Person, name: &str) -> Result<(Delivered, Pushed)> {
    let service = Delivered::new(world, name, &hooked("one", &[])).await?;
    let first = service.deliver(ana, 1).await?;
    service.apply(ana, &hooked("two", &["pre-upgrade"])).await?;
    push(&service, 2).await?;
    until_hook(&service, "pre-upgrade").await?;
    Ok((service, first))
}

async fn push(service: &Delivered, number: u64) -> Result<Pushed> {
    let image = Image::new(&format!("{} {number}", service.name));
    service.push(&image, &[&format!("{number:07x}")]).await
}

async fn healed(service: &Delivered, ana: &Person) -> Result<usize> {
    ana.run(&["ledger", "verify", &service.name, "dev"]).await?;
    let told = ledger(ana, &service.name, "dev").await?;
    let healed = told
        .iter()
        .filter(|entry| entry.get("event").is_some_and(|event| event == "helm_healed"));
    Ok(healed.count())
}

/// What Sluice is doing here, or waits for.
async fn activity(service: &Delivered, ana: &Person) -> Result<String> {
    let found = environment(ana, &service.name, "dev").await?;
    let reason = found.pointer("/activity/reason").and_then(Value::as_str);
    Ok(reason.unwrap_or_default().to_owned())
}

/// A rollback, or what else brings the first release back, while the second one's helm is held in a hook.
async fn taken_over(name: &str, command: &[&str]) -> Result<()> {
    // Given a helm that is held in a hook
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let (service, first) = held_in_a_hook(&world, &ana, name).await?;
    let running = processes(&world, &service).await?;
    ensure!(newest(&service).await? == (2, "pending-upgrade".to_owned()));
    // When somebody takes the environment over
    let started = Instant::now();
    ana.run(command).await?;
    // Then that is answered in seconds, and helm is gone in a few more
    let answered = started.elapsed();
    ensure!(answered < Duration::from_secs(15), "answered after {answered:?}");
    until_gone(running.helm, Duration::from_secs(20)).await?;
    // And what ran before runs again, while the hook still waits
    until_live(&ana, &service.name, "dev", 1).await?;
    until_hook(&service, "pre-upgrade").await?;
    assert_pods(&world, &service, "dev", &first.digest).await?;
    assert_settled(&service).await?;
    ensure!(healed(&service, &ana).await? == 1);
    let (client, namespace) = service.admin("dev").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let config = maps.get(&format!("{}-config", service.name)).await?;
    let message = config.data.and_then(|data| data.get("message").cloned());
    ensure!(message.as_deref() == Some("one"), "{message:?}");
    service.cleanup().await
}

#[tokio::test]
async fn a_rollback_wins_without_waiting_for_helm() -> Result<()> {
    taken_over("hp-rollback", &["rollback", "hp-rollback", "dev"]).await
}

#[tokio::test]
async fn an_abort_wins_without_waiting_for_helm() -> Result<()> {
    taken_over("hp-abort", &["abort", "hp-abort", "dev", "2"]).await
}

#[tokio::test]
async fn of_two_promotions_one_waits_for_the_other_one_s_helm() -> Result<()> {
    // Given a release whose helm is held in a hook
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let (service, _) = held_in_a_hook(&world, &ana, "hp-two").await?;
    let running = processes(&world, &service).await?;
    // When the next one is pushed
    push(&service, 3).await?;
    // Then it waits, and says for which
    let reason = until("the reason why #3 waits", PATIENCE, || async {
        let found = environment(&ana, &service.name, "dev").await?;
        let first = found.pointer("/waiting/0");
        let is_third = first
            .and_then(|first| first.get("release"))
            .and_then(Value::as_u64)
            == Some(3);
        let reason = first.and_then(|first| first.get("reason")?.as_str().map(str::to_owned));
        Ok(reason.filter(|_| is_third).ok_or_else(|| found.to_string()))
    })
    .await?;
    ensure!(
        reason.contains("hp-two-2-dev-1") || reason.contains("#2"),
        "{reason}"
    );
    ensure!(newest(&service).await? == (2, "pending-upgrade".to_owned()));
    ensure!(
        processes(&world, &service).await?.helm == running.helm,
        "another helm runs"
    );
    // And both go through, one after the other
    open_gate(&service).await?;
    until_state(&ana, &service.name, "dev", 2, "verified").await?;
    until_live(&ana, &service.name, "dev", 3).await?;
    assert_settled(&service).await?;
    ensure!(newest(&service).await? == (3, "deployed".to_owned()));
    ensure!(healed(&service, &ana).await? == 0);
    service.cleanup().await
}

#[tokio::test]
async fn a_helm_of_an_older_fence_is_refused_and_disturbs_nobody() -> Result<()> {
    // Given a helm that outlives its function, and one that took its place
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let (service, _) = held_in_a_hook(&world, &ana, "hp-zombie").await?;
    let zombie = processes(&world, &service).await?;
    let its_hook = until_hook(&service, "pre-upgrade").await?;
    signal(zombie.function, "KILL").await?;
    until_gone(zombie.function, PATIENCE).await?;
    signal(zombie.helm, "STOP").await?;
    until("the third revision", PATIENCE, || async {
        let newest = newest(&service).await?;
        let there = newest == (3, "pending-upgrade".to_owned());
        Ok(if there { Ok(()) } else { Err(format!("{newest:?}")) })
    })
    .await?;
    // Helm writes its revision once more just before the hook
    until_hook_after(&service, "pre-upgrade", &its_hook).await?;
    let newer = processes(&world, &service).await?;
    ensure!(newer.helm != zombie.helm);
    // When the older one goes on while the newer one is held
    let (left, before) = (revisions(&service).await?, refused(&world, &service)?);
    signal(zombie.helm, "CONT").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(revisions(&service).await? == left, "it could write");
    ensure!(
        processes(&world, &service).await?.helm == newer.helm,
        "the newer one was disturbed"
    );
    // Then the newer one brings the release in, and the older one ends with nothing but refusals
    open_gate(&service).await?;
    until_live(&ana, &service.name, "dev", 2).await?;
    until_gone(zombie.helm, PATIENCE).await?;
    ensure!(
        refused(&world, &service)? > before,
        "nothing was refused to the older one"
    );
    assert_settled(&service).await?;
    ensure!(newest(&service).await? == (3, "deployed".to_owned()));
    ensure!(healed(&service, &ana).await? == 1);
    service.cleanup().await
}

/// A service with one release, and a person's helm that is held in a hook; it answers how that ended.
async fn by_hand(
    world: &World,
    ana: &Person,
    name: &str,
    options: &Options,
) -> Result<(Delivered, tokio::task::JoinHandle<Result<String>>)> {
    let service = Delivered::new(world, name, options).await?;
    let first = service.deliver(ana, 1).await?;
    let values = service.folder().join("by-hand.yaml");
    let by_hand = hooked("hand", &["pre-upgrade"]).helm.context("a chart")?;
    std::fs::write(&values, by_hand.values)?;
    let image = format!("image.repository={},image.digest={}", service.uri(), first.digest);
    let theirs = service.clone();
    let mut running = tokio::spawn(async move {
        let chart = theirs.folder().join("chart").display().to_string();
        let values = values.display().to_string();
        let wanted = [
            "upgrade",
            &theirs.name,
            &chart,
            "--values",
            &values,
            "--set",
            &image,
        ];
        theirs.helm("dev", &wanted).await?.well()
    });
    tokio::select! {
        ended = &mut running => anyhow::bail!("it did not wait: {:?}", ended?),
        hook = until_hook(&service, "pre-upgrade") => drop(hook?),
    }
    ensure!(newest(&service).await? == (2, "pending-upgrade".to_owned()));
    Ok((service, running))
}

#[tokio::test]
async fn a_person_s_helm_is_waited_for() -> Result<()> {
    // Given a helm that a person runs, held in a hook
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = Options {
        environment: "on_drift = \"overwrite\"\n".to_owned(),
        ..hooked("one", &[])
    };
    let (service, running) = by_hand(&world, &ana, "hp-person", &options).await?;
    // When a release is pushed
    let second = push(&service, 2).await?;
    // Then it waits, says for what, and touches nothing
    until("what is waited for", PATIENCE, || async {
        let reason = activity(&service, &ana).await?;
        let told = reason.contains("pending-upgrade") && reason.contains("revision 2");
        Ok(if told { Ok(()) } else { Err(reason) })
    })
    .await?;
    let left = revisions(&service).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(revisions(&service).await? == left, "it was touched");
    // And goes on when that helm has ended, which it did not disturb
    open_gate(&service).await?;
    running.await?.context("the person's helm")?;
    until_live(&ana, &service.name, "dev", 2).await?;
    assert_pods(&world, &service, "dev", &second.digest).await?;
    assert_settled(&service).await?;
    ensure!(healed(&service, &ana).await? == 0);
    let found = executions(&world, "promotion", "hp-person-2-").await?;
    ensure!(found.len() == 1, "{found:?}");
    service.cleanup().await
}

#[tokio::test]
async fn a_person_s_helm_is_waited_for_until_the_rollout_s_own_time_is_over() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = Options {
        timeout: "20s".to_owned(),
        ..hooked("one", &[])
    };
    let (service, running) = by_hand(&world, &ana, "hp-patience", &options).await?;
    let (left, started) = (revisions(&service).await?, Instant::now());
    push(&service, 2).await?;
    let failed = until_state(&ana, &service.name, "dev", 2, "failed").await?;
    ensure!(started.elapsed() >= Duration::from_secs(20), "given up too early");
    let reason = failed.get("reason").and_then(Value::as_str).unwrap_or_default();
    ensure!(
        reason.contains("its time was over") && reason.contains("pending-upgrade"),
        "{reason}"
    );
    ensure!(revisions(&service).await? == left, "it was touched");
    open_gate(&service).await?;
    running.await?.context("the person's helm")?;
    ensure!(healed(&service, &ana).await? == 0);
    service.cleanup().await
}
