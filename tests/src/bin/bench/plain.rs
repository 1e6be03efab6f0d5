//! What people have without Sluice: a Deployment of their own, and helm.

use crate::watching::until;
use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use sluice_local::image::Pushed;
use sluice_tests::World;
use sluice_tests::service::Delivered;

/// A Deployment that Sluice knows nothing of, with the images of a service.
pub struct Plain<'a> {
    /// Its name.
    pub name: &'static str,
    /// Where it is.
    pub deployments: &'a Api<Deployment>,
    /// Whose images it has.
    pub repository: String,
}

impl Plain<'_> {
    /// Makes it, with as many pods, and waits until they are available.
    pub async fn make(&self, pushed: &Pushed, replicas: u32) -> Result<()> {
        let labels = json!({"app": self.name});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": self.name}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [self.container(pushed)]}}}});
        let parameters = PatchParams::apply("bench").force();
        self.deployments
            .patch(self.name, &parameters, &Patch::Apply(&deployment))
            .await?;
        until(self.deployments, self.name, available).await
    }

    /// Gives it another image by one PATCH, and waits until its pods have it and are available.
    pub async fn set(&self, pushed: &Pushed) -> Result<()> {
        let patch = json!({"spec": {"template": {"spec": {"containers": [self.container(pushed)]}}}});
        self.deployments
            .patch(self.name, &PatchParams::default(), &Patch::Strategic(&patch))
            .await?;
        until(self.deployments, self.name, |found| {
            names(found, pushed) && available(found)
        })
        .await
    }

    fn container(&self, pushed: &Pushed) -> Value {
        json!({"name": "api", "image": format!("{}@{}", self.repository, pushed.digest)})
    }
}

/// Where a cluster gets the images of this name.
pub fn repository(world: &World, name: &str) -> String {
    format!("{}/{name}", world.local.registry_host())
}

/// Whether its template names this image.
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

/// Whether every pod that is wanted is of its template and available, and no other is there.
pub fn available(found: &Deployment) -> bool {
    let Some(status) = &found.status else { return false };
    let wanted = found.spec.as_ref().and_then(|spec| spec.replicas);
    status.observed_generation == found.metadata.generation
        && status.updated_replicas == wanted
        && status.available_replicas == wanted
        && status.replicas == wanted
}

/// `helm upgrade --install --wait` of a chart, with these values and this image.
pub async fn upgrade(
    world: &World,
    service: &Delivered,
    name: &str,
    (chart, values): (&str, &[&str]),
    image: &Pushed,
) -> Result<()> {
    let repository = format!("image.repository={}", repository(world, &service.name));
    let digest = format!("image.digest={}", image.digest);
    let mut arguments = vec![
        "upgrade",
        "--install",
        name,
        chart,
        "--set",
        &repository,
        "--set",
        &digest,
    ];
    arguments.extend(values);
    helm(service, arguments).await
}

/// `helm rollback --wait` to the revision before.
pub async fn rollback(service: &Delivered, name: &str) -> Result<()> {
    helm(service, vec!["rollback", name]).await
}

async fn helm(service: &Delivered, mut arguments: Vec<&str>) -> Result<()> {
    arguments.extend(["--wait", "--timeout", "90s"]);
    let said = service.helm("dev", &arguments).await?;
    said.well().context("plain helm")?;
    Ok(())
}
