//! Where the target of a rollback on tracks is still warm, the call itself gives it the traffic back: nothing has to start,
//! and nothing is to be awaited first. What the execution would decide at its first step is decided, recorded and written
//! here by the same functions; where that does not come about, the execution does it.

use jiff::Timestamp;
use sluice_cluster::Namespace;
use sluice_domain::bundle::Bundle;
use sluice_domain::environment::{Environment, Rollout};
use sluice_domain::pipeline::{EnvironmentSpec, Router};
use sluice_domain::rollout::{is_warm, shift, stage_of};
use sluice_domain::tracks::all_pointing;
use sluice_domain::workload::WorkloadRef;
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::Backends;

/// The number that the execution gives its first step: to it, what is recorded here is a step of its own, repeated.
const FIRST_STEP: u32 = 0;

/// Where a rollback writes.
pub struct Site {
    /// The environment's namespace.
    pub namespace: Namespace,
    /// What the pipeline says of the environment.
    pub spec: EnvironmentSpec,
    /// The target, where it comes back.
    pub placed: Bundle,
    /// The same as it is stored, without a track.
    pub neutral: Bundle,
}

/// Gives the traffic back, if all of the target's pods are there. Says whether it did.
pub async fn give_back(
    backends: &Backends,
    site: &Site,
    begun: &Rollout,
    environment: &Environment,
    now: Timestamp,
) -> Result<bool, Failure> {
    let Some(route) = begun.traffic.as_ref().map(|traffic| traffic.route.clone()) else {
        return Ok(false);
    };
    let asked = WorkloadRef::all_of(&site.placed);
    let (row, observed, router) = tokio::join!(
        backends
            .table
            .environment(&environment.service, &environment.name),
        site.namespace.observe(&asked),
        site.namespace.router(&route.router, &route.services)
    );
    let (mut environment, observed) = (row?, observed?);
    let ready = router?.ready_on(&route.services);
    let Some(rollout) = environment
        .under_way()
        .filter(|rollout| rollout.owner == begun.owner && is_warm(rollout, &site.placed, &observed, &ready))
    else {
        return Ok(false);
    };
    let Some(traffic) = &rollout.traffic else {
        return Ok(false);
    };
    let (stage, to) = (stage_of(rollout, traffic, &site.spec), traffic.to);
    let weights = traffic.weights_of(stage);
    let within = site.spec.rollback_within;
    let record = shift(
        &mut environment,
        FIRST_STEP,
        stage,
        observed.highest_fence,
        within,
        now,
    );
    let fence = environment.fence;
    let mut transaction = Transaction::new();
    if let Some(record) = record {
        transaction.record(&mut environment, record, now);
    }
    transaction.update(&environment);
    transaction.commit(&backends.table).await?;
    if route.router == Router::Service {
        // It is written whole: under this fence it takes nothing more.
        for service in all_pointing(&site.neutral, to) {
            site.namespace.apply_one(&service, fence).await?;
        }
        return Ok(true);
    }
    site.namespace
        .shift(&route.router, &route.services, weights, fence)
        .await?;
    Ok(true)
}
