//! Images as `docker build` and `docker push` would make and send them, through the local ECR's own registry protocol.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use sluice_local::image::{Image, Pusher};
//! let pusher = Pusher::new(&sluice_local::Environment::load()?, "mc-api");
//! let pushed = pusher.push(&Image::new("first").label("sluice.sim/ready-after", "100ms"), &["4f2a91c", "latest"]).await?;
//! assert!(pushed.digest.starts_with("sha256:"));
//! # Ok(()) }
//! ```

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::environment::Environment;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image to be: one small layer of its own, and labels, which tell the simulated node how it behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    content: String,
    labels: BTreeMap<String, String>,
    architecture: String,
}

/// An image that the registry has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// `sha256:` and the hash of exactly these bytes.
    pub digest: String,
    /// The manifest as it was sent.
    pub manifest: Vec<u8>,
    /// Its media type.
    pub media_type: &'static str,
    /// Digests of an index's children.
    pub children: Vec<String>,
}

impl Image {
    /// Images of different content have different digests, of the same content and labels the same one.
    pub fn new(content: &str) -> Self {
        Self {
            content: content.into(),
            labels: BTreeMap::new(),
            architecture: "amd64".into(),
        }
    }

    /// With a label; `sluice.sim/...` is what the simulated node reads (README.md).
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// For another architecture than amd64.
    pub fn architecture(self, architecture: &str) -> Self {
        Self {
            architecture: architecture.into(),
            ..self
        }
    }

    /// A tar archive with one file.
    fn layer(&self) -> Result<Vec<u8>> {
        let mut header = tar::Header::new_ustar();
        header.set_size(self.content.len().try_into()?);
        header.set_mode(0o644);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut header, "content", self.content.as_bytes())?;
        Ok(archive.into_inner()?)
    }

    fn config(&self, layer: &str) -> Value {
        json!({"architecture": self.architecture, "os": "linux", "config": {"Labels": self.labels, "Cmd": ["/content"]},
            "rootfs": {"type": "layers", "diff_ids": [layer]}, "history": []})
    }
}

/// Pushes into one repository.
#[derive(Debug, Clone)]
pub struct Pusher {
    endpoint: String,
    repository: String,
    client: reqwest::Client,
}

impl Pusher {
    /// Into a repository of the local ECR that exists.
    pub fn new(environment: &Environment, repository: &str) -> Self {
        Self {
            endpoint: environment.endpoint.clone(),
            repository: repository.into(),
            client: reqwest::Client::new(),
        }
    }

    /// Pushes an image under every one of the tags, or untagged when there are none.
    pub async fn push(&self, image: &Image, tags: &[&str]) -> Result<Pushed> {
        let pushed = self.upload(image).await?;
        self.tag(&pushed, tags).await?;
        Ok(pushed)
    }

    /// Pushes children (untagged, as buildx does) and then an index of them under the tags.
    pub async fn push_index(&self, images: &[Image], tags: &[&str]) -> Result<Pushed> {
        let (mut entries, mut children) = (Vec::new(), Vec::new());
        for image in images {
            let child = self.push(image, &[]).await?;
            entries.push(
                json!({"mediaType": MANIFEST, "digest": child.digest, "size": child.manifest.len(),
                "platform": {"architecture": image.architecture, "os": "linux"}}),
            );
            children.push(child.digest);
        }
        let manifest =
            serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))?;
        let pushed = Pushed {
            digest: digest(&manifest),
            manifest,
            media_type: INDEX,
            children,
        };
        self.tag(&pushed, tags).await?;
        Ok(pushed)
    }

    /// Puts a manifest whose blobs are there under the tags; with none, under its digest. Each tag is an event of its
    /// own, as with ECR.
    pub async fn tag(&self, pushed: &Pushed, tags: &[&str]) -> Result<()> {
        let own = [pushed.digest.as_str()];
        for reference in if tags.is_empty() { &own } else { tags } {
            let url = format!("{}/v2/{}/manifests/{reference}", self.endpoint, self.repository);
            let put = self
                .client
                .put(url)
                .header("content-type", pushed.media_type)
                .body(pushed.manifest.clone());
            let answer = put
                .send()
                .await?
                .error_for_status()
                .with_context(|| format!("pushing {reference}"))?;
            let stored = answer
                .headers()
                .get("docker-content-digest")
                .and_then(|value| value.to_str().ok());
            if stored != Some(&pushed.digest) {
                bail!("the registry stored {} as {stored:?}", pushed.digest);
            }
        }
        Ok(())
    }

    async fn upload(&self, image: &Image) -> Result<Pushed> {
        let layer = image.layer()?;
        let layer_digest = self.blob(&layer).await?;
        let config = serde_json::to_vec(&image.config(&layer_digest))?;
        let config_digest = self.blob(&config).await?;
        let manifest = serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": config_digest, "size": config.len()},
            "layers": [{"mediaType": LAYER, "digest": layer_digest, "size": layer.len()}]}))?;
        Ok(Pushed {
            digest: digest(&manifest),
            manifest,
            media_type: MANIFEST,
            children: Vec::new(),
        })
    }

    async fn blob(&self, bytes: &[u8]) -> Result<String> {
        let digest = digest(bytes);
        let url = format!("{}/v2/{}/blobs/uploads/", self.endpoint, self.repository);
        let begun = self
            .client
            .post(url)
            .send()
            .await?
            .error_for_status()
            .context("beginning an upload")?;
        let location = begun
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok())
            .context("the registry named no place to upload to")?;
        let place = if location.starts_with('/') {
            format!("{}{location}", self.endpoint)
        } else {
            location.to_owned()
        };
        let joint = if place.contains('?') { '&' } else { '?' };
        let put = self.client.put(format!("{place}{joint}digest={digest}"));
        let put = put
            .header("content-type", "application/octet-stream")
            .body(bytes.to_vec());
        put.send().await?.error_for_status().context("uploading a blob")?;
        Ok(digest)
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn images_differ_by_content_and_by_label() {
        let layer = |image: Image| digest(&image.layer().unwrap());
        assert_eq!(
            layer(Image::new("first")),
            layer(Image::new("first").label("a", "b"))
        );
        assert_ne!(layer(Image::new("first")), layer(Image::new("second")));
        assert_ne!(
            Image::new("first").config("l"),
            Image::new("first").label("a", "b").config("l")
        );
    }
}
