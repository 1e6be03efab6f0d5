//! What the doubles see of their cluster: one watch over each kind, shared by all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::routing::http_route;

/// The objects of a cluster as they were last heard of.
#[derive(Clone)]
pub struct Seen {
    /// GatewayClasses.
    pub classes: Store<DynamicObject>,
    /// Gateways.
    pub gateways: Store<DynamicObject>,
    /// HTTPRoutes.
    pub routes: Store<DynamicObject>,
    /// Ingresses.
    pub ingresses: Store<Ingress>,
    /// Services.
    pub services: Store<Service>,
    /// Namespaces.
    pub namespaces: Store<Namespace>,
    /// EndpointSlices.
    pub slices: Store<EndpointSlice>,
    /// Pods.
    pub pods: Store<Pod>,
    /// Changes whenever something does that routers are judged by: one of the above, but EndpointSlices and Pods.
    pub changed: watch::Receiver<()>,
    /// Changes whenever EndpointSlices or Pods do.
    pub moved: watch::Receiver<()>,
}

impl Seen {
    /// Nothing yet; the future fills it, for as long as it is polled.
    pub fn new(client: &Client) -> (Self, impl Future<Output = Result<()>> + use<>) {
        let (changes, changed) = watch::channel(());
        let (moves, moved) = watch::channel(());
        let dynamic = |kind, plural| {
            let resource = http_route::resource(kind, plural);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            (api, Writer::<DynamicObject>::new(resource))
        };
        let classes = dynamic("GatewayClass", "gatewayclasses");
        let gateways = dynamic("Gateway", "gateways");
        let routes = dynamic("HTTPRoute", "httproutes");
        let ingresses = (Api::<Ingress>::all(client.clone()), Writer::default());
        let services = (Api::<Service>::all(client.clone()), Writer::default());
        let namespaces = (Api::<Namespace>::all(client.clone()), Writer::default());
        let slices = (Api::<EndpointSlice>::all(client.clone()), Writer::default());
        let pods = (Api::<Pod>::all(client.clone()), Writer::default());
        let seen = Self {
            classes: classes.1.as_reader(),
            gateways: gateways.1.as_reader(),
            routes: routes.1.as_reader(),
            ingresses: ingresses.1.as_reader(),
            services: services.1.as_reader(),
            namespaces: namespaces.1.as_reader(),
            slices: slices.1.as_reader(),
            pods: pods.1.as_reader(),
            changed,
            moved,
        };
        let following = async move {
            tokio::try_join!(
                follow(classes, &changes),
                follow(gateways, &changes),
                follow(routes, &changes),
                follow(ingresses, &changes),
                follow(services, &changes),
                follow(namespaces, &changes),
                follow(slices, &moves),
                follow(pods, &moves),
            )?;
            Ok(())
        };
        (seen, following)
    }

    /// The annotations of a namespace.
    pub fn annotations_of(&self, namespace: &str) -> BTreeMap<String, String> {
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        found.map(|one| one.annotations().clone()).unwrap_or_default()
    }

    /// Whether there is such a Service.
    pub fn has_service(&self, namespace: &str, name: &str) -> bool {
        self.services
            .get(&ObjectRef::new(name).within(namespace))
            .is_some()
    }

    /// The pods that a Service's EndpointSlices offer: ready, and not terminating.
    pub fn endpoints(&self, namespace: &str, service: &str) -> Vec<Arc<Pod>> {
        let own = |slice: &EndpointSlice| {
            slice.namespace().as_deref() == Some(namespace)
                && slice
                    .labels()
                    .get("kubernetes.io/service-name")
                    .map(String::as_str)
                    == Some(service)
        };
        let slices = self.slices.state_filter(own);
        let offered = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
        let names: BTreeSet<&str> = offered
            .filter(|one| {
                let conditions = one.conditions.as_ref();
                conditions.and_then(|all| all.ready) != Some(false)
                    && conditions.and_then(|all| all.terminating) != Some(true)
            })
            .filter_map(|one| one.target_ref.as_ref()?.name.as_deref())
            .collect();
        let found = names
            .into_iter()
            .filter_map(|name| self.pods.get(&ObjectRef::new(name).within(namespace)));
        found.collect()
    }

    /// A Gateway.
    pub fn gateway(&self, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        self.gateways
            .get(&reference(&gateway_resource(), namespace, name))
    }

    /// A GatewayClass.
    pub fn class(&self, name: &str) -> Option<Arc<DynamicObject>> {
        let resource = http_route::resource("GatewayClass", "gatewayclasses");
        self.classes.get(&ObjectRef::new_with(name, resource))
    }
}

/// The kind Gateway.
pub fn gateway_resource() -> ApiResource {
    http_route::resource("Gateway", "gateways")
}

fn reference(resource: &ApiResource, namespace: &str, name: &str) -> ObjectRef<DynamicObject> {
    ObjectRef::new_with(name, resource.clone()).within(namespace)
}

async fn follow<K>((api, writer): (Api<K>, Writer<K>), changes: &watch::Sender<()>) -> Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Send + Sync,
{
    let mut events = watcher(api, watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .boxed();
    loop {
        match events.try_next().await {
            Ok(Some(_)) => changes.send_replace(()),
            Ok(None) => bail!("a watch of the doubles ended"),
            Err(error) => tracing::warn!(%error, "watching for the doubles: trying again"),
        }
    }
}
