//! Autoscalers of a live track go as low as their manifests say, once its rollout is over.

use crate::recording::{ended, recorded};
use jiff::Timestamp;
use sluice_cluster::{ClusterError, Clusters};
use sluice_domain::environment::Environment;
use sluice_domain::tracks::{easing, given_back};
use sluice_domain::workload::WorkloadRef;
use sluice_lambda::Failure;
use sluice_transitions::{Backends, address_of, load_pipeline, spec_of};

/// Eases what is to be eased; says what it did.
pub async fn ease(
    backends: &Backends,
    clusters: &Clusters,
    environment: &Environment,
    now: Timestamp,
) -> Result<Option<String>, Failure> {
    let Some(found) = easing::to_ease(environment) else {
        return Ok(None);
    };
    let bundle = backends.table.bundle(&found.bundle).await?;
    let autoscalers =
        given_back(&bundle, Some(found.track)).map_err(|fault| Failure::internal(fault.to_string()))?;
    let (service, name) = (&environment.service, &environment.name);
    if !autoscalers.is_empty() {
        let Some(rollout) = &environment.rollout else {
            return Ok(None);
        };
        let pipeline = load_pipeline(&backends.table, service, &rollout.pipeline).await?;
        let namespace = clusters.connect(&address_of(spec_of(&pipeline, name)?)).await?;
        let observed = namespace.observe(&Vec::<WorkloadRef>::new()).await?;
        let again = |environment: &Environment| {
            easing::to_ease(environment).filter(|again| again.bundle == found.bundle)
        };
        let still = |environment: &Environment| Some(again(environment)?.fence);
        let begin = |environment: &mut Environment| {
            let again = again(environment)?;
            easing::begin(environment, &again, observed.highest_fence)
        };
        let Some(fence) = recorded(backends, (service, name), still, begin, now).await? else {
            return Ok(None);
        };
        for autoscaler in &autoscalers {
            match namespace.apply_one(autoscaler, fence).await {
                Ok(()) => {}
                // A rollout has the environment by now: what it wrote stays.
                Err(ClusterError::Preempted { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
    ended(backends, (service, name), |environment| {
        easing::end(environment, &found)
    })
    .await?;
    let said = format!(
        "the autoscalers of {} in {name} go as low as their manifests say",
        found.track
    );
    Ok((!autoscalers.is_empty()).then_some(said))
}
