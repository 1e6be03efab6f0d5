//! The history of traffic, read from a real cluster: `sluice-local run --without-sluice -- cargo test -p sluice-tests
//! --test traffic`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluice_local::image::{Image, Pusher};
use sluice_local::routing::http_route;
use sluice_local::{Cluster, Environment};
use sluice_tests::traffic::{self, RouterKind};
use sluice_tests::wait::until;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const CLUSTER: &str = "mc-staging-eks";

struct Scene {
    here: Environment,
    cluster: Cluster,
    client: Client,
    namespace: String,
}

impl Scene {
    async fn new(name: &str) -> Result<Self> {
        let here = Environment::load()?;
        let cluster = here.cluster(CLUSTER)?.clone();
        let client = cluster.admin().await?;
        let namespace = cluster.create_test_namespace(name).await?;
        let scene = Self {
            here,
            cluster,
            client,
            namespace,
        };
        for track in ["blue", "green"] {
            scene.service(&format!("api-{track}"), track).await?;
        }
        Ok(scene)
    }

    async fn push(&self, content: &str) -> Result<String> {
        let pushed = Pusher::new(&self.here, "mc-api")
            .push(&Image::new(content), &[])
            .await?;
        Ok(pushed.digest)
    }

    async fn service(&self, name: &str, track: &str) -> Result<()> {
        let api: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": "api", "sluice.dev/track": track}, "ports": [{"port": 80}]}});
        api.patch(
            name,
            &PatchParams::apply("cutover").force(),
            &Patch::Apply(service),
        )
        .await?;
        Ok(())
    }

    async fn track(&self, track: &str, digest: &str, replicas: usize) -> Result<()> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let labels = json!({"app": "api", "sluice.dev/track": track});
        let image = format!("{}/mc-api@{digest}", self.here.registry_host());
        let name = format!("api-{track}");
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels},
                             "spec": {"containers": [{"name": "api", "image": image}]}}}});
        api.patch(
            &name,
            &PatchParams::apply("cutover").force(),
            &Patch::Apply(deployment),
        )
        .await?;
        Ok(())
    }

    /// Until so many endpoints of a Service are ready.
    async fn endpoints(&self, service: &str, wanted: usize) -> Result<()> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.namespace);
        let own = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        until(&format!("{wanted} endpoints of {service}"), LIMIT, || async {
            let slices = api.list(&own).await?;
            let ready = slices
                .items
                .iter()
                .flat_map(|slice| slice.endpoints.iter().flatten());
            let ready =
                ready.filter(|one| one.conditions.as_ref().is_some_and(|all| all.ready == Some(true)));
            let found = ready.count();
            Ok(if found == wanted {
                Ok(())
            } else {
                Err(found.to_string())
            })
        })
        .await
    }

    /// Writes the weights and waits until they are accepted.
    async fn shift(&self, blue: u32, green: u32) -> Result<()> {
        let resource = http_route::resource("HTTPRoute", "httproutes");
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let backend =
            |track: &str, weight: u32| json!({"name": format!("api-{track}"), "port": 80, "weight": weight});
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "api"}, "spec": {"parentRefs": [{"name": "public", "namespace": "gateways"}],
                "rules": [{"backendRefs": [backend("blue", blue), backend("green", green)]}]}});
        let written = api
            .patch(
                "api",
                &PatchParams::apply("cutover").force(),
                &Patch::Apply(route),
            )
            .await?;
        until("the weights' acceptance", LIMIT, || async {
            let now: Value = serde_json::to_value(api.get("api").await?)?;
            let accepted = http_route::accepted(&http_route::parents(&now));
            Ok(if accepted == written.metadata.generation {
                Ok(())
            } else {
                Err(format!("{accepted:?}"))
            })
        })
        .await
    }

    async fn done(self) -> Result<()> {
        self.cluster.delete_namespace(&self.namespace).await
    }
}

#[tokio::test]
async fn a_cutover_is_told_revision_by_revision() -> Result<()> {
    let scene = Scene::new("traffic").await?;
    let (old, new) = (scene.push("traffic old").await?, scene.push("traffic new").await?);
    scene.track("blue", &old, 2).await?;
    scene.endpoints("api-blue", 2).await?;
    scene.service("api", "blue").await?;
    scene.endpoints("api", 2).await?;
    let begun = traffic::now(&scene.here, CLUSTER).await?;
    scene.shift(100, 0).await?;
    scene.track("green", &new, 2).await?;
    scene.endpoints("api-green", 2).await?;
    for (blue, green) in [(95, 5), (50, 50), (0, 100)] {
        scene.shift(blue, green).await?;
    }
    scene.service("api", "green").await?;
    scene.endpoints("api", 2).await?;
    scene.track("blue", &old, 0).await?;
    scene.endpoints("api-blue", 0).await?;

    let history = traffic::history(&scene.here, CLUSTER, &scene.namespace).await?;
    let route = history.of(RouterKind::HttpRoute, "api")?;
    assert_eq!(route.walk("api-green"), [0.0, 5.0, 50.0, 100.0]);
    route.assert_weights_within("api-green", &[0.0, 5.0, 50.0, 100.0])?;
    route.assert_no_dead_weight(|_| 2)?;
    route.assert_only(&[&old, &new])?;
    assert_eq!(route.digests(), [old.clone(), new.clone()].into());
    assert_eq!(route.end().unwrap().served, route.end().unwrap().asked);
    let since = history.between(begun, u64::MAX);
    let root = since.of(RouterKind::Service, "api")?;
    assert_eq!(root.walk("api-green"), [0.0, 100.0]);
    root.assert_no_dead_weight(|_| 2)?;
    root.assert_only(&[&old, &new])?;
    assert_eq!(since.moments.last().unwrap().replicas["api-blue"], 0);
    scene.done().await
}

#[tokio::test]
async fn a_cutover_in_the_wrong_order_is_found() -> Result<()> {
    let scene = Scene::new("traffic-wrong").await?;
    let (old, new) = (scene.push("wrong old").await?, scene.push("wrong new").await?);
    scene.track("blue", &old, 2).await?;
    scene.endpoints("api-blue", 2).await?;
    scene.shift(100, 0).await?;
    scene.shift(75, 25).await?; // before anything runs there
    scene.track("green", &new, 2).await?;
    scene.endpoints("api-green", 2).await?;
    let history = traffic::history(&scene.here, CLUSTER, &scene.namespace).await?;
    let route = history.of(RouterKind::HttpRoute, "api")?;
    let fault = route.assert_no_dead_shift(|_| 1).unwrap_err().to_string();
    assert!(
        fault.contains("api-green was raised from 0 to 25 %") && fault.contains("cutover"),
        "{fault}"
    );
    assert!(route.assert_no_dead_weight(|_| 1).is_err());
    assert!(route.assert_only(&[&old]).is_err());
    scene.done().await
}
