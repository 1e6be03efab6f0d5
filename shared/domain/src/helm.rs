//! Helm releases: what the cluster holds of them, and what is to be done with helm.

mod course;
mod manifest;
mod values;

pub use course::{Asked, Course, course, is_drift, others, own_fence, present};
pub use manifest::{ManifestFault, documents, owned, workloads};
pub use values::{nested, own_values};

use crate::canonical::{canonical_json, sha256_hex};
use crate::ids::{ExecutionName, Fence, Hash};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The label of a release's Secret that says under which fence Sluice made the revision.
pub const FENCE_LABEL: &str = "sluice.dev/fence";

/// One revision of a Helm release, as its Secret `sh.helm.release.v1.<name>.v<revision>` holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct HelmRevision {
    /// The release's name.
    pub name: String,
    /// 1, 2, 3, ...
    pub revision: u32,
    /// How it stands.
    pub status: HelmStatus,
    /// What helm, or who ran it, says of it.
    pub description: String,
    /// Under which fence Sluice made it; none where others made it, also where helm handed them a label of ours.
    pub fence: Option<Fence>,
    /// When it was made.
    pub deployed_at: Option<Timestamp>,
    /// The chart's name.
    pub chart: String,
    /// The chart's version.
    pub chart_version: String,
    /// The values that it was given (`config`): not the chart's own.
    pub values: Value,
    /// The rendered objects, YAML documents, hooks left out.
    pub manifest: String,
    /// Its hooks.
    pub hooks: Vec<HelmHook>,
}

/// What the labels of a revision's Secret say of it: cheap to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmHead {
    /// 1, 2, 3, ...
    pub revision: u32,
    /// How it stands.
    pub status: HelmStatus,
    /// Under which fence Sluice made it; none where others made it. None also of one that is `pending-rollback`: there
    /// helm copied the labels of the revision that it goes back to, and only the description says it.
    pub fence: Option<Fence>,
}

/// How a revision stands (Helm 4, `pkg/release/common/status.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HelmStatus {
    /// It is what runs.
    Deployed,
    /// Removed, with its history kept.
    Uninstalled,
    /// A later one took its place.
    Superseded,
    /// It did not succeed.
    Failed,
    /// It is being removed.
    Uninstalling,
    /// The first one is being made.
    PendingInstall,
    /// It is being made.
    PendingUpgrade,
    /// It is being brought back.
    PendingRollback,
    /// Cannot be said.
    #[serde(other)]
    Unknown,
}

/// A hook of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmHook {
    /// The object's name.
    pub name: String,
    /// The object's kind.
    pub kind: String,
    /// When it runs: `pre-upgrade`, `test`, ...
    pub events: Vec<String>,
    /// How its last run ended: `Succeeded`, `Failed`, `Running`, `Unknown`; empty before the first.
    pub phase: String,
}

impl HelmStatus {
    /// As helm writes it: `pending-upgrade`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::Uninstalled => "uninstalled",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Uninstalling => "uninstalling",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
            Self::Unknown => "unknown",
        }
    }

    /// Of helm's own word; `Unknown` for any other.
    pub fn of_word(word: &str) -> Self {
        let all = [
            Self::Deployed,
            Self::Uninstalled,
            Self::Superseded,
            Self::Failed,
            Self::Uninstalling,
            Self::PendingInstall,
            Self::PendingUpgrade,
            Self::PendingRollback,
        ];
        all.into_iter()
            .find(|status| status.word() == word)
            .unwrap_or(Self::Unknown)
    }

    /// Whether helm is, or was, at work on it: helm refuses to start beside it.
    pub fn is_pending(self) -> bool {
        matches!(
            self,
            Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback | Self::Uninstalling
        )
    }
}

impl HelmRevision {
    /// SHA-256 of what runs because of it: manifest and values. Two revisions of the same content are the same to a pod.
    pub fn content(&self) -> Result<Hash, serde_json::Error> {
        #[derive(Serialize)]
        struct Content<'a> {
            chart: &'a str,
            chart_version: &'a str,
            manifest: &'a str,
            values: &'a Value,
        }
        let content = canonical_json(&Content {
            chart: &self.chart,
            chart_version: &self.chart_version,
            manifest: &self.manifest,
            values: &self.values,
        })?;
        Hash::parse(&sha256_hex(&content)).map_err(serde::ser::Error::custom)
    }
}

/// What Sluice writes into a revision's description: for people, and for itself when it comes again.
///
/// `mc-api#42 by mc-api-42-production-1, decision 12 (fence 13)`. Helm keeps at most 512 characters.
pub fn description(
    release: Option<&str>,
    execution: &ExecutionName,
    decision: Fence,
    fence: Fence,
) -> String {
    let what = release.unwrap_or("what was there before");
    format!("{what} by {execution}, decision {decision} (fence {fence})")
}

/// The fence of the decision in a description that Sluice wrote.
pub fn decision_of_description(description: &str) -> Option<Fence> {
    fence_of_description(description)?;
    let (before, _) = description.rsplit_once(" (fence ")?;
    let (_, decision) = before.rsplit_once(", decision ")?;
    decision.parse().ok().map(Fence)
}

/// The fence at the end of a description that Sluice wrote.
pub fn fence_of_description(description: &str) -> Option<Fence> {
    let (_, end) = description.trim_end().rsplit_once("(fence ")?;
    end.strip_suffix(')')?.parse().ok().map(Fence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_word_that_helm_writes() {
        for word in [
            "deployed",
            "uninstalled",
            "superseded",
            "failed",
            "uninstalling",
            "pending-install",
            "pending-upgrade",
            "pending-rollback",
            "unknown",
        ] {
            let status = HelmStatus::of_word(word);
            assert_eq!(status.word(), word);
            assert_eq!(
                serde_json::to_value(status).ok(),
                Some(Value::String(word.to_owned()))
            );
        }
        assert_eq!(HelmStatus::of_word("sunk"), HelmStatus::Unknown);
    }

    #[test]
    fn a_description_ends_with_its_fence() {
        for (description, wanted) in [
            ("mc-api#42 by mc-api-42-dev-1 (fence 12)", Some(Fence(12))),
            ("back to mc-api#41 (fence 3) (fence 13) ", Some(Fence(13))),
            ("Upgrade complete", None),
            ("(fence 12) failed: timed out", None),
            ("(fence x)", None),
        ] {
            assert_eq!(fence_of_description(description), wanted, "{description}");
        }
    }
}
