//! What is left keeps its size.

use sluice_cluster::Namespace;
use sluice_domain::bundle::{Baseline, Bundle};
use sluice_domain::environment::{Phase, Rollout};
use sluice_domain::tracks::pins;
use sluice_lambda::Failure;
use sluice_transitions::Backends;

/// What runs where the traffic of a release that is brought comes from; none where nothing is left that could be gone back to.
pub(crate) async fn left(backends: &Backends, rollout: &Rollout) -> Result<Option<Bundle>, Failure> {
    let leaves = rollout.promotion().is_some() && rollout.phase != Phase::Restoring;
    let has_other = rollout.traffic.as_ref().is_some_and(|traffic| traffic.has_other);
    match &rollout.baseline {
        Some(Baseline::Bundle { hash }) if leaves && has_other => {
            Ok(Some(backends.table.bundle(hash).await?))
        }
        _ => Ok(None),
    }
}

/// Has the autoscalers of what is left keep it at its recorded size, under the rollout's fence: before the weights are written,
/// so that none of them sees the requests go first.
pub(crate) async fn keep(
    namespace: &Namespace,
    left: Option<&Bundle>,
    rollout: &Rollout,
) -> Result<(), Failure> {
    let (Some(left), Some(traffic)) = (left, &rollout.traffic) else {
        return Ok(());
    };
    let pinned = pins(left, traffic).map_err(|fault| Failure::internal(fault.to_string()))?;
    for autoscaler in &pinned {
        namespace.apply_one(autoscaler, rollout.fence).await?;
    }
    Ok(())
}
