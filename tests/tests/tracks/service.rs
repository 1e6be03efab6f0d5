//! A service on tracks: its route, and what is asserted of its traffic.

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use sluice_tests::World;
use sluice_tests::service::{Delivered, Options, Place};
use sluice_tests::traffic::{self, RouterKind};

/// A service with these lines of its environment, a Service, and an HTTPRoute of its own name.
pub async fn routed(world: &World, name: &str, environment: &str, replicas: u32) -> Result<Delivered> {
    let options = Options {
        exposed: true,
        replicas,
        environment: environment.to_owned(),
        ..Options::default()
    };
    let service = Delivered::new(world, name, &options).await?;
    route(&service, name).await?;
    Ok(service)
}

/// Makes the HTTPRoute that sends everything to the service's own Service.
pub async fn route(service: &Delivered, name: &str) -> Result<()> {
    let (client, namespace) = service.admin("dev").await?;
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let routes: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &ApiResource::from_gvk(&kind));
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "rules": [{"backendRefs": [{"name": name, "port": 80}]}]
        }
    });
    routes
        .patch(name, &PatchParams::apply("platform"), &Patch::Apply(&route))
        .await?;
    Ok(())
}

/// Asserts, over every revision, that no write gave traffic to anything without a ready pod, that nothing but these images
/// got any, and that the weights of the release's track were none but these, in percent.
pub async fn assert_traffic(
    world: &World,
    service: &Delivered,
    digests: &[&str],
    weights: &[f64],
    track: &str,
) -> Result<()> {
    let history = assert_served(world, service, digests).await?;
    let course = history.of(RouterKind::HttpRoute, &service.name)?;
    course.assert_weights_within(&format!("{}-{track}", service.name), weights)
}

/// The same, whatever the weights were. Answers the history.
pub async fn assert_served(world: &World, service: &Delivered, digests: &[&str]) -> Result<traffic::History> {
    let Place {
        cluster, namespace, ..
    } = service.place("dev")?;
    let history = traffic::history(&world.local, cluster, namespace).await?;
    for router in [RouterKind::HttpRoute, RouterKind::Service] {
        let course = history.of(router, &service.name)?;
        course.assert_no_dead_shift(|_| 1)?;
        course.assert_only(digests)?;
    }
    Ok(history)
}

/// The object of a service's environment, as JSON.
pub async fn object(
    service: &Delivered,
    group: &str,
    version: &str,
    kind: &str,
    name: &str,
) -> Result<Value> {
    let (client, namespace) = service.admin("dev").await?;
    let kind = GroupVersionKind::gvk(group, version, kind);
    let all: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &ApiResource::from_gvk(&kind));
    Ok(serde_json::to_value(all.get(name).await?)?)
}

/// How many pods a Deployment is to have.
pub async fn replicas(service: &Delivered, name: &str) -> Result<i64> {
    let found = object(service, "apps", "v1", "Deployment", name).await?;
    found
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .context("no replicas")
}

/// Asserts that the root Service selects a track.
pub async fn assert_pointed(service: &Delivered, track: &str) -> Result<()> {
    let found = object(service, "", "v1", "Service", &service.name).await?;
    let selected = found
        .pointer("/spec/selector")
        .and_then(|selector| selector.get("sluice.dev/track"));
    ensure!(
        selected.and_then(Value::as_str) == Some(track),
        "it selects {selected:?}"
    );
    Ok(())
}
