//! A rendered manifest: which workloads it has, and what helm adds to each object.

use crate::bundle::{WorkloadBundle, WorkloadKind};
use crate::plan::images_of;
use serde_json::Value;

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// It is no YAML.
    #[error("the chart's rendered objects cannot be read: {0}")]
    Unreadable(String),
    /// No pod would run the release.
    #[error(
        "no pod of the chart would run {image}: the values that [workload.helm] `image` names do not reach a pod template. \
         The chart's pods have {found}"
    )]
    NoImage {
        /// The release's image.
        image: String,
        /// The images that the chart's pods have.
        found: String,
    },
    /// Nothing could be awaited.
    #[error(
        "the chart has no Deployment, StatefulSet or DaemonSet: there would be nothing that runs the release"
    )]
    NoWorkload,
}

/// The objects of a rendered manifest, in its order. Empty documents are left out.
pub fn documents(manifest: &str) -> Result<Vec<Value>, ManifestFault> {
    let read: Result<Vec<Value>, _> = serde_saphyr::from_multiple(manifest);
    let read = read.map_err(|error| ManifestFault::Unreadable(error.to_string()))?;
    let mut objects = Vec::with_capacity(read.len());
    for document in read {
        let is_list = document.get("kind").and_then(Value::as_str) == Some("List");
        match document.get("items").and_then(Value::as_array) {
            Some(items) if is_list => objects.extend(items.iter().cloned()),
            _ if document.is_object() => objects.push(document),
            _ => {}
        }
    }
    Ok(objects)
}

/// The workloads that must run afterwards, in the manifest's order. `image` is the release's, by digest, where there is one:
/// at least one pod template must have it.
pub fn workloads(objects: &[Value], image: Option<&str>) -> Result<Vec<WorkloadBundle>, ManifestFault> {
    let found: Vec<WorkloadBundle> = objects
        .iter()
        .filter_map(|object| workload(object, image))
        .collect();
    if found.is_empty() {
        return Err(ManifestFault::NoWorkload);
    }
    let Some(image) = image else { return Ok(found) };
    if found.iter().any(|workload| workload.container.is_some()) {
        return Ok(found);
    }
    let mut images: Vec<&str> = found
        .iter()
        .flat_map(|workload| workload.images.values().map(String::as_str))
        .collect();
    images.sort_unstable();
    images.dedup();
    Err(ManifestFault::NoImage {
        image: image.to_owned(),
        found: images.join(", "),
    })
}

fn workload(object: &Value, image: Option<&str>) -> Option<WorkloadBundle> {
    let kind = match object.get("kind")?.as_str()? {
        "Deployment" => WorkloadKind::Deployment,
        "StatefulSet" => WorkloadKind::StatefulSet,
        "DaemonSet" => WorkloadKind::DaemonSet,
        _ => return None,
    };
    let images = images_of(object.pointer("/spec/template"));
    let same = |there: &str| image.is_some_and(|image| pinned(there) == pinned(image));
    let container = images.iter().find(|(_, there)| same(there));
    Some(WorkloadBundle {
        kind,
        name: object.pointer("/metadata/name")?.as_str()?.to_owned(),
        container: container.map(|(name, _)| name.clone()),
        replicas: None,
        manifest: Value::Null,
        images,
    })
}

/// Repository and digest of a reference; a tag between them says nothing, as the digest wins.
fn pinned(image: &str) -> (&str, Option<&str>) {
    let Some((name, digest)) = image.split_once('@') else {
        return (image, None);
    };
    let without_tag = match name.rsplit_once(':') {
        Some((before, after)) if !after.contains('/') => before,
        _ => name,
    };
    (without_tag, Some(digest))
}

/// The object as helm writes it: with the marks by which helm knows its own (Helm 4, `pkg/action/validate.go`).
pub fn owned(object: &Value, release: &str, namespace: &str) -> Value {
    let mut object = object.clone();
    let metadata = object.as_object_mut().map(|object| {
        object
            .entry("metadata")
            .or_insert_with(|| Value::Object(serde_json::Map::new()))
    });
    if let Some(metadata) = metadata {
        let marks = [
            ("labels", "app.kubernetes.io/managed-by", "Helm"),
            ("annotations", "meta.helm.sh/release-name", release),
            ("annotations", "meta.helm.sh/release-namespace", namespace),
        ];
        for (map, key, text) in marks {
            let Some(metadata) = metadata.as_object_mut() else {
                continue;
            };
            let map = metadata.entry(map).or_insert(Value::Null);
            if map.is_null() {
                *map = Value::Object(serde_json::Map::new());
            }
            if let Some(map) = map.as_object_mut() {
                map.insert(key.to_owned(), Value::from(text));
            }
        }
    }
    object
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use serde_json::json;

    const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn rendered(image: &str) -> String {
        format!(
            "---\n# Source: api/templates/service.yaml\napiVersion: v1\nkind: Service\nmetadata: {{name: api}}\n---\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: api}}\nspec: {{template: {{spec: {{containers: \
             [{{name: api, image: \"{image}\"}}]}}}}}}\n---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db}}\n\
             spec: {{template: {{spec: {{containers: [{{name: db, image: \"db:1\"}}]}}}}}}\n"
        )
    }

    #[test]
    fn the_workloads_of_a_manifest_and_which_of_them_runs_the_release() {
        let image = format!("1.dkr.ecr.eu-west-1.amazonaws.com:443/api@{DIGEST}");
        let tagged = format!("1.dkr.ecr.eu-west-1.amazonaws.com:443/api:1a2b3c4@{DIGEST}");
        for there in [&image, &tagged] {
            let objects = documents(&rendered(there)).unwrap();
            assert_eq!(objects.len(), 3);
            let found = workloads(&objects, Some(&image)).unwrap();
            let said: Vec<_> = found
                .iter()
                .map(|one| (one.kind, one.name.as_str(), one.container.as_deref()))
                .collect();
            let right = [
                (WorkloadKind::Deployment, "api", Some("api")),
                (WorkloadKind::StatefulSet, "db", None),
            ];
            assert_eq!(said, right, "{there}");
        }
    }

    #[test]
    fn a_chart_that_does_not_take_the_digest_is_refused() {
        let image = format!("registry/api@{DIGEST}");
        let objects = documents(&rendered("registry/api:latest")).unwrap();
        let fault = workloads(&objects, Some(&image)).unwrap_err().to_string();
        assert!(fault.contains("db:1, registry/api:latest"), "{fault}");
        assert_eq!(workloads(&objects[..1], None), Err(ManifestFault::NoWorkload));
    }

    #[test]
    fn helm_s_marks_are_put_beside_others() {
        let object = owned(
            &json!({"metadata": {"name": "api", "labels": {"a": "b"}}}),
            "r",
            "n",
        );
        assert_eq!(
            object,
            json!({"metadata": {"name": "api", "labels": {"a": "b", "app.kubernetes.io/managed-by": "Helm"},
                   "annotations": {"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "n"}}})
        );
    }
}
