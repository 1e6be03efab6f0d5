//! Tracks that are no longer kept warm give their pods back.

use jiff::Timestamp;
use serde_json::Value;
use sluice_cluster::{ClusterError, Clusters, Namespace};
use sluice_domain::bundle::Bundle;
use sluice_domain::environment::Environment;
use sluice_domain::ids::Fence;
use sluice_domain::tracks::cooling::{self, Cooling};
use sluice_domain::tracks::{Track, cold, given_back};
use sluice_domain::workload::WorkloadRef;
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{Backends, address_of, load_pipeline, racing, spec_of};

/// Cools what is to be cooled; says what it did. The fence is recorded before anything is written, so that a rollout which
/// begins meanwhile has a greater one, and the cluster refuses what comes late.
pub async fn cool(
    backends: &Backends,
    clusters: &Clusters,
    environment: &Environment,
    now: Timestamp,
) -> Result<Option<String>, Failure> {
    let Some(found) = cooling::to_cool(environment) else {
        return Ok(None);
    };
    let Some(pipeline) = environment
        .rollout
        .as_ref()
        .map(|rollout| rollout.pipeline.clone())
    else {
        return Ok(None);
    };
    let (service, name) = (&environment.service, &environment.name);
    let pipeline = load_pipeline(&backends.table, service, &pipeline).await?;
    let namespace = clusters.connect(&address_of(spec_of(&pipeline, name)?)).await?;
    let bundle = backends.table.bundle(&found.bundle).await?;
    let cold = cold(&bundle, found.place).map_err(|fault| Failure::internal(fault.to_string()))?;
    let live = live_autoscalers(backends, environment).await?;
    // Everything that is written is asked for its fence.
    let mut asked = WorkloadRef::all_of(&cold);
    let targets = live
        .iter()
        .filter_map(|one| one.pointer("/spec/scaleTargetRef/name")?.as_str());
    asked.extend(targets.map(WorkloadRef::deployment));
    let observed = namespace.observe(&asked).await?;
    let recorded = racing(|| async {
        let mut environment = backends.table.environment(service, name).await?;
        let again = cooling::to_cool(&environment).filter(|again| is_same(again, &found));
        let Some(again) = again else { return Ok(None) };
        if let Some(fence) = again.fence {
            return Ok(Some(fence));
        }
        let Some(record) = cooling::begin(&mut environment, &found, observed.highest_fence) else {
            return Ok(None);
        };
        let fence = environment.fence;
        let mut transaction = Transaction::new();
        transaction.record(&mut environment, record, now);
        transaction.update(&environment);
        transaction.commit(&backends.table).await?;
        Ok(Some(fence))
    })
    .await?;
    let Some(fence) = recorded else { return Ok(None) };
    match write(&namespace, &cold, &live, fence).await {
        Ok(()) => {}
        // A rollout has the place by now: what it wrote stays.
        Err(ClusterError::Preempted { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    racing(|| async {
        let mut environment = backends.table.environment(service, name).await?;
        if cooling::end(&mut environment, &found, now) {
            let mut transaction = Transaction::new();
            transaction.update(&environment);
            transaction.commit(&backends.table).await?;
        }
        Ok(())
    })
    .await?;
    let place = found
        .place
        .map_or("what was there before there were tracks", Track::as_str);
    Ok(Some(format!("{place} in {name} has given its pods back")))
}

/// The autoscalers of what is live, with bounds of their own: until now they kept the size that its rollout needed.
async fn live_autoscalers(backends: &Backends, environment: &Environment) -> Result<Vec<Value>, Failure> {
    let track = environment.tracks.as_ref().and_then(|tracks| tracks.live);
    let (Some(track), Some(live)) = (track, &environment.live) else {
        return Ok(Vec::new());
    };
    let bundle = backends.table.bundle(&live.bundle).await?;
    given_back(&bundle, Some(track)).map_err(|fault| Failure::internal(fault.to_string()))
}

async fn write(
    namespace: &Namespace,
    cold: &Bundle,
    live: &[Value],
    fence: Fence,
) -> Result<(), ClusterError> {
    namespace.apply(cold, fence).await?;
    for autoscaler in live {
        namespace.apply_one(autoscaler, fence).await?;
    }
    Ok(())
}

fn is_same(one: &Cooling, other: &Cooling) -> bool {
    (one.place, &one.bundle) == (other.place, &other.bundle)
}
