//! A Deployment: what no tool can beat here is one PATCH of one of the same size on the same API server, and a watch until
//! its pods are available.

use crate::plain::{Plain, available, names, repository};
use crate::times::{Times, head, met};
use crate::watching::until;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use serde_json::json;
use sluice_local::image::Image;
use sluice_tests::seen::until_live;
use sluice_tests::service::{Delivered, Options};
use sluice_tests::{Person, World};
use std::time::Instant;

const ROUNDS: usize = 20;
const PODS: u32 = 3;

/// Prints how fast a Deployment is delivered.
pub async fn speed(world: &World) -> Result<()> {
    let ana = world.person("ana").await?;
    let service = Delivered::new(
        world,
        "bench",
        &Options {
            replicas: PODS,
            ..Options::default()
        },
    )
    .await?;
    let outcome = rounds(world, &ana, &service).await;
    service.cleanup().await?;
    outcome
}

async fn rounds(world: &World, ana: &Person, service: &Delivered) -> Result<()> {
    let (client, namespace) = service.admin("dev").await?;
    let deployments: Api<Deployment> = Api::namespaced(client, &namespace);
    let plain = Plain {
        name: "floor",
        deployments: &deployments,
        repository: repository(world, &service.name),
    };
    let old = service.push(&Image::new("bench 0"), &["0000000"]).await?;
    until_live(ana, &service.name, "dev", 1).await?;
    plain.make(&old, PODS).await?;
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
        plain.set(to).await?;
        floor.add(started);
    }
    head(&format!("seconds, {ROUNDS} rounds, {PODS} pods"));
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
