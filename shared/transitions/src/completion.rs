//! The end of a rollout: the lease goes back, the next environment is wanted, in one transaction.

use crate::ending::wake_queue;
use crate::images::load_release;
use crate::starting::start_wanted;
use crate::wanting::{Wish, add_wish, follow_wish};
use crate::{Backends, load_pipeline, racing};
use jiff::Timestamp;
use sluice_domain::environment::{Environment, Rollout};
use sluice_domain::ids::{EnvironmentName, ExecutionName, ServiceName};
use sluice_domain::ledger::Record;
use sluice_domain::promotion::{Asker, Promotion};
use sluice_domain::release::Release;
use sluice_domain::rollout;
use sluice_domain::want::Word;
use sluice_domain::want::continues;
use sluice_domain::watch;
use sluice_lambda::Failure;
use sluice_table::Transaction;

/// How a rollout ended.
#[derive(Debug, Clone)]
pub struct Completed {
    /// Whether what was to run runs.
    pub verified: bool,
    /// What the console shows.
    pub reason: String,
    /// The rollout; none where it was completed before.
    pub rollout: Option<Rollout>,
}

/// Completes the rollout of `execution`. Called again, it answers what was recorded, and starts what follows again.
pub async fn complete(
    backends: &Backends,
    service: &ServiceName,
    environment: &EnvironmentName,
    execution: &ExecutionName,
    now: Timestamp,
) -> Result<Completed, Failure> {
    let (completed, wish) = racing(|| complete_once(backends, service, environment, execution, now)).await?;
    match &wish {
        Some(wish) => follow_wish(backends, wish).await?,
        None if completed.rollout.is_none() => start_next(backends, service, environment, execution).await?,
        None => {}
    }
    wake_queue(backends, service, environment).await?;
    Ok(completed)
}

/// Starts the next environment's promotion again: the call that recorded it may have been killed before the start.
async fn start_next(
    backends: &Backends,
    service: &ServiceName,
    name: &EnvironmentName,
    execution: &ExecutionName,
) -> Result<(), Failure> {
    let environment = backends.table.environment(service, name).await?;
    let Some(rollout) = environment.rollout.filter(|rollout| rollout.owner == *execution) else {
        return Ok(());
    };
    let Some(promotion) = rollout.promotion() else {
        return Ok(());
    };
    let pipeline = load_pipeline(&backends.table, service, &rollout.pipeline).await?;
    match pipeline.after(name) {
        Some(next) => start_wanted(backends, service, &next.name, promotion.release).await,
        None => Ok(()),
    }
}

async fn complete_once(
    backends: &Backends,
    service: &ServiceName,
    name: &EnvironmentName,
    execution: &ExecutionName,
    now: Timestamp,
) -> Result<(Completed, Option<Wish>), Failure> {
    let mut environment = backends.table.environment(service, name).await?;
    let Some(rollout) = environment
        .under_way()
        .filter(|rollout| rollout.owner == *execution)
        .cloned()
    else {
        return completed_before(&environment, execution).map(|completed| (completed, None));
    };
    let mut promotion = load_promotion(backends, &environment, &rollout).await?;
    let release = match rollout.release {
        Some(number) => Some(load_release(backends, service, number).await?),
        None => None,
    };
    let completion = rollout::complete(
        &mut environment,
        execution,
        promotion.as_mut(),
        release.as_ref(),
        now,
    )
    .map_err(|fault| Failure::internal(fault.to_string()))?;
    let mut transaction = Transaction::new();
    transaction.record(&mut environment, completion.record, now);
    if completion.verified
        && let Some(record) = watch_it(backends, &mut environment, &rollout, now).await?
    {
        transaction.record(&mut environment, record, now);
    }
    transaction.update(&environment);
    let mut wish = None;
    if let Some(promotion) = &promotion {
        transaction.update(promotion);
        if let Some(release) = release.filter(|_| completion.verified) {
            wish = want_next(backends, &mut transaction, promotion, &release, now).await?;
        }
    }
    transaction.commit(&backends.table).await?;
    let reason = completion
        .reason
        .unwrap_or_else(|| "every pod is on the release".to_owned());
    Ok((
        Completed {
            verified: completion.verified,
            reason,
            rollout: Some(rollout),
        },
        wish,
    ))
}

/// Begins the watch, by the pipeline version that the release came with.
async fn watch_it(
    backends: &Backends,
    environment: &mut Environment,
    rollout: &Rollout,
    now: Timestamp,
) -> Result<Option<Record>, Failure> {
    if rollout.promotion().is_none() {
        return Ok(None);
    }
    let pipeline = load_pipeline(&backends.table, &environment.service, &rollout.pipeline).await?;
    let Some(spec) = pipeline.environment(&environment.name) else {
        return Ok(None);
    };
    Ok(watch::begin(environment, rollout, spec, now))
}

/// The answer to a repeated call: what the environment says of this execution's rollout.
fn completed_before(environment: &Environment, execution: &ExecutionName) -> Result<Completed, Failure> {
    let lost = || Failure::preempted(format!("{execution} does not hold {} any more", environment.name));
    if environment.lease.is_some() {
        return Err(lost());
    }
    let rollout = environment
        .rollout
        .as_ref()
        .filter(|rollout| rollout.owner == *execution)
        .ok_or_else(lost)?;
    Ok(Completed {
        verified: rollout.phase == sluice_domain::environment::Phase::Verified,
        reason: rollout
            .reason
            .clone()
            .unwrap_or_else(|| "completed before".to_owned()),
        rollout: None,
    })
}

async fn load_promotion(
    backends: &Backends,
    environment: &Environment,
    rollout: &Rollout,
) -> Result<Option<Promotion>, Failure> {
    match rollout.promotion() {
        Some(id) => Ok(backends
            .table
            .promotion(&environment.service, &environment.name, id)
            .await?),
        None => Ok(None),
    }
}

/// Wants the release in the environment after, by the pipeline version that the release keeps.
async fn want_next(
    backends: &Backends,
    transaction: &mut Transaction,
    promotion: &Promotion,
    release: &Release,
    now: Timestamp,
) -> Result<Option<Wish>, Failure> {
    let pipeline = load_pipeline(&backends.table, &promotion.service, &promotion.pipeline).await?;
    let Some(next) = pipeline.after(&promotion.environment) else {
        return Ok(None);
    };
    let mut environment = backends.table.environment(&promotion.service, &next.name).await?;
    if !continues(&environment, release) {
        return Ok(None);
    }
    add_wish(
        backends,
        transaction,
        &mut environment,
        release,
        Asker::Automatic,
        &Word::default(),
        now,
    )
    .await
    .map(Some)
}
