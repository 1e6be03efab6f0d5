//! What the command says to `operate`, and what it is answered.
//!
//! One POST of a [`Request`] as JSON to the Function URL, signed with SigV4 (service `lambda`). The answer is an
//! [`Answer`] with status 200, or a [`Refusal`] with the status of its [`RefusalKind`].

mod traffic;

pub use traffic::{
    AlarmStatus, TrackState, TrackStatus, TrafficStatus, WatchStatus, alarms, tracks, traffic, watch,
};

use crate::budget::Budgets;
use crate::check::Stage;
use crate::difference::Difference;
use crate::environment::{Hold, Phase};
use crate::ids::{
    Digest, EnvironmentName, ExecutionName, Fence, Hash, PersonName, ReleaseNumber, ServiceName,
};
use crate::ledger::{Entry, Head};
use crate::pipeline::{OnDrift, Seconds};
use crate::promotion::PromotionState;
use crate::release::Quarantine;
use crate::service::Removed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest request as JSON, in bytes. Lambda takes 6 MB with all that stands around it, and with each quote of it
/// escaped (AWS Lambda developer guide, "Lambda quotas": invocation payload).
pub const LARGEST_REQUEST: usize = 5_500_000;

/// A command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Publishes a pipeline version.
    Apply {
        /// The pipeline file's name, for messages.
        file: String,
        /// Its text.
        text: String,
        /// The files that it names (manifests, values, Jobs), by the path that it names them with.
        manifests: BTreeMap<String, String>,
        /// The archives of the charts that it names, in base64, by the path that it names them with.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        charts: BTreeMap<String, String>,
    },
    /// What runs where, and what is under way.
    Status {
        /// One service; all of them when absent.
        #[serde(default)]
        service: Option<ServiceName>,
    },
    /// Releases and where they went, newest first.
    History {
        /// The service.
        service: ServiceName,
        /// Only the promotions into this environment.
        #[serde(default)]
        environment: Option<EnvironmentName>,
        /// How many rows at most, 1 to 100.
        limit: u32,
        /// Only releases before this one.
        #[serde(default)]
        before: Option<ReleaseNumber>,
    },
    /// Brings a release into an environment, as a person's wish.
    Promote {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// The release; the newest one verified in the environment before, when absent.
        #[serde(default)]
        release: Option<ReleaseNumber>,
        /// All traffic now for the release that is being rolled out, which must be named with a reason.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        full: bool,
        /// Alarms that do not stop it as long as they stay as they were; with a reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        despite: Vec<String>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Keeps the rollout on tracks that is under way at its weight, until it is resumed.
    Pause {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Lets a paused rollout go on.
    Resume {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Says yes to the promotion that waits for approval.
    Approve {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// The release that the person looked at: refused when another one waits.
        release: ReleaseNumber,
        /// In their words.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Says no to the promotion that waits for approval.
    Reject {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// The release that the person looked at.
        release: ReleaseNumber,
        /// In their words.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Stops a promotion; after its first write the live bundle is restored.
    Abort {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// The release; whatever is current, when absent.
        #[serde(default)]
        release: Option<ReleaseNumber>,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Puts the last good release back.
    Rollback {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// A release that completed there; the default target when absent.
        #[serde(default)]
        to: Option<ReleaseNumber>,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Stops automatic promotion into an environment.
    Hold {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// Why.
        reason: String,
    },
    /// Lets automatic promotion go on.
    Unhold {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
    },
    /// Forbids a release: neither promoted nor rolled back to.
    Quarantine {
        /// The service.
        service: ServiceName,
        /// The release.
        release: ReleaseNumber,
        /// Why.
        reason: String,
    },
    /// Allows it again.
    Unquarantine {
        /// The service.
        service: ServiceName,
        /// The release.
        release: ReleaseNumber,
    },
    /// What promoting a release would change.
    Plan {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// The release; the newest one verified in the environment before, when absent.
        #[serde(default)]
        release: Option<ReleaseNumber>,
    },
    /// The answer of a webhook's check, given later.
    Answer {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// The check's name.
        check: String,
        /// Whether it passed.
        passed: bool,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
        /// The release that was looked at: refused when another one is under way. Whatever is current, when absent.
        #[serde(default)]
        release: Option<ReleaseNumber>,
    },
    /// Runs the check again that gave no answer and holds the rollout.
    Retry {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// The release: refused when another one is under way. Whatever is current, when absent.
        #[serde(default)]
        release: Option<ReleaseNumber>,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Takes a service out of Sluice's care; its history and its workload stay.
    Remove {
        /// The service.
        service: ServiceName,
    },
    /// A page of an environment's ledger, oldest first.
    Ledger {
        /// The service.
        service: ServiceName,
        /// The environment.
        environment: EnvironmentName,
        /// Entries after this number; 0 for the first page.
        after: u64,
        /// How many at most, 1 to 500.
        limit: u32,
    },
}

/// What a command is answered with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To `apply`.
    Applied {
        /// The service.
        service: ServiceName,
        /// The version's content hash.
        version: Hash,
        /// False when this version was the current one already.
        changed: bool,
        /// Environments whose approval it changes.
        approval_changed: Vec<EnvironmentName>,
        /// What the reader warned of.
        warnings: Vec<String>,
    },
    /// To `status`.
    Status {
        /// Sorted by name.
        services: Vec<ServiceStatus>,
    },
    /// To `history`.
    History {
        /// Newest first.
        releases: Vec<ReleaseHistory>,
        /// Whether there are older ones.
        more: bool,
    },
    /// To `promote`, `pause`, `resume`, `approve`, `reject`, `abort`, `hold`, `unhold`, `quarantine`, `unquarantine`,
    /// `answer`, `retry`, `remove`.
    Done {
        /// What happened, in a sentence.
        message: String,
        /// The next command, where one is likely.
        #[serde(default)]
        next: Option<String>,
        /// The execution that it started or woke.
        #[serde(default)]
        execution: Option<ExecutionName>,
    },
    /// To `rollback`.
    RolledBack(RollbackAnswer),
    /// To `plan`.
    Plan(Box<Plan>),
    /// To `ledger`.
    Ledger {
        /// In order.
        entries: Vec<Entry>,
        /// Where the ledger ends, as the environment's item says.
        head: Head,
    },
}

/// What `roll-back` answers, also when it is invoked directly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RollbackAnswer {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// `started`, `joined` (one to the same target is in flight) or `already` (nothing was promoted since the last one).
    pub outcome: RollbackOutcome,
    /// Its execution.
    pub execution: ExecutionName,
    /// The release being left.
    pub leaving: Option<ReleaseNumber>,
    /// The release brought back; none for what was there before Sluice.
    pub to: Option<ReleaseNumber>,
    /// Its digest.
    pub digest: Option<Digest>,
    /// What happened and what comes next, in a sentence.
    pub message: String,
}

/// What a call of `roll-back` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackOutcome {
    /// A rollback began.
    Started,
    /// One to the same target is in flight: this call waits for the same.
    Joined,
    /// Nothing was promoted since the last rollback: this is that one.
    Already,
}

/// A service at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The service.
    pub service: ServiceName,
    /// Its ECR repository.
    pub repository: String,
    /// The current pipeline version.
    pub pipeline: Hash,
    /// The newest release's number.
    pub newest: Option<ReleaseNumber>,
    /// In the pipeline's order.
    pub environments: Vec<EnvironmentStatus>,
    /// Set while the service is out of Sluice's care.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
}

/// An environment at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentStatus {
    /// Its name.
    pub name: EnvironmentName,
    /// What runs there, as last verified.
    pub live: Option<LiveStatus>,
    /// What is being done to it.
    pub activity: Option<Activity>,
    /// Promotions in the queue: the one whose turn it is first.
    pub waiting: Vec<WaitingStatus>,
    /// Automatic promotion is stopped.
    pub hold: Option<Hold>,
    /// The present fence.
    pub fence: Fence,
    /// The last run of each check of what is being done, or was done last, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStatus>,
    /// Its tracks, where it has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<TrackStatus>,
    /// The live release is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchStatus>,
    /// The alarms of what is being rolled out, else of what is watched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<AlarmStatus>,
}

/// The last run of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// When it runs.
    pub stage: Stage,
    /// Its name.
    pub name: String,
    /// The release that it is of.
    pub release: Option<ReleaseNumber>,
    /// 1 for the first run.
    pub attempt: u32,
    /// How it stands.
    pub state: CheckState,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it answered, or its time was over.
    pub answered_at: Option<Timestamp>,
    /// Until when its answer counts.
    pub deadline: Timestamp,
    /// Why it failed or gave no answer.
    pub reason: Option<String>,
    /// The last lines that it printed; only of the last one that failed or gave no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It runs.
    Running,
    /// A webhook took it, and will answer later.
    AnswersLater,
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It gave no answer.
    Inconclusive,
}

/// What runs in an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveStatus {
    /// The release; none for what was there before Sluice.
    pub release: Option<ReleaseNumber>,
    /// Its digest.
    pub digest: Option<Digest>,
    /// Since when.
    pub since: Timestamp,
    /// Of helm: its revision, where nothing is being done to the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
}

/// What a holder of the lease is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// `promotion`, `rollback` or `restore`.
    pub what: String,
    /// The release that is to run.
    pub release: Option<ReleaseNumber>,
    /// How far it is.
    pub phase: Phase,
    /// Since when it is under way.
    pub started_at: Timestamp,
    /// When the present phase must be over.
    pub deadline: Timestamp,
    /// Its execution, to find it in the console.
    pub execution: ExecutionName,
    /// Why it restores, is held or is stuck, or what it waits for.
    pub reason: Option<String>,
    /// Of a rollout on tracks: how far its traffic is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficStatus>,
    /// Until when it waits for a person, because a check or the alarms gave no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
}

/// A promotion in the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitingStatus {
    /// The release.
    pub release: ReleaseNumber,
    /// Which try.
    pub attempt: u32,
    /// How far it is.
    pub state: PromotionState,
    /// What it waits for.
    pub reason: Option<String>,
    /// When it was wanted.
    pub since: Timestamp,
    /// When its approval expires.
    pub expires_at: Option<Timestamp>,
    /// Who may approve.
    #[serde(default)]
    pub approvers: Vec<PersonName>,
    /// Who did.
    #[serde(default)]
    pub approved_by: Vec<PersonName>,
    /// How many must.
    #[serde(default)]
    pub quorum: u32,
}

/// A release and where it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseHistory {
    /// Its number.
    pub number: ReleaseNumber,
    /// Its digest.
    pub digest: Digest,
    /// The tags that it was recorded with.
    pub tags: Vec<String>,
    /// The source commit.
    pub commit: Option<String>,
    /// When ECR received it.
    pub pushed_at: Timestamp,
    /// Set while it is quarantined.
    pub quarantine: Option<Quarantine>,
    /// The last try in each environment, in the pipeline's order.
    pub promotions: Vec<PromotionHistory>,
}

/// The last try to bring a release into an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromotionHistory {
    /// The environment.
    pub environment: EnvironmentName,
    /// Which try.
    pub attempt: u32,
    /// How it stands.
    pub state: PromotionState,
    /// Why.
    pub reason: Option<String>,
    /// When it was wanted.
    pub wanted_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// A command that was not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which kind, for programs.
    pub kind: RefusalKind,
    /// What happened and why, in a sentence or two.
    pub message: String,
    /// The next command, where there is one.
    #[serde(default)]
    pub next: Option<String>,
    /// Each fault of a pipeline file, as text.
    #[serde(default)]
    pub faults: Vec<String>,
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The request or the pipeline file is wrong (400).
    Invalid,
    /// The caller may not (403).
    Denied,
    /// There is no such service, environment or release (404).
    NotFound,
    /// It cannot be done as things stand (409).
    Refused,
    /// Something that Sluice needs is out of reach; the same command may work later (503).
    Unavailable,
}

impl RefusalKind {
    /// The HTTP status it travels with.
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::Refused => 409,
            Self::Unavailable => 503,
        }
    }
}

impl Refusal {
    /// A refusal with the next command.
    pub fn new(kind: RefusalKind, message: impl Into<String>, next: Option<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            next,
            faults: Vec::new(),
        }
    }
}

/// What is asked of the function that makes plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The release that would be promoted.
    pub release: ReleaseNumber,
}

/// What a promotion would change. Nothing in it is the content of a Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The release that would be promoted.
    pub release: ReleaseNumber,
    /// Its digest.
    pub digest: Digest,
    /// The release that it would replace; none where nothing of Sluice's runs there.
    pub replaces: Option<ReleaseNumber>,
    /// Of helm: the revision that runs now.
    #[serde(default)]
    pub revision: Option<u32>,
    /// Object by object.
    pub changes: Vec<Difference>,
    /// How others changed what Sluice left there.
    pub drift: Vec<String>,
    /// What a promotion does about that.
    pub on_drift: OnDrift,
    /// Hooks of a chart that would run.
    pub hooks: Vec<String>,
    /// Checks that would run before it.
    pub before: Vec<String>,
    /// Checks that would run after it.
    pub verify: Vec<String>,
    /// How long the rollout may take.
    pub timeout: Seconds,
    /// How long a rollback may take at worst, before a person is called.
    pub rollback_within: Seconds,
    /// The least time in which the pods of what a rollback brings back can be replaced; none where nothing says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_at_least: Option<Seconds>,
    /// How long a rollback may take at worst, part by part, from what is known before the promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Budgets>,
    /// Whether there is anything that a rollback would bring back.
    #[serde(default)]
    pub rollback_target: bool,
    /// Of the first promotion on tracks beside a workload that is there: what becomes of that, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adoption: Vec<String>,
    /// Of a promotion on tracks: what each step does, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// What stands in the way of the promotion, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<String>,
    /// Who must approve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<PlanApproval>,
}

/// Who must approve a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanApproval {
    /// Who may.
    pub approvers: Vec<PersonName>,
    /// How many must.
    pub quorum: u32,
}
