//! Histories made by hand: a service `api` with two tracks, as etcd would tell of it.

#![allow(clippy::expect_used, clippy::indexing_slicing)]

use serde_json::{Value, json};
use sluice_local::etcd::Change;

pub const BLUE: &str = "sha256:blue";
pub const GREEN: &str = "sha256:green";

/// The address of a track's pod.
pub fn address(track: &str, number: usize) -> String {
    format!("10.244.{}.{number}", track.len())
}

/// A history that grows.
#[derive(Default)]
pub struct Story {
    pub changes: Vec<Change>,
    generation: i64,
}

impl Story {
    /// Two pods of each track's digest, ready, behind the Service of each track; the route and the root Service on blue.
    pub fn new() -> Self {
        let mut story = Self::default();
        for track in ["blue", "green"] {
            story.service(&format!("api-{track}"), track);
        }
        story.service("api", "blue");
        story.pods("blue", BLUE, 2, true);
        story.offer("api-blue", "blue", 2);
        story.offer("api", "blue", 2);
        story.route(100, 0);
        story.accept();
        story
    }

    /// The same with green as large as blue and ready, without weight.
    pub fn ready() -> Self {
        let mut story = Self::new();
        story.pods("green", GREEN, 2, true);
        story.offer("api-green", "green", 2);
        story
    }

    pub fn put(&mut self, key: &str, value: Value) {
        self.change(key, Some(value));
    }

    pub fn delete(&mut self, key: &str) {
        self.change(key, None);
    }

    fn change(&mut self, key: &str, value: Option<Value>) {
        let revision = self.revision() + 1;
        let key = key.to_owned();
        self.changes.push(Change { revision, key, value });
    }

    pub fn revision(&self) -> u64 {
        self.changes.last().map_or(100, |change| change.revision)
    }

    /// What was written last becomes one transaction with what was written before it.
    pub fn at_once(&mut self) {
        let before = self
            .changes
            .len()
            .checked_sub(2)
            .map(|at| self.changes[at].revision);
        if let (Some(last), Some(revision)) = (self.changes.last_mut(), before) {
            last.revision = revision;
        }
    }

    pub fn service(&mut self, name: &str, track: &str) {
        let selector = json!({"app": "api", "sluice.dev/track": track});
        let managed = json!([{"manager": "advance-rollout", "time": "2026-01-01T00:00:00Z"}]);
        let service =
            json!({"metadata": {"name": name, "managedFields": managed}, "spec": {"selector": selector}});
        self.put(&format!("services/specs/dev/{name}"), service);
    }

    pub fn pods(&mut self, track: &str, digest: &str, count: usize, ready: bool) {
        for number in 0..count {
            self.pod(track, number, digest, ready);
        }
    }

    pub fn pod(&mut self, track: &str, number: usize, digest: &str, ready: bool) {
        let name = format!("{track}-{number}");
        let condition = json!({"type": "Ready", "status": if ready { "True" } else { "False" }});
        let pod = json!({"metadata": {"name": name, "labels": {"app": "api", "sluice.dev/track": track}},
            "status": {"conditions": [condition], "podIP": address(track, number),
                "containerStatuses": [{"imageID": format!("registry/api@{digest}")}]}});
        self.put(&format!("pods/dev/{name}"), pod);
    }

    /// An EndpointSlice with the first pods of a track.
    pub fn offer(&mut self, service: &str, track: &str, count: usize) {
        let endpoint = |number| {
            json!({"conditions": {"ready": true, "terminating": false},
                   "targetRef": {"kind": "Pod", "name": format!("{track}-{number}")}})
        };
        let endpoints: Vec<Value> = (0..count).map(endpoint).collect();
        let labels = json!({"kubernetes.io/service-name": service});
        let slice = json!({"metadata": {"labels": labels}, "endpoints": endpoints});
        self.put(&format!("endpointslices/dev/{service}-x"), slice);
    }

    pub fn route(&mut self, blue: u32, green: u32) {
        self.generation += 1;
        let backends = json!([{"name": "api-blue", "port": 80, "weight": blue},
                              {"name": "api-green", "port": 80, "weight": green}]);
        let before = self.last_route().and_then(|route| route.get("status").cloned());
        let route = json!({"metadata": {"name": "api", "generation": self.generation},
            "spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": backends}]},
            "status": before});
        self.put("gateway.networking.k8s.io/httproutes/dev/api", route);
    }

    /// The controller accepts the route as it is now.
    pub fn accept(&mut self) {
        let condition = json!({"type": "Accepted", "status": "True", "observedGeneration": self.generation,
            "reason": "Accepted", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let mut route = self.last_route().expect("a route");
        route["status"] = json!({"parents": [{"parentRef": {"name": "public"}, "controllerName": "x",
                                              "conditions": [condition]}]});
        self.put("gateway.networking.k8s.io/httproutes/dev/api", route);
    }

    fn last_route(&self) -> Option<Value> {
        let of_route = |change: &&Change| change.key.contains("httproutes");
        let last = self.changes.iter().rev().find(of_route)?;
        last.value.clone()
    }
}
