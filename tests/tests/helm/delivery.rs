//! Installed, upgraded, failed, rolled back, adopted.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::Value;
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::seen::{assert_runs, running, until_live, until_state};
use sluice_tests::service::{Chart, Delivered, Options};

pub fn by(chart: Chart) -> Options {
    Options {
        helm: Some(chart),
        ..Options::default()
    }
}

/// Asserts that every pod of the chart's Deployment is on this digest.
pub async fn assert_pods(world: &World, service: &Delivered, environment: &str, digest: &str) -> Result<()> {
    let place = service.place(environment)?;
    let app = format!("{}-api", service.name);
    assert_runs(world, &place.cluster, &place.namespace, &app, digest).await?;
    Ok(())
}

/// helm's own history of a service's release, oldest first.
pub async fn history(service: &Delivered, environment: &str) -> Result<Vec<Value>> {
    service.helm_history(environment, &service.name).await
}

#[tokio::test]
async fn a_chart_is_installed_upgraded_and_rolled_back() -> Result<()> {
    // Given a service that a chart delivers
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = by(Chart::own("hooks", "message: one\nreplicaCount: 2\n"));
    let service = Delivered::new(&world, "helm-delivery", &options).await?;
    // When two releases are pushed, one after the other, and the second has other values
    let first = service.deliver(&ana, 1).await?;
    assert_pods(&world, &service, "dev", &first.digest).await?;
    let options = by(Chart::own("hooks", "message: two\nreplicaCount: 2\n"));
    service.apply(&ana, &options).await?;
    let second = service.deliver(&ana, 2).await?;
    // Then helm says so too, and each revision names its release
    assert_pods(&world, &service, "dev", &second.digest).await?;
    let told = history(&service, "dev").await?;
    let latest = told.last().context("helm has no history")?.to_string();
    ensure!(
        latest.contains("\"deployed\"") && latest.contains("helm-delivery#2 by"),
        "{latest}"
    );
    // When it is rolled back
    let (client, namespace) = service.admin("dev").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let name = format!("{}-config", service.name);
    let message = |map: ConfigMap| map.data.and_then(|data| data.get("message").cloned());
    ensure!(message(maps.get(&name).await?).as_deref() == Some("two"));
    ana.run(&["rollback", &service.name, "dev"]).await?;
    until_live(&ana, &service.name, "dev", 1).await?;
    // Then image and values are the first release's, byte for byte
    assert_pods(&world, &service, "dev", &first.digest).await?;
    ensure!(message(maps.get(&name).await?).as_deref() == Some("one"));
    let values = |revision: &'static str| {
        let service = &service;
        async move {
            let wanted = ["get", "values", &service.name, "--revision", revision];
            service.helm("dev", &wanted).await?.well()
        }
    };
    ensure!(values("1").await? == values("3").await?, "the values differ");
    service.cleanup().await
}

#[tokio::test]
async fn a_release_whose_hook_fails_is_undone_and_the_hook_s_log_is_told() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = by(Chart::own("hooks", "message: one\n"));
    let service = Delivered::new(&world, "helm-hook-fails", &options).await?;
    let first = service.deliver(&ana, 1).await?;
    let failing = "message: two\nhooks: {post-upgrade: {fails: true}}\n";
    service.apply(&ana, &by(Chart::own("hooks", failing))).await?;
    service
        .push(&Image::new("helm-hook-fails 2"), &["0000002"])
        .await?;
    let failed = until_state(&ana, &service.name, "dev", 2, "failed").await?;
    let reason = failed.get("reason").and_then(Value::as_str).unwrap_or_default();
    ensure!(reason.contains("post-upgrade"), "{reason}");
    until_live(&ana, &service.name, "dev", 1).await?;
    assert_pods(&world, &service, "dev", &first.digest).await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_failed_first_installation_leaves_nothing() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = by(Chart::own("hooks", "message: one\n"));
    let service = Delivered::new(&world, "helm-first-fails", &options).await?;
    let broken = Image::new("helm-first-fails").label("sluice.sim/crash-at-start", "no database");
    service.push(&broken, &["0000001"]).await?;
    let failed = until_state(&ana, &service.name, "dev", 1, "failed").await?;
    ensure!(failed.to_string().contains("no database"), "{failed}");
    let place = service.place("dev")?;
    let app = format!("app={}-api", service.name);
    let left = running(&world, &place.cluster, &place.namespace, &app).await?;
    ensure!(left.pods == 0, "{left:?}");
    let left = crate::held::revisions(&service).await?;
    ensure!(left.is_empty(), "{left:?}");
    service.cleanup().await
}

#[tokio::test]
async fn a_release_that_somebody_installed_is_taken_over_and_given_back() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let options = by(Chart::own("hooks", "message: sluice\n"));
    let service = Delivered::unapplied(&world, "helm-adopted", &options).await?;
    // Given a release by hand, with a tag's digest and values of its own, and a field changed with kubectl
    let before = service.install_by_hand(&options).await?;
    // When Sluice is told of it, nothing changes; its first promotion takes it over
    service.apply(&ana, &options).await?;
    assert_pods(&world, &service, "dev", &before.digest).await?;
    ensure!(history(&service, "dev").await?.len() == 1);
    let first = service.deliver(&ana, 1).await?;
    assert_pods(&world, &service, "dev", &first.digest).await?;
    // And a rollback gives back what was there
    ana.run(&["rollback", &service.name, "dev"]).await?;
    sluice_tests::wait::until("the rollback", sluice_tests::seen::PATIENCE, || async {
        let told = history(&service, "dev").await?;
        let rolled = told.len() == 3
            && told
                .last()
                .is_some_and(|last| last.get("status").is_some_and(|s| s == "deployed"));
        Ok(if rolled { Ok(()) } else { Err(format!("{told:?}")) })
    })
    .await?;
    let values = service
        .helm("dev", &["get", "values", &service.name, "--output", "json"])
        .await?
        .well()?;
    ensure!(
        values.contains("hand") && values.contains(&before.digest),
        "{values}"
    );
    service.cleanup().await
}
