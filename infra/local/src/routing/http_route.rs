//! HTTPRoute `gateway.networking.k8s.io/v1` (<https://gateway-api.sigs.k8s.io/reference/spec/>): the parts that say where
//! requests go, and its status. Hostnames, matches, filters and retries are not looked at.

use kube::api::ApiResource;
use kube::core::GroupVersionKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Backend, Rule};

/// The group of the Gateway API.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// A kind of the Gateway API at v1.
pub fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1", kind), plural)
}

/// `spec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// What it attaches to.
    pub parent_refs: Vec<ParentRef>,
    rules: Vec<RuleSpec>,
}

/// `spec.parentRefs[]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// By itself the Gateway API's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// By itself Gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// By itself the route's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The parent's name.
    pub name: String,
    /// One listener of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// Listeners of this port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

impl ParentRef {
    /// Whether it names a Gateway, and not a Service as a mesh has it.
    pub fn is_gateway(&self) -> bool {
        let group = self.group.as_deref().unwrap_or(GROUP);
        group == GROUP && self.kind.as_deref().unwrap_or("Gateway") == "Gateway"
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RuleSpec {
    backend_refs: Vec<BackendRef>,
}

#[derive(Debug, Clone, Deserialize)]
struct BackendRef {
    group: Option<String>,
    kind: Option<String>,
    name: String,
    namespace: Option<String>,
    port: Option<u16>,
    weight: Option<u32>,
}

/// A reference that no Service can be meant by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoService {
    /// `<kind> <name>`.
    pub what: String,
}

impl Spec {
    /// The spec of a route as the API server shows it. What does not fit is as if it were not there: the API server has
    /// checked the object against its definition.
    pub fn of(route: &Value) -> Self {
        route
            .get("spec")
            .and_then(|spec| Deserialize::deserialize(spec).ok())
            .unwrap_or_default()
    }

    /// Its rules; a backend that is no Service is a Service of the name `<kind>/<name>`, which there cannot be.
    pub fn rules(&self, namespace: &str) -> Vec<Rule> {
        let rule = |rule: &RuleSpec| Rule {
            backends: rule
                .backend_refs
                .iter()
                .map(|backend| backend.read(namespace))
                .collect(),
        };
        self.rules.iter().map(rule).collect()
    }

    /// References to other kinds than Service.
    pub fn other_kinds(&self) -> Vec<NoService> {
        let all = self.rules.iter().flat_map(|rule| &rule.backend_refs);
        all.filter(|one| !one.is_service())
            .map(|one| NoService {
                what: format!("{} {}", one.kind(), one.name),
            })
            .collect()
    }
}

impl BackendRef {
    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("Service")
    }

    fn is_service(&self) -> bool {
        self.kind() == "Service" && self.group.as_deref().unwrap_or_default().is_empty()
    }

    fn read(&self, namespace: &str) -> Backend {
        let service = if self.is_service() {
            self.name.clone()
        } else {
            format!("{}/{}", self.kind(), self.name)
        };
        Backend {
            namespace: self.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
            service,
            port: self.port.map(|port| port.to_string()).unwrap_or_default(),
            weight: self.weight.unwrap_or(1),
        }
    }
}

/// One of `status.parents[]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// As the spec names it.
    pub parent_ref: ParentRef,
    /// Who says so.
    pub controller_name: String,
    /// Accepted, ResolvedRefs and others.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// `metav1.Condition`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The generation that it is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// RFC 3339.
    pub last_transition_time: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    #[serde(default)]
    pub message: String,
}

/// `status.parents` of a route as the API server shows it.
pub fn parents(route: &Value) -> Vec<ParentStatus> {
    route
        .pointer("/status/parents")
        .and_then(|parents| Deserialize::deserialize(parents).ok())
        .unwrap_or_default()
}

/// The newest generation that a parent says it accepts and serves; none where no parent does.
pub fn accepted(parents: &[ParentStatus]) -> Option<i64> {
    let conditions = parents.iter().flat_map(|parent| &parent.conditions);
    conditions
        .filter(|one| one.kind == "Accepted" && one.status == "True")
        .map(|one| one.observed_generation)
        .max()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use serde_json::json;

    #[test]
    fn weights_and_namespaces_have_the_defaults_of_the_definition() {
        let route = json!({"spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": [
            {"name": "api-blue", "port": 80, "weight": 0},
            {"name": "api-green", "port": 80},
            {"name": "other", "namespace": "elsewhere", "port": 80, "weight": 3},
            {"name": "bucket", "kind": "Bucket", "group": "example.com"}]}]}});
        let spec = Spec::of(&route);
        assert!(spec.parent_refs[0].is_gateway());
        let rules = spec.rules("dev");
        let read: Vec<_> = rules[0]
            .backends
            .iter()
            .map(|one| (one.namespace.as_str(), one.service.as_str(), one.weight))
            .collect();
        assert_eq!(
            read,
            [
                ("dev", "api-blue", 0),
                ("dev", "api-green", 1),
                ("elsewhere", "other", 3),
                ("dev", "Bucket/bucket", 1)
            ]
        );
        assert_eq!(spec.other_kinds()[0].what, "Bucket bucket");
    }

    #[test]
    fn the_newest_accepted_generation_counts() {
        let condition = |kind: &str, status: &str, generation| {
            json!({"type": kind, "status": status, "observedGeneration": generation, "reason": "X",
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let parent = |conditions: Vec<Value>| json!({"parentRef": {"name": "public"}, "controllerName": "example.com/x", "conditions": conditions});
        let route = |all: Vec<Value>| json!({"status": {"parents": all}});
        let read = |all| accepted(&parents(&route(all)));
        assert_eq!(read(vec![]), None);
        assert_eq!(read(vec![parent(vec![condition("Accepted", "False", 3)])]), None);
        assert_eq!(
            read(vec![parent(vec![
                condition("ResolvedRefs", "True", 9),
                condition("Accepted", "True", 3)
            ])]),
            Some(3)
        );
    }
}
