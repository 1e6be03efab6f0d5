//! A chart on two tracks: a Helm release for each.

use crate::service::{assert_pointed, assert_traffic, object, replicas, route};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::outside::releases;
use sluice_tests::seen::{PATIENCE, until_live, until_state};
use sluice_tests::service::{Chart, Delivered, Options};
use sluice_tests::wait::until;

/// The exit status of what is refused, as `sluice --help` lists them.
const REFUSED: i32 = 5;
const CANARY: &str = "strategy = { canary = { router = { http_route = \"NAME\" }, steps = [\
                      { weight = 5, bake = \"10s\" }, { weight = 50, bake = \"10s\" }] } }\nwatch = \"10m\"\n";
const WEIGHTS: [f64; 4] = [0.0, 5.0, 50.0, 100.0];

fn on_tracks(name: &str, chart: Chart) -> Options {
    Options {
        helm: Some(chart),
        environment: CANARY.replace("NAME", name),
        ..Options::default()
    }
}

async fn message(service: &Delivered, name: &str) -> Result<Option<String>> {
    let map = object(service, "", "v1", "ConfigMap", &format!("{name}-config")).await?;
    let message = map.pointer("/data/message").and_then(Value::as_str);
    Ok(message.map(str::to_owned))
}

#[tokio::test]
async fn a_chart_walks_up_on_a_release_of_its_own_and_a_rollback_is_one_change_of_weights() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-helm";
    let options = |message: &str| {
        let values = format!("replicaCount: 3\nmessage: {message}\n");
        on_tracks(name, Chart::own("tracked", &values))
    };
    let service = Delivered::new(&world, name, &options("one")).await?;
    route(&service, name).await?;
    // Given a first release, which has nothing to be compared with
    let first = service.deliver(&ana, 1).await?;
    assert_pointed(&service, "blue").await?;
    ensure!(replicas(&service, &format!("{name}-blue")).await? == 3);
    // When another one comes, with other values, then it walks up beside it
    service.apply(&ana, &options("two")).await?;
    let second = service.deliver(&ana, 2).await?;
    assert_pointed(&service, "green").await?;
    ensure!(replicas(&service, &format!("{name}-green")).await? == 3);
    ensure!(message(&service, &format!("{name}-blue")).await?.as_deref() == Some("one"));
    ensure!(message(&service, &format!("{name}-green")).await?.as_deref() == Some("two"));
    let digests = [first.digest.as_str(), second.digest.as_str()];
    assert_traffic(&world, &service, &digests, &WEIGHTS, "green").await?;
    // And helm ran once for each of them
    for (release, said) in [("blue", "tr-helm#1 by"), ("green", "tr-helm#2 by")] {
        let told = service.helm_history("dev", &format!("{name}-{release}")).await?;
        let latest = told.last().context("helm has no history")?.to_string();
        ensure!(
            told.len() == 1 && latest.contains("\"deployed\"") && latest.contains(said),
            "{told:?}"
        );
    }
    // And a rollback gives the traffic back to the release that is still warm, without helm
    ana.run(&["rollback", name, "dev"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    assert_pointed(&service, "blue").await?;
    assert_traffic(&world, &service, &digests, &WEIGHTS, "green").await?;
    let told = service.helm_history("dev", &format!("{name}-blue")).await?;
    ensure!(told.len() == 1, "{told:?}");
    ana.run(&["ledger", "verify", name, "dev"]).await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_chart_whose_pods_cannot_run_never_gets_traffic() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-helm-crash";
    let options = on_tracks(name, Chart::own("tracked", "replicaCount: 2\n"));
    let service = Delivered::new(&world, name, &options).await?;
    route(&service, name).await?;
    let first = service.deliver(&ana, 1).await?;
    let bad = Image::new("tr-helm-crash bad").label("sluice.sim/crash-at-start", "no database");
    service.push(&bad, &["0000002"]).await?;
    until_state(&ana, name, "dev", 2, "failed").await?;
    until_live(&ana, name, "dev", 1).await?;
    assert_pointed(&service, "blue").await?;
    assert_traffic(&world, &service, &[first.digest.as_str()], &[0.0], "green").await?;
    // And the next one comes to the track that the bad one was on
    let third = service.deliver(&ana, 3).await?;
    assert_pointed(&service, "green").await?;
    let digests = [first.digest.as_str(), third.digest.as_str()];
    assert_traffic(&world, &service, &digests, &WEIGHTS, "green").await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_first_chart_that_fails_is_taken_away_and_the_next_one_comes_to_its_place() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-helm-first";
    let options = on_tracks(name, Chart::own("tracked", "replicaCount: 1\n"));
    let service = Delivered::new(&world, name, &options).await?;
    route(&service, name).await?;
    let bad = Image::new("tr-helm-first bad").label("sluice.sim/crash-at-start", "no database");
    service.push(&bad, &["0000001"]).await?;
    let failed = until_state(&ana, name, "dev", 1, "failed").await?;
    ensure!(failed.to_string().contains("no database"), "{failed}");
    let left = service.helm("dev", &["list", "--short"]).await?.well()?;
    ensure!(left.trim().is_empty(), "helm still has {left}");
    let second = service.deliver(&ana, 2).await?;
    assert_pointed(&service, "blue").await?;
    assert_traffic(&world, &service, &[second.digest.as_str()], &[0.0, 100.0], "blue").await?;
    service.cleanup().await
}

#[tokio::test]
async fn a_helm_release_that_somebody_installed_is_taken_over_and_given_back() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-helm-adopt";
    let options = on_tracks(name, Chart::own("tracked", "replicaCount: 2\n"));
    let service = Delivered::unapplied(&world, name, &options).await?;
    // Given a release by hand that has the traffic
    let before = service.install_by_hand(&options).await?;
    route(&service, name).await?;
    service.apply(&ana, &options).await?;
    // When a release is promoted, then it walks up beside it
    let first = service.deliver(&ana, 1).await?;
    assert_pointed(&service, "blue").await?;
    let digests = [before.digest.as_str(), first.digest.as_str()];
    assert_traffic(&world, &service, &digests, &WEIGHTS, "blue").await?;
    // And a rollback gives the traffic back to what was there
    ana.run(&["rollback", name, "dev"]).await?;
    until("the traffic before tracks", PATIENCE, || async {
        let root = object(&service, "", "v1", "Service", name).await?;
        let selector = root.pointer("/spec/selector").cloned().unwrap_or_default();
        let status = sluice_tests::seen::environment(&ana, name, "dev").await?;
        let is_idle = status.get("activity").is_none_or(Value::is_null);
        let is_back = selector == serde_json::json!({"app": name}) && is_idle;
        Ok(if is_back {
            Ok(())
        } else {
            Err(format!("{selector} {status}"))
        })
    })
    .await?;
    assert_traffic(&world, &service, &digests, &WEIGHTS, "blue").await?;
    ensure!(
        service.helm_history("dev", name).await?.len() == 1,
        "helm wrote what was there"
    );
    service.cleanup().await
}

#[tokio::test]
async fn a_chart_that_cannot_be_there_twice_is_refused_with_everything_that_it_lacks() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-helm-lacks";
    let service = Delivered::new(&world, name, &on_tracks(name, Chart::own("fixed", "{}\n"))).await?;
    route(&service, name).await?;
    let lacks = [
        "Deployment api: `metadata.name` is the same on both tracks. Right: a chart that makes it from `fullnameOverride` \
         (tr-helm-lacks-blue on blue)",
        "Service tr-helm-lacks-blue: `spec.type` gives the track an address of the outside past the router. Right: a value \
         with which it is ClusterIP",
        "CronJob tr-helm-lacks-blue-nightly: `kind` would run once for each track. Right: a value with which the chart leaves \
         it out, and a release of its own for it",
        "Service tr-helm-lacks-blue: `spec.selector` (app=api) matches the pods of Deployment api on green too. Right: a chart \
         that puts a label of the track into it and into the pods' labels, from `fullnameOverride` (tr-helm-lacks-blue on \
         blue) or `podLabels.\"sluice.dev/track\"` (blue on blue)",
    ];
    // When a release is pushed, then its promotion is refused before anything is written
    service.push(&Image::new("tr-helm-lacks 1"), &["0000001"]).await?;
    let failed = until_state(&ana, name, "dev", 1, "failed").await?;
    let reason = failed.get("reason").and_then(Value::as_str).unwrap_or_default();
    for lack in lacks {
        ensure!(reason.contains(lack), "{reason}");
    }
    let left = service.helm("dev", &["list", "--short"]).await?.well()?;
    ensure!(left.trim().is_empty(), "helm has {left}");
    // And a plan says the same
    ensure!(!releases(&ana, name).await?.is_empty());
    let plan = ana.sluice(&["plan", name, "dev", "1"]).await?;
    ensure!(
        plan.status == REFUSED,
        "{}: {}{}",
        plan.status,
        plan.out,
        plan.err
    );
    let said = plan.err.split_whitespace().collect::<Vec<_>>().join(" ");
    for lack in lacks {
        ensure!(said.contains(lack), "{}", plan.err);
    }
    service.cleanup().await
}
