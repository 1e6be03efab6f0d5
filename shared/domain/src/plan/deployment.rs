//! One Deployment of a bundle: from its manifest, or from the cluster.

use super::{PlanFault, RELEASE_ANNOTATION};
use crate::bundle::{WorkloadBundle, WorkloadKind};
use crate::pipeline::ReleasedDeployment;
use crate::release::Release;
use crate::workload::ObservedDeployment;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Puts the release's image, by digest, into the container that takes it. The container's name.
pub(super) fn put_release(
    template: &mut Value,
    released: &ReleasedDeployment,
    release: &Release,
) -> Result<String, PlanFault> {
    let containers = template
        .pointer_mut("/spec/containers")
        .and_then(Value::as_array_mut);
    let mut containers: Vec<&mut Value> = containers.into_iter().flatten().collect();
    let names: Vec<String> = containers.iter().map(|container| name_of(container)).collect();
    let found = names.join(", ");
    let deployment = released.name.clone();
    let wanted = match (&released.container, names.as_slice()) {
        (Some(container), _) => container.clone(),
        (None, [only]) => only.clone(),
        (None, []) => {
            return Err(PlanFault::WhichContainer {
                deployment,
                found: "no container".to_owned(),
            });
        }
        (None, _) => {
            return Err(PlanFault::WhichContainer {
                deployment,
                found: format!("the containers {found}"),
            });
        }
    };
    let Some(container) = containers
        .iter_mut()
        .find(|c| name_of(c) == wanted)
        .and_then(|c| c.as_object_mut())
    else {
        return Err(PlanFault::NoContainer {
            deployment,
            container: wanted,
            found,
        });
    };
    container.insert("image".to_owned(), Value::from(release.image()));
    let name = format!("{}{}", release.service, release.number);
    if let Some(template) = template.as_object_mut() {
        let metadata = template
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        set_text(metadata, "annotations", RELEASE_ANNOTATION, &name);
    }
    Ok(wanted)
}

/// A Deployment of the package. Where neither the manifest nor an autoscaler says how many pods there are, those who
/// scaled it do; but never zero: that is how a failed first release was left.
pub(super) fn packaged(
    name: &str,
    mut manifest: Value,
    container: Option<String>,
    found: Option<&ObservedDeployment>,
    autoscaled: bool,
) -> WorkloadBundle {
    let spec = manifest.get_mut("spec").and_then(Value::as_object_mut);
    let said = spec
        .and_then(|spec| spec.remove("replicas"))
        .and_then(|replicas| replicas.as_i64());
    let said = said.and_then(|replicas| i32::try_from(replicas).ok());
    let scaled = found.map(|found| found.wanted).filter(|replicas| *replicas > 0);
    let images = images_of(manifest.pointer("/spec/template"));
    let manifest = json!({
        "metadata": only(manifest.get("metadata"), &["labels", "annotations"]),
        "spec": manifest.get("spec").cloned().unwrap_or_default(),
    });
    let replicas = if autoscaled {
        None
    } else {
        Some(said.or(scaled).unwrap_or(1))
    };
    WorkloadBundle {
        kind: WorkloadKind::Deployment,
        name: name.to_owned(),
        container,
        replicas,
        manifest,
        images,
    }
}

/// A Deployment that is in the cluster, with another template.
pub(super) fn adopted(found: &ObservedDeployment, template: Value, container: String) -> WorkloadBundle {
    of_cluster(found, template, Some(container))
}

/// A Deployment as it is in the cluster. `point_at_copies` is given the template.
pub(super) fn captured(
    found: &ObservedDeployment,
    image: Option<&str>,
    mut point_at_copies: impl FnMut(&mut Value),
) -> WorkloadBundle {
    let container = image.and_then(|image| found.images.iter().find(|(_, there)| *there == image));
    let container = container.map(|(name, _)| name.clone());
    let mut template = found.template.clone();
    point_at_copies(&mut template);
    of_cluster(found, template, container)
}

fn of_cluster(found: &ObservedDeployment, mut template: Value, container: Option<String>) -> WorkloadBundle {
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| ["labels", "annotations"].contains(&key.as_str()));
    }
    let images = images_of(Some(&template));
    let mut spec = found.spec.as_object().cloned().unwrap_or_default();
    // A paused one would never come back.
    spec.retain(|key, _| !["paused", "replicas"].contains(&key.as_str()));
    spec.insert("template".to_owned(), template);
    WorkloadBundle {
        kind: found.kind,
        name: found.name.clone(),
        container,
        replicas: (!found.autoscaled).then_some(found.wanted),
        manifest: json!({"metadata": {"labels": found.labels}, "spec": spec}),
        images,
    }
}

/// Sets one entry of a map of texts in an object, making the map where there is none.
pub(crate) fn set_text(object: &mut Value, map: &str, key: &str, text: &str) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let map = object.entry(map).or_insert(Value::Null);
    if map.is_null() {
        *map = Value::Object(Map::new());
    }
    if let Some(map) = map.as_object_mut() {
        map.insert(key.to_owned(), Value::from(text));
    }
}

/// The image of each container and init container, by name.
/// The image of each container and init container of a pod template, by name.
pub fn images_of(template: Option<&Value>) -> BTreeMap<String, String> {
    let of = |pointer| {
        template
            .and_then(|t| t.pointer(pointer))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let containers = of("/spec/initContainers").chain(of("/spec/containers"));
    containers
        .filter_map(|c| {
            Some((
                c.get("name")?.as_str()?.to_owned(),
                c.get("image")?.as_str()?.to_owned(),
            ))
        })
        .collect()
}

fn name_of(container: &Value) -> String {
    container
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn only(object: Option<&Value>, keys: &[&str]) -> Value {
    let entries = object.and_then(Value::as_object).into_iter().flatten();
    let kept = entries.filter(|(key, _)| keys.contains(&key.as_str()));
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}
