//! The ConfigMaps that pod templates name, and their immutable copies.
//!
//! A template that names a ConfigMap runs with whatever that ConfigMap holds when a pod starts. So a bundle's templates
//! name copies, which never change and are named by their content; an original is never written.

use crate::bundle::ConfigCopy;
use crate::canonical::sha256_hex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How many hexadecimal digits of the content's hash end a copy's name.
const HASH_DIGITS: usize = 10;
/// The longest name of a ConfigMap (Kubernetes: a DNS subdomain).
const LONGEST_NAME: usize = 253;
/// Kubernetes keeps this one in every namespace, and changes it when the cluster's certificate authority changes:
/// a copy would outlive its certificates.
const CLUSTER_CA: &str = "kube-root-ca.crt";

/// What a ConfigMap holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigData {
    /// `data`.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
    /// `binaryData`, each value in base64.
    #[serde(default)]
    pub binary_data: BTreeMap<String, String>,
}

impl ConfigData {
    /// Reads `data` and `binaryData` of a ConfigMap's manifest. The name of the first value that is no text otherwise.
    pub(super) fn of_manifest(manifest: &Value) -> Result<Self, String> {
        let texts = |field: &str| -> Result<BTreeMap<String, String>, String> {
            let entries = manifest
                .get(field)
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            entries
                .map(|(key, value)| match value.as_str() {
                    Some(text) => Ok((key.clone(), text.to_owned())),
                    None => Err(format!("{field}.{key}")),
                })
                .collect()
        };
        Ok(Self {
            data: texts("data")?,
            binary_data: texts("binaryData")?,
        })
    }

    /// The first digits of the SHA-256 of the content: maps of texts, in the order of their keys.
    fn hash(&self) -> String {
        let content = json!([Vec::from_iter(&self.data), Vec::from_iter(&self.binary_data)]);
        sha256_hex(content.to_string().as_bytes())
            .chars()
            .take(HASH_DIGITS)
            .collect()
    }

    /// The copy that holds this content under the name `named`. A ConfigMap that is such a copy already, which its name
    /// and content say, is its own.
    fn copy(&self, named: &str) -> ConfigCopy {
        let hash = self.hash();
        let original = match named.strip_suffix(&hash).and_then(|rest| rest.strip_suffix('-')) {
            Some(original) if !original.is_empty() => original.to_owned(),
            _ => named.to_owned(),
        };
        let kept: String = original.chars().take(LONGEST_NAME - HASH_DIGITS - 1).collect();
        let name = format!("{}-{hash}", kept.trim_end_matches(['-', '.']));
        ConfigCopy {
            original,
            name,
            data: self.data.clone(),
            binary_data: self.binary_data.clone(),
        }
    }
}

/// The names of the ConfigMaps that a pod template refers to: `envFrom`, `env`, volumes and projected volumes of all
/// containers. One that Kubernetes itself keeps in every namespace (`kube-root-ca.crt`) is left out.
pub fn config_names(template: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    each_reference(&mut template.clone(), &mut |name| {
        names.insert(name.clone());
    });
    names
}

/// Points a template at the copies of those ConfigMaps whose content is known, and says which copies these are.
pub(super) fn repoint<'c>(
    template: &mut Value,
    content: impl Fn(&str) -> Option<&'c ConfigData>,
) -> BTreeMap<String, ConfigCopy> {
    let mut copies = BTreeMap::new();
    each_reference(template, &mut |name| {
        if let Some(data) = content(name) {
            let copy = data.copy(name);
            name.clone_from(&copy.name);
            copies.insert(copy.name.clone(), copy);
        }
    });
    copies
}

/// The one place that knows where a pod template can name a ConfigMap (Kubernetes API, PodSpec).
fn each_reference(template: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    let Some(spec) = template.get_mut("spec") else {
        return;
    };
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items(spec, kind) {
            for source in items(container, "envFrom") {
                visit_name(source.pointer_mut("/configMapRef/name"), visit);
            }
            for variable in items(container, "env") {
                visit_name(variable.pointer_mut("/valueFrom/configMapKeyRef/name"), visit);
            }
        }
    }
    for volume in items(spec, "volumes") {
        visit_name(volume.pointer_mut("/configMap/name"), visit);
        if let Some(projected) = volume.get_mut("projected") {
            for source in items(projected, "sources") {
                visit_name(source.pointer_mut("/configMap/name"), visit);
            }
        }
    }
}

fn items<'v>(value: &'v mut Value, list: &str) -> impl Iterator<Item = &'v mut Value> {
    value
        .get_mut(list)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

fn visit_name(name: Option<&mut Value>, visit: &mut dyn FnMut(&mut String)) {
    if let Some(Value::String(name)) = name
        && name != CLUSTER_CA
        && !name.is_empty()
    {
        visit(name);
    }
}
