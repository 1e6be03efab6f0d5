//! Starting and waking executions. Both may be done twice: a name is started once, a token wakes once.

use crate::Backends;
use crate::turn::{Look, look};
use jiff::Timestamp;
use sluice_domain::ids::{EnvironmentName, ExecutionName, Fence, PromotionId, ReleaseNumber, ServiceName};
use sluice_domain::promotion::PromotionState;
use sluice_domain::turn::Turn;
use sluice_domain::wire::Work;
use sluice_executions::Woken;
use sluice_lambda::Failure;

/// Starts a promotion's execution. One that was started before is left alone.
pub async fn start_promotion(
    backends: &Backends,
    service: &ServiceName,
    environment: &EnvironmentName,
    id: PromotionId,
) -> Result<(), Failure> {
    let name = id.execution(service, environment);
    backends
        .executions
        .start_promotion(&name, &input(&Work::promotion(service, environment, id))?)
        .await?;
    Ok(())
}

/// Starts a release's promotion again where it is wanted automatically and still waits: whoever recorded that may have
/// been killed before the start.
pub(crate) async fn start_wanted(
    backends: &Backends,
    service: &ServiceName,
    environment: &EnvironmentName,
    release: ReleaseNumber,
) -> Result<(), Failure> {
    let state = backends.table.environment(service, environment).await?;
    match state
        .queue
        .iter()
        .find(|queued| queued.id.release == release && queued.automatic)
    {
        Some(queued) => start_promotion(backends, service, environment, queued.id).await,
        None => Ok(()),
    }
}

/// Starts a rollback's execution.
pub async fn start_rollback(
    backends: &Backends,
    service: &ServiceName,
    environment: &EnvironmentName,
    name: &ExecutionName,
    fence: Fence,
) -> Result<(), Failure> {
    backends
        .executions
        .start_rollback(name, &input(&Work::rollback(service, environment, fence))?)
        .await?;
    Ok(())
}

/// Wakes a promotion that waits, if it does. Its row says what to do next; the token only wakes.
pub async fn wake(
    backends: &Backends,
    service: &ServiceName,
    environment: &EnvironmentName,
    id: PromotionId,
) -> Result<(), Failure> {
    let promotion = backends.table.promotion(service, environment, id).await?;
    if let Some(wake) = promotion.and_then(|promotion| promotion.wake) {
        backends.executions.wake(&wake.token).await?;
    }
    Ok(())
}

fn input(work: &Work) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(work)
        .map_err(|error| Failure::internal(format!("an execution's input has no JSON: {error}")))
}

/// Wakes a promotion whose row says that there is something to do, and answers whether it did: a token may have been
/// told before its row was ready, or its message lost.
pub async fn wake_if_due(
    backends: &Backends,
    service: &ServiceName,
    environment: &EnvironmentName,
    id: PromotionId,
    now: Timestamp,
) -> Result<bool, Failure> {
    let look = look(backends, service, environment, id, now).await?;
    if matches!(look.turn, Turn::Wait { .. } | Turn::Ask { .. }) && !first_question(&look) {
        return Ok(false);
    }
    match look.promotion.wake {
        Some(wake) => Ok(backends.executions.wake(&wake.token).await? == Woken::Sent),
        None => Ok(false),
    }
}

/// People are to be asked, but were not yet: the promotion waited for its turn, and it is its turn now.
fn first_question(look: &Look) -> bool {
    matches!(look.turn, Turn::Ask { .. }) && look.promotion.state == PromotionState::Wanted
}
