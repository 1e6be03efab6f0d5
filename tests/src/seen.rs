//! What is really there: pods read from the cluster with an administrator's credentials, rows read from the table.

use crate::service::Place;
use crate::wait::until;
use crate::{Person, World};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a rollout may take here, with room for a busy machine. Not a measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What runs in a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// Images that the pods' specs name.
    pub specs: BTreeSet<String>,
    /// Images that run, as the node says.
    pub image_ids: BTreeSet<String>,
    /// How many pods.
    pub pods: usize,
    /// The data of every ConfigMap that pods take their environment from.
    pub config: BTreeSet<String>,
}

/// The pods of a namespace with this label, which are not being deleted.
pub async fn running(world: &World, cluster: &str, namespace: &str, label: &str) -> Result<Running> {
    let client = world.local.cluster(cluster)?.admin().await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut running = Running::default();
    let mut maps = BTreeSet::new();
    for pod in pods.list(&ListParams::default().labels(label)).await? {
        if pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        running.pods += 1;
        let (spec, status) = (pod.spec.unwrap_or_default(), pod.status.unwrap_or_default());
        for container in spec.containers {
            running.specs.extend(container.image);
            let sources = container.env_from.unwrap_or_default();
            maps.extend(
                sources
                    .into_iter()
                    .filter_map(|source| source.config_map_ref)
                    .map(|named| named.name),
            );
        }
        running.image_ids.extend(
            status
                .container_statuses
                .unwrap_or_default()
                .into_iter()
                .map(|status| status.image_id),
        );
    }
    for name in maps {
        let found = Api::<ConfigMap>::namespaced(client.clone(), namespace)
            .get(&name)
            .await?;
        running.config.insert(serde_json::to_string(&found.data)?);
    }
    Ok(running)
}

/// Asserts that every pod is on exactly this digest, by its spec and by what the node says it runs.
pub async fn assert_runs(
    world: &World,
    cluster: &str,
    namespace: &str,
    app: &str,
    digest: &str,
) -> Result<Running> {
    assert_labelled(world, cluster, namespace, &format!("app={app}"), digest).await
}

/// The same of the pods with this label.
pub async fn assert_labelled(
    world: &World,
    cluster: &str,
    namespace: &str,
    label: &str,
    digest: &str,
) -> Result<Running> {
    let running = running(world, cluster, namespace, label).await?;
    ensure!(running.pods > 0, "no pod with {label} is in {namespace}");
    for image in running.specs.iter().chain(&running.image_ids) {
        ensure!(
            image.ends_with(&format!("@{digest}")),
            "{namespace} runs {image}, not {digest}"
        );
    }
    Ok(running)
}

/// An environment of `sluice status --output json`.
pub async fn environment(person: &Person, service: &str, environment: &str) -> Result<Value> {
    let status = person.json(&["status", service]).await?;
    let found = status
        .pointer("/services/0/environments")
        .and_then(Value::as_array)
        .and_then(|environments| {
            environments
                .iter()
                .find(|one| one.get("name").is_some_and(|name| name == environment))
                .cloned()
        });
    found.with_context(|| format!("status of {service} has no environment {environment}: {status}"))
}

/// Waits until a release is live in an environment and nothing is being done to it. Where that does not come, the error
/// says what became of its promotion too.
pub async fn until_live(person: &Person, service: &str, name: &str, release: u64) -> Result<Value> {
    let live = until(&format!("{service}#{release} in {name}"), PATIENCE, || async {
        let found = environment(person, service, name).await?;
        let live = found.pointer("/live/release").and_then(Value::as_u64) == Some(release);
        let idle = found.get("activity").is_none_or(Value::is_null);
        Ok(if live && idle {
            Ok(found)
        } else {
            Err(found.to_string())
        })
    })
    .await;
    match live {
        Ok(found) => Ok(found),
        Err(error) => {
            let told = promotion(person, service, name, release).await?;
            Err(error.context(format!("its promotion: {told:?}")))
        }
    }
}

/// Waits until a release waits for approval in an environment.
pub async fn until_asked(person: &Person, service: &str, name: &str, release: u64) -> Result<Value> {
    until(
        &format!("the question about {service}#{release} in {name}"),
        PATIENCE,
        || async {
            let found = environment(person, service, name).await?;
            let first = found.pointer("/waiting/0");
            let asked = first.is_some_and(|first| {
                first.get("release").and_then(Value::as_u64) == Some(release)
                    && first
                        .get("state")
                        .is_some_and(|state| state == "awaiting_approval")
            });
            Ok(if asked { Ok(found) } else { Err(found.to_string()) })
        },
    )
    .await
}

/// A release's promotion into an environment, from `sluice history --output json`.
pub async fn promotion(person: &Person, service: &str, name: &str, release: u64) -> Result<Option<Value>> {
    let history = person.json(&["history", service]).await?;
    let releases = history
        .get("releases")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let found = releases
        .into_iter()
        .find(|one| one.get("number").and_then(Value::as_u64) == Some(release));
    let promotions = found
        .and_then(|found| found.get("promotions")?.as_array().cloned())
        .unwrap_or_default();
    Ok(promotions.into_iter().find(|one| {
        one.get("environment")
            .is_some_and(|environment| environment == name)
    }))
}

/// Waits until a release's promotion into an environment is in this state.
pub async fn until_state(
    person: &Person,
    service: &str,
    name: &str,
    release: u64,
    state: &str,
) -> Result<Value> {
    until(
        &format!("{service}#{release} {state} in {name}"),
        PATIENCE,
        || async {
            let found = promotion(person, service, name, release).await?;
            Ok(match found {
                Some(found) if found.get("state").is_some_and(|now| now == state) => Ok(found),
                other => Err(format!("{other:?}")),
            })
        },
    )
    .await
}

/// Waits until there are pods of an image of this digest: a rollout has written the cluster.
pub async fn until_written(world: &World, place: &Place, service: &str, digest: &str) -> Result<()> {
    let app = format!("app={service}");
    until(&format!("pods of {service} on {digest}"), PATIENCE, || async {
        let found = running(world, &place.cluster, &place.namespace, &app).await?;
        let there = found.specs.iter().any(|image| image.ends_with(digest));
        Ok(if there { Ok(()) } else { Err(format!("{found:?}")) })
    })
    .await
}
