//! Stores the token of a promotion that waits, then looks again: what changed in between must not be slept through.

use jiff::Timestamp;
use sluice_domain::check;
use sluice_domain::promotion::Wake;
use sluice_domain::rollout::sleeps;
use sluice_domain::turn::not_yet;
use sluice_domain::wire::{Next, NextState, Step};
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{Backends, load_promotion, promotion_of, racing, token_of};

/// Stores the token; wakes at once where nothing is left to wait for.
pub async fn handle(backends: &Backends, step: Step, now: Timestamp) -> Result<Next, Failure> {
    let id = promotion_of(&step)?;
    let token = token_of(&step)?;
    let (service, environment) = (&step.work.service, &step.work.environment);
    let promotion = racing(|| async {
        let mut promotion = load_promotion(backends, service, environment, id).await?;
        if !promotion.state.is_final() {
            promotion.wake = Some(Wake {
                token: token.to_owned(),
                at: now,
            });
            let mut transaction = Transaction::new();
            transaction.update(&promotion);
            transaction.commit(&backends.table).await?;
        }
        Ok(promotion)
    })
    .await?;
    let state = backends.table.environment(service, environment).await?;
    // One that rolls out sleeps here too, while a person or a webhook is awaited.
    let rolling = state
        .under_way()
        .filter(|rollout| rollout.owner == step.execution);
    let waits = match rolling {
        Some(rollout) => check::waits(rollout, now).or_else(|| sleeps(rollout, now)),
        None => not_yet(&promotion, &state),
    };
    match waits {
        Some(reason) if !promotion.state.is_final() => Ok(Next::now(NextState::Wait, reason)),
        _ => {
            backends.executions.wake(token).await?;
            Ok(Next::now(NextState::Wait, "nothing is left to wait for"))
        }
    }
}
