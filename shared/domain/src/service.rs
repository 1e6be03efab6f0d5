//! A service as the table knows it: where its releases come from, its pipeline versions, who asked for a rollback.

use crate::alarm::AlarmId;
use crate::ids::{EnvironmentName, Hash, ReleaseNumber, Repository, ServiceName};
use crate::rollback::Undoes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// What is known of a service as a whole. One item of the table; every change is conditional on `v`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The service.
    pub service: ServiceName,
    /// The ECR repository that its images are pushed to.
    pub repository: Repository,
    /// The pipeline version that new releases start with.
    pub pipeline: Hash,
    /// The number of the last release recorded; 0 when there is none.
    pub last_number: u32,
    /// The release that was pushed last, which need not have the highest number.
    #[serde(default)]
    pub newest: Option<Newest>,
    /// When the service was first applied, or applied again after it was removed: what was pushed before is the
    /// repository's past, and no release.
    pub first_applied_at: Timestamp,
    /// The environments of the current pipeline version, in order, then those of older versions that still have a state.
    pub environments: Vec<EnvironmentName>,
    /// The alarms that the current pipeline version names: each leads to the service, from its account, region and name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub alarms: BTreeSet<AlarmId>,
    /// Set while the service is out of Sluice's care: nothing is delivered for it until it is applied again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// The item's version in the table; 0 before it is stored.
    #[serde(default)]
    pub v: u64,
}

/// When and by whom a service was taken out of Sluice's care.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Who did: a person of the pipeline, else the caller's ARN.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The release that was pushed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// Its number.
    pub number: ReleaseNumber,
    /// When ECR received it.
    pub pushed_at: Timestamp,
}

/// One published version of a service's pipeline. Never changed: its name is the hash of its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineVersion {
    /// Its name.
    pub hash: Hash,
    /// The service.
    pub service: ServiceName,
    /// The pipeline file, as given.
    pub text: String,
    /// What the file says, as it was read.
    pub pipeline: Value,
    /// The packaged manifests: the name of a blob with their canonical JSON, loaded only where they are needed.
    pub package: Hash,
    /// When it was published.
    pub applied_at: Timestamp,
    /// Who published it.
    pub applied_by: String,
}

/// Who asked for a rollback: kept until the rollback is recorded, so that a repeated call is the same call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRequest {
    /// The request's own name, chosen by whoever asks.
    pub id: String,
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The release to return to; none for the default target.
    pub to: Option<ReleaseNumber>,
    /// Why, in the caller's words.
    pub reason: Option<String>,
    /// Who asks, as the ledger shows it.
    pub by: String,
    /// True when it brings back what was live before an unfinished promotion, and not the release before the live one.
    pub restore: bool,
    /// What is undone, where the request follows from a look at one rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Undoes>,
    /// When the table forgets it, in seconds since 1970 (DynamoDB's time to live).
    pub expires: i64,
}

impl Meta {
    /// Why nothing is delivered for it, in a sentence; none while it is in Sluice's care.
    pub fn out_of_care(&self) -> Option<String> {
        let Removed { by, at } = self.removed.as_ref()?;
        let on = at.strftime("%Y-%m-%d at %H:%M UTC");
        Some(format!(
            "{} was removed from Sluice's care on {on} by {by}",
            self.service
        ))
    }

    /// The number of the next release, where there is one left.
    pub fn next_number(&self) -> Option<ReleaseNumber> {
        self.last_number.checked_add(1).map(ReleaseNumber)
    }
}
