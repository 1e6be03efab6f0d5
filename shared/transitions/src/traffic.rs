//! Moving the traffic of a rollout on tracks, as it is recorded: by each step of its execution, and by the call that begins
//! a rollback whose target is still warm.

use jiff::Timestamp;
use sluice_cluster::Namespace;
use sluice_domain::bundle::Bundle;
use sluice_domain::environment::Rollout;
use sluice_domain::ids::{EnvironmentName, ServiceName};
use sluice_domain::pipeline::Router;
use sluice_domain::tracks::all_pointing;
use sluice_lambda::{Failure, Metrics};

/// Writes the recorded weights (again), with the fence that they were recorded with. `bundle` is the one of the present phase
/// as it is stored, without a track; a rollout without tracks has nothing to write. That the destination is ready is the
/// caller's to know.
///
/// A Service that is the router itself is written whole: by the time its weights are seen, it has this fence, and takes
/// nothing more under it.
pub async fn write_weights(
    namespace: &Namespace,
    rollout: &Rollout,
    bundle: Option<&Bundle>,
    (service, name): (&ServiceName, &EnvironmentName),
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(traffic) = &rollout.traffic else {
        return Ok(());
    };
    let route = &traffic.route;
    if route.router == Router::Service {
        return point_services(namespace, rollout, bundle).await;
    }
    let weights = rollout.heading().and_then(|heading| heading.weights);
    let weights = weights.ok_or_else(|| Failure::internal("no weights are recorded"))?;
    namespace
        .shift(&route.router, &route.services, weights, rollout.fence)
        .await?;
    let adopted = traffic.to.is_none() || traffic.from.is_none();
    Metrics::StandardOutput.weights(service, name, weights, adopted, now);
    Ok(())
}

/// Points the workload's Services at where the traffic is, with the fence of the rollout's last decision.
pub async fn point_services(
    namespace: &Namespace,
    rollout: &Rollout,
    bundle: Option<&Bundle>,
) -> Result<(), Failure> {
    let (Some(bundle), Some(heading)) = (bundle, rollout.heading()) else {
        return Err(Failure::internal("nothing to point at"));
    };
    for service in all_pointing(bundle, heading.place) {
        namespace.apply_one(&service, rollout.fence).await?;
    }
    Ok(())
}
