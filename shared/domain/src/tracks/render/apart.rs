//! What a bundle selects pods by, and that nothing of it selects the pods of a track.

use super::{RenderFault, name_of};
use crate::bundle::Bundle;
use serde_json::{Map, Value};

/// A selector that selects something, but not everything in its namespace.
pub(in crate::tracks) struct Selector<'a> {
    labels: Option<&'a Map<String, Value>>,
    expressions: Option<&'a Vec<Value>>,
}

impl<'a> Selector<'a> {
    /// Of `matchLabels` and `matchExpressions` (Kubernetes API reference, LabelSelector).
    pub(in crate::tracks) fn of(selector: &'a Value) -> Option<Self> {
        let labels = selector.get("matchLabels").and_then(Value::as_object);
        let expressions = selector.get("matchExpressions").and_then(Value::as_array);
        let (labels, expressions) = (
            labels.filter(|all| !all.is_empty()),
            expressions.filter(|all| !all.is_empty()),
        );
        (labels.is_some() || expressions.is_some()).then_some(Self { labels, expressions })
    }

    pub(super) fn has_expressions(&self) -> bool {
        self.expressions.is_some()
    }

    pub(in crate::tracks) fn matches(&self, pod: &Value) -> bool {
        self.labels
            .into_iter()
            .flatten()
            .all(|(key, value)| pod.get(key) == Some(value))
            && self
                .expressions
                .into_iter()
                .flatten()
                .all(|one| expresses(one, pod))
    }
}

fn expresses(expression: &Value, pod: &Value) -> bool {
    let text = |key: &str| expression.get(key).and_then(Value::as_str).unwrap_or_default();
    let found = pod.get(text("key"));
    let values = expression.get("values").and_then(Value::as_array);
    let is_listed = found.is_some_and(|found| values.is_some_and(|values| values.contains(found)));
    match text("operator") {
        "In" => is_listed,
        "NotIn" => !is_listed,
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        // Kubernetes has no other.
        _ => false,
    }
}

/// What an object selects pods by; none where it selects none, or every one.
pub(in crate::tracks) fn spec_selector(object: &Value) -> Option<Selector<'_>> {
    let spec = object.get("spec")?;
    match object.get("kind")?.as_str()? {
        "Service" => {
            let labels = spec.get("selector")?.as_object().filter(|all| !all.is_empty())?;
            Some(Selector {
                labels: Some(labels),
                expressions: None,
            })
        }
        "PodDisruptionBudget" => Selector::of(spec.get("selector")?),
        "NetworkPolicy" => Selector::of(spec.get("podSelector")?),
        _ => None,
    }
}

/// Whether it selects a bundle's pods.
pub(super) fn selected_by(selector: &Selector<'_>, bundle: &Bundle) -> bool {
    pods(bundle).any(|labels| selector.matches(labels))
}

/// The labels of each Deployment's pods.
fn pods(bundle: &Bundle) -> impl Iterator<Item = &Value> {
    let all = bundle.deployments.iter();
    all.filter_map(|one| one.manifest.pointer("/spec/template/metadata/labels"))
}

/// Whether one selects of each bundle the same Deployments' pods as the other.
fn alike(old: &Selector<'_>, before: &Bundle, new: &Selector<'_>, on_track: &Bundle) -> bool {
    pods(before)
        .zip(pods(on_track))
        .all(|(was, is)| old.matches(was) == new.matches(is))
}

/// What is on a track has names and pods of its own, and what holds for the pods of before holds for the track's.
pub(super) fn check_apart(before: &Bundle, on_track: &Bundle) -> Result<(), RenderFault> {
    for (old, new) in before.deployments.iter().zip(&on_track.deployments) {
        if before.deployments.iter().any(|other| other.name == new.name) {
            return Err(taken("Deployment", &old.name));
        }
        let selectors = (
            old.manifest.pointer("/spec/selector").and_then(Selector::of),
            new.manifest.pointer("/spec/selector").and_then(Selector::of),
        );
        if let (Some(was), Some(is)) = selectors
            && (selected_by(&was, on_track) || !alike(&was, before, &is, on_track))
        {
            return Err(mixed("Deployment", &old.name));
        }
    }
    // In the order of the bundle: one object of it is one of the track.
    for (old, new) in before.objects.iter().zip(&on_track.objects) {
        check_object(old, new, before, on_track)?;
    }
    Ok(())
}

fn check_object(old: &Value, new: &Value, before: &Bundle, on_track: &Bundle) -> Result<(), RenderFault> {
    let kind = old.get("kind").and_then(Value::as_str).unwrap_or_default();
    let is_taken = |other: &Value| other.get("kind") == old.get("kind") && name_of(other) == name_of(new);
    if name_of(new) != name_of(old) && before.objects.iter().any(is_taken) {
        return Err(taken(kind, name_of(old)));
    }
    let Some(selector) = spec_selector(old) else {
        return Ok(());
    };
    let is_on_track = selected_by(&selector, on_track);
    if let Some(of_track) = spec_selector(new).filter(|_| new != old) {
        return if is_on_track || !alike(&selector, before, &of_track, on_track) {
            Err(mixed(kind, name_of(old)))
        } else {
            Ok(())
        };
    }
    match (selected_by(&selector, before), is_on_track) {
        // It was left as it is, for it does not select by labels alone: then it has to hold for the track too.
        (true, false) => Err(RenderFault::NoTrack {
            kind: kind.to_owned(),
            name: name_of(old).to_owned(),
            why: "it would not select the pods of a track: select them by a label that no Service, Deployment or \
                  PodDisruptionBudget selects by",
        }),
        (false, true) => Err(mixed(kind, name_of(old))),
        _ => Ok(()),
    }
}

fn taken(kind: &str, name: &str) -> RenderFault {
    RenderFault::NoTrack {
        kind: kind.to_owned(),
        name: name.to_owned(),
        why: "another one has the name that it has on a track",
    }
}

fn mixed(kind: &str, name: &str) -> RenderFault {
    RenderFault::NoTrack {
        kind: kind.to_owned(),
        name: name.to_owned(),
        why: "it would select the pods of a track too: a value of its labels ends like a track's",
    }
}
