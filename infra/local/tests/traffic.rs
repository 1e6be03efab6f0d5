//! What the doubles of traffic do, on real API servers: `sluice-local run --without-sluice -- cargo test -p sluice-local
//! --test traffic`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice_local::routing::http_route;
use sluice_local::{Cluster, Environment};

const LIMIT: Duration = Duration::from_secs(30);

struct Here {
    cluster: Cluster,
    client: Client,
    namespace: String,
}

impl Here {
    async fn new(name: &str) -> Self {
        let environment = Environment::load().unwrap();
        let cluster = environment.clusters[0].clone();
        let client = cluster.admin().await.unwrap();
        let namespace = cluster.create_test_namespace(name).await.unwrap();
        Self {
            cluster,
            client,
            namespace,
        }
    }

    fn routes(&self) -> Api<DynamicObject> {
        let resource = http_route::resource("HTTPRoute", "httproutes");
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    async fn service(&self, name: &str) {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}});
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        services
            .create(&PostParams::default(), &serde_json::from_value(service).unwrap())
            .await
            .unwrap();
    }

    async fn route(&self, gateway: &str, blue: u32, green: u32) -> Value {
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "api"},
        "spec": {"parentRefs": [{"name": gateway, "namespace": "gateways"}],
            "rules": [{"backendRefs": [{"name": "api-blue", "port": 80, "weight": blue},
                                       {"name": "api-green", "port": 80, "weight": green}]}]}});
        let written = self
            .routes()
            .patch("api", &PatchParams::apply("test").force(), &Patch::Apply(&route))
            .await
            .unwrap();
        serde_json::to_value(written).unwrap()
    }

    /// Asks something of the doubles, in the namespace, where no writer of the route removes it.
    async fn ask(&self, annotations: Value) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let patch = json!({"metadata": {"annotations": annotations}});
        namespaces
            .patch(&self.namespace, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// The condition of a generation, `<status> <reason>`, once the double has said it.
    async fn said(&self, kind: &str, generation: i64) -> String {
        let looking = async {
            loop {
                if let Some(found) = self.condition(kind).await
                    && found.observed_generation == generation
                {
                    return format!("{} {}", found.status, found.reason);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(LIMIT, looking).await {
            Ok(said) => said,
            Err(_) => panic!(
                "{kind} of generation {generation} was not said: {:#?}",
                self.routes().get("api").await.unwrap()
            ),
        }
    }

    async fn condition(&self, kind: &str) -> Option<http_route::Condition> {
        let route = serde_json::to_value(self.routes().get("api").await.unwrap()).unwrap();
        let parents = http_route::parents(&route);
        let all = parents.into_iter().flat_map(|parent| parent.conditions);
        all.into_iter().find(|one| one.kind == kind)
    }

    async fn until(&self, kind: &str, wanted: &str) {
        let looking = async {
            loop {
                let found = self.condition(kind).await;
                let found = found.map(|found| format!("{} {}", found.status, found.reason));
                if found.as_deref() == Some(wanted) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, looking)
            .await
            .unwrap_or_else(|_| panic!("{kind} is not {wanted}"));
    }

    async fn done(self) {
        self.cluster.delete_namespace(&self.namespace).await.unwrap();
    }
}

#[tokio::test]
async fn a_route_is_accepted_as_it_is_each_time_it_changes() {
    let here = Here::new("route").await;
    here.service("api-blue").await;
    here.route("public", 100, 0).await;
    assert_eq!(here.said("Accepted", 1).await, "True Accepted");
    assert_eq!(here.said("ResolvedRefs", 1).await, "False BackendNotFound");
    here.service("api-green").await;
    here.until("ResolvedRefs", "True ResolvedRefs").await;
    here.route("public", 95, 5).await;
    assert_eq!(here.said("Accepted", 2).await, "True Accepted");
    assert_eq!(here.said("ResolvedRefs", 2).await, "True ResolvedRefs");
    here.done().await;
}

#[tokio::test]
async fn a_double_lags_refuses_and_keeps_silent_on_request() {
    let here = Here::new("route-faults").await;
    here.service("api-blue").await;
    here.service("api-green").await;
    here.route("public", 100, 0).await;
    here.said("Accepted", 1).await;

    here.ask(json!({"sluice.sim/refuse": "IncompatibleFilters"}))
        .await;
    here.until("Accepted", "False IncompatibleFilters").await;
    here.route("public", 90, 10).await;
    assert_eq!(here.said("Accepted", 2).await, "False IncompatibleFilters");

    here.ask(json!({"sluice.sim/refuse": null, "sluice.sim/unresolved": "true"}))
        .await;
    here.until("Accepted", "True Accepted").await;
    here.until("ResolvedRefs", "False BackendNotFound").await;

    here.ask(json!({"sluice.sim/unresolved": null, "sluice.sim/silent": "true"}))
        .await;
    here.route("public", 80, 20).await;
    // Silence is seen by what comes after it: an answer to the generation after next, and never one to this.
    here.ask(json!({"sluice.sim/silent": null, "sluice.sim/lag": "5"}))
        .await;
    here.route("public", 70, 30).await;
    assert_eq!(here.condition("Accepted").await.unwrap().observed_generation, 2);
    assert_eq!(here.said("Accepted", 4).await, "True Accepted");

    here.ask(json!({"sluice.sim/lag": "soon"})).await;
    here.until("Accepted", "False Invalid").await;
    here.done().await;
}

#[tokio::test]
async fn a_route_to_nobodys_gateway_is_answered_by_nobody() {
    let here = Here::new("route-nobody").await;
    here.service("api-blue").await;
    here.service("api-green").await;
    here.route("private", 100, 0).await;
    // The same route is answered once it names a Gateway of ours.
    here.route("public", 100, 0).await;
    assert_eq!(here.said("Accepted", 2).await, "True Accepted");
    let route = serde_json::to_value(here.routes().get("api").await.unwrap()).unwrap();
    assert_eq!(http_route::parents(&route).len(), 1);
    here.done().await;
}
