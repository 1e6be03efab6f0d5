//! A canary, and the way back from one.

use crate::service::{assert_pointed, assert_traffic, replicas, routed};
use anyhow::{Result, ensure};
use serde_json::Value;
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::seen::{PATIENCE, until_live, until_state};
use sluice_tests::wait::until;
use std::collections::BTreeMap;

const CANARY: &str = "strategy = { canary = { router = { http_route = \"NAME\" }, steps = [\
                      { weight = 5, bake = \"10s\" }, { weight = 25, bake = \"10s\" }, { weight = 50, bake = \"10s\" }] } }\n";

#[tokio::test]
async fn a_good_release_walks_up_and_a_rollback_is_one_change_of_weights() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-canary";
    let service = routed(&world, name, &CANARY.replace("NAME", name), 4).await?;
    // Given a first release, which has nothing to be compared with
    let first = service.deliver(&ana, 1).await?;
    assert_pointed(&service, "blue").await?;
    // When another one is pushed, then it walks up
    let second = service.deliver(&ana, 2).await?;
    assert_pointed(&service, "green").await?;
    ensure!(replicas(&service, &format!("{name}-green")).await? == 4);
    let digests = [first.digest.as_str(), second.digest.as_str()];
    assert_traffic(
        &world,
        &service,
        &digests,
        &[0.0, 5.0, 25.0, 50.0, 100.0],
        "green",
    )
    .await?;
    // And a rollback gives the traffic back to the track that is still warm
    ana.run(&["rollback", name, "dev"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    assert_pointed(&service, "blue").await?;
    assert_traffic(
        &world,
        &service,
        &digests,
        &[0.0, 5.0, 25.0, 50.0, 100.0],
        "green",
    )
    .await?;
    // And the dashboard hears of the weights, also where the call itself has written them
    let told = || async {
        let told = weights_told(&world, name)?;
        let is_it = told.get("blue") == Some(&100.0) && told.get("green") == Some(&0.0);
        Ok(is_it.then_some(()).ok_or_else(|| format!("{told:?}")))
    };
    until("the metric of the weights", PATIENCE, told).await?;
    ana.run(&["ledger", "verify", name, "dev"]).await?;
    service.cleanup().await
}

/// The weights that the functions told last, by track: CloudWatch makes its metrics of these lines.
fn weights_told(world: &World, service: &str) -> Result<BTreeMap<String, f64>> {
    let log = std::fs::read(world.local.dir.join("logs/aws.log"))?;
    let log = String::from_utf8_lossy(&log);
    let mut lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["Service"] == service)
        .collect();
    lines.sort_by_key(|line| line.pointer("/_aws/Timestamp").and_then(Value::as_i64));
    let told = lines
        .iter()
        .filter_map(|line| Some((line["Track"].as_str()?.to_owned(), line["TrackWeight"].as_f64()?)));
    Ok(told.collect())
}

#[tokio::test]
async fn a_release_that_cannot_run_never_gets_traffic() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-crash";
    let service = routed(&world, name, &CANARY.replace("NAME", name), 2).await?;
    let first = service.deliver(&ana, 1).await?;
    let bad = Image::new("tr-crash bad").label("sluice.sim/crash-at-start", "no database");
    service.push(&bad, &["0000002"]).await?;
    until_state(&ana, name, "dev", 2, "failed").await?;
    until_live(&ana, name, "dev", 1).await?;
    assert_pointed(&service, "blue").await?;
    assert_traffic(&world, &service, &[first.digest.as_str()], &[0.0], "green").await?;
    service.cleanup().await
}
