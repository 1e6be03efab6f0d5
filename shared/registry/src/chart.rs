//! A chart in ECR: what `helm push` stored, fetched by digest and checked against every digest on the way.

use crate::error::RegistryError;
use crate::registry::{Reading, Registry, identifier, no_repository};
use aws_sdk_ecr::operation::batch_get_image::BatchGetImageError;
use aws_sdk_ecr::operation::get_download_url_for_layer::GetDownloadUrlForLayerError;
use serde::Deserialize;
use sluice_domain::canonical::sha256_hex;
use sluice_domain::ids::{Digest, Repository};
use std::time::Duration;

/// The largest chart that is taken, in bytes: as much as one that `sluice apply` packs.
pub const MOST_CHART: usize = 3 << 20;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Helm, `pkg/registry/constants.go`: what the configuration and the archive of a chart are.
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// How long the download of an archive may take.
const DOWNLOAD: Duration = Duration::from_secs(60);

/// A chart as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// The packed chart, `.tgz`.
    pub archive: Vec<u8>,
}

#[derive(Deserialize)]
struct Written {
    config: Part,
    #[serde(default)]
    layers: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: Digest,
    size: u64,
}

impl Registry {
    /// The chart of this digest; none where there is no such thing. Its manifest and its archive hash to their digests.
    /// What is larger than [`MOST_CHART`], or no chart, is an error.
    pub async fn chart(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Chart>, RegistryError> {
        let of = Reading { repository, digest };
        let Some(manifest) = self.chart_manifest(&of).await? else {
            return Ok(None);
        };
        let layer = layer(&manifest).map_err(|what| of.malformed(what))?;
        let url = self.layer_url(&of, &layer.digest).await?;
        let archive = download(&of, &url).await?;
        of.is_of(&layer.digest, &archive)?;
        Ok(Some(Chart { archive }))
    }

    async fn chart_manifest(&self, of: &Reading<'_>) -> Result<Option<String>, RegistryError> {
        let request = self
            .client
            .batch_get_image()
            .repository_name(of.repository.as_str())
            .image_ids(identifier(of.digest))
            .accepted_media_types(MANIFEST);
        let answer = request
            .send()
            .await
            .map_err(|error| match error.as_service_error() {
                Some(BatchGetImageError::RepositoryNotFoundException(_)) => no_repository(of.repository),
                _ => RegistryError::of("BatchGetImage", error),
            })?;
        of.no_failure(answer.failures())?;
        let found = answer.images.unwrap_or_default().into_iter().next();
        let Some(manifest) = found.and_then(|image| image.image_manifest) else {
            return Ok(None);
        };
        of.is_of(of.digest, manifest.as_bytes())?;
        Ok(Some(manifest))
    }

    async fn layer_url(&self, of: &Reading<'_>, layer: &Digest) -> Result<String, RegistryError> {
        let request = self
            .client
            .get_download_url_for_layer()
            .repository_name(of.repository.as_str());
        let answer = request
            .layer_digest(layer.as_str())
            .send()
            .await
            .map_err(|error| match error.as_service_error() {
                Some(GetDownloadUrlForLayerError::LayersNotFoundException(_)) => {
                    of.malformed(format!("its archive {layer} is not in the repository"))
                }
                _ => RegistryError::of("GetDownloadUrlForLayer", error),
            })?;
        let url = answer.download_url;
        url.ok_or_else(|| of.malformed("field `downloadUrl` is missing".to_owned()))
    }
}

/// The archive that a chart's manifest names. Beside it there may be a signature.
fn layer(manifest: &str) -> Result<Part, String> {
    let written: Written =
        serde_json::from_str(manifest).map_err(|error| format!("its manifest: {error}"))?;
    if written.config.media_type != CONFIG {
        return Err(format!(
            "its configuration is `{}`, and a chart's is `{CONFIG}`: `helm push` makes charts",
            written.config.media_type
        ));
    }
    let mut archives = written
        .layers
        .into_iter()
        .filter(|layer| layer.media_type == CONTENT);
    let (Some(archive), None) = (archives.next(), archives.next()) else {
        return Err(format!("it has not exactly one layer of `{CONTENT}`"));
    };
    if archive.size > MOST_CHART as u64 {
        return Err(too_large());
    }
    Ok(archive)
}

fn too_large() -> String {
    format!("the packed chart has more than {} MiB", MOST_CHART >> 20)
}

/// What is behind the URL. It is signed, so it is never said.
async fn download(of: &Reading<'_>, url: &str) -> Result<Vec<u8>, RegistryError> {
    let unavailable = |error: reqwest::Error| RegistryError::Unavailable {
        action: "download of a layer",
        source: error.without_url().into(),
    };
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .timeout(DOWNLOAD)
        .build()
        .map_err(unavailable)?;
    let answer = client
        .get(url)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(unavailable)?;
    let mut archive = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unavailable)? {
        if archive.len() + chunk.len() > MOST_CHART {
            return Err(of.malformed(too_large()));
        }
        archive.extend_from_slice(&chunk);
    }
    Ok(archive)
}

impl Reading<'_> {
    /// Bytes must be those of their digest.
    fn is_of(&self, digest: &Digest, bytes: &[u8]) -> Result<(), RegistryError> {
        let found = format!("sha256:{}", sha256_hex(bytes));
        if found == digest.as_str() {
            return Ok(());
        }
        Err(RegistryError::WrongContent {
            repository: self.repository.clone(),
            digest: digest.clone(),
            found,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn part(media_type: &str, digit: &str, size: usize) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", digit.repeat(64)), "size": size})
    }

    fn manifest(config: &str, layers: &[Value]) -> String {
        json!({"schemaVersion": 2, "config": part(config, "c", 1), "layers": layers}).to_string()
    }

    #[test]
    fn a_chart_has_one_archive_and_perhaps_a_signature() {
        let signature = part("application/vnd.cncf.helm.chart.provenance.v1.prov", "b", 9);
        for layers in [
            vec![part(CONTENT, "a", 7)],
            vec![signature, part(CONTENT, "a", MOST_CHART)],
        ] {
            let found = layer(&manifest(CONFIG, &layers)).unwrap();
            assert!(found.digest.as_str().contains("aaaa"));
        }
    }

    #[test]
    fn what_is_no_chart_says_what_it_is() {
        let archive = || part(CONTENT, "a", 7);
        for (written, what) in [
            (
                manifest("application/vnd.oci.image.config.v1+json", &[archive()]),
                "image.config",
            ),
            (manifest(CONFIG, &[]), "exactly one layer"),
            (manifest(CONFIG, &[archive(), archive()]), "exactly one layer"),
            (
                manifest(CONFIG, &[part(CONTENT, "a", MOST_CHART + 1)]),
                "more than 3 MiB",
            ),
            (manifest(CONFIG, &[part(CONTENT, "../", 7)]), "its manifest"),
            ("<html>".to_owned(), "its manifest"),
        ] {
            let said = layer(&written).err().unwrap();
            assert!(said.contains(what), "{said}");
        }
    }
}
