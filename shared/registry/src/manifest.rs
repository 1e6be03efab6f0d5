//! Manifests as they are stored: what an index names, and what the annotations say.

use serde::Deserialize;
use sluice_domain::ids::Digest;
use std::collections::BTreeMap;

/// The media types that Sluice delivers, which are all that ECR is asked for.
pub(crate) const ACCEPTED: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The annotation that names the source commit (OCI image specification, "Pre-Defined Annotation Keys").
const REVISION: &str = "org.opencontainers.image.revision";

/// What a manifest says, as far as Sluice reads it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// What an index names, in its order; empty for a single image.
    pub children: Vec<Digest>,
    /// The source commit, where the annotations have one.
    pub revision: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    manifests: Vec<Named>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Named {
    digest: Digest,
}

/// Whether this media type is an index.
pub(crate) fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

/// Reads a manifest of a known media type; the error says what is wrong with it.
pub(crate) fn read(media_type: &str, bytes: &[u8]) -> Result<Manifest, String> {
    if !ACCEPTED.contains(&media_type) {
        return Err(format!(
            "its media type is `{media_type}`; right would be one of {}",
            ACCEPTED.join(", ")
        ));
    }
    let written: Written = serde_json::from_slice(bytes).map_err(|error| format!("its manifest: {error}"))?;
    let revision = written
        .annotations
        .and_then(|mut annotations| annotations.remove(REVISION));
    let children: Vec<_> = written.manifests.into_iter().map(|named| named.digest).collect();
    match (is_index(media_type), children.is_empty()) {
        (true, true) => Err("its index names no image".to_owned()),
        (false, false) => Err(format!("it names other images, which `{media_type}` cannot")),
        _ => Ok(Manifest { children, revision }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn digest(digit: &str) -> String {
        format!("sha256:{}", digit.repeat(64))
    }

    fn read(media_type: &str, manifest: &Value) -> Result<Manifest, String> {
        super::read(media_type, manifest.to_string().as_bytes())
    }

    #[test]
    fn an_index_names_its_children_in_order() {
        let index = json!({
            "manifests": [{"digest": digest("b"), "size": 7}, {"digest": digest("a"), "platform": {"os": "linux"}}],
            "annotations": {REVISION: "3f2c1a9", "other": "x"},
        });
        for media_type in [OCI_INDEX, DOCKER_LIST] {
            let manifest = read(media_type, &index).unwrap();
            let children: Vec<_> = manifest.children.iter().map(Digest::as_str).collect();
            assert_eq!(children, [digest("b"), digest("a")]);
            assert_eq!(manifest.revision.as_deref(), Some("3f2c1a9"));
        }
    }

    #[test]
    fn a_single_image_names_none() {
        let image = json!({"config": {"digest": digest("c")}, "layers": [], "annotations": null});
        assert_eq!(read(OCI_MANIFEST, &image).unwrap(), Manifest::default());
        assert_eq!(read(DOCKER_MANIFEST, &json!({})).unwrap(), Manifest::default());
    }

    #[test]
    fn what_is_no_image_says_what_it_is() {
        for (media_type, manifest, what) in [
            (
                "application/vnd.docker.distribution.manifest.v1+json",
                json!({}),
                "media type",
            ),
            (OCI_INDEX, json!({"manifests": []}), "names no image"),
            (OCI_INDEX, json!({}), "names no image"),
            (
                OCI_MANIFEST,
                json!({"manifests": [{"digest": digest("a")}]}),
                "names other images",
            ),
            (
                OCI_INDEX,
                json!({"manifests": [{"digest": "sha256:abc"}]}),
                "image digest `sha256:abc`",
            ),
            (OCI_INDEX, json!({"manifests": "none"}), "its manifest"),
            (OCI_INDEX, json!([]), "names no image"),
            (OCI_INDEX, json!("x"), "its manifest"),
        ] {
            let error = read(media_type, &manifest).unwrap_err();
            assert!(error.contains(what), "{manifest}: {error}");
        }
        assert!(super::read(OCI_MANIFEST, b"<html>").is_err());
    }
}
