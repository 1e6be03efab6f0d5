//! A Deployment: what no tool can beat here is one PATCH of one of the same size on the same API server, and a watch until
//! its pods are available.

use crate::times::{Times, head, met};
use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;
use sluice_local::image::{Image, Pushed};
use sluice_tests::seen::until_live;
use sluice_tests::service::{Delivered, Options};
use sluice_tests::{Person, World};
use std::pin::pin;
use std::time::{Duration, Instant};

const ROUNDS: usize = 20;
const LIMIT: Duration = Duration::from_secs(60);

/// Prints how fast a Deployment is delivered.
pub async fn speed(world: &World) -> Result<()> {
    let ana = world.person("ana").await?;
    let service = Delivered::new(
        world,
        "bench",
        &Options {
            replicas: 3,
            ..Options::default()
        },
    )
    .await?;
    let outcome = rounds(world, &ana, &service).await;
    service.cleanup().await?;
    outcome
}

async fn rounds(world: &World, ana: &Person, service: &Delivered) -> Result<()> {
    let place = service.place("dev")?;
    let client = world.local.cluster(&place.cluster)?.admin().await?;
    let deployments: Api<Deployment> = Api::namespaced(client, &place.namespace);
    let old = service.push(&Image::new("bench 0"), &["0000000"]).await?;
    until_live(ana, &service.name, "dev", 1).await?;
    floor_deployment(world, service, &deployments, &old).await?;
    let (mut write, mut back, mut floor) = (Times::default(), Times::default(), Times::default());
    for round in 1..=ROUNDS {
        let new = Image::new(&format!("bench {round}"));
        let started = Instant::now();
        let pushed = service.push(&new, &[&format!("{round:07x}")]).await?;
        until(&deployments, &service.name, |found| names(found, &pushed)).await?;
        write.add(started);
        until_live(ana, &service.name, "dev", round as u64 + 1).await?;

        let started = Instant::now();
        roll_back(world, service).await?;
        until(&deployments, &service.name, |found| {
            names(found, &old) && available(found)
        })
        .await?;
        back.add(started);
        until_live(ana, &service.name, "dev", 1).await?;

        let (from, to) = if round % 2 == 1 {
            (&old, &pushed)
        } else {
            (&pushed, &old)
        };
        ensure!(from.digest != to.digest);
        let started = Instant::now();
        set_image(world, service, &deployments, to).await?;
        until(&deployments, "floor", |found| {
            names(found, to) && available(found)
        })
        .await?;
        floor.add(started);
    }
    head(&format!("seconds, {ROUNDS} rounds, 3 pods"));
    write.show("push -> rollout's first write");
    back.show("rollback called -> old digest available");
    floor.show("floor: PATCH -> available, same API server");
    let allowed = 1.1 * floor.median() + 0.5;
    println!(
        "rollback: {:.3} s, goal 1.1 x floor + 0.5 s = {allowed:.3} s: {}",
        back.median(),
        met(back.median() <= allowed)
    );
    println!(
        "first write: {:.3} s, goal 1 s: {}",
        write.median(),
        met(write.median() < 1.0)
    );
    Ok(())
}

/// Calls `roll-back` as somebody with nothing but the AWS CLI does.
pub async fn roll_back(world: &World, service: &Delivered) -> Result<()> {
    let function = world
        .local
        .sluice()?
        .functions
        .get("roll-back")
        .context("no roll-back")?
        .clone();
    let payload = serde_json::to_vec(&json!({"service": service.name, "environment": "dev"}))?;
    let client = aws_sdk_lambda::Client::new(&world.config);
    let answer = client
        .invoke()
        .function_name(function)
        .payload(payload.into())
        .send()
        .await?;
    let said = answer
        .payload()
        .map(|payload| String::from_utf8_lossy(payload.as_ref()).into_owned());
    ensure!(answer.function_error().is_none(), "roll-back: {said:?}");
    Ok(())
}

/// Waits, by one watch, until the Deployment is as asked.
pub async fn until(api: &Api<Deployment>, name: &str, done: impl Fn(&Deployment) -> bool) -> Result<()> {
    let found = api.get_opt(name).await?;
    if found.as_ref().is_some_and(&done) {
        return Ok(());
    }
    let version = api
        .list_metadata(&Default::default())
        .await?
        .metadata
        .resource_version
        .unwrap_or_default();
    if api.get_opt(name).await?.as_ref().is_some_and(&done) {
        return Ok(());
    }
    let parameters = WatchParams::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(LIMIT.as_secs() as u32);
    let mut events = pin!(api.watch(&parameters, &version).await?.boxed());
    while let Some(event) = events.try_next().await? {
        if let WatchEvent::Added(found) | WatchEvent::Modified(found) = event
            && done(&found)
        {
            return Ok(());
        }
    }
    anyhow::bail!("{name} was not as asked within {} s", LIMIT.as_secs())
}

pub fn names(found: &Deployment, pushed: &Pushed) -> bool {
    let containers = found
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref())
        .map(|spec| &spec.containers);
    let ends = |image: &String| image.ends_with(&pushed.digest);
    containers.is_some_and(|containers| {
        containers
            .iter()
            .any(|container| container.image.as_ref().is_some_and(ends))
    })
}

pub fn available(found: &Deployment) -> bool {
    let Some(status) = &found.status else { return false };
    let wanted = found.spec.as_ref().and_then(|spec| spec.replicas);
    status.observed_generation == found.metadata.generation
        && status.updated_replicas == wanted
        && status.available_replicas == wanted
        && status.replicas == wanted
}

fn image(world: &World, service: &Delivered, pushed: &Pushed) -> String {
    format!(
        "{}/{}@{}",
        world.local.registry_host(),
        service.name,
        pushed.digest
    )
}

async fn floor_deployment(
    world: &World,
    service: &Delivered,
    api: &Api<Deployment>,
    pushed: &Pushed,
) -> Result<()> {
    let labels = json!({"app": "floor"});
    let container = json!({"name": "api", "image": image(world, service, pushed)});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "floor"}, "spec": {
        "replicas": 3, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}});
    api.patch(
        "floor",
        &PatchParams::apply("bench").force(),
        &Patch::Apply(&deployment),
    )
    .await?;
    until(api, "floor", available).await
}

async fn set_image(world: &World, service: &Delivered, api: &Api<Deployment>, pushed: &Pushed) -> Result<()> {
    let container = json!({"name": "api", "image": image(world, service, pushed)});
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    api.patch("floor", &PatchParams::default(), &Patch::Strategic(&patch))
        .await?;
    Ok(())
}
