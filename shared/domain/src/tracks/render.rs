//! A bundle on a track: the same workload under names and labels of its own, which no selector that was there before
//! matches.

use super::{TRACK_LABEL, Track, TrackServices, Weights, charted};
use crate::bundle::{Bundle, WorkloadBundle};
use crate::pipeline::{RootServiceError, root_service};
use apart::{check_apart, selected_by, spec_selector};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) mod apart;

/// The longest value of a label (Kubernetes, "Labels and Selectors").
const LONGEST_LABEL: usize = 63;
/// The longest name of a Service: a DNS label (RFC 1035), and its pods' hostnames.
pub(super) const LONGEST_NAME: usize = 63;

/// Why a bundle cannot be put on a track.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderFault {
    /// A Deployment without its selector: its track would select nothing.
    #[error(
        "deployment {0} has no selector with matchLabels, so that a track of it could select nothing: give it one"
    )]
    NoSelector(String),
    /// A selector by expressions cannot be told apart for each track.
    #[error(
        "deployment {0} selects its pods by matchExpressions: use matchLabels, which each track gets of its own"
    )]
    Expressions(String),
    /// The track's name of an object would be too long.
    #[error("{kind} {name} is too long for tracks: `{name}-green` has more than {LONGEST_NAME} characters")]
    LongName {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The track's value of a label would be too long.
    #[error(
        "label {key} of deployment {deployment} is too long for tracks: `{value}-green` has more than {LONGEST_LABEL} characters"
    )]
    LongLabel {
        /// The Deployment.
        deployment: String,
        /// The label's key.
        key: String,
        /// Its value.
        value: String,
    },
    /// No Service can be the one by which the workload is known.
    #[error("{fault}. Right: {}", .fault.right())]
    Root {
        /// Why.
        #[from]
        fault: RootServiceError,
    },
    /// The chart was rendered without tracks, or what runs is no chart's.
    #[error(
        "the Helm release {0} was not rendered for tracks, as it ran before there were any: promote a release instead"
    )]
    NotCharted(String),
    /// Its pods would be the same ones under another name.
    #[error("{kind} {name} cannot be on two tracks: {why}")]
    NoTrack {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        why: &'static str,
    },
}

/// The Service by which a workload is known: the one that is named, or the only one that selects the pods of what runs the
/// release.
pub fn services_of(bundle: &Bundle, named: Option<&str>) -> Result<TrackServices, RenderFault> {
    let services = || bundle.objects.iter().filter(|object| is_service(object));
    let released = |one: &&WorkloadBundle| one.container.is_some();
    let named_as = |one: &WorkloadBundle| {
        let mut whole = one.manifest.clone();
        // A bundle's manifests have no names: they stand beside them.
        if let Some(whole) = whole.as_object_mut() {
            whole.insert("metadata".to_owned(), json!({"name": one.name}));
        }
        whole
    };
    let deployments: Vec<Value> = bundle.deployments.iter().filter(released).map(named_as).collect();
    let deployments: Vec<&Value> = deployments.iter().collect();
    let services_of = TrackServices {
        root: root_service(named, services(), &deployments)?,
    };
    let preview = services_of.preview();
    match services().any(|object| name_of(object) == preview) {
        true => Err(RenderFault::NoTrack {
            kind: "Service".to_owned(),
            name: preview,
            why: "it is what the idle track's Service is called while it is looked at",
        }),
        false => Ok(services_of),
    }
}

/// The Services of a bundle that select its pods: each is pointed at the live track, by its own name.
pub fn pointed(bundle: &Bundle) -> Vec<&Value> {
    let is_it = |object: &&Value| match bundle.is_charted() {
        // Of a chart's bundle there is none but the one by which it is known.
        true => is_service(object),
        false => selects(object, bundle),
    };
    bundle.objects.iter().filter(is_it).collect()
}

/// A Service as it selects the pods of a track.
pub fn pointing(service: &Value, bundle: &Bundle, track: Track) -> Value {
    let mut service = service.clone();
    if let Some(own) = charted::selector(bundle, track) {
        set(&mut service, "/spec", "selector", own.clone());
        return service;
    }
    let labels = selected_labels(bundle);
    relabel_selector(service.pointer_mut("/spec/selector"), &labels, track);
    service
}

/// The Services of a bundle that select its pods, each pointed at a place; none is what was there before there were tracks,
/// which the bundle is then.
pub fn all_pointing(bundle: &Bundle, place: Option<Track>) -> Vec<Value> {
    let at =
        |service: &Value| place.map_or_else(|| service.clone(), |track| pointing(service, bundle, track));
    pointed(bundle).into_iter().map(at).collect()
}

/// The bundle on a track: Deployments, autoscalers, disruption budgets and a Service of the track for each Service that
/// selects it. The Services themselves are left out: they are pointed when the traffic moves ([`pointing`]).
pub fn on_track(bundle: &Bundle, track: Track) -> Result<Bundle, RenderFault> {
    if let Some(helm) = &bundle.helm {
        return charted::on_track(bundle, helm, track);
    }
    let labels = selected_labels(bundle);
    let mut rendered = bundle.clone();
    rendered.deployments = bundle
        .deployments
        .iter()
        .map(|one| deployment(one, &labels, track))
        .collect::<Result<_, _>>()?;
    rendered.objects = bundle
        .objects
        .iter()
        .filter_map(|object| object_on(object, bundle, &labels, track).transpose())
        .collect::<Result<_, _>>()?;
    check_apart(bundle, &rendered)?;
    Ok(rendered)
}

/// How many pods a Deployment needs for its part of the traffic: rounded up, and one at least where there is any.
pub fn size_for(full: i32, weight: u32) -> i32 {
    let part = i64::from(full.max(0)).saturating_mul(i64::from(weight.min(100)));
    let rounded = part.saturating_add(99).checked_div(100).unwrap_or(0);
    i32::try_from(rounded).unwrap_or(i32::MAX)
}

/// A track's bundle with as many pods as this weight needs. `full` is how many the whole traffic needs, by the
/// Deployment's name without the track.
pub fn sized(rendered: &Bundle, track: Track, full: &BTreeMap<String, i32>, weight: u32) -> Bundle {
    let own = full
        .iter()
        .map(|(name, full)| (track.of(name), size_for(*full, weight)));
    of_size(rendered, &own.collect())
}

/// A bundle with these numbers of pods, by the Deployments' own names; their autoscalers keep at least as many.
pub(super) fn of_size(rendered: &Bundle, sizes: &BTreeMap<String, i32>) -> Bundle {
    let mut sized = rendered.clone();
    for deployment in &mut sized.deployments {
        if let Some(size) = sizes.get(&deployment.name) {
            deployment.replicas = Some(*size);
        }
    }
    let scaled: BTreeMap<String, i32> = sized
        .deployments
        .iter()
        .filter_map(|one| Some((one.name.clone(), one.replicas?)))
        .collect();
    for object in &mut sized.objects {
        keep_at_least(object, &scaled);
    }
    sized
}

/// Has an autoscaler keep as many pods as are said for its Deployment. False where it is none, or none of these.
pub(super) fn keep_at_least(object: &mut Value, sizes: &BTreeMap<String, i32>) -> bool {
    let Some(size) = autoscaled(object).and_then(|name| sizes.get(name)).copied() else {
        return false;
    };
    let most = object
        .pointer("/spec/maxReplicas")
        .and_then(Value::as_i64)
        .unwrap_or_else(|| i64::from(size));
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("minReplicas".to_owned(), json!(size.max(1)));
        spec.insert("maxReplicas".to_owned(), json!(most.max(i64::from(size)).max(1)));
    }
    true
}

/// The Deployment that an autoscaler sizes; none where the object is no autoscaler.
pub(super) fn autoscaled(object: &Value) -> Option<&str> {
    object
        .pointer("/spec/scaleTargetRef/name")
        .and_then(Value::as_str)
}

/// How many pods each Deployment of a bundle has with the whole traffic: what it says, or what its autoscaler keeps at
/// least, or what runs now where that is more.
pub fn full_size(bundle: &Bundle, running: &BTreeMap<String, i32>) -> BTreeMap<String, i32> {
    let least = |name: &str| {
        let own = bundle
            .objects
            .iter()
            .filter(|object| autoscaled(object) == Some(name));
        let least = own.filter_map(|object| object.pointer("/spec/minReplicas")?.as_i64());
        least.filter_map(|least| i32::try_from(least).ok()).max()
    };
    let size = |one: &WorkloadBundle| {
        let now = running.get(&one.name).copied().unwrap_or(0);
        // An explicit 0 is nobody's minimum: an autoscaler leaves such a Deployment alone.
        let least = least(&one.name).filter(|_| one.replicas != Some(0)).unwrap_or(0);
        one.replicas.unwrap_or(1).max(least).max(now).max(0)
    };
    bundle
        .deployments
        .iter()
        .map(|one| (one.name.clone(), size(one)))
        .collect()
}

/// What a router says with the traffic where it is.
pub fn weights_at(track: Option<Track>, weight: u32) -> Weights {
    track.map_or_else(Weights::original, |track| Weights::split(track, weight))
}

/// The labels, key and value, by which something selects the workload's pods: those of the Deployments' own selectors, and of
/// the Services and disruption budgets that select them.
fn selected_labels(bundle: &Bundle) -> BTreeSet<(String, String)> {
    let of_deployments = bundle
        .deployments
        .iter()
        .filter_map(|one| one.manifest.pointer("/spec/selector/matchLabels"));
    let of_services = bundle
        .objects
        .iter()
        .filter(|object| selects(object, bundle))
        .filter_map(|one| one.pointer("/spec/selector"));
    let of_budgets = bundle
        .objects
        .iter()
        .filter(|object| protects(object, bundle))
        .filter_map(|one| one.pointer("/spec/selector/matchLabels"));
    let maps = of_deployments.chain(of_services).chain(of_budgets);
    let maps = maps.filter_map(Value::as_object);
    let pairs = maps
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    pairs.filter(|(key, _)| key != TRACK_LABEL).collect()
}

fn deployment(
    one: &WorkloadBundle,
    labels: &BTreeSet<(String, String)>,
    track: Track,
) -> Result<WorkloadBundle, RenderFault> {
    if track.of(&one.name).len() > LONGEST_NAME {
        return Err(RenderFault::LongName {
            kind: "Deployment",
            name: one.name.clone(),
        });
    }
    let selector = one.manifest.pointer("/spec/selector");
    if selector
        .and_then(|selector| selector.get("matchExpressions"))
        .is_some_and(|found| found != &json!([]))
    {
        return Err(RenderFault::Expressions(one.name.clone()));
    }
    let own = selector
        .and_then(|selector| selector.get("matchLabels"))
        .and_then(Value::as_object);
    if own.is_none_or(Map::is_empty) {
        return Err(RenderFault::NoSelector(one.name.clone()));
    }
    for (key, value) in labels {
        if track_value(value, track).len() > LONGEST_LABEL {
            let (key, value) = (key.clone(), value.clone());
            return Err(RenderFault::LongLabel {
                deployment: one.name.clone(),
                key,
                value,
            });
        }
    }
    let mut rendered = one.clone();
    rendered.name = track.of(&one.name);
    let manifest = &mut rendered.manifest;
    relabel_selector(manifest.pointer_mut("/spec/selector/matchLabels"), labels, track);
    relabel(
        manifest.pointer_mut("/spec/template/metadata/labels"),
        labels,
        track,
        true,
    );
    relabel(manifest.pointer_mut("/metadata/labels"), labels, track, true);
    if let Some(pod) = manifest.pointer_mut("/spec/template/spec") {
        for place in ["affinity", "topologySpreadConstraints"] {
            relabel_selectors_below(pod.get_mut(place), labels, track);
        }
    }
    Ok(rendered)
}

fn object_on(
    object: &Value,
    bundle: &Bundle,
    labels: &BTreeSet<(String, String)>,
    track: Track,
) -> Result<Option<Value>, RenderFault> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let name = name_of(object);
    let mut rendered = object.clone();
    match kind {
        "Service" if selects(object, bundle) => service(&mut rendered, labels, track)?,
        "HorizontalPodAutoscaler" => {
            let target = object
                .pointer("/spec/scaleTargetRef/name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if !bundle.deployments.iter().any(|one| one.name == target) {
                return Ok(Some(rendered));
            }
            set(
                &mut rendered,
                "/spec/scaleTargetRef",
                "name",
                json!(track.of(target)),
            );
        }
        "PodDisruptionBudget" if protects(object, bundle) => {
            relabel_selector(rendered.pointer_mut("/spec/selector/matchLabels"), labels, track);
        }
        // What the tracks share, as they share a ServiceAccount.
        _ => return Ok(Some(rendered)),
    }
    if track.of(name).len() > LONGEST_NAME {
        let kind = if kind == "Service" { "Service" } else { "object" };
        return Err(RenderFault::LongName {
            kind,
            name: name.to_owned(),
        });
    }
    set(&mut rendered, "/metadata", "name", json!(track.of(name)));
    Ok(Some(rendered))
}

/// A Service of a track has no address of the outside: that is the router's, or the Service's that it is a copy of.
fn service(
    rendered: &mut Value,
    labels: &BTreeSet<(String, String)>,
    track: Track,
) -> Result<(), RenderFault> {
    let name = name_of(rendered).to_owned();
    let no_track = |why| RenderFault::NoTrack {
        kind: "Service".to_owned(),
        name: name.clone(),
        why,
    };
    if rendered.pointer("/spec/type") == Some(&json!("ExternalName")) {
        return Err(no_track("it is of type ExternalName"));
    }
    relabel_selector(rendered.pointer_mut("/spec/selector"), labels, track);
    // ExternalDNS would give the name of the outside to this one too (its documentation, "Annotations").
    if let Some(annotations) = rendered
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.retain(|key, _| !key.starts_with("external-dns.alpha.kubernetes.io/"));
    }
    let Some(spec) = rendered.get_mut("spec").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    const OF_THE_OUTSIDE: [&str; 8] = [
        "type",
        "externalIPs",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "loadBalancerClass",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "allocateLoadBalancerNodePorts",
    ];
    spec.retain(|key, _| !OF_THE_OUTSIDE.contains(&key.as_str()));
    // An address of the inside is the Service's that it is a copy of. A headless one stays headless.
    if spec.get("clusterIP") != Some(&json!("None")) {
        spec.retain(|key, _| key != "clusterIP" && key != "clusterIPs");
    }
    for port in spec
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
    Ok(())
}

/// Whether a Service selects pods of a bundle.
fn selects(object: &Value, bundle: &Bundle) -> bool {
    is_service(object) && spec_selector(object).is_some_and(|selector| selected_by(&selector, bundle))
}

/// Whether a disruption budget is of a bundle's pods, by their labels. One over everything in the namespace is of no workload.
fn protects(object: &Value, bundle: &Bundle) -> bool {
    object
        .get("kind")
        .is_some_and(|kind| kind == "PodDisruptionBudget")
        && spec_selector(object)
            .is_some_and(|selector| !selector.has_expressions() && selected_by(&selector, bundle))
}

pub(super) fn is_service(object: &Value) -> bool {
    object.get("kind").is_some_and(|kind| kind == "Service")
}

/// A label's value has to start with a letter or a digit, unless it is empty (Kubernetes, "Labels and Selectors").
fn track_value(value: &str, track: Track) -> String {
    if value.is_empty() {
        track.as_str().to_owned()
    } else {
        track.of(value)
    }
}

/// Each of the labels with the track's value, and the track's own label.
fn relabel_selector(selector: Option<&mut Value>, labels: &BTreeSet<(String, String)>, track: Track) {
    relabel(selector, labels, track, true);
}

fn relabel(map: Option<&mut Value>, labels: &BTreeSet<(String, String)>, track: Track, with_track: bool) {
    let Some(map) = map.and_then(Value::as_object_mut) else {
        return;
    };
    // Each once: what one value becomes may be another one's of before.
    for (key, found) in map.iter_mut() {
        let of_track = found
            .as_str()
            .filter(|value| labels.contains(&(key.clone(), (*value).to_owned())))
            .map(|value| track_value(value, track));
        if let Some(of_track) = of_track {
            *found = json!(of_track);
        }
    }
    if with_track {
        map.insert(TRACK_LABEL.to_owned(), json!(track.as_str()));
    }
}

/// Pods that keep apart from, or close to, others of their own workload do so within their track.
fn relabel_selectors_below(value: Option<&mut Value>, labels: &BTreeSet<(String, String)>, track: Track) {
    match value {
        Some(Value::Object(map)) => {
            for (key, inner) in map.iter_mut() {
                if key == "matchLabels" {
                    let own = inner.as_object().is_some_and(|found| {
                        found.iter().any(|(key, value)| {
                            value
                                .as_str()
                                .is_some_and(|value| labels.contains(&(key.clone(), value.to_owned())))
                        })
                    });
                    relabel(Some(inner), labels, track, own);
                } else if key == "matchExpressions" {
                    relabel_expressions(inner, labels, track);
                } else if key != "nodeAffinity" {
                    relabel_selectors_below(Some(inner), labels, track);
                }
            }
        }
        Some(Value::Array(list)) => {
            for inner in list {
                relabel_selectors_below(Some(inner), labels, track);
            }
        }
        _ => {}
    }
}

/// `{key, operator, values}`: each value that is one of the labels becomes the track's.
fn relabel_expressions(list: &mut Value, labels: &BTreeSet<(String, String)>, track: Track) {
    for one in list.as_array_mut().into_iter().flatten() {
        let Some(key) = one.get("key").and_then(Value::as_str).map(str::to_owned) else {
            continue;
        };
        for value in one
            .get_mut("values")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let of_track = value
                .as_str()
                .filter(|value| labels.contains(&(key.clone(), (*value).to_owned())))
                .map(|value| track_value(value, track));
            if let Some(of_track) = of_track {
                *value = json!(of_track);
            }
        }
    }
}

pub(super) fn set(object: &mut Value, pointer: &str, key: &str, value: Value) {
    if let Some(map) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
        map.insert(key.to_owned(), value);
    }
}

pub(super) fn name_of(object: &Value) -> &str {
    object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
