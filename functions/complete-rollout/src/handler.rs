//! Gives the environment back, and wants the next one.

use jiff::Timestamp;
use sluice_domain::environment::{Rollout, RolloutKind};
use sluice_domain::wire::{Next, NextState, Step, Work};
use sluice_lambda::{About, Failure, Metric, Metrics};
use sluice_transitions::{Backends, Completed, complete};

/// Completes the rollout of this execution.
pub async fn handle(backends: &Backends, step: Step, now: Timestamp) -> Result<Next, Failure> {
    let Step { work, execution, .. } = step;
    let Completed {
        verified,
        reason,
        rollout,
    } = complete(backends, &work.service, &work.environment, &execution, now).await?;
    if let Some(rollout) = rollout {
        count(&work, &rollout, verified, &reason, now);
    }
    let next = if verified {
        NextState::Succeeded
    } else {
        NextState::Failed
    };
    Ok(Next {
        next,
        seconds: 1,
        reason,
        ok: verified,
    })
}

fn count(work: &Work, rollout: &Rollout, verified: bool, reason: &str, now: Timestamp) {
    let (counted, timed) = match (&rollout.kind, verified) {
        (RolloutKind::Promotion { .. }, true) => (Metric::Promotions, Metric::PromotionSeconds),
        (RolloutKind::Promotion { .. }, false) => (Metric::PromotionsFailed, Metric::PromotionSeconds),
        (RolloutKind::Rollback { .. }, _) => (Metric::Rollbacks, Metric::RollbackSeconds),
    };
    let metrics = Metrics::StandardOutput;
    let about = About {
        release: rollout.release,
        reason: rollout.reason.as_deref().or(Some(reason)),
    };
    metrics.count_of(counted, &work.service, &work.environment, about, now);
    metrics.took(timed, &work.service, &work.environment, rollout.started_at, now);
}
