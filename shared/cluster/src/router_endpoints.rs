//! Ready endpoints of Services, from their EndpointSlices.

use crate::error::ClusterError;
use crate::namespace::Namespace;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::Api;
use kube::api::ListParams;
use sluice_domain::tracks::{Track, TrackServices};
use std::collections::{BTreeMap, BTreeSet};

/// The label of an EndpointSlice that names its Service (Kubernetes, "EndpointSlices", Ownership).
const SERVICE_NAME: &str = "kubernetes.io/service-name";

impl Namespace {
    /// The ready endpoints of the root and of both tracks, by Service; a Service without slices is left out.
    pub(crate) async fn ready_endpoints(
        &self,
        services: &TrackServices,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, ClusterError> {
        let (blue, green) = (services.of(Track::Blue), services.of(Track::Green));
        let of_ours = format!("{SERVICE_NAME} in ({},{blue},{green})", services.root);
        let parameters = ListParams::default().labels(&of_ours);
        let list = |client| {
            let parameters = &parameters;
            async move {
                Api::<EndpointSlice>::namespaced(client, self.name())
                    .list(parameters)
                    .await
            }
        };
        Ok(ready_of(&self.ask("EndpointSlices", list).await?.items))
    }
}

/// A Service has several slices: of many endpoints, of several ports, of both address families.
fn ready_of(slices: &[EndpointSlice]) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for slice in slices {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) else {
            continue;
        };
        let ready = slice.endpoints.iter().flatten().filter(|one| is_ready(one));
        let names = ready.filter_map(name_of);
        found.entry(service.clone()).or_default().extend(names);
    }
    found
}

/// Kubernetes, EndpointConditions v1: a missing `ready` or `serving` is true. `serving` is looked at too, as a Service with
/// `publishNotReadyAddresses` calls everything ready.
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().is_none_or(|conditions| {
        conditions.ready.unwrap_or(true)
            && conditions.serving.unwrap_or(true)
            && !conditions.terminating.unwrap_or(false)
    })
}

fn name_of(endpoint: &Endpoint) -> Option<String> {
    let pod = endpoint
        .target_ref
        .as_ref()
        .and_then(|target| target.name.clone());
    pod.or_else(|| endpoint.addresses.first().cloned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn slice(service: &str, endpoints: Value) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": {"labels": {SERVICE_NAME: service}}, "addressType": "IPv4", "endpoints": endpoints,
        }))
        .unwrap()
    }

    fn endpoint(address: &str, pod: Option<&str>, conditions: Value) -> Value {
        json!({"addresses": [address], "conditions": conditions, "targetRef": pod.map(|name| json!({"kind": "Pod", "name": name}))})
    }

    #[test]
    fn only_what_is_ready_counts_and_counts_once() {
        let slices = [
            slice(
                "api",
                json!([
                    endpoint(
                        "10.0.0.1",
                        Some("a"),
                        json!({"ready": true, "serving": true, "terminating": false})
                    ),
                    endpoint(
                        "10.0.0.2",
                        Some("b"),
                        json!({"ready": false, "serving": true, "terminating": true})
                    ),
                    endpoint("10.0.0.3", Some("c"), json!({"ready": true, "serving": false})),
                    endpoint("10.0.0.4", None, json!({})),
                ]),
            ),
            // The same pod again, with its other address.
            slice(
                "api",
                json!([endpoint("fd00::1", Some("a"), json!({"ready": true}))]),
            ),
            slice("api-blue", json!(null)),
            EndpointSlice::default(),
        ];
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(
            ready_of(&slices),
            [
                ("api".to_owned(), names(&["10.0.0.4", "a"])),
                ("api-blue".to_owned(), names(&[]))
            ]
            .into()
        );
    }
}
