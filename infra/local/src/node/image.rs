//! Pulls as a container runtime does: manifest by manifest, every digest checked against the bytes that came.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::behaviour::{Behaviour, with_argument};

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// An image as a node holds it after a pull.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// `<repository>@<digest>`: the digest that was asked for, of the index where it is one, as containerd reports.
    pub image_id: String,
    /// What its labels say.
    pub behaviour: Result<Behaviour, String>,
    /// What its containers print: the label `sluice.sim/log`.
    pub log: Option<String>,
}

/// An image's name taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Reference<'a> {
    /// With the registry's host.
    name: &'a str,
    /// As the registry's own path.
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

fn parse(image: &str) -> Option<Reference<'_>> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let (host, path) = rest.split_once('/')?;
    let (repository, tag) = match path.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (path, None),
    };
    let name = rest.get(..host.len() + 1 + repository.len())?;
    Some(Reference {
        name,
        repository,
        tag,
        digest,
    })
}

/// The local ECR.
pub struct Registry {
    endpoint: String,
    client: reqwest::Client,
}

impl Registry {
    /// At the local AWS's endpoint.
    pub fn new(endpoint: &str) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            endpoint: endpoint.into(),
            client,
        })
    }

    /// Pulls an image, for a container with this first argument; the error is what a kubelet would show as the message of
    /// ErrImagePull.
    pub async fn pull(&self, image: &str, argument: Option<&str>) -> Result<Pulled, String> {
        let failed = |why: String| format!("failed to pull and unpack image \"{image}\": {why}");
        let reference = parse(image).ok_or_else(|| failed("it names no registry".into()))?;
        if !is_ecr(reference.name) {
            return Err(failed("the simulated node pulls from ECR only".into()));
        }
        let asked = reference.digest.or(reference.tag).unwrap_or("latest");
        let (bytes, digest) = self
            .manifest(reference.repository, asked)
            .await
            .map_err(&failed)?;
        let config = self.config(reference.repository, &bytes).await.map_err(&failed)?;
        let labels = with_argument(labels(&config), argument);
        Ok(Pulled {
            image_id: format!("{}@{digest}", reference.name),
            behaviour: Behaviour::read(&labels),
            log: labels.get("sluice.sim/log").cloned(),
        })
    }

    /// The labels of an image's config.
    pub async fn labels(&self, image: &str) -> Result<BTreeMap<String, String>, String> {
        let reference = parse(image).ok_or_else(|| format!("{image} names no registry"))?;
        let asked = reference.digest.or(reference.tag).unwrap_or("latest");
        let (bytes, _) = self.manifest(reference.repository, asked).await?;
        Ok(labels(&self.config(reference.repository, &bytes).await?))
    }

    /// A manifest's bytes and their own digest, which must be the one asked for.
    async fn manifest(&self, repository: &str, reference: &str) -> Result<(Vec<u8>, String), String> {
        let bytes = self.get(&format!("{repository}/manifests/{reference}")).await?;
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        if reference.contains(':') && reference != digest {
            return Err(format!(
                "the registry answered {reference} with content of digest {digest}"
            ));
        }
        Ok((bytes, digest))
    }

    async fn config(&self, repository: &str, manifest: &[u8]) -> Result<Value, String> {
        let mut manifest = json(manifest)?;
        if let Some(children) = manifest.get("manifests").and_then(Value::as_array) {
            let child = children
                .iter()
                .find(|child| runs_here(child))
                .and_then(|child| text(child, "digest"));
            let child = child.ok_or("no match for platform linux/amd64 in manifest: not found")?;
            manifest = json(&self.manifest(repository, child).await?.0)?;
        }
        let digest = manifest
            .get("config")
            .and_then(|config| text(config, "digest"))
            .ok_or("the manifest names no config")?;
        let bytes = self.get(&format!("{repository}/blobs/{digest}")).await?;
        let actual = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        if actual != digest {
            return Err(format!(
                "the registry answered {digest} with content of digest {actual}"
            ));
        }
        json(&bytes)
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let request = self
            .client
            .get(format!("{}/v2/{path}", self.endpoint))
            .header("accept", ACCEPT);
        let answer = request
            .send()
            .await
            .map_err(|error| format!("the registry did not answer: {error}"))?;
        match answer.status().as_u16() {
            200 => Ok(answer.bytes().await.map_err(|error| error.to_string())?.to_vec()),
            404 => Err(format!("{path}: not found")),
            status => Err(format!("{path}: unexpected status {status}")),
        }
    }
}

fn is_ecr(name: &str) -> bool {
    name.split('/')
        .next()
        .is_some_and(|host| host.contains(".dkr.ecr.") && host.ends_with(".amazonaws.com"))
}

fn runs_here(child: &Value) -> bool {
    let platform = |key| child.get("platform").and_then(|platform| text(platform, key));
    platform("os") == Some("linux") && platform("architecture") == Some("amd64")
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn json(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))
}

fn labels(config: &Value) -> BTreeMap<String, String> {
    let labels = config
        .get("config")
        .and_then(|config| config.get("Labels"))
        .and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| value.as_str().map(|value| (key.clone(), value.to_owned()));
    labels.into_iter().flatten().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let host = "0.dkr.ecr.us-east-1.amazonaws.com";
        let image = format!("{host}/team/mc-api:v1@sha256:ab");
        let parsed = parse(&image).unwrap();
        assert_eq!(
            (parsed.name, parsed.repository),
            (format!("{host}/team/mc-api").as_str(), "team/mc-api")
        );
        assert_eq!((parsed.tag, parsed.digest), (Some("v1"), Some("sha256:ab")));
        assert_eq!(parse("nginx"), None);
        let image = format!("{host}:443/x");
        assert_eq!(parse(&image).unwrap().repository, "x");
    }

    #[test]
    fn only_ecr_is_pulled_from() {
        assert!(is_ecr("000000000000.dkr.ecr.us-east-1.amazonaws.com/x"));
        assert!(!is_ecr("docker.io/library/nginx"));
    }
}
