//! A canary, and the way back from one.

use crate::service::{assert_pointed, assert_traffic, replicas, routed};
use anyhow::{Result, ensure};
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::seen::{until_live, until_state};

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
    ana.run(&["ledger", "verify", name, "dev"]).await?;
    service.cleanup().await
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
