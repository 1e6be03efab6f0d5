//! What a Gateway's controller says of a route (<https://gateway-api.sigs.k8s.io/reference/spec/#routeconditionreason>).
//! Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::doubles::faults::Faults;
use crate::routing::Rule;
use crate::routing::http_route::{Condition, NoService, ParentRef};

/// What a controller says of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the route is accepted and served as it is.
    pub accepted: Said,
    /// Whether everything that it names is there.
    pub resolved: Said,
}

/// A condition without its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// `True` or `False`.
    pub yes: bool,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

impl Said {
    fn yes(reason: &str) -> Self {
        Self {
            yes: true,
            reason: reason.into(),
            message: String::new(),
        }
    }

    fn no(reason: &str, message: impl Into<String>) -> Self {
        Self {
            yes: false,
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// The condition to write; its time stays while its status does, as `metav1.Condition` asks.
    pub fn condition(&self, kind: &str, generation: i64, before: &[Condition], now: &str) -> Condition {
        let status = if self.yes { "True" } else { "False" };
        let same = before.iter().find(|one| one.kind == kind && one.status == status);
        Condition {
            kind: kind.into(),
            status: status.into(),
            observed_generation: generation,
            last_transition_time: same.map_or(now, |one| &one.last_transition_time).into(),
            reason: self.reason.clone(),
            message: self.message.clone(),
        }
    }
}

/// `spec.listeners[]` of a Gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    name: String,
    port: i32,
    allowed_routes: Option<AllowedRoutes>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct AllowedRoutes {
    namespaces: Option<Namespaces>,
}

#[derive(Debug, Clone, Deserialize)]
struct Namespaces {
    from: Option<String>,
    selector: Option<Selector>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
}

/// `spec.listeners` of a Gateway as the API server shows it.
pub fn listeners(gateway: &Value) -> Vec<Listener> {
    gateway
        .pointer("/spec/listeners")
        .and_then(|listeners| Deserialize::deserialize(listeners).ok())
        .unwrap_or_default()
}

impl Listener {
    fn is_meant(&self, parent: &ParentRef) -> bool {
        parent.section_name.as_ref().is_none_or(|name| *name == self.name)
            && parent.port.is_none_or(|port| port == self.port)
    }

    /// By itself a listener takes routes of its own namespace only.
    fn allows(&self, route: &Place<'_>, gateway: &str) -> bool {
        let namespaces = self
            .allowed_routes
            .as_ref()
            .and_then(|all| all.namespaces.as_ref());
        match namespaces.and_then(|all| all.from.as_deref()).unwrap_or("Same") {
            "All" => true,
            "Same" => route.namespace == gateway,
            "Selector" => namespaces
                .and_then(|all| all.selector.as_ref())
                .is_some_and(|selector| {
                    let wanted = selector.match_labels.iter();
                    wanted
                        .into_iter()
                        .all(|(name, value)| route.labels.get(name) == Some(value))
                }),
            _ => false,
        }
    }
}

/// Where a route is.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The labels of that.
    pub labels: &'a BTreeMap<String, String>,
}

/// Whether a Gateway (its namespace and listeners) takes a route that names it so.
pub fn attach(parent: &ParentRef, route: &Place<'_>, gateway: &str, listeners: &[Listener]) -> Said {
    let mut meant = listeners.iter().filter(|one| one.is_meant(parent)).peekable();
    if meant.peek().is_none() {
        return Said::no("NoMatchingParent", "the Gateway has no such listener");
    }
    if !meant.any(|one| one.allows(route, gateway)) {
        return Said::no(
            "NotAllowedByListeners",
            format!("no listener takes routes of namespace {}", route.namespace),
        );
    }
    Said::yes("Accepted")
}

/// Whether everything that a route of `namespace` names is there.
pub fn resolve(
    namespace: &str,
    rules: &[Rule],
    others: &[NoService],
    has_service: impl Fn(&str) -> bool,
) -> Said {
    if let Some(other) = others.first() {
        return Said::no("InvalidKind", format!("{} is no Service", other.what));
    }
    for backend in rules.iter().flat_map(|rule| &rule.backends) {
        if backend.namespace != namespace {
            let message = format!(
                "no ReferenceGrant lets it name Service {} of namespace {}",
                backend.service, backend.namespace
            );
            return Said::no("RefNotPermitted", message);
        }
        if !has_service(&backend.service) {
            return Said::no(
                "BackendNotFound",
                format!("Service {} does not exist", backend.service),
            );
        }
    }
    Said::yes("ResolvedRefs")
}

impl Verdict {
    /// With what was asked to go wrong; none when nothing is to be said.
    pub fn with(self, faults: &Result<Faults, String>) -> Option<Self> {
        let faults = match faults {
            Ok(faults) => faults,
            // Never silently: a test that asks for something wrong must see it.
            Err(message) => {
                return Some(Self {
                    accepted: Said::no("Invalid", message),
                    ..self
                });
            }
        };
        if faults.silent {
            return None;
        }
        let accepted = match &faults.refuse {
            Some(reason) => refused(reason),
            None => self.accepted,
        };
        let resolved = if faults.unresolved && self.resolved.yes {
            Said::no("BackendNotFound", "not found, on request")
        } else {
            self.resolved
        };
        Some(Self { accepted, resolved })
    }
}

/// The API server takes words as reasons only; anything else is the message.
fn refused(reason: &str) -> Said {
    let word = reason.chars().all(|one| one.is_ascii_alphanumeric())
        && reason.starts_with(|first: char| first.is_ascii_alphabetic());
    if word && reason != "true" {
        Said::no(reason, "refused on request")
    } else {
        Said::no("UnsupportedValue", format!("refused on request: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::routing::http_route::Spec;
    use serde_json::json;

    fn attached(parent: Value, route: &str, from: Value) -> Said {
        let gateway = json!({"spec": {"listeners": [{"name": "http", "port": 80, "protocol": "HTTP",
            "allowedRoutes": {"namespaces": from}}]}});
        let parent: ParentRef = serde_json::from_value(parent).unwrap();
        let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
        let place = Place {
            namespace: route,
            labels: &labels,
        };
        attach(&parent, &place, "gateways", &listeners(&gateway))
    }

    #[test]
    fn a_gateway_takes_the_routes_that_its_listeners_allow() {
        let selector = |team: &str| json!({"from": "Selector", "selector": {"matchLabels": {"team": team}}});
        for (parent, route, from, reason) in [
            (json!({"name": "g"}), "dev", json!({"from": "All"}), "Accepted"),
            (
                json!({"name": "g"}),
                "dev",
                json!({"from": "Same"}),
                "NotAllowedByListeners",
            ),
            (json!({"name": "g"}), "dev", json!({}), "NotAllowedByListeners"),
            (json!({"name": "g"}), "gateways", json!({}), "Accepted"),
            (json!({"name": "g"}), "dev", selector("a"), "Accepted"),
            (
                json!({"name": "g"}),
                "dev",
                selector("b"),
                "NotAllowedByListeners",
            ),
            (
                json!({"name": "g", "sectionName": "http", "port": 80}),
                "dev",
                json!({"from": "All"}),
                "Accepted",
            ),
            (
                json!({"name": "g", "sectionName": "https"}),
                "dev",
                json!({"from": "All"}),
                "NoMatchingParent",
            ),
        ] {
            let said = attached(parent.clone(), route, from.clone());
            assert_eq!(
                (said.reason.as_str(), said.yes),
                (reason, reason == "Accepted"),
                "{parent} {from}"
            );
        }
    }

    fn resolved(backends: Value) -> Said {
        let spec = Spec::of(&json!({"spec": {"rules": [{"backendRefs": backends}]}}));
        resolve("dev", &spec.rules("dev"), &spec.other_kinds(), |name| {
            name == "api"
        })
    }

    #[test]
    fn what_a_route_names_must_be_there() {
        for (backends, reason) in [
            (json!([{"name": "api", "port": 80}]), "ResolvedRefs"),
            (
                json!([{"name": "api", "port": 80}, {"name": "gone", "port": 80, "weight": 0}]),
                "BackendNotFound",
            ),
            (
                json!([{"name": "api", "namespace": "prod", "port": 80}]),
                "RefNotPermitted",
            ),
            (json!([{"name": "api", "kind": "Bucket"}]), "InvalidKind"),
        ] {
            assert_eq!(resolved(backends.clone()).reason, reason, "{backends}");
        }
    }

    #[test]
    fn faults_change_what_is_said() {
        let fine = || Verdict {
            accepted: Said::yes("Accepted"),
            resolved: Said::yes("ResolvedRefs"),
        };
        let with = |faults: Faults| fine().with(&Ok(faults));
        assert_eq!(with(Faults::default()), Some(fine()));
        let silent = Faults {
            silent: true,
            ..Faults::default()
        };
        assert_eq!(with(silent), None);
        for (asked, reason) in [
            ("true", "UnsupportedValue"),
            ("a sentence", "UnsupportedValue"),
            ("Pending", "Pending"),
        ] {
            let refuse = Faults {
                refuse: Some(asked.into()),
                ..Faults::default()
            };
            let said = with(refuse).unwrap();
            assert_eq!(
                (said.accepted.yes, said.accepted.reason.as_str()),
                (false, reason)
            );
            assert!(said.resolved.yes);
        }
        let unresolved = Faults {
            unresolved: true,
            ..Faults::default()
        };
        let said = with(unresolved).unwrap();
        assert!(said.accepted.yes && !said.resolved.yes);
        assert!(!fine().with(&Err("lag is soon".into())).unwrap().accepted.yes);
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let first = Said::yes("Accepted").condition("Accepted", 1, &[], "one");
        let second = Said::yes("Accepted").condition("Accepted", 2, std::slice::from_ref(&first), "two");
        assert_eq!(
            (second.observed_generation, second.last_transition_time.as_str()),
            (2, "one")
        );
        let third = Said::no("Pending", "").condition("Accepted", 3, &[second], "three");
        assert_eq!(
            (third.last_transition_time.as_str(), third.status.as_str()),
            ("three", "False")
        );
    }
}
