//! The objects of one namespace, as they were after each change. Pure.

use serde_json::Value;
use sluice_local::etcd::Change;
use std::collections::{BTreeMap, BTreeSet};

/// The kinds that are followed, and where etcd keeps them (kube-apiserver's storage prefixes).
const KINDS: [(&str, Kind); 6] = [
    ("gateway.networking.k8s.io/httproutes", Kind::HttpRoute),
    ("ingress", Kind::Ingress),
    ("services/specs", Kind::Service),
    ("endpointslices", Kind::EndpointSlice),
    ("pods", Kind::Pod),
    ("deployments", Kind::Deployment),
];

/// Where the double of the AWS Load Balancer Controller keeps what it programmed: `<namespace>.<ingress>` follows.
const PROGRAMMED: &str = "configmaps/gateways/alb.";

/// A kind that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    HttpRoute,
    Ingress,
    Service,
    EndpointSlice,
    Pod,
    Deployment,
    /// What is programmed for an Ingress.
    Programmed,
}

/// A namespace.
#[derive(Debug, Clone)]
pub struct State {
    pub namespace: String,
    objects: BTreeMap<(Kind, String), Value>,
    /// The digests of each pod that there ever was: an endpoint may outlive its pod by a moment.
    digests: BTreeMap<String, BTreeSet<String>>,
    /// What each route's spec was at each of its generations: a status may be about an older one.
    generations: BTreeMap<(String, i64), Value>,
}

impl State {
    pub fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            objects: BTreeMap::new(),
            digests: BTreeMap::new(),
            generations: BTreeMap::new(),
        }
    }

    /// Takes a change over; says what changed, and nothing where it is not about this namespace's traffic.
    pub fn apply(&mut self, change: &Change) -> Option<String> {
        let (kind, name) = self.read(&change.key)?;
        let what = format!("{kind:?} {name}");
        let Some(value) = &change.value else {
            self.objects.remove(&(kind, name));
            return Some(format!("{what} is gone"));
        };
        match kind {
            Kind::Pod => {
                self.digests
                    .entry(name.clone())
                    .or_default()
                    .extend(digests(value));
            }
            Kind::HttpRoute => {
                let generation = value.pointer("/metadata/generation").and_then(Value::as_i64);
                let key = (name.clone(), generation.unwrap_or_default());
                self.generations.insert(key, value.clone());
            }
            _ => {}
        }
        let before = self.objects.insert((kind, name), value.clone());
        Some(match writer(before.as_ref(), value) {
            Some(writer) => format!("{what} by {writer}"),
            None => what,
        })
    }

    fn read(&self, key: &str) -> Option<(Kind, String)> {
        if let Some(rest) = key.strip_prefix(PROGRAMMED) {
            let name = rest.strip_prefix(&self.namespace)?.strip_prefix('.')?;
            return Some((Kind::Programmed, name.to_owned()));
        }
        KINDS.iter().find_map(|(place, kind)| {
            let rest = key.strip_prefix(place)?.strip_prefix('/')?;
            let name = rest.strip_prefix(&self.namespace)?.strip_prefix('/')?;
            Some((*kind, name.to_owned()))
        })
    }

    /// All objects of a kind, by name.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = (&str, &Value)> {
        let of_kind = self.objects.iter().filter(move |((found, _), _)| *found == kind);
        of_kind.map(|((_, name), value)| (name.as_str(), value))
    }

    pub fn get(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, name.to_owned()))
    }

    /// The route as it was at a generation.
    pub fn route_at(&self, name: &str, generation: i64) -> Option<&Value> {
        self.generations.get(&(name.to_owned(), generation))
    }

    /// The digests that a pod runs, or ran when it was last seen.
    pub fn digests_of(&self, pod: &str) -> BTreeSet<String> {
        self.digests.get(pod).cloned().unwrap_or_default()
    }

    pub fn replicas(&self) -> BTreeMap<String, i64> {
        let replicas = |value: &Value| value.pointer("/spec/replicas").and_then(Value::as_i64);
        self.all(Kind::Deployment)
            .map(|(name, value)| (name.to_owned(), replicas(value).unwrap_or(1)))
            .collect()
    }
}

/// A text in an object.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// A list in an object.
pub fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// What a pod's containers run, init containers aside.
fn digests(pod: &Value) -> BTreeSet<String> {
    list(pod, "/status/containerStatuses")
        .filter_map(|status| text(status, "/imageID"))
        .filter_map(|image| image.split_once('@'))
        .map(|(_, digest)| digest.to_owned())
        .collect()
}

/// Who wrote an object last, as far as its managed fields tell (they have seconds only): a writer of its status where only
/// that changed.
fn writer<'a>(before: Option<&Value>, value: &'a Value) -> Option<&'a str> {
    let status_alone = before.is_some_and(|before| before.get("spec") == value.get("spec"))
        && before.and_then(|before| before.get("status")) != value.get("status");
    list(value, "/metadata/managedFields")
        .filter(|one| (text(one, "/subresource") == Some("status")) == status_alone)
        .max_by_key(|one| text(one, "/time").unwrap_or_default())
        .and_then(|one| text(one, "/manager"))
}
