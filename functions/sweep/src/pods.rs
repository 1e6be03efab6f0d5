//! Pods that are lost while their release is baked: its execution sleeps, and is woken to see for itself.

use sluice_cluster::Clusters;
use sluice_domain::environment::{Environment, Phase, Wanted};
use sluice_domain::rollout::{bundle_of, lost_its_pods};
use sluice_domain::tracks::placed;
use sluice_domain::workload::WorkloadRef;
use sluice_lambda::Failure;
use sluice_transitions::{Backends, address_of, load_pipeline, spec_of, wake};

/// Looks at the pods of what is baked; says what is lost, and wakes who decides what follows.
pub async fn look_after(
    backends: &Backends,
    clusters: &Clusters,
    environment: &Environment,
) -> Result<Option<String>, Failure> {
    let baking = environment
        .under_way()
        .filter(|rollout| rollout.phase == Phase::Baking);
    let Some(rollout) = baking else { return Ok(None) };
    let (Some(id), Some(wanted)) = (rollout.promotion(), rollout.wanted()) else {
        return Ok(None);
    };
    let (service, name) = (&environment.service, &environment.name);
    let pipeline = load_pipeline(&backends.table, service, &rollout.pipeline).await?;
    let spec = spec_of(&pipeline, name)?;
    let (Wanted::Bundle(hash) | Wanted::NoPods(hash)) = wanted;
    let bundle = bundle_of(wanted, backends.table.bundle(hash).await?);
    let bundle = placed(rollout, spec, bundle).map_err(|fault| Failure::internal(fault.to_string()))?;
    let namespace = clusters.connect(&address_of(spec)).await?;
    let observed = namespace.observe(&WorkloadRef::all_of(&bundle)).await?;
    let Some(reason) = lost_its_pods(rollout, &bundle, &observed) else {
        return Ok(None);
    };
    wake(backends, service, name, id).await?;
    Ok(Some(format!("{} is woken: {reason}", rollout.owner)))
}
