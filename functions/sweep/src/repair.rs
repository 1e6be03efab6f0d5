//! Mends one environment, as the domain says.

use jiff::Timestamp;
use sluice_domain::environment::{Environment, RolloutKind};
use sluice_domain::ids::{ExecutionName, Fence, PromotionId};
use sluice_domain::ledger::Event;
use sluice_domain::promotion::PromotionState;
use sluice_domain::recovery::{ExecutionStatus, Repair, repairs};
use sluice_domain::service::RollbackRequest;
use sluice_executions::{ExecutionStatus as Described, Kind};
use sluice_lambda::Failure;
use sluice_rollback_call::RollBack;
use sluice_table::Transaction;
use sluice_transitions::{
    Backends, Ending, complete, end_promotion, racing, start_promotion, start_rollback, wake, wake_if_due,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// How long a request for a rollback is kept, in seconds: one day.
const REQUEST_KEPT: i64 = 86_400;

/// Does what is missing; says what it did.
pub async fn mend(
    backends: &Backends,
    roll_back: &RollBack,
    environment: &Environment,
    now: Timestamp,
) -> Result<Vec<String>, Failure> {
    let statuses = statuses(backends, environment).await?;
    let status_of = |name: &ExecutionName| statuses.get(name).cloned().unwrap_or(ExecutionStatus::Running);
    let mut done = Vec::new();
    for repair in repairs(environment, status_of) {
        done.extend(apply(backends, roll_back, environment, repair, now).await?);
    }
    Ok(done)
}

async fn apply(
    backends: &Backends,
    roll_back: &RollBack,
    environment: &Environment,
    repair: Repair,
    now: Timestamp,
) -> Result<Option<String>, Failure> {
    let (service, name) = (&environment.service, &environment.name);
    Ok(match repair {
        Repair::StartPromotion(id) => {
            start_promotion(backends, service, name, id).await?;
            Some(format!("{} is started", id.execution(service, name)))
        }
        Repair::StartRollback(execution) => {
            let fence = execution
                .as_str()
                .rsplit_once("-r")
                .and_then(|(_, digits)| digits.parse().ok());
            start_rollback(
                backends,
                service,
                name,
                &execution,
                fence.map(Fence).unwrap_or(environment.fence),
            )
            .await?;
            Some(format!("{execution} is started"))
        }
        Repair::RecordAborted(id, why) => {
            record_aborted(backends, environment, id, &why, now).await?;
            Some(format!(
                "{} is recorded as aborted: {why}",
                id.execution(service, name)
            ))
        }
        Repair::Complete(execution) => {
            complete(backends, service, name, &execution, now).await?;
            Some(format!("{execution} is completed"))
        }
        Repair::Restore(why) => call(backends, roll_back, environment, true, why, now).await?,
        Repair::RollBackAgain(why) => {
            call(backends, roll_back, environment, restores(environment), why, now).await?
        }
        Repair::Wake(id) => wake_if_due(backends, service, name, id, now)
            .await?
            .then(|| format!("{id} is woken")),
        Repair::WakeEnded(ids) => {
            wake_ended(backends, environment, &ids).await?;
            None
        }
    })
}

/// Wakes those that are over, and strikes them off. Most were woken by whoever ended them: then Step Functions says that
/// nobody waits on the token, and that is as good.
async fn wake_ended(
    backends: &Backends,
    environment: &Environment,
    ids: &[PromotionId],
) -> Result<(), Failure> {
    let (service, name) = (&environment.service, &environment.name);
    for id in ids {
        wake(backends, service, name, *id).await?;
    }
    racing(|| async {
        let mut now = backends.table.environment(service, name).await?;
        let before = now.to_wake.len();
        now.to_wake.retain(|id| !ids.contains(id));
        if now.to_wake.len() == before {
            return Ok(());
        }
        let mut transaction = Transaction::new();
        transaction.update(&now);
        Ok(transaction.commit(&backends.table).await?)
    })
    .await
}

async fn record_aborted(
    backends: &Backends,
    environment: &Environment,
    id: PromotionId,
    why: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let ending = Ending {
        state: PromotionState::Aborted,
        event: Event::PromotionAborted,
        by: "sluice".to_owned(),
        reason: why.to_owned(),
    };
    end_promotion(
        backends,
        &environment.service,
        &environment.name,
        id,
        &ending,
        now,
    )
    .await?;
    Ok(())
}

/// Whether the rollback that is under way undoes an unfinished rollout.
fn restores(environment: &Environment) -> bool {
    let kind = environment.under_way().map(|rollout| &rollout.kind);
    matches!(kind, Some(RolloutKind::Rollback { restore: true, .. }))
}

/// Calls `roll-back`. The request is named after the holder that is gone, so that two sweeps are one call.
async fn call(
    backends: &Backends,
    roll_back: &RollBack,
    environment: &Environment,
    restore: bool,
    why: String,
    now: Timestamp,
) -> Result<Option<String>, Failure> {
    let Some(rollout) = environment.under_way() else {
        return Ok(None);
    };
    let request = RollbackRequest {
        id: format!("sweep-{}-{}", rollout.owner, environment.fence),
        service: environment.service.clone(),
        environment: environment.name.clone(),
        to: rollout.release.filter(|_| !restore),
        reason: Some(why),
        by: "sluice".to_owned(),
        restore,
        undoes: None,
        expires: now.as_second().saturating_add(REQUEST_KEPT),
    };
    let owner = |environment: &Environment| environment.under_way().map(|rollout| rollout.owner.clone());
    match roll_back.call(request).await {
        Ok(answer) => Ok(Some(answer.message)),
        Err(error) => {
            // Another sweep, or a person, may have been faster: then what was to be undone is undone.
            let since = backends
                .table
                .environment(&environment.service, &environment.name)
                .await?;
            if owner(&since) == owner(environment) {
                return Err(error);
            }
            tracing::info!(%error, service = %environment.service, environment = %environment.name, "somebody was faster");
            Ok(None)
        }
    }
}

/// How each execution that matters here stands.
async fn statuses(
    backends: &Backends,
    environment: &Environment,
) -> Result<BTreeMap<ExecutionName, ExecutionStatus>, Failure> {
    let mut found = BTreeMap::new();
    if let Some(rollout) = environment.under_way() {
        let kind = if rollout.promotion().is_some() {
            Kind::Promotion
        } else {
            Kind::Rollback
        };
        found.insert(
            rollout.owner.clone(),
            status(backends, &rollout.owner, kind).await?,
        );
    }
    for queued in environment.queue.iter() {
        let name = queued.id.execution(&environment.service, &environment.name);
        if let Entry::Vacant(unknown) = found.entry(name.clone()) {
            unknown.insert(status(backends, &name, Kind::Promotion).await?);
        }
    }
    Ok(found)
}

async fn status(backends: &Backends, name: &ExecutionName, kind: Kind) -> Result<ExecutionStatus, Failure> {
    Ok(match backends.executions.status(name, kind).await? {
        Described::Running => ExecutionStatus::Running,
        Described::NotFound => ExecutionStatus::NotFound,
        Described::Succeeded => ExecutionStatus::Ended("succeeded".to_owned()),
        Described::TimedOut => ExecutionStatus::Ended("timed out".to_owned()),
        Described::Aborted => ExecutionStatus::Ended("aborted".to_owned()),
        Described::Failed { error, .. } => {
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            ExecutionStatus::Ended(format!("failed{error}"))
        }
    })
}
