//! The statuses of GatewayClasses and Gateways of ours, which are always well.

use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::{CONTROLLER, generation, ignore_lost, manager};
use crate::doubles::seen::{Seen, gateway_resource};
use crate::routing::http_route;

/// Whether a Gateway is of a class of ours.
pub fn is_ours(seen: &Seen, gateway: &DynamicObject) -> bool {
    let class = gateway
        .data
        .pointer("/spec/gatewayClassName")
        .and_then(Value::as_str);
    class
        .and_then(|class| seen.class(class))
        .is_some_and(|class| class_is_ours(&class))
}

fn class_is_ours(class: &DynamicObject) -> bool {
    class.data.pointer("/spec/controllerName") == Some(&json!(CONTROLLER))
}

/// Says of every class and Gateway of ours that it is served.
pub async fn answer(client: &Client, seen: &Seen) {
    for class in seen.classes.state().iter().filter(|class| class_is_ours(class)) {
        let resource = http_route::resource("GatewayClass", "gatewayclasses");
        say(client, &resource, class, &["Accepted"]).await;
    }
    for gateway in seen
        .gateways
        .state()
        .iter()
        .filter(|gateway| is_ours(seen, gateway))
    {
        say(client, &gateway_resource(), gateway, &["Accepted", "Programmed"]).await;
    }
}

async fn say(client: &Client, resource: &ApiResource, object: &DynamicObject, kinds: &[&str]) {
    let generation = generation(object);
    let told = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let said = |kind: &&str| {
        told.into_iter().flatten().any(|one| {
            one.get("type") == Some(&json!(kind)) && one.get("observedGeneration") == Some(&json!(generation))
        })
    };
    if kinds.iter().all(said) {
        return;
    }
    let now = format!("{:.0}", Timestamp::now());
    let condition = |kind: &&str| {
        json!({"type": kind, "status": "True", "observedGeneration": generation, "reason": kind,
               "message": "simulated", "lastTransitionTime": now})
    };
    let conditions: Vec<Value> = kinds.iter().map(condition).collect();
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
    let written = api.patch_status(&object.name_any(), &manager(), &patch).await;
    if let Err(error) = ignore_lost(written) {
        tracing::warn!(%error, name = object.name_any(), "writing a Gateway's status failed");
    }
}
