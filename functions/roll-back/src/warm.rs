//! Where the target of a rollback on tracks is still warm, the call itself gives it the traffic back: nothing has to start,
//! and nothing is to be awaited first. What the execution would decide at its first step is decided, recorded and written
//! here by the same functions; where that does not come about, the execution does it.

use jiff::Timestamp;
use sluice_cluster::Namespace;
use sluice_domain::bundle::Bundle;
use sluice_domain::environment::{Environment, Rollout};
use sluice_domain::ids::Fence;
use sluice_domain::pipeline::EnvironmentSpec;
use sluice_domain::rollout::{has_all_pods, is_warm, shift, stage_of};
use sluice_domain::tracks::{Route, Track};
use sluice_domain::workload::{Observation, Verdict, WorkloadRef};
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{Backends, write_weights};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The number that the execution gives its first step: to it, what is recorded here is a step of its own, repeated.
const FIRST_STEP: u32 = 0;
/// How long the cluster may take to look at a write that changes no pod; after that the execution waits for it.
const SETTLES: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

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
    let Some(moves) = &begun.traffic else {
        return Ok(false);
    };
    let row = backends
        .table
        .environment(&environment.service, &environment.name);
    let (row, seen) = tokio::join!(row, settled(site, begun, &moves.route));
    let (mut environment, seen) = (row?, seen?);
    let ours = environment
        .under_way()
        .filter(|rollout| rollout.owner == begun.owner);
    let Some(rollout) = ours else { return Ok(false) };
    if let Verdict::Inconclusive(reason) | Verdict::Failed(reason) = seen.is_warm(rollout, site) {
        tracing::info!(%reason, execution = %begun.owner, "the execution gives the traffic back");
        return Ok(false);
    }
    let Some(traffic) = &rollout.traffic else {
        return Ok(false);
    };
    let stage = stage_of(rollout, traffic, &site.spec);
    let within = site.spec.rollback_within;
    let record = shift(
        &mut environment,
        FIRST_STEP,
        stage,
        seen.highest_fence,
        within,
        now,
    );
    let mut transaction = Transaction::new();
    if let Some(record) = record {
        transaction.record(&mut environment, record, now);
    }
    transaction.update(&environment);
    transaction.commit(&backends.table).await?;
    let Some(rollout) = &environment.rollout else {
        return Ok(false);
    };
    let place = (&environment.service, &environment.name);
    write_weights(&site.namespace, rollout, Some(&site.neutral), place, now).await?;
    Ok(true)
}

/// What is there.
struct Seen {
    observed: Observation,
    /// The ready endpoints of each track's Service.
    ready: BTreeMap<Track, u32>,
    highest_fence: Fence,
}

impl Seen {
    async fn of(site: &Site, asked: &[WorkloadRef], route: &Route) -> Result<Self, Failure> {
        let (observed, router) = tokio::try_join!(
            site.namespace.observe(asked),
            site.namespace.router(&route.router, &route.services)
        )?;
        Ok(Self {
            ready: router.ready_on(&route.services),
            highest_fence: observed.highest_fence.max(router.highest_fence()),
            observed,
        })
    }

    fn is_warm(&self, rollout: &Rollout, site: &Site) -> Verdict {
        is_warm(rollout, &site.placed, &self.observed, &self.ready)
    }
}

/// What is there once the cluster has looked at what was just written. A Deployment's new fence is a change to its controller, which
/// takes a moment to say that it is none (Kubernetes raises `generation` with annotations, too). Where pods are missing, nothing
/// is waited for.
async fn settled(site: &Site, begun: &Rollout, route: &Route) -> Result<Seen, Failure> {
    let asked = WorkloadRef::all_of(&site.placed);
    let started = Instant::now();
    loop {
        let seen = Seen::of(site, &asked, route).await?;
        let is_settled = !matches!(seen.is_warm(begun, site), Verdict::Inconclusive(_));
        if is_settled || !has_all_pods(&site.placed, &seen.observed) || started.elapsed() > SETTLES {
            return Ok(seen);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
