//! What a request to each router of a namespace would meet. Pure.

use super::state::{Kind, State, list, text};
use serde::Deserialize;
use serde_json::Value;
use sluice_local::routing::Rule;
use sluice_local::routing::http_route::{self, Spec};
use sluice_local::routing::ingress;
use std::collections::{BTreeMap, BTreeSet};

/// The label that tells the pods of one track from those of the other.
const TRACK: &str = "sluice.dev/track";

/// A kind of object that routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouterKind {
    /// `gateway.networking.k8s.io/v1`, by weights.
    HttpRoute,
    /// `networking.k8s.io/v1` with the weighted actions of the AWS Load Balancer Controller.
    Ingress,
    /// A plain Service, by its selector.
    Service,
}

/// One rule of a router.
#[derive(Debug, Clone, PartialEq)]
pub struct Router {
    /// Of which kind.
    pub kind: RouterKind,
    /// The object's name.
    pub name: String,
    /// The rule's number, from 0; a Service has one.
    pub rule: usize,
    /// What the object asks for: from now on, requests may meet this at any time.
    pub asked: Vec<Share>,
    /// What the router's controller serves now: of an HTTPRoute, the generation that was last accepted; of an Ingress,
    /// what its controller last programmed; of a Service, its EndpointSlices.
    pub served: Vec<Share>,
}

/// The part of a router's requests that one backend gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The backend's Service. Of a plain Service whose selector names a track: `<service>-<track>`.
    pub backend: String,
    /// 0 to 100.
    pub percent: f64,
    /// Endpoints that answer: they are offered, and their pods are ready and not being deleted.
    pub ready: usize,
    /// What runs behind it: the digests of every pod that is offered.
    pub digests: BTreeSet<String>,
}

/// Every router of a namespace.
pub fn routers(state: &State) -> Vec<Router> {
    let routes = state.all(Kind::HttpRoute);
    let mut routers: Vec<Router> = routes
        .flat_map(|(name, route)| http_route(state, name, route))
        .collect();
    let ingresses = state.all(Kind::Ingress);
    routers.extend(ingresses.flat_map(|(name, one)| balanced(state, name, one)));
    routers.extend(
        state
            .all(Kind::Service)
            .filter_map(|(name, one)| service(state, name, one)),
    );
    routers
}

fn http_route(state: &State, name: &str, route: &Value) -> Vec<Router> {
    let rules = |route: &Value| Spec::of(route).rules(&state.namespace);
    let accepted = http_route::accepted(&http_route::parents(route));
    let served = accepted.and_then(|generation| state.route_at(name, generation));
    weighted(
        state,
        RouterKind::HttpRoute,
        name,
        &rules(route),
        &served.map(rules).unwrap_or_default(),
    )
}

/// An Ingress: it asks by its annotations, and what its controller programmed is served to the targets that are healthy.
fn balanced(state: &State, name: &str, object: &Value) -> Vec<Router> {
    if !ingress::is_ours(object) {
        return Vec::new();
    }
    let programmed: Value = state
        .get(Kind::Programmed, name)
        .and_then(|map| text(map, "/data/programmed"))
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let rules: Vec<Rule> = programmed
        .get("rules")
        .and_then(|rules| Deserialize::deserialize(rules).ok())
        .unwrap_or_default();
    let healthy = |service: &str| -> BTreeSet<&str> {
        let addresses: Vec<&str> = list(&programmed, &format!("/healthy/{service}"))
            .filter_map(Value::as_str)
            .collect();
        let known = |pod: &Value| text(pod, "/status/podIP").is_some_and(|ip| addresses.contains(&ip));
        let pods = state.all(Kind::Pod).filter(|(_, pod)| known(pod));
        pods.map(|(name, _)| name).collect()
    };
    let mut routers = weighted(state, RouterKind::Ingress, name, &ingress::rules(object), &rules);
    for share in routers.iter_mut().flat_map(|router| &mut router.served) {
        *share = self::share(state, &share.backend, share.percent, &healthy(&share.backend));
    }
    routers
}

/// A router that shares by weight; a rule that is not served yet serves nothing.
fn weighted(state: &State, kind: RouterKind, name: &str, asked: &[Rule], served: &[Rule]) -> Vec<Router> {
    let shares = |rule: Option<&Rule>| -> Vec<Share> {
        let shares = rule.map(Rule::shares).unwrap_or_default();
        shares
            .into_iter()
            .map(|(backend, percent)| behind(state, backend, percent))
            .collect()
    };
    (0..asked.len().max(served.len()))
        .map(|number| Router {
            kind,
            name: name.to_owned(),
            rule: number,
            asked: shares(asked.get(number)),
            served: shares(served.get(number)),
        })
        .collect()
}

/// A backend by the endpoints that are offered for it.
fn behind(state: &State, service: &str, percent: f64) -> Share {
    share(state, service, percent, &endpoints(state, service))
}

fn share(state: &State, backend: &str, percent: f64, pods: &BTreeSet<&str>) -> Share {
    Share {
        backend: backend.to_owned(),
        percent,
        ready: pods.iter().filter(|pod| answers(state, pod)).count(),
        digests: pods.iter().flat_map(|pod| state.digests_of(pod)).collect(),
    }
}

/// The pods that a Service's EndpointSlices offer: ready, and not terminating
/// (<https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions>).
fn endpoints<'a>(state: &'a State, service: &str) -> BTreeSet<&'a str> {
    let own = |slice: &Value| text(slice, "/metadata/labels/kubernetes.io~1service-name") == Some(service);
    let condition = |endpoint: &Value, name: &str| {
        endpoint
            .pointer(&format!("/conditions/{name}"))
            .and_then(Value::as_bool)
    };
    state
        .all(Kind::EndpointSlice)
        .filter(|(_, slice)| own(slice))
        .flat_map(|(_, slice)| list(slice, "/endpoints"))
        .filter(|one| condition(one, "ready") != Some(false) && condition(one, "terminating") != Some(true))
        .filter_map(|endpoint| text(endpoint, "/targetRef/name"))
        .collect()
}

/// Whether a pod is there, ready and not being deleted.
fn answers(state: &State, pod: &str) -> bool {
    state.get(Kind::Pod, pod).is_some_and(|pod| {
        let ready = |one: &Value| text(one, "/type") == Some("Ready") && text(one, "/status") == Some("True");
        text(pod, "/metadata/deletionTimestamp").is_none() && list(pod, "/status/conditions").any(ready)
    })
}

/// A plain Service: it asks for the pods that its selector means, and serves those that its slices offer.
fn service(state: &State, name: &str, service: &Value) -> Option<Router> {
    let selector = service.pointer("/spec/selector")?.as_object()?;
    let labels = |pod: &Value| pod.pointer("/metadata/labels").cloned().unwrap_or_default();
    let meant = |pod: &Value| {
        let labels = labels(pod);
        selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    let track = selector.get(TRACK).and_then(Value::as_str);
    let asked: BTreeSet<&str> = state
        .all(Kind::Pod)
        .filter(|(pod, value)| meant(value) && answers(state, pod))
        .map(|(pod, _)| pod)
        .collect();
    Some(Router {
        kind: RouterKind::Service,
        name: name.to_owned(),
        rule: 0,
        asked: vec![share(state, &backend(name, track), 100.0, &asked)],
        served: by_track(state, name, track),
    })
}

/// What a Service's slices offer, track by track: for a moment after a cutover that is still the old one.
fn by_track(state: &State, name: &str, track: Option<&str>) -> Vec<Share> {
    let offered = endpoints(state, name);
    let mut tracks: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for pod in &offered {
        let label = state
            .get(Kind::Pod, pod)
            .and_then(|pod| text(pod, "/metadata/labels/sluice.dev~1track"));
        tracks.entry(backend(name, label)).or_default().insert(pod);
    }
    if tracks.is_empty() {
        tracks.insert(backend(name, track), BTreeSet::new());
        return tracks
            .iter()
            .map(|(backend, pods)| share(state, backend, 100.0, pods))
            .collect();
    }
    tracks
        .iter()
        .map(|(backend, pods)| {
            share(
                state,
                backend,
                pods.len() as f64 * 100.0 / offered.len() as f64,
                pods,
            )
        })
        .collect()
}

fn backend(service: &str, track: Option<&str>) -> String {
    track.map_or_else(|| service.to_owned(), |track| format!("{service}-{track}"))
}
