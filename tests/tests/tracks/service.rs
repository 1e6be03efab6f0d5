//! A service on tracks: what routes to it, and what is asserted of its traffic.

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use sluice_tests::World;
use sluice_tests::service::{Delivered, Options, Place};
use sluice_tests::traffic::{self, History, RouterKind};

/// A service with these lines of its environment, a Service, and an HTTPRoute of its own name.
pub async fn routed(world: &World, name: &str, environment: &str, replicas: u32) -> Result<Delivered> {
    let service = exposed(world, name, environment, replicas).await?;
    route(&service, name).await?;
    Ok(service)
}

/// The same without a route.
pub async fn exposed(world: &World, name: &str, environment: &str, replicas: u32) -> Result<Delivered> {
    Delivered::new(world, name, &options(environment, replicas)).await
}

/// How such a service is delivered.
pub fn options(environment: &str, replicas: u32) -> Options {
    Options {
        exposed: true,
        replicas,
        environment: environment.to_owned(),
        ..Options::default()
    }
}

/// Makes the HTTPRoute that sends everything to the service's own Service.
pub async fn route(service: &Delivered, name: &str) -> Result<()> {
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "rules": [{"backendRefs": [{"name": name, "port": 80}]}]
        }
    });
    apply(service, "platform", &route).await
}

/// Makes the Ingress of its own name whose two paths go to the action of that name: everything to the service's own Service.
pub async fn ingress(service: &Delivered, name: &str) -> Result<()> {
    let action = json!({"type": "forward", "forwardConfig": {"targetGroups": [
        {"serviceName": name, "servicePort": 80, "weight": 100}]}});
    let path = |path: &str| {
        json!({"path": path, "pathType": "Prefix",
               "backend": {"service": {"name": name, "port": {"name": "use-annotation"}}}})
    };
    let mut annotations = json!({
        "alb.ingress.kubernetes.io/target-type": "ip",
        "alb.ingress.kubernetes.io/target-group-attributes": "deregistration_delay.timeout_seconds=0",
    });
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(
            format!("alb.ingress.kubernetes.io/actions.{name}"),
            json!(action.to_string()),
        );
    }
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"ingressClassName": "alb", "rules": [{"http": {"paths": [path("/v1"), path("/v2")]}}]}});
    apply(service, "platform", &ingress).await
}

/// Applies an object in the service's namespace, as somebody with all rights and this name of a field manager.
pub async fn apply(service: &Delivered, manager: &str, object: &Value) -> Result<()> {
    let (api, name) = resource(service, object).await?;
    let parameters = PatchParams::apply(manager).force();
    api.patch(&name, &parameters, &Patch::Apply(object)).await?;
    Ok(())
}

/// Merges a patch into an object, as somebody with all rights and this name of a field manager. `object` names it, and is
/// what is merged.
pub async fn merge(service: &Delivered, manager: &str, object: &Value) -> Result<()> {
    let (api, name) = resource(service, object).await?;
    let parameters = PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    };
    api.patch(&name, &parameters, &Patch::Merge(object)).await?;
    Ok(())
}

async fn resource(service: &Delivered, object: &Value) -> Result<(Api<DynamicObject>, String)> {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .context("no such field")
    };
    let version = text("/apiVersion")?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind::gvk(group, version, text("/kind")?);
    let (client, namespace) = service.admin("dev").await?;
    let api = Api::namespaced_with(client, &namespace, &ApiResource::from_gvk(&kind));
    Ok((api, text("/metadata/name")?.to_owned()))
}

/// Has the controllers of routers do wrong in the service's namespace; null takes a request back.
pub async fn ask_doubles(service: &Delivered, annotations: Value) -> Result<()> {
    let (client, namespace) = service.admin("dev").await?;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client);
    let patch = json!({"metadata": {"annotations": annotations}});
    namespaces
        .patch(&namespace, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    Ok(())
}

/// What happened in the service's namespace.
pub async fn history(world: &World, service: &Delivered) -> Result<History> {
    let Place {
        cluster, namespace, ..
    } = service.place("dev")?;
    traffic::history(&world.local, cluster, namespace).await
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
    let shares = (RouterKind::HttpRoute, weights);
    assert_shared(world, service, digests, shares, track).await
}

/// The same by a router of this kind.
pub async fn assert_shared(
    world: &World,
    service: &Delivered,
    digests: &[&str],
    (kind, weights): (RouterKind, &[f64]),
    track: &str,
) -> Result<()> {
    let history = assert_served_by(world, service, kind, digests).await?;
    let course = history.of(kind, &service.name)?;
    course.assert_weights_within(&format!("{}-{track}", service.name), weights)
}

/// The same over an HTTPRoute, whatever the weights were. Answers the history.
pub async fn assert_served(world: &World, service: &Delivered, digests: &[&str]) -> Result<traffic::History> {
    assert_served_by(world, service, RouterKind::HttpRoute, digests).await
}

async fn assert_served_by(
    world: &World,
    service: &Delivered,
    kind: RouterKind,
    digests: &[&str],
) -> Result<traffic::History> {
    let history = history(world, service).await?;
    for router in [kind, RouterKind::Service] {
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

/// The track that the root Service selects; none for what was there before there were tracks.
pub async fn pointed(service: &Delivered) -> Result<Option<String>> {
    let found = object(service, "", "v1", "Service", &service.name).await?;
    let selector = found.pointer("/spec/selector").context("no selector")?;
    let selected = selector.get("sluice.dev/track").and_then(Value::as_str);
    Ok(selected.map(str::to_owned))
}

/// Asserts that the root Service selects a track.
pub async fn assert_pointed(service: &Delivered, track: &str) -> Result<()> {
    let selected = pointed(service).await?;
    ensure!(selected.as_deref() == Some(track), "it selects {selected:?}");
    Ok(())
}
