//! What is left is kept at its size, whatever its autoscaler thinks of a workload without requests.

use crate::service::{assert_pointed, history, merge, object, options, replicas, route};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sluice_tests::World;
use sluice_tests::outside;
use sluice_tests::seen::{PATIENCE, until_live};
use sluice_tests::service::{Delivered, Options};
use sluice_tests::traffic::{self, Moment, RouterKind};
use sluice_tests::wait::until;

async fn bounds(service: &Delivered, track: &str) -> Result<(Value, Value)> {
    let name = format!("{}-{track}", service.name);
    let found = object(service, "autoscaling", "v2", "HorizontalPodAutoscaler", &name).await?;
    let at = |pointer: &str| found.pointer(pointer).cloned().unwrap_or_default();
    Ok((at("/spec/minReplicas"), at("/spec/maxReplicas")))
}

/// What an autoscaler does, or a person.
async fn scale(service: &Delivered, track: &str, size: u32) -> Result<()> {
    let name = format!("{}-{track}", service.name);
    let scaled = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": size}});
    merge(service, "horizontal", &scaled).await
}

async fn until_available(service: &Delivered, track: &str, size: u32) -> Result<()> {
    let name = format!("{}-{track}", service.name);
    until(&format!("{size} pods of {name}"), PATIENCE, || async {
        let found = object(service, "apps", "v1", "Deployment", &name).await?;
        let there = [
            found.pointer("/spec/replicas"),
            found.pointer("/status/availableReplicas"),
        ];
        let is_so = there
            .iter()
            .all(|one| one.and_then(Value::as_u64) == Some(u64::from(size)));
        Ok(if is_so { Ok(()) } else { Err(format!("{there:?}")) })
    })
    .await
}

#[tokio::test]
async fn an_autoscaler_cannot_shrink_the_warm_track() -> Result<()> {
    let world = World::load().await?;
    let ana = world.person("ana").await?;
    let name = "tr-warm";
    let lines = format!(
        "strategy = {{ canary = {{ router = {{ http_route = \"{name}\" }}, steps = [{{ weight = 50, bake = \"10s\" }}] }} }}\n\
         watch = \"10m\"\n"
    );
    let options = Options {
        manifests: format!(
            "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}}}\nspec:\n  \
             scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}\n  minReplicas: 2\n  maxReplicas: 6\n"
        ),
        ..options(&lines, 2)
    };
    let service = Delivered::new(&world, name, &options).await?;
    route(&service, name).await?;
    // Given a release that has grown with its traffic
    let first = service.deliver(&ana, 1).await?;
    ensure!(bounds(&service, "blue").await? == (json!(2), json!(6)));
    scale(&service, "blue", 4).await?;
    until_available(&service, "blue", 4).await?;
    let grown = traffic::now(&world.local, &service.place("dev")?.cluster).await?;
    // When the next one takes its traffic, then it is kept as large as it was
    let second = service.deliver(&ana, 2).await?;
    assert_pointed(&service, "green").await?;
    ensure!(bounds(&service, "blue").await? == (json!(4), json!(6)));
    ensure!(
        replicas(&service, &format!("{name}-green")).await? == 4,
        "as many as had the traffic"
    );
    let written = history(&world, &service).await?.between(grown, u64::MAX);
    let shrunk = |moment: &&Moment| {
        moment
            .replicas
            .get(&format!("{name}-blue"))
            .is_some_and(|size| *size < 4)
    };
    ensure!(
        written.moments.iter().find(shrunk).is_none(),
        "it shrank as the traffic left"
    );
    // And while it is watched, no sweep takes its pods, and whoever shrinks it is undone by the autoscaler itself
    outside::sweep(&world, name).await?;
    ensure!(bounds(&service, "blue").await? == (json!(4), json!(6)));
    scale(&service, "blue", 2).await?;
    until_available(&service, "blue", 4).await?;
    // When it gets its traffic back, then all of its pods are there
    ana.run(&["rollback", name, "dev"]).await?;
    until_live(&ana, name, "dev", 1).await?;
    assert_pointed(&service, "blue").await?;
    let happened = history(&world, &service).await?.between(grown, u64::MAX);
    for kind in [RouterKind::HttpRoute, RouterKind::Service] {
        let course = happened.of(kind, name)?;
        course.assert_no_dead_shift(|percent| if percent > 50.0 { 4 } else { 2 })?;
        course.assert_only(&[&first.digest, &second.digest])?;
    }
    // And what is cooled gives its pods back, and both autoscalers have bounds of their own again
    outside::sweep(&world, name).await?;
    until_available_none(&service, "green").await?;
    for track in ["blue", "green"] {
        ensure!(bounds(&service, track).await? == (json!(2), json!(6)), "{track}");
    }
    service.cleanup().await
}

async fn until_available_none(service: &Delivered, track: &str) -> Result<()> {
    let name = format!("{}-{track}", service.name);
    until(&format!("the end of the pods of {name}"), PATIENCE, || async {
        let found = replicas(service, &name).await?;
        Ok(if found == 0 {
            Ok(())
        } else {
            Err(found.to_string())
        })
    })
    .await
}
