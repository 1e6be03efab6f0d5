//! What the double of a Gateway's controller does.

use serde_json::json;
use sluice_local::routing::http_route;

use crate::here::{Here, until, until_is};

/// A namespace with both Services.
async fn with_services(name: &str) -> Here {
    let here = Here::new(name).await;
    for name in ["api-blue", "api-green"] {
        here.service(name, json!({"app": name})).await;
    }
    here
}

fn told(condition: http_route::Condition) -> String {
    format!("{} {}", condition.status, condition.reason)
}

impl Here {
    /// The condition of a generation, `<status> <reason>`, once the double has said it.
    async fn said(&self, kind: &str, generation: i64) -> String {
        let what = format!("{kind} of generation {generation}");
        let found = until(
            &what,
            async || self.condition(kind).await,
            |found| {
                found
                    .as_ref()
                    .is_some_and(|found| found.observed_generation == generation)
            },
        );
        told(found.await.unwrap())
    }

    async fn condition(&self, kind: &str) -> Option<http_route::Condition> {
        let route = serde_json::to_value(self.routes().get("api").await.unwrap()).unwrap();
        let parents = http_route::parents(&route);
        let all = parents.into_iter().flat_map(|parent| parent.conditions);
        all.into_iter().find(|one| one.kind == kind)
    }

    async fn until(&self, kind: &str, wanted: &str) {
        let look = async || self.condition(kind).await.map(told);
        until_is(kind, look, Some(wanted.to_owned())).await;
    }
}

#[tokio::test]
async fn a_route_is_accepted_as_it_is_each_time_it_changes() {
    let here = Here::new("route").await;
    here.service("api-blue", json!({"app": "api-blue"})).await;
    here.route("public", 100, 0).await;
    assert_eq!(here.said("Accepted", 1).await, "True Accepted");
    assert_eq!(here.said("ResolvedRefs", 1).await, "False BackendNotFound");
    here.service("api-green", json!({"app": "api-green"})).await;
    here.until("ResolvedRefs", "True ResolvedRefs").await;
    here.route("public", 95, 5).await;
    assert_eq!(here.said("Accepted", 2).await, "True Accepted");
    assert_eq!(here.said("ResolvedRefs", 2).await, "True ResolvedRefs");
    here.done().await;
}

#[tokio::test]
async fn a_double_lags_refuses_and_keeps_silent_on_request() {
    let here = with_services("route-faults").await;
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
    let here = with_services("route-nobody").await;
    here.route("private", 100, 0).await;
    // The same route is answered once it names a Gateway of ours.
    here.route("public", 100, 0).await;
    assert_eq!(here.said("Accepted", 2).await, "True Accepted");
    let route = serde_json::to_value(here.routes().get("api").await.unwrap()).unwrap();
    assert_eq!(http_route::parents(&route).len(), 1);
    here.done().await;
}
