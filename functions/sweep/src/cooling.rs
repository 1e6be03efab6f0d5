//! Tracks that are no longer kept warm give their pods back.

use crate::recording::{ended, recorded};
use jiff::Timestamp;
use sluice_cluster::{ClusterError, Clusters};
use sluice_domain::environment::Environment;
use sluice_domain::tracks::cooling::{self, Cooling};
use sluice_domain::tracks::{Track, cold};
use sluice_domain::workload::WorkloadRef;
use sluice_lambda::Failure;
use sluice_transitions::{Backends, address_of, load_pipeline, spec_of};

/// Cools what is to be cooled; says what it did.
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
    let observed = namespace.observe(&WorkloadRef::all_of(&cold)).await?;
    let still = |environment: &Environment| {
        let again = cooling::to_cool(environment).filter(|again| is_same(again, &found))?;
        Some(again.fence)
    };
    let begin = |environment: &mut Environment| cooling::begin(environment, &found, observed.highest_fence);
    let Some(fence) = recorded(backends, (service, name), still, begin, now).await? else {
        return Ok(None);
    };
    match namespace.apply(&cold, fence).await {
        Ok(_) => {}
        // A rollout has the place by now: what it wrote stays.
        Err(ClusterError::Preempted { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    ended(backends, (service, name), |environment| {
        cooling::end(environment, &found, now)
    })
    .await?;
    let place = found
        .place
        .map_or("what was there before there were tracks", Track::as_str);
    Ok(Some(format!("{place} in {name} has given its pods back")))
}

fn is_same(one: &Cooling, other: &Cooling) -> bool {
    (one.place, &one.bundle) == (other.place, &other.bundle)
}
