//! A bundle: everything needed to run a release in an environment again.

use crate::canonical::{canonical_json, sha256_hex};
use crate::ids::{Digest, Hash, ReleaseNumber};
use crate::tracks::Track;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Everything needed to run a release in an environment again. Its name is the hash of its content.
///
/// It never holds a Secret's content: Secrets are referenced by the pod templates and stay where they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The release; none for a workload that was there before Sluice.
    pub release: Option<ReleaseNumber>,
    /// Its digest.
    pub digest: Option<Digest>,
    /// For an index, its children's digests: a runtime may report one of these as a pod's image.
    #[serde(default)]
    pub children: Vec<Digest>,
    /// The Deployments, in the order they are written.
    pub deployments: Vec<WorkloadBundle>,
    /// Other objects of the package (Service, ServiceAccount, ...), as they are applied.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// The ConfigMap copies that the templates point at.
    #[serde(default)]
    pub config_maps: Vec<ConfigCopy>,
    /// Of a helm workload: what helm runs. `deployments` then says only what must be there afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<HelmBundle>,
}

/// A Helm release as it runs, or is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelmBundle {
    /// The release's name.
    pub release: String,
    /// The chart.
    pub chart: ChartRef,
    /// The texts of the values files, in their order; a later one wins. The last one is Sluice's own and names the image.
    pub values: Vec<String>,
    /// Values that come from Secrets Manager: never their content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_values: Vec<SecretValue>,
    /// The revision that this bundle was in the cluster, once it was verified there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// SHA-256 of the revision's manifest and values: what is still that revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Hash>,
    /// On tracks: what the chart renders for each of them. `release` is then the name without a track.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tracks: BTreeMap<Track, HelmTrack>,
    /// On tracks: the dotted paths of the values that take the number of pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<String>,
}

/// What a chart renders for one track: a Helm release of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelmTrack {
    /// The release's name: `mc-api-blue`.
    pub release: String,
    /// The text of the values that are the track's own: they come after all others.
    pub values: String,
    /// Its Deployments, in the order of the bundle's. Their manifests are empty: of helm's, Sluice writes the fence and the
    /// number of pods.
    pub deployments: Vec<WorkloadBundle>,
    /// The Service that selects its pods and no others, with helm's marks.
    pub service: Value,
    /// The Deployments whose pods that Service selects, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<String>,
    /// Its autoscalers: what they target, their least and their most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub autoscalers: Vec<Value>,
}

/// A chart of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its archive, which is stored; none for a release that others installed: Helm keeps no archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Hash>,
}

/// A value that comes from Secrets Manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretValue {
    /// The value's dotted path.
    pub path: String,
    /// The entry's ARN.
    pub arn: String,
    /// The version of the entry.
    pub version: String,
}

/// What kind of workload it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// apps/v1 Deployment.
    #[default]
    Deployment,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// apps/v1 DaemonSet.
    DaemonSet,
}

/// One Deployment of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadBundle {
    /// What it is; of a helm workload also others than Deployments.
    #[serde(default, skip_serializing_if = "is_deployment")]
    pub kind: WorkloadKind,
    /// The Deployment's name.
    pub name: String,
    /// The container that takes the release's image; none where this Deployment does not take it.
    pub container: Option<String>,
    /// How many replicas; none where an autoscaler says.
    pub replicas: Option<i32>,
    /// What is applied: `{"spec": {...}, "metadata": {labels, annotations}}` without name, namespace and fence.
    /// A captured one has the whole pod template; one that adopts a Deployment only what is changed.
    pub manifest: Value,
    /// The image of each container and init container, by name, that every pod must have.
    pub images: BTreeMap<String, String>,
}

impl WorkloadKind {
    /// Its name in sentences: `deployment`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }

    /// Its name in manifests: `Deployment`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// The kind of this name in manifests; none for others.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

// serde wants a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_deployment(kind: &WorkloadKind) -> bool {
    *kind == WorkloadKind::Deployment
}

/// An immutable copy of a ConfigMap, named by its content: `{original}-{first 10 digits of the content's hash}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigCopy {
    /// The ConfigMap it is a copy of.
    pub original: String,
    /// The copy's own name.
    pub name: String,
    /// `data`.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
    /// `binaryData`, base64.
    #[serde(default)]
    pub binary_data: BTreeMap<String, String>,
}

/// What was in an environment before a rollout's first write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Baseline {
    /// This bundle ran.
    Bundle {
        /// Its name.
        hash: Hash,
    },
    /// None of the service's Deployments was there: bringing it back means scaling to zero.
    Nothing,
}

impl Bundle {
    /// Its name: SHA-256 of its canonical JSON, and that JSON.
    pub fn named(&self) -> Result<(Hash, Vec<u8>), serde_json::Error> {
        let json = canonical_json(self)?;
        let hash = Hash::parse(&sha256_hex(&json)).map_err(serde::ser::Error::custom)?;
        Ok((hash, json))
    }

    /// Whether a chart was rendered for both tracks.
    pub fn is_charted(&self) -> bool {
        self.helm.as_ref().is_some_and(|helm| !helm.tracks.is_empty())
    }

    /// The same bundle with no pods: what a failed first release is brought back to.
    pub fn scaled_to_zero(&self) -> Bundle {
        let mut zero = self.clone();
        if zero.helm.as_ref().is_some_and(|helm| helm.tracks.is_empty()) {
            // helm takes the whole release away.
            zero.deployments.clear();
        }
        for deployment in &mut zero.deployments {
            deployment.replicas = Some(0);
        }
        zero
    }
}
