//! What would change in a cluster: an object as it is beside the same object as it would be. Pure.

use crate::plan::FENCE_ANNOTATION;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What stands for the content of a Secret.
pub const SECRET: &str = "(secret)";

/// What would become of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace; none for one that has none.
    pub namespace: Option<String>,
    /// What would be done to it.
    pub change: Change,
    /// What would be different in it; of one that is created or deleted, nothing is listed.
    pub fields: Vec<FieldChange>,
    /// Other field managers whose fields would be taken over.
    pub managers: Vec<String>,
    /// Which fields these are, by manager.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub taken: BTreeMap<String, Vec<String>>,
    /// Why this is not all that can be said, or will not come to pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What would be done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It would be made.
    Create,
    /// It would be changed.
    Change,
    /// It would be deleted.
    Delete,
}

/// A value that would be different.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Where: `spec.template.spec.containers[api].image`.
    pub path: String,
    /// What it is; none where it is not there.
    pub from: Option<Value>,
    /// What it would be; none where it would be gone.
    pub to: Option<Value>,
}

impl Difference {
    /// Whether something of the object would be another, and not only whose it is.
    pub fn is_of_substance(&self) -> bool {
        self.change != Change::Change || !self.fields.is_empty()
    }
}

/// In one sentence: at most three of its fields, without values, which may be long.
impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const TOLD: usize = 3;
        write!(f, "{} {}", self.kind, self.name)?;
        match self.change {
            Change::Create => return f.write_str(" is gone"),
            Change::Delete => return f.write_str(" is there"),
            Change::Change => {}
        }
        let paths: Vec<&str> = self
            .fields
            .iter()
            .take(TOLD)
            .map(|field| field.path.as_str())
            .collect();
        write!(f, " has another {}", paths.join(", "))?;
        match self.fields.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Fields of `metadata` that the API server writes.
const BY_THE_SERVER: [&str; 6] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "selfLink",
];
/// Annotations that say nothing about what runs. What `kubectl apply` keeps would also show a Secret's content.
const SILENT: [&str; 2] = [
    FENCE_ANNOTATION,
    "kubectl.kubernetes.io/last-applied-configuration",
];
/// What helm puts on every object although the rendered manifest does not have it (Helm 3 and 4, `setMetadataVisitor`).
const BY_HELM: [&str; 3] = [
    "metadata.annotations[meta.helm.sh/release-name]",
    "metadata.annotations[meta.helm.sh/release-namespace]",
    "metadata.labels[app.kubernetes.io/managed-by]",
];

/// What is different between an object as it is and as it would be. Not compared: what the API server writes itself,
/// `status`, the fence, and `spec.replicas` of one that an autoscaler sizes. Of a Secret's data only that it changes is told.
pub fn compare(live: &Value, wanted: &Value, autoscaled: bool) -> Vec<FieldChange> {
    let mut fields = Vec::new();
    compare_values("", Some(&plain(live)), Some(&plain(wanted)), &mut fields);
    fields.retain(|field| !(autoscaled && field.path == "spec.replicas"));
    fields.retain(|field| field.to.is_some() || !BY_HELM.contains(&field.path.as_str()));
    if live
        .get("kind")
        .or(wanted.get("kind"))
        .is_some_and(|kind| kind == "Secret")
    {
        fields.iter_mut().for_each(redact);
    }
    fields
}

/// An object without what is not compared.
fn plain(object: &Value) -> Value {
    let mut plain = object.clone();
    if let Some(all) = plain.as_object_mut() {
        all.remove("status");
    }
    if let Some(metadata) = plain.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !BY_THE_SERVER.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !SILENT.contains(&key.as_str()));
        }
        metadata.retain(|_, value| !is_empty(value));
    }
    plain
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

fn redact(field: &mut FieldChange) {
    let is_content = ["data", "stringData"].iter().any(|part| {
        let rest = field.path.strip_prefix(part);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    });
    if is_content {
        for side in [&mut field.from, &mut field.to].into_iter().flatten() {
            *side = Value::String(SECRET.to_owned());
        }
    }
}

fn compare_values(path: &str, from: Option<&Value>, to: Option<&Value>, fields: &mut Vec<FieldChange>) {
    match (from, to) {
        (from, to) if from == to => {}
        (Some(Value::Object(from)), Some(Value::Object(to))) => {
            let keys: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
            for key in keys {
                compare_values(&joined(path, key), from.get(key), to.get(key), fields);
            }
        }
        // Each variable, volume, annotation that comes or goes has a line of its own.
        (Some(Value::Object(from)), None) => compare_keys(path, from, true, fields),
        (None, Some(Value::Object(to))) => compare_keys(path, to, false, fields),
        (Some(Value::Array(from)), Some(Value::Array(to))) => match (named(from), named(to)) {
            (Some(from), Some(to)) => {
                let names: BTreeSet<&str> = from.keys().chain(to.keys()).copied().collect();
                for name in names {
                    let path = format!("{path}[{name}]");
                    compare_values(&path, from.get(name).copied(), to.get(name).copied(), fields);
                }
            }
            _ if from.len() == to.len() => {
                for (index, (from, to)) in from.iter().zip(to).enumerate() {
                    compare_values(&format!("{path}[{index}]"), Some(from), Some(to), fields);
                }
            }
            _ => changed(
                path,
                Some(&Value::Array(from.clone())),
                Some(&Value::Array(to.clone())),
                fields,
            ),
        },
        (from, to) => changed(path, from, to, fields),
    }
}

/// A whole object that comes or goes, key by key at its first level only where it has no name of its own.
fn compare_keys(path: &str, object: &Map<String, Value>, goes: bool, fields: &mut Vec<FieldChange>) {
    let one_line = object.is_empty() || object.contains_key("name") || path.is_empty();
    if one_line {
        let whole = Value::Object(object.clone());
        let (from, to) = if goes {
            (Some(&whole), None)
        } else {
            (None, Some(&whole))
        };
        return changed(path, from, to, fields);
    }
    for (key, value) in object {
        let (from, to) = if goes {
            (Some(value), None)
        } else {
            (None, Some(value))
        };
        compare_values(&joined(path, key), from, to, fields);
    }
}

fn changed(path: &str, from: Option<&Value>, to: Option<&Value>, fields: &mut Vec<FieldChange>) {
    fields.push(FieldChange {
        path: path.to_owned(),
        from: from.cloned(),
        to: to.cloned(),
    });
}

/// The elements by their `name`, where each has one of its own.
fn named(list: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let pairs = list
        .iter()
        .map(|element| Some((element.get("name")?.as_str()?, element)));
    let named: BTreeMap<&str, &Value> = pairs.collect::<Option<_>>()?;
    (named.len() == list.len()).then_some(named)
}

/// A key with a dot or slash in it is put in brackets.
fn joined(path: &str, key: &str) -> String {
    match (path.is_empty(), key.contains(['.', '/'])) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}[{key}]"),
        (false, false) => format!("{path}.{key}"),
    }
}

/// The fields of which other managers own less in the object as it would be than in the object as it is, because `ours` owns it then: by
/// both objects' `metadata.managedFields` (Kubernetes, Server-Side Apply, "Field management").
pub fn taken_over(live: &Value, wanted: &Value, ours: &str) -> BTreeMap<String, Vec<String>> {
    let before = owners(live);
    let after = owners(wanted);
    let our_fields: BTreeSet<&String> = after
        .iter()
        .filter(|((manager, _), _)| manager == ours)
        .flat_map(|(_, fields)| fields)
        .collect();
    let mut taken: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, fields) in before.iter().filter(|((manager, _), _)| manager != ours) {
        let left = after.get(key);
        let lost = fields
            .iter()
            .filter(|field| left.is_none_or(|left| !left.contains(*field)));
        let lost: Vec<String> = lost
            .filter(|field| our_fields.contains(field))
            .map(|field| readable(field))
            .collect();
        if !lost.is_empty() {
            taken.entry(key.0.clone()).or_default().extend(lost);
        }
    }
    taken
}

/// `\0f:spec\0f:containers\0k:{"name":"api"}\0f:image` as `spec.containers[api].image` (Kubernetes, FieldsV1).
fn readable(leaf: &str) -> String {
    let mut path = String::new();
    for part in leaf
        .split('\u{0}')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        match part.split_once(':') {
            Some(("f", key)) => path = joined(&path, key),
            Some(("k", keys)) => path.push_str(&format!("[{}]", key_of(keys))),
            _ => path.push_str(&format!("[{}]", part.trim_start_matches("v:"))),
        }
    }
    path
}

fn key_of(keys: &str) -> String {
    let parsed: Option<Map<String, Value>> = serde_json::from_str(keys).ok();
    let Some(keys) = parsed else {
        return keys.to_owned();
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match keys.get("name") {
        Some(name) => text(name),
        None => keys.values().map(text).collect::<Vec<_>>().join(" "),
    }
}

/// The paths of the fields that each manager owns, by manager and operation.
fn owners(object: &Value) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut owners: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let entries = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        let text = |key: &str| {
            let found = entry.get(key).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let operation = format!("{} {}", text("operation"), text("subresource"));
        let fields = owners.entry((text("manager"), operation)).or_default();
        if let Some(set) = entry.get("fieldsV1") {
            leaves("", set, fields);
        }
    }
    owners
}

fn leaves(path: &str, set: &Value, found: &mut BTreeSet<String>) {
    match set.as_object() {
        Some(keys) if !keys.is_empty() => {
            for (key, inner) in keys {
                leaves(&format!("{path}\u{0}{key}"), inner, found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[cfg(test)]
#[path = "difference_tests.rs"]
mod tests;
