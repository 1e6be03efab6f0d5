//! Looks at the gates; what they say is decided by the domain.

use jiff::Timestamp;
use sluice_domain::turn::Turn;
use sluice_domain::wire::{Next, NextState, Step};
use sluice_lambda::Failure;
use sluice_transitions::{Backends, answer, look, promotion_of, racing, set_reason};

/// One look: what the promotion does next.
pub async fn handle(backends: &Backends, step: Step, now: Timestamp) -> Result<Next, Failure> {
    let id = promotion_of(&step)?;
    let (service, environment) = (&step.work.service, &step.work.environment);
    racing(|| async {
        let look = look(backends, service, environment, id, now).await?;
        if let Some(next) = answer(backends, &look, now).await? {
            set_reason(backends, &look, &next).await?;
            return Ok(next);
        }
        let reason = match look.turn {
            Turn::Proceed { reason } => reason,
            _ => String::new(),
        };
        Ok(Next::now(NextState::Proceed, reason))
    })
    .await
}
