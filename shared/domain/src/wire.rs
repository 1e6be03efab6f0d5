//! What the state machines hand to the functions, and what these answer.

use crate::ids::{EnvironmentName, ExecutionName, Fence, PromotionId, ReleaseNumber, ServiceName};
use serde::{Deserialize, Serialize};

/// The input of an execution: nothing secret, no time and no event's id, so that starting it twice is starting it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// Of a promotion: the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseNumber>,
    /// Of a promotion: the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Of a rollback: the fence it was recorded with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
}

impl Work {
    /// The input of a promotion's execution.
    pub fn promotion(service: &ServiceName, environment: &EnvironmentName, id: PromotionId) -> Self {
        Self {
            service: service.clone(),
            environment: environment.clone(),
            release: Some(id.release),
            attempt: Some(id.attempt),
            fence: None,
        }
    }

    /// The input of a rollback's execution.
    pub fn rollback(service: &ServiceName, environment: &EnvironmentName, fence: Fence) -> Self {
        Self {
            service: service.clone(),
            environment: environment.clone(),
            release: None,
            attempt: None,
            fence: Some(fence),
        }
    }

    /// Which promotion it is; none for a rollback.
    pub fn promotion_id(&self) -> Option<PromotionId> {
        Some(PromotionId {
            release: self.release?,
            attempt: self.attempt?,
        })
    }
}

/// What a state hands to its function.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The execution's input.
    pub work: Work,
    /// The execution's name.
    pub execution: ExecutionName,
    /// The step of the rollout; a retry of a state carries the same one.
    #[serde(default)]
    pub step: u32,
    /// The task token, of token states only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What a Catch caught before this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Caught>,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step")
            .field("work", &self.work)
            .field("execution", &self.execution)
            .field("step", &self.step)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// An error that a state machine caught.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caught {
    /// Its name.
    #[serde(rename = "Error")]
    pub error: String,
    /// Its cause.
    #[serde(rename = "Cause", default)]
    pub cause: Option<String>,
}

/// What a function answers to its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// What the Choice after it looks at.
    pub next: NextState,
    /// For how long the token state that follows waits at most.
    pub seconds: u64,
    /// What the console shows.
    pub reason: String,
    /// With `ended`: whether this end is a normal one (superseded) or one that should not look green.
    pub ok: bool,
}

/// The words that a Choice looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextState {
    /// Wait for a turn.
    Wait,
    /// Ask for approval.
    Approve,
    /// Take the lease.
    Proceed,
    /// The lease is taken.
    Taken,
    /// Run helm.
    Helm,
    /// Run a check.
    Check,
    /// Wait for a person, or for the later answer of a webhook.
    Answer,
    /// Await pods.
    Pods,
    /// Sleep until the end of a bake, or of a pause.
    Bake,
    /// Look again in a moment.
    Look,
    /// The rollout is over: verified, or restored.
    Done,
    /// A person is needed.
    Stuck,
    /// The promotion is over before it began.
    Ended,
    /// Over, and good.
    Succeeded,
    /// Over, and not good.
    Failed,
}

impl Next {
    /// An answer without waiting time.
    pub fn now(next: NextState, reason: impl Into<String>) -> Self {
        Self {
            next,
            seconds: 1,
            reason: reason.into(),
            ok: true,
        }
    }
}
