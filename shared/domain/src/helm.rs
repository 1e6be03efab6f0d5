//! Helm releases: what the cluster holds of them, and what is to be done with helm.

use crate::ids::Fence;
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
    /// Under which fence Sluice made it; none where others made it.
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
    /// Whether helm is, or was, at work on it: helm refuses to start beside it.
    pub fn is_pending(self) -> bool {
        matches!(
            self,
            Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback | Self::Uninstalling
        )
    }
}
