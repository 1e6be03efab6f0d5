//! Looking at a router: its object, the Services between which it shares, and the endpoints behind these.

use crate::error::ClusterError;
use crate::fence::fence_of;
use crate::namespace::Namespace;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, Status};
use serde_json::Value;
use sluice_domain::ids::Fence;
use sluice_domain::pipeline::Router;
use sluice_domain::router::{
    Evidence, LoadBalancer, RouterFault, RouterObservation, RouterVerdict, Routing, Selector, selector,
};
use sluice_domain::tracks::{Track, TrackServices};
use std::collections::BTreeMap;
use std::future::{Future, ready};

/// Where to look for the load balancer of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressAddress {
    /// The cluster, as the controller's tags name it.
    pub cluster: String,
    /// The Ingress, as these tags name it: `namespace/name`.
    pub ingress: String,
    /// The load balancer's DNS name, from the Ingress's status.
    pub hostname: String,
}

/// An object of a router's kind, or why there is none.
pub(crate) enum Found {
    Object(Box<DynamicObject>),
    /// There is none of that name.
    NoObject,
    /// The cluster does not know the kind.
    NoKind,
}

/// What a router is judged by.
struct Seen {
    object: Result<DynamicObject, RouterFault>,
    root: Option<DynamicObject>,
    tracks: BTreeMap<Track, DynamicObject>,
    evidence: Evidence,
}

impl Namespace {
    /// What a router says, what its status says of it, and how many ready endpoints there are. Without a load balancer's own
    /// word the standing of an `alb_ingress` stays pending: see `router_with`.
    pub async fn router(
        &self,
        router: &Router,
        services: &TrackServices,
    ) -> Result<RouterObservation, ClusterError> {
        self.router_with(router, services, |_| ready(Ok(None))).await
    }

    /// The same, with what a load balancer itself says: `read` is called with its address, after the Ingress was read, where
    /// there is an address; none is a load balancer that is not there.
    pub async fn router_with<E, F>(
        &self,
        router: &Router,
        services: &TrackServices,
        read: impl FnOnce(IngressAddress) -> F,
    ) -> Result<RouterObservation, E>
    where
        E: From<ClusterError>,
        F: Future<Output = Result<Option<LoadBalancer>, E>>,
    {
        // On the heap: five requests at once make a large future.
        let mut seen = Box::pin(self.seen(router, services)).await?;
        let address = seen
            .object
            .as_ref()
            .ok()
            .and_then(|object| self.address_of(object));
        if let (Router::AlbIngress { .. }, Some(address)) = (router, address) {
            seen.evidence.load_balancer = read(address).await?;
        }
        Ok(self.judged(router, services, &seen)?)
    }

    async fn seen(&self, router: &Router, services: &TrackServices) -> Result<Seen, ClusterError> {
        let (object, root, tracks, endpoints) = tokio::try_join!(
            self.router_object(router, services),
            self.service(&services.root),
            self.track_services(services),
            self.ready_endpoints(services),
        )?;
        let evidence = Evidence {
            endpoints,
            load_balancer: None,
        };
        Ok(Seen {
            object,
            root,
            tracks,
            evidence,
        })
    }

    fn judged(
        &self,
        router: &Router,
        services: &TrackServices,
        seen: &Seen,
    ) -> Result<RouterObservation, ClusterError> {
        let selectors = self.selectors_of(&seen.tracks)?;
        let (routing, pointing) = (
            Routing {
                router,
                services,
                selectors: &selectors,
            },
            Routing {
                router: &Router::Service,
                services,
                selectors: &selectors,
            },
        );
        let read = |object: &DynamicObject| self.to_json(&routing.object(), object);
        let object = seen.object.as_ref().map(read);
        let (weights, meets, standing) = match object {
            Ok(object) => {
                let object = object?;
                let meets = routing.meets(&object).unwrap_or_default();
                (
                    routing.weights(&object),
                    meets,
                    routing.standing(&object, &seen.evidence),
                )
            }
            Err(fault) => {
                let refused = RouterVerdict::Refused(fault.to_string());
                (Err(fault.clone()), BTreeMap::new(), refused)
            }
        };
        let root = match &seen.root {
            Some(root) => pointing.weights(&self.to_json(&pointing.object(), root)?),
            None => Err(RouterFault::Missing {
                object: pointing.object(),
            }),
        };
        let metadata = seen.object.as_ref().map(|object| &object.metadata);
        Ok(RouterObservation {
            weights,
            meets,
            standing,
            generation: metadata.map_or(0, |metadata| metadata.generation.unwrap_or_default()),
            fence: metadata.map_or(Fence(0), fence_of),
            ready: ready_counts(services, &seen.evidence),
            root,
            root_fence: seen
                .root
                .as_ref()
                .map_or(Fence(0), |root| fence_of(&root.metadata)),
        })
    }

    /// The router's object; the inner error is why there is none.
    pub(crate) async fn router_object(
        &self,
        router: &Router,
        services: &TrackServices,
    ) -> Result<Result<DynamicObject, RouterFault>, ClusterError> {
        let (resource, name) = resource_of(router, services);
        let object = format!("{} {name}", resource.kind);
        Ok(match self.find(&resource, name).await? {
            Found::Object(found) => Ok(*found),
            Found::NoObject => Err(RouterFault::Missing { object }),
            Found::NoKind => Err(RouterFault::NoKind {
                kind: format!("{} of {}", resource.kind, resource.api_version),
            }),
        })
    }

    /// The Services of the tracks that are there.
    pub(crate) async fn track_services(
        &self,
        services: &TrackServices,
    ) -> Result<BTreeMap<Track, DynamicObject>, ClusterError> {
        let (blue, green) = (services.of(Track::Blue), services.of(Track::Green));
        let (blue, green) = tokio::try_join!(self.service(&blue), self.service(&green))?;
        let tracks = [(Track::Blue, blue), (Track::Green, green)];
        Ok(tracks
            .into_iter()
            .filter_map(|(track, service)| Some((track, service?)))
            .collect())
    }

    /// What the Services of the tracks select.
    pub(crate) fn selectors_of(
        &self,
        tracks: &BTreeMap<Track, DynamicObject>,
    ) -> Result<BTreeMap<Track, Selector>, ClusterError> {
        let mut selectors = BTreeMap::new();
        for (track, service) in tracks {
            let service = self.to_json(&format!("the Service of track {track}"), service)?;
            if let Some(selector) = selector(&service) {
                selectors.insert(*track, selector);
            }
        }
        Ok(selectors)
    }

    async fn service(&self, name: &str) -> Result<Option<DynamicObject>, ClusterError> {
        match self.find(&ApiResource::erase::<Service>(&()), name).await? {
            Found::Object(found) => Ok(Some(*found)),
            Found::NoObject | Found::NoKind => Ok(None),
        }
    }

    async fn find(&self, resource: &ApiResource, name: &str) -> Result<Found, ClusterError> {
        let get = |client| async move {
            let api: Api<DynamicObject> = Api::namespaced_with(client, self.name(), resource);
            match api.get(name).await {
                Ok(found) => Ok(Found::Object(Box::new(found))),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(absence(&status)),
                Err(error) => Err(error),
            }
        };
        self.ask(&format!("{} {name}", resource.kind), get).await
    }

    pub(crate) fn to_json(&self, label: &str, object: &DynamicObject) -> Result<Value, ClusterError> {
        serde_json::to_value(object).map_err(|error| ClusterError::Invalid {
            object: self.place_of(label),
            message: error.to_string(),
        })
    }

    fn address_of(&self, ingress: &DynamicObject) -> Option<IngressAddress> {
        let hostname = ingress.data.pointer("/status/loadBalancer/ingress/0/hostname")?;
        Some(IngressAddress {
            cluster: self.cluster().to_owned(),
            ingress: format!("{}/{}", self.name(), ingress.metadata.name.as_deref()?),
            hostname: hostname.as_str().filter(|name| !name.is_empty())?.to_owned(),
        })
    }
}

/// The kind of a router's object, and its name.
pub(crate) fn resource_of<'r>(router: &'r Router, services: &'r TrackServices) -> (ApiResource, &'r str) {
    match router {
        Router::HttpRoute(name) => {
            let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
            (ApiResource::from_gvk(&kind), name)
        }
        Router::AlbIngress { ingress, .. } => (ApiResource::erase::<Ingress>(&()), ingress),
        Router::Service => (ApiResource::erase::<Service>(&()), &services.root),
    }
}

/// Of an object that is not there, the API server names it; of a kind that it does not know, it does not (a plain "404 page not
/// found").
fn absence(status: &Status) -> Found {
    let names_it = status
        .details
        .as_ref()
        .is_some_and(|details| !details.name.is_empty());
    if names_it { Found::NoObject } else { Found::NoKind }
}

fn ready_counts(services: &TrackServices, evidence: &Evidence) -> BTreeMap<String, u32> {
    let tracks = [Track::Blue, Track::Green].map(|track| services.of(track));
    let all = tracks.into_iter().chain([services.root.clone()]);
    let count = |name: &String| evidence.endpoints.get(name).map_or(0, |ready| ready.len());
    all.map(|name| {
        let count = u32::try_from(count(&name)).unwrap_or(u32::MAX);
        (name, count)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::StatusDetails;

    #[test]
    fn a_kind_that_is_not_known_is_told_from_an_object_that_is_not_there() {
        let plain = Status::failure("404 page not found\n", "Failed to parse error data").with_code(404);
        assert!(matches!(absence(&plain), Found::NoKind));
        let details = StatusDetails {
            name: "web".to_owned(),
            group: "gateway.networking.k8s.io".to_owned(),
            kind: "httproutes".to_owned(),
            uid: String::new(),
            causes: vec![],
            retry_after_seconds: 0,
        };
        assert!(matches!(absence(&plain.with_details(details)), Found::NoObject));
    }
}
