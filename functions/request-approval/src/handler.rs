//! Asks people: stores what they are asked about and the token that their answer wakes, then looks again.

use jiff::Timestamp;
use sluice_domain::approval::{Standing, ask, standing};
use sluice_domain::ledger::{Event, Record};
use sluice_domain::promotion::{Promotion, Wake};
use sluice_domain::turn::{Turn, evidence};
use sluice_domain::wire::{Next, NextState, Step};
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{Backends, Look, look, promotion_of, racing, token_of};

/// Asks, or goes on waiting for the answer; wakes at once where there is one already.
pub async fn handle(backends: &Backends, step: Step, now: Timestamp) -> Result<Next, Failure> {
    let id = promotion_of(&step)?;
    let token = token_of(&step)?;
    let (service, environment) = (&step.work.service, &step.work.environment);
    let waits = racing(|| async {
        let look = look(backends, service, environment, id, now).await?;
        store(backends, look, token, now).await
    })
    .await?;
    // Between the look and the store somebody may have answered, or something may have changed.
    let again = look(backends, service, environment, id, now).await?;
    if !waits || !matches!(again.turn, Turn::Ask { .. }) {
        backends.executions.wake(token).await?;
    }
    let reason = again.promotion.reason.unwrap_or_default();
    Ok(Next::now(NextState::Wait, reason))
}

/// Stores the token, and the question where it is a new one. False where there is nothing to ask.
async fn store(backends: &Backends, look: Look, token: &str, now: Timestamp) -> Result<bool, Failure> {
    let Look {
        mut promotion,
        mut environment,
        spec,
        turn,
    } = look;
    let (Turn::Ask { .. }, Some(asked)) = (turn, &spec.approval) else {
        return Ok(false);
    };
    let mut transaction = Transaction::new();
    let about = evidence(&promotion, &environment);
    if standing(&promotion, Some(asked), &about, now) == Standing::ToAsk {
        ask(&mut promotion, asked, about, now);
        transaction.record(&mut environment, record_of(&promotion), now);
        transaction.update(&environment);
    }
    promotion.wake = Some(Wake {
        token: token.to_owned(),
        at: now,
    });
    transaction.update(&promotion);
    transaction.commit(&backends.table).await?;
    Ok(true)
}

fn record_of(promotion: &Promotion) -> Record {
    Record {
        event: Event::ApprovalRequested,
        by: "sluice".to_owned(),
        release: Some(promotion.id.release),
        digest: Some(promotion.digest.clone()),
        execution: Some(promotion.execution()),
        fence: None,
        reason: promotion.reason.clone(),
    }
}
