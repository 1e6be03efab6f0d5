//! A Service's own selector: all for one track, or for what was there before.
//!
//! Pointed at a track, the root selects exactly what the track's Service selects, so that it does not matter by which labels a
//! workload's tracks are told apart. What it selected before is kept in an annotation, so that it can be brought back.

use super::{Evidence, RouterFault, RouterVerdict, Routing};
use crate::tracks::{TRACK_LABEL, Track, Weights};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a Service selects: labels and their values.
pub type Selector = BTreeMap<String, String>;

/// The annotation of the root Service that says, as JSON, what it selected before there were tracks.
pub const SELECTOR_BEFORE: &str = "sluice.dev/selector-before";

/// What a Service selects; none where it selects nothing (Kubernetes, "Services without selectors"), or outside of the cluster.
pub fn selector(service: &Value) -> Option<Selector> {
    let found = service.pointer("/spec/selector")?;
    let selector: Selector = serde_json::from_value(found.clone()).ok()?;
    let is_external = service.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName");
    (!selector.is_empty() && !is_external).then_some(selector)
}

pub(super) fn weights(
    object: &str,
    selectors: &BTreeMap<Track, Selector>,
    root: &Value,
) -> Result<Weights, RouterFault> {
    let found = selector_of(object, root)?;
    if let Some((track, _)) = selectors.iter().find(|(_, selector)| **selector == found) {
        return Ok(Weights::split(*track, 100));
    }
    if found.contains_key(TRACK_LABEL) {
        return Err(RouterFault::Selector {
            object: object.to_owned(),
            found: said(&found),
            label: TRACK_LABEL.to_owned(),
        });
    }
    Ok(Weights::original())
}

pub(super) fn with_weights(
    object: &str,
    selectors: &BTreeMap<Track, Selector>,
    root: &Value,
    weights: Weights,
) -> Result<Value, RouterFault> {
    let found = selector_of(object, root)?;
    let is_before =
        !selectors.values().any(|selector| *selector == found) && !found.contains_key(TRACK_LABEL);
    let wanted = match (weights.original, weights.blue, weights.green) {
        (100, 0, 0) if is_before => found.clone(),
        (100, 0, 0) => selector_before(object, root)?,
        (0, 100, 0) => selector_of_track(object, selectors, Track::Blue)?,
        (0, 0, 100) => selector_of_track(object, selectors, Track::Green)?,
        (original, blue, green) => {
            return Err(RouterFault::NotWhole {
                object: object.to_owned(),
                found: format!("original {original} %, blue {blue} %, green {green} %"),
            });
        }
    };
    let mut written = root.clone();
    put(&mut written, "spec", "selector", json!(wanted));
    if is_before {
        let annotations = root.pointer("/metadata/annotations").and_then(Value::as_object);
        let mut annotations = annotations.cloned().unwrap_or_default();
        annotations.insert(SELECTOR_BEFORE.to_owned(), json!(json!(found).to_string()));
        put(
            &mut written,
            "metadata",
            "annotations",
            Value::Object(annotations),
        );
    }
    Ok(written)
}

/// The endpoints behind the root are those of the track that it selects: EndpointSlices are written by a controller, a moment
/// after the selector.
pub(super) fn standing(routing: &Routing<'_>, root: &Value, evidence: &Evidence) -> RouterVerdict {
    let object = routing.object();
    let weights = match weights(&object, routing.selectors, root) {
        Ok(weights) => weights,
        Err(fault) => return RouterVerdict::Refused(fault.to_string()),
    };
    let none = BTreeSet::new();
    let of = |service: &str| evidence.endpoints.get(service).unwrap_or(&none);
    let behind = of(&routing.services.root);
    if behind.is_empty() {
        return RouterVerdict::Pending(format!("{object} has no ready endpoint"));
    }
    let Some(track) = [Track::Blue, Track::Green]
        .into_iter()
        .find(|track| weights.of(*track) == 100)
    else {
        return RouterVerdict::Accepted;
    };
    let service = routing.services.of(track);
    let wanted = of(&service);
    if behind == wanted {
        return RouterVerdict::Accepted;
    }
    let (stale, missing) = (
        behind.difference(wanted).count(),
        wanted.difference(behind).count(),
    );
    RouterVerdict::Pending(format!(
        "behind {object} are {stale} endpoints that Service {service} does not have, and {missing} of its own are missing"
    ))
}

fn selector_of(object: &str, root: &Value) -> Result<Selector, RouterFault> {
    let kind = root
        .pointer("/spec/type")
        .and_then(Value::as_str)
        .unwrap_or("ClusterIP");
    selector(root).ok_or_else(|| RouterFault::NoSelector {
        object: object.to_owned(),
        found: format!(
            "type {kind}, selector {}",
            root.pointer("/spec/selector").unwrap_or(&Value::Null)
        ),
    })
}

fn selector_of_track(
    object: &str,
    selectors: &BTreeMap<Track, Selector>,
    track: Track,
) -> Result<Selector, RouterFault> {
    let found = selectors.get(&track).filter(|selector| !selector.is_empty());
    found.cloned().ok_or_else(|| {
        let root = object.strip_prefix("Service ").unwrap_or(object);
        RouterFault::NoTrackService {
            object: object.to_owned(),
            service: track.of(root),
        }
    })
}

fn selector_before(object: &str, root: &Value) -> Result<Selector, RouterFault> {
    let annotations = root.pointer("/metadata/annotations");
    let kept = annotations
        .and_then(|all| all.get(SELECTOR_BEFORE))
        .and_then(Value::as_str);
    let selector = kept.and_then(|kept| serde_json::from_str::<Selector>(kept).ok());
    selector
        .filter(|selector| !selector.is_empty())
        .ok_or_else(|| RouterFault::NoOriginal {
            object: object.to_owned(),
            annotation: SELECTOR_BEFORE.to_owned(),
        })
}

fn put(object: &mut Value, part: &str, key: &str, value: Value) {
    if let Some(part) = object.get_mut(part).and_then(Value::as_object_mut) {
        part.insert(key.to_owned(), value);
    }
}

fn said(selector: &Selector) -> String {
    let each = selector.iter().map(|(name, value)| format!("{name}={value}"));
    each.collect::<Vec<_>>().join(",")
}
