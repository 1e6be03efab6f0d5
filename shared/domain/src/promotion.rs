//! A promotion: one try to bring one release into one environment, with its approval.

use crate::ids::{Digest, EnvironmentName, ExecutionName, Hash, PersonName, PromotionId, ServiceName};
use crate::ledger::Record;
use crate::rollout::set_aside;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Bringing a release into an environment; the attempt counts up when it is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// Release and attempt.
    pub id: PromotionId,
    /// The digest that is gated, approved, deployed and verified: one and the same.
    pub digest: Digest,
    /// The pipeline version it works by.
    pub pipeline: Hash,
    /// Who wants it.
    pub asked_by: Asker,
    /// When it was wanted.
    pub wanted_at: Timestamp,
    /// How far it is.
    pub state: PromotionState,
    /// Why it is in that state, in a sentence.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it was over.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// What people were asked, and said.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// The task token that wakes its execution. It never leaves the table.
    #[serde(default)]
    pub wake: Option<Wake>,
    /// The bundle that was recorded on success.
    #[serde(default)]
    pub bundle: Option<Hash>,
    /// Alarms that a person said stand in ALARM for another reason than this release, so that it goes on in spite
    /// of them. Who said so, and why, is in the ledger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub despite: Vec<String>,
    /// The item's version in the table; 0 before it is stored.
    #[serde(default)]
    pub v: u64,
}

/// Who wants a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Asker {
    /// A push, or the environment before.
    Automatic,
    /// A person, by `sluice promote`.
    Person {
        /// The person in the pipeline file, where the caller is one.
        person: Option<PersonName>,
        /// The caller's ARN.
        arn: String,
    },
}

/// How far a promotion is. All but the first three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromotionState {
    /// In the queue, or held up by a gate.
    Wanted,
    /// People were asked.
    AwaitingApproval,
    /// It has the lease.
    RollingOut,
    /// Done, and read back from the cluster.
    Verified,
    /// The rollout failed; the environment was restored.
    Failed,
    /// A newer release took its place.
    Superseded,
    /// An approver said no.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// A person, or the end of its execution, stopped it.
    Aborted,
    /// A gate said no for good.
    Refused,
    /// A rollback took the environment over.
    Preempted,
}

impl PromotionState {
    /// Whether nothing more happens to it.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Wanted | Self::AwaitingApproval | Self::RollingOut)
    }
}

/// What people were asked, and said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What they were asked about: it must be the same when the lease is taken.
    pub evidence: Evidence,
    /// When they were asked.
    pub asked_at: Timestamp,
    /// Until when an answer counts.
    pub expires_at: Timestamp,
    /// What each said, in order; one vote a person.
    #[serde(default)]
    pub votes: Vec<Vote>,
}

/// What an approval is for. An approval of something else is no approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The digest.
    pub digest: Digest,
    /// The pipeline version.
    pub pipeline: Hash,
    /// What was live when they were asked, by bundle: what they were told would change.
    pub replaces: Option<Hash>,
}

/// One person's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub person: PersonName,
    /// As which caller.
    pub arn: String,
    /// When.
    pub at: Timestamp,
    /// Yes or no.
    pub approve: bool,
    /// In their words.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A task token that is waited on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The token. Never printed: `Debug` leaves it out.
    pub token: String,
    /// When it was stored.
    pub at: Timestamp,
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wake")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Promotion {
    /// The name of the execution that does it.
    pub fn execution(&self) -> ExecutionName {
        self.id.execution(&self.service, &self.environment)
    }

    /// Lets it go forward in spite of these alarms, before its rollout. None where it does already.
    pub fn set_aside(&mut self, alarms: &[String], by: &str, reason: &str) -> Option<Record> {
        let new = alarms.iter().filter(|alarm| !self.despite.contains(alarm));
        let new: Vec<String> = new.cloned().collect();
        if new.is_empty() {
            return None;
        }
        let record = set_aside(Some(self.id.release), &new, by, reason);
        self.despite.extend(new);
        Some(Record {
            execution: Some(self.execution()),
            ..record
        })
    }

    /// Ends it, for the reason given. The wake token is left in place: whoever ends it wakes the execution with it.
    pub fn end(&mut self, state: PromotionState, reason: impl Into<String>, now: Timestamp) {
        self.state = state;
        self.reason = Some(reason.into());
        self.ended_at = Some(now);
    }
}
