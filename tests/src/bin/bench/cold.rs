//! Ten pods in place, nothing warm: Sluice's rollback, which brings the configuration back too, beside what people type.

use crate::deployment::roll_back;
use crate::plain::{self, Plain, available, names, repository};
use crate::times::{Times, head, met};
use crate::watching::until;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use serde_json::Value;
use sluice_local::image::Image;
use sluice_tests::seen::until_live;
use sluice_tests::service::{Delivered, Options};
use sluice_tests::world::root;
use sluice_tests::{Person, Said, World};
use std::time::Instant;

const ROUNDS: usize = 30;
const PODS: u32 = 10;
const NAME: &str = "bench-cold";
const UNDONE: &str = "undone";
const PLAIN: &str = "plain-cold";

/// Prints how fast ten pods come back.
pub async fn speed(world: &World) -> Result<()> {
    let program = std::env::var("KUBECTL")
        .context("KUBECTL is not set: `make bench` sets it to what `sluice-local tools --kubectl` prints")?;
    let ana = world.person("ana").await?;
    let service = Delivered::new(world, NAME, &options("old")).await?;
    let kubectl = Kubectl {
        program,
        world,
        service: &service,
    };
    let outcome = rounds(world, &ana, &service, &kubectl).await;
    service.cleanup().await?;
    outcome
}

fn options(config: &str) -> Options {
    Options {
        replicas: PODS,
        config: config.to_owned(),
        ..Options::default()
    }
}

async fn rounds(world: &World, ana: &Person, service: &Delivered, kubectl: &Kubectl<'_>) -> Result<()> {
    let (client, namespace) = service.admin("dev").await?;
    let deployments: Api<Deployment> = Api::namespaced(client, &namespace);
    let old = service.push(&Image::new("bench-cold 0"), &["0000000"]).await?;
    until_live(ana, NAME, "dev", 1).await?;
    let config = config_of(&deployments).await?;
    // From here on, releases have another configuration, too.
    service.apply(ana, &options("new")).await?;
    let undone = Plain {
        name: UNDONE,
        deployments: &deployments,
        repository: repository(world, NAME),
    };
    undone.make(&old, PODS).await?;
    let chart = root().join("examples/mc-api/charts/api").display().to_string();
    let pods = format!("replicaCount={PODS}");
    let chart = (&*chart, &["--set", &*pods][..]);
    plain::upgrade(world, service, PLAIN, chart, &old).await?;
    let (mut ours, mut undo, mut helm) = (Times::default(), Times::default(), Times::default());
    for round in 1..=ROUNDS {
        let image = Image::new(&format!("bench-cold {round}"));
        let new = service.push(&image, &[&format!("{round:07x}")]).await?;
        until_live(ana, NAME, "dev", round as u64 + 1).await?;
        ensure!(
            config_of(&deployments).await? != config,
            "the configuration is the same"
        );
        let started = Instant::now();
        roll_back(world, service).await?;
        until(&deployments, NAME, |found| names(found, &old) && available(found)).await?;
        ours.add(started);
        ensure!(
            config_of(&deployments).await? == config,
            "the configuration is not back"
        );
        until_live(ana, NAME, "dev", 1).await?;

        undone.set(&new).await?;
        let started = Instant::now();
        kubectl.run(&["rollout", "undo", "deployment", UNDONE]).await?;
        kubectl.run(&["rollout", "status", "deployment", UNDONE]).await?;
        undo.add(started);
        ensure!(
            names(&deployments.get(UNDONE).await?, &old),
            "kubectl brought something else"
        );

        plain::upgrade(world, service, PLAIN, chart, &new).await?;
        let started = Instant::now();
        plain::rollback(service, PLAIN).await?;
        helm.add(started);
    }
    head(&format!("seconds, {ROUNDS} rounds, {PODS} pods in place"));
    ours.show("rollback called -> old digest and configuration available");
    undo.show("kubectl rollout undo, rollout status (digest alone)");
    helm.show("helm rollback --wait");
    let allowed = 1.1 * undo.median();
    println!(
        "cold rollback: {:.3} s, goal 1.1 x kubectl = {allowed:.3} s: {}",
        ours.median(),
        met(ours.median() <= allowed)
    );
    Ok(())
}

/// The ConfigMap that the pods are given.
async fn config_of(deployments: &Api<Deployment>) -> Result<Value> {
    let found = serde_json::to_value(deployments.get(NAME).await?)?;
    let named = found.pointer("/spec/template/spec/containers/0/envFrom/0/configMapRef/name");
    named.cloned().context("its pods are given no ConfigMap")
}

/// kubectl as people run it.
struct Kubectl<'a> {
    program: String,
    world: &'a World,
    service: &'a Delivered,
}

impl Kubectl<'_> {
    async fn run(&self, arguments: &[&str]) -> Result<()> {
        let place = self.service.place("dev")?;
        let output = tokio::process::Command::new(&self.program)
            .args(arguments)
            .args(["--namespace", &place.namespace])
            .env(
                "KUBECONFIG",
                &self.world.local.cluster(&place.cluster)?.kubeconfig,
            )
            // It keeps what it learnt of an API server, as it does for people.
            .env("HOME", self.service.folder())
            .kill_on_drop(true)
            .output()
            .await?;
        Said::of(&output).well().context("kubectl")?;
        Ok(())
    }
}
