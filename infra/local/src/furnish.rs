//! What a cluster has before anybody delivers to it, and what plays in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use kube::Client;
use tokio::task::JoinSet;

use crate::control_plane::ControlPlane;
use crate::{cluster, doubles, node, places};

/// A cluster that is furnished, and nothing plays in it yet.
pub struct Furnished {
    client: Client,
    name: String,
}

/// Namespaces, RBAC and policies of `infra/cluster`, the definitions that are not Kubernetes' own, and what routers attach to.
pub async fn furnish(plane: &ControlPlane, namespaces: &[String], definitions: &Path) -> Result<Furnished> {
    let client = cluster::admin(&plane.kubeconfig).await?;
    cluster::ensure_namespaces(&client, namespaces).await?;
    let folder = places::project().join("infra/cluster");
    cluster::apply_folder(&client, &folder, namespaces).await?;
    cluster::opt_in(&client, &folder, namespaces).await?;
    cluster::define(&client, definitions).await?;
    let gateway = fs::read_to_string(places::local("kubernetes/gateway.yaml"))?;
    cluster::apply_text(&client, &gateway, &[])
        .await
        .context("applying kubernetes/gateway.yaml")?;
    Ok(Furnished {
        client,
        name: plane.name.clone(),
    })
}

impl Furnished {
    /// Starts the doubles of traffic and the simulated node; `endpoint` is the local AWS, `index` tells clusters apart.
    pub fn play(self, endpoint: &str, index: usize, tasks: &mut JoinSet<Result<()>>) -> Result<()> {
        let doubles = doubles::run(self.client.clone(), endpoint.to_owned(), self.name);
        tasks.spawn(async move { doubles.await.context("the doubles of traffic") });
        let (registry, index) = (endpoint.to_owned(), u8::try_from(index)?);
        tasks.spawn(async move {
            node::run(self.client, &registry, index)
                .await
                .context("the simulated node")
        });
        Ok(())
    }
}
