//! One bounded Kubernetes watch. What it answers is a hint to look again, never a verdict.

use jiff::Timestamp;
use sluice_cluster::{Clusters, WaitEnd};
use sluice_domain::environment::Wanted;
use sluice_domain::rollout::bundle_of;
use sluice_domain::tracks::placed;
use sluice_domain::wire::{Next, NextState, Step};
use sluice_domain::workload::{Leaving, Verdict, WorkloadRef, verdict};
use sluice_lambda::Failure;
use sluice_table::Table;
use sluice_transitions::{address_of, load_version, spec_of};
use std::time::Duration;

/// Waits until the pods have settled, the phase's time is over, or `at_most` is.
pub async fn handle(
    table: &Table,
    clusters: &Clusters,
    step: Step,
    now: Timestamp,
    at_most: Duration,
) -> Result<Next, Failure> {
    let (service, name) = (&step.work.service, &step.work.environment);
    let environment = table.environment(service, name).await?;
    let rollout = environment
        .under_way()
        .filter(|rollout| rollout.owner == step.execution);
    let rollout =
        rollout.ok_or_else(|| Failure::preempted(format!("{} does not hold {name}", step.execution)))?;
    let Some(wanted) = rollout.wanted() else {
        return Ok(Next::now(NextState::Pods, "nothing is awaited"));
    };
    let (Wanted::Bundle(hash) | Wanted::NoPods(hash)) = wanted;
    let bundle = bundle_of(wanted, table.bundle(hash).await?);
    let version = load_version(table, service, &rollout.pipeline).await?;
    let spec = spec_of(&version.pipeline, name)?;
    let bundle = placed(rollout, spec, bundle).map_err(|fault| Failure::refused(fault.to_string()))?;
    let namespace = clusters.connect(&address_of(spec)).await?;
    let asked = WorkloadRef::all_of(&bundle);
    let left = Duration::try_from(rollout.deadline.duration_since(now)).unwrap_or(Duration::ZERO);
    // On a track old pods have no traffic: they may take their time.
    let leaving = if rollout.traffic.is_some() {
        Leaving::LeftAlone
    } else {
        Leaving::Awaited
    };
    let settled = |observed: &_| !matches!(verdict(&bundle, observed, leaving), Verdict::Inconclusive(_));
    match namespace
        .wait_for(&asked, left.min(at_most), rollout.fence, settled)
        .await?
    {
        WaitEnd::Settled(_) => Ok(Next::now(NextState::Pods, "the pods have settled")),
        WaitEnd::TimedOut(observed) => {
            let open = match verdict(&bundle, &observed, leaving) {
                Verdict::Inconclusive(reason) | Verdict::Failed(reason) => reason,
                Verdict::Passed => "the pods have settled".to_owned(),
            };
            Ok(Next::now(NextState::Pods, open))
        }
        WaitEnd::Preempted { seen } => Err(Failure::preempted(format!(
            "another holder has written {name} with fence {seen}"
        ))),
    }
}
