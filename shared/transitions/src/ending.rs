//! Ending a promotion before its rollout.

use crate::starting::wake;
use crate::{Backends, racing};
use jiff::Timestamp;
use sluice_domain::ids::{EnvironmentName, PromotionId, ServiceName};
use sluice_domain::ledger::Event;
use sluice_domain::promotion::{Promotion, PromotionState};
use sluice_domain::turn;
use sluice_lambda::Failure;
use sluice_table::Transaction;

/// How and why a promotion ends.
#[derive(Debug, Clone)]
pub struct Ending {
    /// As what.
    pub state: PromotionState,
    /// For the ledger.
    pub event: Event,
    /// Who ends it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Ends a promotion that has written nothing, and wakes the next in the queue. One that is over already stays as it
/// is. Answers the promotion as it is now; none where there is no such promotion, or where it has written the cluster.
pub async fn end_promotion(
    backends: &Backends,
    service: &ServiceName,
    environment: &EnvironmentName,
    id: PromotionId,
    ending: &Ending,
    now: Timestamp,
) -> Result<Option<Promotion>, Failure> {
    let ended = racing(|| async {
        let Some(mut promotion) = backends.table.promotion(service, environment, id).await? else {
            return Ok(None);
        };
        if promotion.state.is_final() {
            return Ok(Some(promotion));
        }
        let mut state = backends.table.environment(service, environment).await?;
        if turn::has_written(&state, id) {
            return Ok(None);
        }
        let Ending {
            state: end,
            event,
            by,
            reason,
        } = ending;
        let record = turn::end(&mut promotion, &mut state, *end, *event, by, reason, now);
        let mut transaction = Transaction::new();
        transaction.record(&mut state, record, now);
        transaction.update(&state);
        transaction.update(&promotion);
        transaction.commit(&backends.table).await?;
        Ok(Some(promotion))
    })
    .await?;
    if ended.is_some() {
        wake_queue(backends, service, environment).await?;
    }
    Ok(ended)
}

/// Wakes whose turn it is.
pub(crate) async fn wake_queue(
    backends: &Backends,
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Result<(), Failure> {
    let state = backends.table.environment(service, environment).await?;
    match state.queue.current {
        Some(current) => wake(backends, service, environment, current.id).await,
        None => Ok(()),
    }
}
