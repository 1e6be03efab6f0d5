//! A Gateway API HTTPRoute (`gateway.networking.k8s.io/v1`): the weights of its rules' backends.
//!
//! Sources, all of the Gateway API's reference for v1: BackendRef ("weight/(sum of all weights in this BackendRefs list)",
//! default 1, 0 to 1,000,000), HTTPRouteRule (at most 16 backendRefs), RouteParentStatus and RouteConditionType
//! (`Accepted`, `ResolvedRefs`, `PartiallyInvalid`, each with the generation that it was observed for).

use super::backends::Form;
use super::{RouterFault, RouterVerdict, Routing, Shares};
use crate::tracks::Weights;
use serde_json::{Value, json};

const GROUP: &str = "gateway.networking.k8s.io";
const HIGHEST: u64 = 1_000_000;
const MOST: usize = 16;

pub(super) fn weights(routing: &Routing<'_>, route: &Value) -> Result<Weights, RouterFault> {
    routing.weights_of(routing.object(), &meets(routing, route)?)
}

/// All rules that name a governed Service must agree; the others are no concern of ours.
pub(super) fn meets(routing: &Routing<'_>, route: &Value) -> Result<Shares, RouterFault> {
    let name = |entry: &Value| name_of(routing, route, entry);
    let mut told: Vec<(String, Shares)> = Vec::new();
    for (place, list) in governed(routing, route)? {
        let form = form(routing, place, &name);
        told.push((format!("spec.rules[{place}]"), form.shares(&list)?));
    }
    let Some((_, shares)) = told.first() else {
        return Err(not_named(routing, route)?);
    };
    if told.iter().all(|(_, other)| other == shares) {
        return Ok(shares.clone());
    }
    let say = |(rule, shares): &(String, Shares)| format!("{rule} says {}", said(shares));
    Err(RouterFault::Disagree {
        object: routing.object(),
        found: told.iter().map(say).collect::<Vec<_>>().join(", "),
        ours: routing.names(),
    })
}

pub(super) fn with_weights(
    routing: &Routing<'_>,
    route: &Value,
    weights: Weights,
) -> Result<Value, RouterFault> {
    let name = |entry: &Value| name_of(routing, route, entry);
    let governed = governed(routing, route)?;
    if governed.is_empty() {
        return Err(not_named(routing, route)?);
    }
    let mut written = route.clone();
    for (place, list) in governed {
        let list = form(routing, place, &name).with_weights(routing, &list, weights)?;
        if let Some(rule) = written
            .pointer_mut(&format!("/spec/rules/{place}"))
            .and_then(Value::as_object_mut)
        {
            rule.insert("backendRefs".to_owned(), Value::Array(list));
        }
    }
    Ok(written)
}

/// For every parent of the spec: a status entry of that parent with `Accepted` and `ResolvedRefs` true, observed for the
/// present generation. False for the present generation is a refusal, and so is `PartiallyInvalid`: then rules were dropped,
/// or an older state was kept.
pub(super) fn standing(routing: &Routing<'_>, route: &Value) -> RouterVerdict {
    let object = routing.object();
    let Some(generation) = route.pointer("/metadata/generation").and_then(Value::as_i64) else {
        return RouterVerdict::Pending(format!("{object} has no metadata.generation"));
    };
    let parents = list(route, "/spec/parentRefs");
    if parents.is_empty() {
        let reason = format!("{object} has no spec.parentRefs: no Gateway serves it");
        return RouterVerdict::Refused(reason);
    }
    let verdicts = parents.iter().map(|parent| of_parent(route, parent, generation));
    RouterVerdict::all(verdicts.map(|verdict| verdict.about(&object)))
}

fn of_parent(route: &Value, parent: &Value, generation: i64) -> RouterVerdict {
    let wanted = parent_key(route, parent);
    let entries: Vec<_> = list(route, "/status/parents")
        .iter()
        .filter(|entry| entry.get("parentRef").map(|found| parent_key(route, found)) == Some(wanted.clone()))
        .collect();
    let called = called(parent);
    if entries.is_empty() {
        return RouterVerdict::Pending(format!("{called} has not answered"));
    }
    let verdicts = entries.into_iter().flat_map(|entry| {
        let required = ["Accepted", "ResolvedRefs"].map(|kind| required(entry, kind, generation));
        required.into_iter().chain([whole(entry, generation)])
    });
    RouterVerdict::all(verdicts.map(|verdict| verdict.about(&called)))
}

/// A condition that must be true for this generation.
fn required(entry: &Value, kind: &str, generation: i64) -> RouterVerdict {
    let Some(condition) = condition(entry, kind) else {
        return RouterVerdict::Pending(format!("{} has not said {kind}", controller(entry)));
    };
    let observed = observed(condition);
    if observed != Some(generation) {
        let observed = observed.map_or_else(|| "none".to_owned(), |observed| observed.to_string());
        return RouterVerdict::Pending(format!(
            "{} says {kind} for generation {observed}, not {generation}",
            controller(entry)
        ));
    }
    let said = format!("{} says {kind} is {}", controller(entry), explained(condition));
    match text(condition, "status") {
        "True" => RouterVerdict::Accepted,
        "False" => RouterVerdict::Refused(said),
        _ => RouterVerdict::Pending(said),
    }
}

/// `PartiallyInvalid` is only ever true, and only set where rules were dropped or an older state was kept.
fn whole(entry: &Value, generation: i64) -> RouterVerdict {
    match condition(entry, "PartiallyInvalid") {
        Some(condition) if text(condition, "status") == "True" && observed(condition) >= Some(generation) => {
            let said = explained(condition);
            RouterVerdict::Refused(format!("{} says PartiallyInvalid is {said}", controller(entry)))
        }
        _ => RouterVerdict::Accepted,
    }
}

fn condition<'v>(entry: &'v Value, kind: &str) -> Option<&'v Value> {
    list(entry, "/conditions")
        .iter()
        .find(|condition| text(condition, "type") == kind)
}

fn observed(condition: &Value) -> Option<i64> {
    condition.get("observedGeneration").and_then(Value::as_i64)
}

fn explained(condition: &Value) -> String {
    let (status, reason, message) = (
        text(condition, "status"),
        text(condition, "reason"),
        text(condition, "message"),
    );
    format!("{status} ({reason}: {message})")
}

fn controller(entry: &Value) -> &str {
    match text(entry, "controllerName") {
        "" => "a controller without a name",
        name => name,
    }
}

/// A ParentReference with its defaults: group, kind, namespace, name, section, port.
fn parent_key(route: &Value, parent: &Value) -> Value {
    let or = |key: &str, default: &str| match parent.get(key).and_then(Value::as_str) {
        None => default.to_owned(),
        Some(text) => text.to_owned(),
    };
    json!([
        or("group", GROUP),
        or("kind", "Gateway"),
        or("namespace", namespace(route)),
        or("name", ""),
        or("sectionName", ""),
        parent.get("port"),
    ])
}

fn called(parent: &Value) -> String {
    let kind = match text(parent, "kind") {
        "" => "Gateway",
        kind => kind,
    };
    let name = text(parent, "name");
    match text(parent, "sectionName") {
        "" => format!("{kind} {name}"),
        section => format!("{kind} {name} ({section})"),
    }
}

/// The rules that name a governed Service: their place, and their backends.
fn governed(routing: &Routing<'_>, route: &Value) -> Result<Vec<(usize, Vec<Value>)>, RouterFault> {
    let mut found = Vec::new();
    for (place, rule) in rules(routing, route)?.iter().enumerate() {
        let list = list(rule, "/backendRefs");
        if list.iter().any(|entry| name_of(routing, route, entry).1) {
            found.push((place, list.to_vec()));
        }
    }
    Ok(found)
}

fn rules<'v>(routing: &Routing<'_>, route: &'v Value) -> Result<&'v [Value], RouterFault> {
    match route.pointer("/spec/rules") {
        None => Ok(&[]),
        Some(Value::Array(rules)) => Ok(rules),
        Some(other) => Err(RouterFault::Shape {
            object: routing.object(),
            field: "spec.rules".to_owned(),
            found: other.to_string(),
            wanted: "a list".to_owned(),
        }),
    }
}

fn form<'f>(routing: &Routing<'_>, place: usize, name: &'f dyn Fn(&Value) -> (String, bool)) -> Form<'f> {
    Form {
        object: routing.object(),
        field: format!("spec.rules[{place}].backendRefs"),
        key: "name",
        default: Some(1),
        highest: HIGHEST,
        most: MOST,
        name,
    }
}

/// A Service of the route's own namespace is called by its name; anything else can be none of ours.
fn name_of(routing: &Routing<'_>, route: &Value, entry: &Value) -> (String, bool) {
    let kind = entry.get("kind").and_then(Value::as_str).unwrap_or("Service");
    let (group, name) = (text(entry, "group"), text(entry, "name"));
    let place = entry.get("namespace").and_then(Value::as_str);
    let is_near = place.is_none_or(|place| place == namespace(route));
    if kind == "Service" && group.is_empty() && is_near {
        return (name.to_owned(), routing.governs(name));
    }
    let place = place.map_or_else(String::new, |place| format!(" in namespace {place}"));
    (format!("{kind} {name}{place}"), false)
}

fn not_named(routing: &Routing<'_>, route: &Value) -> Result<RouterFault, RouterFault> {
    let mut found: Vec<String> = Vec::new();
    for rule in rules(routing, route)? {
        let names = list(rule, "/backendRefs")
            .iter()
            .map(|entry| name_of(routing, route, entry).0);
        found.extend(names);
    }
    found.sort();
    found.dedup();
    Ok(RouterFault::NotNamed {
        object: routing.object(),
        found: if found.is_empty() {
            "no backend".to_owned()
        } else {
            found.join(", ")
        },
        ours: routing.names(),
        root: routing.services.root.clone(),
    })
}

fn said(shares: &Shares) -> String {
    let each = shares.iter().map(|(name, share)| format!("{name} {share} %"));
    each.collect::<Vec<_>>().join(" and ")
}

fn namespace(route: &Value) -> &str {
    route
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
