//! Takes the lease, after a last look at every gate and at the approval's evidence.

use jiff::Timestamp;
use sluice_domain::rollout;
use sluice_domain::wire::{Next, NextState, Step};
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{Backends, Look, answer, look, promotion_of, racing, set_reason};

/// Takes the lease, or says what is in the way.
pub async fn handle(backends: &Backends, step: Step, now: Timestamp) -> Result<Next, Failure> {
    let id = promotion_of(&step)?;
    let (service, environment) = (&step.work.service, &step.work.environment);
    racing(|| async {
        let look = look(backends, service, environment, id, now).await?;
        if look.environment.is_held_by(&step.execution) {
            return Ok(Next::now(NextState::Taken, "has the lease already"));
        }
        if let Some(next) = answer(backends, &look, now).await? {
            set_reason(backends, &look, &next).await?;
            return Ok(next);
        }
        take(backends, look, now).await
    })
    .await
}

async fn take(backends: &Backends, look: Look, now: Timestamp) -> Result<Next, Failure> {
    let Look {
        mut promotion,
        mut environment,
        spec,
        ..
    } = look;
    let record = rollout::take_lease(&mut environment, &mut promotion, spec.timeout, now);
    let mut transaction = Transaction::new();
    transaction.record(&mut environment, record, now);
    transaction.update(&environment);
    transaction.update(&promotion);
    transaction.commit(&backends.table).await?;
    Ok(Next::now(
        NextState::Taken,
        format!("{} changes {} now", promotion.id, environment.name),
    ))
}
