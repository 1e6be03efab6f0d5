//! What the sweep does about executions that were never started, or ended without saying so.

use crate::environment::{Environment, Phase, RolloutKind};
use crate::ids::{ExecutionName, PromotionId};
use serde::{Deserialize, Serialize};

/// How an execution stands with Step Functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    /// There is none of this name.
    NotFound,
    /// It runs.
    Running,
    /// It ended, in words: "aborted", "timed out", "failed: ...", "succeeded".
    Ended(String),
}

/// What mends an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Start the execution of a promotion that is wanted.
    StartPromotion(PromotionId),
    /// Start the execution of a rollback that is recorded.
    StartRollback(ExecutionName),
    /// Record a promotion as aborted: its execution is gone, and it has written nothing.
    RecordAborted(PromotionId, String),
    /// Bring back what was live: the execution is gone, and it has written the cluster.
    Restore(String),
    /// Call the same rollback again: its execution is gone before it was done.
    RollBackAgain(String),
    /// Give the lease back: the rollout is over, only its execution did not live to say so.
    Complete(ExecutionName),
    /// Wake an execution that may have something to do.
    Wake(PromotionId),
    /// Wake the executions of promotions that are over, and strike them off the environment's list.
    WakeEnded(Vec<PromotionId>),
}

/// What mends this environment. `status_of` says how an execution stands.
pub fn repairs(
    environment: &Environment,
    status_of: impl Fn(&ExecutionName) -> ExecutionStatus,
) -> Vec<Repair> {
    let mut repairs: Vec<Repair> = holder(environment, &status_of).into_iter().collect();
    let holding = environment.lease.as_ref().map(|lease| lease.owner.clone());
    for queued in environment.queue.iter() {
        let execution = queued.id.execution(&environment.service, &environment.name);
        if Some(&execution) == holding.as_ref() {
            continue;
        }
        match status_of(&execution) {
            ExecutionStatus::NotFound => repairs.push(Repair::StartPromotion(queued.id)),
            ExecutionStatus::Running => repairs.push(Repair::Wake(queued.id)),
            ExecutionStatus::Ended(how) => repairs.push(Repair::RecordAborted(queued.id, how)),
        }
    }
    if !environment.to_wake.is_empty() {
        repairs.push(Repair::WakeEnded(environment.to_wake.clone()));
    }
    repairs
}

fn holder(
    environment: &Environment,
    status_of: &impl Fn(&ExecutionName) -> ExecutionStatus,
) -> Option<Repair> {
    let rollout = environment.under_way()?;
    let status = status_of(&rollout.owner);
    let ended = match (&status, &rollout.kind) {
        (ExecutionStatus::Running, _) => return None,
        (ExecutionStatus::NotFound, RolloutKind::Rollback { .. }) if rollout.phase != Phase::Stuck => {
            return Some(Repair::StartRollback(rollout.owner.clone()));
        }
        (ExecutionStatus::NotFound, _) => "not found".to_owned(),
        (ExecutionStatus::Ended(how), _) => how.clone(),
    };
    let why = format!("the execution {} ended without finishing: {ended}", rollout.owner);
    match (rollout.phase, &rollout.kind) {
        (Phase::Stuck, _) => None,
        (Phase::Verified | Phase::Restored, _) => Some(Repair::Complete(rollout.owner.clone())),
        (Phase::Starting, RolloutKind::Promotion { id }) => Some(Repair::RecordAborted(*id, why)),
        (_, RolloutKind::Promotion { .. }) => Some(Repair::Restore(why)),
        (_, RolloutKind::Rollback { .. }) => Some(Repair::RollBackAgain(why)),
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
