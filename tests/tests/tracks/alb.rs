//! Tracks behind an Ingress of the AWS Load Balancer Controller: what the load balancer itself says counts.

use crate::service::{ask_doubles, assert_pointed, assert_shared, exposed, history, ingress, options};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_local::image::Image;
use sluice_tests::World;
use sluice_tests::seen::{until_live, until_state};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::traffic::{RouterKind, Share};

const CANARY: &str = "strategy = { canary = { router = { alb_ingress = \"NAME\", action = \"NAME\" }, steps = [\
                      { weight = 5, bake = \"10s\" }, { weight = 50, bake = \"10s\" }] } }\n";

#[tokio::test]
async fn a_release_walks_up_as_the_load_balancer_follows() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-alb";
    let service = exposed(&world, name, &CANARY.replace("NAME", name), 2).await?;
    ingress(&service, name).await?;
    // Given a controller that takes its time
    ask_doubles(&service, json!({"sluice.sim/lag": "1500ms"})).await?;
    let first = service.deliver(&ana, 1).await?;
    assert_pointed(&service, "blue").await?;
    // When another release is pushed, then each step waits for the load balancer
    let second = service.deliver(&ana, 2).await?;
    assert_pointed(&service, "green").await?;
    let digests = [first.digest.as_str(), second.digest.as_str()];
    let shares: (RouterKind, &[f64]) = (RouterKind::Ingress, &[0.0, 5.0, 50.0, 100.0]);
    assert_shared(&world, &service, &digests, shares, "green").await?;
    // And what was asked for was served before the next was asked for
    let happened = history(&world, &service).await?;
    let green = format!("{name}-green");
    let mut asked = 0.0;
    let mut served = 0.0;
    for router in happened.moments.iter().flat_map(|moment| &moment.routers) {
        if router.kind != RouterKind::Ingress || router.rule != 0 {
            continue;
        }
        let part = |shares: &[Share]| {
            let found = shares.iter().find(|share| share.backend == green);
            found.map_or(0.0, |share| share.percent)
        };
        let (now, then) = (part(&router.asked), asked);
        ensure!(
            now == then || served == then,
            "{now} % were asked for while {served} % of {then} % were served"
        );
        (asked, served) = (now, part(&router.served));
    }
    ensure!(
        (asked, served) == (100.0, 100.0),
        "{asked} % asked for, {served} % served"
    );
    // And a rollback gives the traffic back to the track that is still warm
    ana.run(&["rollback", name, "dev"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    assert_pointed(&service, "blue").await?;
    assert_shared(&world, &service, &digests, shares, "green").await?;
    service.cleanup().await
}

#[tokio::test]
async fn what_the_load_balancer_does_not_follow_is_taken_back() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-alb-no";
    let options = Options {
        timeout: "25s".to_owned(),
        ..options(&CANARY.replace("NAME", name), 2)
    };
    let service = Delivered::new(&world, name, &options).await?;
    ingress(&service, name).await?;
    let first = service.deliver(&ana, 1).await?;
    for (release, fault, said) in [
        (2, json!({"sluice.sim/silent": "true"}), "the rule of port"),
        (3, json!({"sluice.sim/refuse": "true"}), "the rule of port"),
        (4, json!({"sluice.sim/partial": "true"}), "the rule of port"),
        (
            5,
            json!({"sluice.sim/unhealthy": format!("{name}-green")}),
            "targets of Service tr-alb-no-green are healthy",
        ),
    ] {
        // When the controller does not do what the Ingress asks for
        ask_doubles(&service, fault.clone()).await?;
        let image = Image::new(&format!("{name} {release}"));
        service.push(&image, &[&format!("{release:07x}")]).await?;
        // Then the release fails for that, and the traffic is where it was
        let failed = until_state(&ana, name, "dev", release, "failed").await?;
        let reason = failed
            .get("reason")
            .and_then(Value::as_str)
            .context("no reason")?;
        ensure!(reason.contains(said), "{fault}: {reason}");
        until_live(&ana, name, "dev", 1).await?;
        assert_pointed(&service, "blue").await?;
        let taken_back = fault.as_object().into_iter().flatten();
        let taken_back: Value = taken_back.map(|(key, _)| (key.clone(), Value::Null)).collect();
        ask_doubles(&service, taken_back).await?;
    }
    let happened = history(&world, &service).await?;
    let course = happened.of(RouterKind::Ingress, name)?;
    course.assert_no_dead_shift(|_| 1)?;
    course.assert_never_above(&format!("{name}-green"), 5.0)?;
    let root = happened.of(RouterKind::Service, name)?;
    root.assert_only(&[&first.digest])?;
    // And a release goes through once the controller works again
    service.deliver(&ana, 6).await?;
    assert_pointed(&service, "green").await?;
    service.cleanup().await
}
