//! What the doubles see of their cluster: one watch over each kind, shared by all of them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Service};
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
    /// Services.
    pub services: Store<Service>,
    /// Namespaces.
    pub namespaces: Store<Namespace>,
    /// Changes whenever one of them does.
    pub changed: watch::Receiver<()>,
}

impl Seen {
    /// Nothing yet; the future fills it, for as long as it is polled.
    pub fn new(client: &Client) -> (Self, impl Future<Output = Result<()>> + use<>) {
        let (changes, changed) = watch::channel(());
        let dynamic = |kind, plural| {
            let resource = http_route::resource(kind, plural);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            (api, Writer::<DynamicObject>::new(resource))
        };
        let classes = dynamic("GatewayClass", "gatewayclasses");
        let gateways = dynamic("Gateway", "gateways");
        let routes = dynamic("HTTPRoute", "httproutes");
        let services = (Api::<Service>::all(client.clone()), Writer::default());
        let namespaces = (Api::<Namespace>::all(client.clone()), Writer::default());
        let seen = Self {
            classes: classes.1.as_reader(),
            gateways: gateways.1.as_reader(),
            routes: routes.1.as_reader(),
            services: services.1.as_reader(),
            namespaces: namespaces.1.as_reader(),
            changed,
        };
        let following = async move {
            tokio::try_join!(
                follow(classes, &changes),
                follow(gateways, &changes),
                follow(routes, &changes),
                follow(services, &changes),
                follow(namespaces, &changes),
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

    /// A Gateway.
    pub fn gateway(&self, namespace: &str, name: &str) -> Option<std::sync::Arc<DynamicObject>> {
        self.gateways
            .get(&reference(&gateway_resource(), namespace, name))
    }

    /// A GatewayClass.
    pub fn class(&self, name: &str) -> Option<std::sync::Arc<DynamicObject>> {
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
