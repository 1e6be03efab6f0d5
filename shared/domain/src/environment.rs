//! An environment's state: who holds it, what runs there, what is being done to it.

use crate::alarm::Noted;
use crate::bundle::Baseline;
use crate::check::CheckRun;
use crate::ids::{
    Digest, EnvironmentName, ExecutionName, Fence, Hash, PromotionId, ReleaseNumber, ServiceName,
};
use crate::ledger::Head;
use crate::queue::Queue;
use crate::seen::Seen;
use crate::tracks::{Tracks, Traffic};
use crate::watch::Watch;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many completed promotions an environment keeps at hand as rollback targets; older ones are in its promotions.
pub const COMPLETED_AT_HAND: usize = 20;

/// One place where the service runs. One item of the table; every change is conditional on `v`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The service.
    pub service: ServiceName,
    /// The environment's name in the pipeline.
    pub name: EnvironmentName,
    /// The item's version in the table; 0 before it is stored.
    #[serde(default)]
    pub v: u64,
    /// Raised by every recorded decision that writes the cluster.
    #[serde(default)]
    pub fence: Fence,
    /// Who may change the environment now.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// What the holder is doing, or the last holder did.
    #[serde(default)]
    pub rollout: Option<Rollout>,
    /// What helm was last told to do here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<HelmRun>,
    /// The tracks, once there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracks: Option<Tracks>,
    /// What runs here, as last verified.
    #[serde(default)]
    pub live: Option<Live>,
    /// How long things were seen to take here, when a release was last verified.
    #[serde(default, skip_serializing_if = "Seen::is_empty")]
    pub seen: Seen,
    /// What ran here before Sluice's first release: the rollback target of last resort.
    #[serde(default)]
    pub adopted: Option<Live>,
    /// What completed here, newest completion first.
    #[serde(default)]
    pub completed: Vec<Completed>,
    /// Automatic promotion is stopped.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// Promotions that want this environment.
    #[serde(default)]
    pub queue: Queue,
    /// Promotions that ended while their executions may have slept. Whoever ends one wakes it; should that be lost, nothing
    /// but this list leads to it, as it is in no queue any more. The sweep wakes them and strikes them off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to_wake: Vec<PromotionId>,
    /// What is watched: the live release, for a time after it got all traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    /// The alarms of what is rolled out or watched, by name, as they were last looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alarms: BTreeMap<String, Noted>,
    /// The last finished or running rollback since the last completed promotion; a release that had traffic on a track, failed, and was
    /// restored counts as one.
    #[serde(default)]
    pub last_rollback: Option<LastRollback>,
    /// Where the ledger ends.
    #[serde(default)]
    pub ledger: Head,
}

/// The exclusive right to change an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The execution that has it.
    pub owner: ExecutionName,
    /// Since when.
    pub since: Timestamp,
}

/// What a holder does to the cluster, decision by decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The execution that does it.
    pub owner: ExecutionName,
    /// A promotion, or the way back.
    pub kind: RolloutKind,
    /// The release that is to run; none when an adopted workload without release is brought back.
    pub release: Option<ReleaseNumber>,
    /// The pipeline version it works by.
    pub pipeline: Hash,
    /// How far it is.
    pub phase: Phase,
    /// The step of the execution at which the present phase was decided; none before the first.
    #[serde(default)]
    pub step: Option<u32>,
    /// The fence of the last decision that writes the cluster.
    pub fence: Fence,
    /// What was there before the first write.
    pub baseline: Option<Baseline>,
    /// The bundle that is to run.
    pub target: Option<Hash>,
    /// When it began.
    pub started_at: Timestamp,
    /// When the present phase must be over.
    pub deadline: Timestamp,
    /// Why it is restoring, held or stuck, in a sentence.
    #[serde(default)]
    pub reason: Option<String>,
    /// The checks that were run for it, in order; the last one may be running.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRun>,
    /// Until when it waits for a person, because a check gave no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// Whether a person asked that this check be run again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_again: bool,
    /// What it waits for before it writes, in a sentence: somebody else's helm at the same release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Of a rollout on tracks: where the traffic is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Box<Traffic>>,
    /// When its first write was decided: from then on its release may have traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Timestamp>,
    /// Alarms that stand in ALARM for another reason than its release ([`crate::promotion::Promotion::despite`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub despite: Vec<String>,
}

/// What helm was last told to do in an environment. It outlives the rollout: whoever comes next learns from it whose an
/// unfinished revision is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelmRun {
    /// The fence it works under. The cluster refuses a helm of an older one.
    pub fence: Fence,
    /// The execution that runs it.
    pub execution: ExecutionName,
    /// The fence of the decision that it carries out ([`Rollout::fence`]).
    pub decision: Fence,
    /// The revision that it left, read back; none while it is not done.
    #[serde(default)]
    pub revision: Option<u32>,
    /// SHA-256 of that revision's manifest and values.
    #[serde(default)]
    pub content: Option<Hash>,
    /// Whether the release is removed: what a failed first installation is brought back to.
    #[serde(default)]
    pub removed: bool,
    /// The last revision that was closed for this decision: told in the ledger before it is done, and once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healed: Option<u32>,
}

impl HelmRun {
    /// Whether it has done what this decision asked for.
    pub fn has_done(&self, rollout: &Rollout) -> bool {
        self.execution == rollout.owner
            && self.decision == rollout.fence
            && (self.revision.is_some() || self.removed)
    }
}

/// A promotion, or the way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RolloutKind {
    /// Brings a release in.
    Promotion {
        /// Which try of which release.
        id: PromotionId,
    },
    /// Brings an earlier bundle back.
    Rollback {
        /// The release being left.
        leaving: Option<ReleaseNumber>,
        /// Who asked: a person, "invoked directly", or Sluice itself.
        by: String,
        /// True when it brings back what was live before an unfinished promotion (abort, a dead execution), and not
        /// what was live before the live release: it blames and holds nothing that completed.
        restore: bool,
    },
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The lease is taken; the cluster has not been written.
    Starting,
    /// The target bundle is written, for the present stage's part of the traffic; its pods are awaited.
    Rolling,
    /// Of a rollout on tracks: the present stage's weights are written; the router's word is awaited.
    Shifting,
    /// The present stage's weights are served; its time, its alarms and people are awaited.
    Baking,
    /// Every pod is on the release, read back from the cluster.
    Verified,
    /// It failed; the baseline is written and its pods are awaited.
    Restoring,
    /// The baseline is back, read back from the cluster.
    Restored,
    /// Neither forward nor back worked: a person is needed, a rollback is accepted.
    Stuck,
}

/// What runs in the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// The release; none for a workload that was there before Sluice.
    pub release: Option<ReleaseNumber>,
    /// Its digest.
    pub digest: Option<Digest>,
    /// Everything needed to run it again.
    pub bundle: Hash,
    /// Since when.
    pub since: Timestamp,
}

/// A promotion that was verified here: what a rollback can return to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// The release.
    pub release: ReleaseNumber,
    /// Its digest.
    pub digest: Digest,
    /// When ECR received it.
    pub pushed_at: Timestamp,
    /// Everything needed to run it again.
    pub bundle: Hash,
    /// The pipeline version it came with.
    pub pipeline: Hash,
    /// When it was verified.
    pub at: Timestamp,
    /// When it was rolled back, if it was.
    #[serde(default)]
    pub rolled_back_at: Option<Timestamp>,
    /// Whether it passed its watch; none where there was none to pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<bool>,
}

/// Automatic promotion into an environment is stopped until lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who stopped it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Set by a rollback: a release pushed after `at` lifts it by itself.
    #[serde(default)]
    pub after_rollback: bool,
}

/// The last rollback since the last completed promotion: what a repeated call without a target is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRollback {
    /// Its execution.
    pub execution: ExecutionName,
    /// The release it left.
    pub leaving: Option<ReleaseNumber>,
    /// The release it brought back.
    pub to: Option<ReleaseNumber>,
    /// When it began.
    pub at: Timestamp,
    /// When it was verified in the cluster.
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
}

impl Environment {
    /// An environment that nothing has happened in.
    pub fn new(service: ServiceName, name: EnvironmentName) -> Self {
        Self {
            service,
            name,
            v: 0,
            fence: Fence(0),
            lease: None,
            rollout: None,
            helm: None,
            tracks: None,
            live: None,
            seen: Seen::default(),
            adopted: None,
            completed: Vec::new(),
            hold: None,
            queue: Queue::default(),
            to_wake: Vec::new(),
            watch: None,
            alarms: BTreeMap::new(),
            last_rollback: None,
            ledger: Head::default(),
        }
    }

    /// Whether `execution` may change this environment now.
    pub fn is_held_by(&self, execution: &ExecutionName) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.owner == *execution)
    }

    /// The promotion of a release that is in the queue, or rolling out.
    pub fn on_its_way(&self, release: ReleaseNumber) -> Option<PromotionId> {
        self.on_their_way().find(|id| id.release == release)
    }

    /// The promotion that is rolling out, and those in the queue, in their order.
    pub fn on_their_way(&self) -> impl Iterator<Item = PromotionId> {
        let rolling = self.under_way().and_then(|rollout| rollout.promotion());
        rolling
            .into_iter()
            .chain(self.queue.iter().map(|queued| queued.id))
    }

    /// The rollout that the lease's owner is doing.
    pub fn under_way(&self) -> Option<&Rollout> {
        let lease = self.lease.as_ref()?;
        self.rollout
            .as_ref()
            .filter(|rollout| rollout.owner == lease.owner)
    }

    /// The completed promotion of `release` at hand here, the latest one.
    pub fn completed_release(&self, release: ReleaseNumber) -> Option<&Completed> {
        self.completed
            .iter()
            .find(|completed| completed.release == release)
    }
}

impl Rollout {
    /// Which promotion it is; none for a rollback.
    pub fn promotion(&self) -> Option<PromotionId> {
        match self.kind {
            RolloutKind::Promotion { id } => Some(id),
            RolloutKind::Rollback { .. } => None,
        }
    }

    /// Since when its release may have traffic, as far as it was brought in: what turned before does not blame it. In place
    /// that is the first write, on tracks the first shift.
    pub fn exposed_at(&self) -> Option<Timestamp> {
        match &self.traffic {
            Some(traffic) => traffic.first_shift,
            None => self.written_at,
        }
    }

    /// Alarms that stand in ALARM for another reason than its release.
    pub fn despite(&self) -> &[String] {
        &self.despite
    }

    /// The bundle that the present phase wants in the cluster, and whether without pods. None while nothing is decided.
    pub fn wanted(&self) -> Option<Wanted<'_>> {
        let target = self.target.as_ref();
        match (self.phase, &self.baseline) {
            (Phase::Starting, _) => None,
            (Phase::Rolling | Phase::Shifting | Phase::Baking | Phase::Verified, _) => {
                target.map(Wanted::Bundle)
            }
            (_, Some(Baseline::Bundle { hash })) => Some(Wanted::Bundle(hash)),
            (_, Some(Baseline::Nothing)) => target.map(Wanted::NoPods),
            (_, None) => target.map(Wanted::Bundle),
        }
    }
}

/// What a phase wants in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// This bundle.
    Bundle(&'a Hash),
    /// This bundle's objects, with no pods.
    NoPods(&'a Hash),
}
