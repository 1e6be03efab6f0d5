//! What is seen of the traffic.

use crate::outside::Outside;
use serde_json::Value;
use sluice_cluster::{ClusterError, Namespace};
use sluice_domain::bundle::Bundle;
use sluice_domain::environment::{Phase, Rollout};
use sluice_domain::pipeline::EnvironmentSpec;
use sluice_domain::router::{RouterObservation, RouterVerdict};
use sluice_domain::tracks::{Route, Standing, Traffic, TrafficSeen, fences_on, pointed, pointed_at};
use sluice_domain::workload::Observation;
use sluice_lambda::Failure;
use sluice_load_balancers::LoadBalancersError;
use sluice_watching::place_of;
use std::error::Error;

/// Looks at the traffic of a rollout on tracks. The fences of what is looked at are counted in.
pub(crate) async fn look(
    outside: &Outside,
    namespace: &Namespace,
    spec: &EnvironmentSpec,
    rollout: &Rollout,
    traffic: &Traffic,
    bundle: &Bundle,
    observed: &mut Observation,
) -> Result<TrafficSeen, Failure> {
    let services: Vec<Value> = pointed(bundle).into_iter().cloned().collect();
    let (router, in_cluster) = tokio::try_join!(
        router(outside, namespace, spec, rollout.phase, &traffic.route),
        namespace.objects(&services),
    )?;
    let (router, standing) = router;
    let (pointed_fence, highest) = fences_on(&in_cluster);
    observed.highest_fence = observed.highest_fence.max(router.highest_fence()).max(highest);
    let ready = router.ready_on(&traffic.route.services);
    Ok(TrafficSeen {
        weights: router.weights.map_err(|fault| fault.to_string()),
        fence: router.fence,
        standing,
        pointed: pointed_at(bundle, &in_cluster),
        pointed_fence,
        ready,
    })
}

/// The router, and what whoever carries it out says of it. A load balancer is asked only where weights may be written: until
/// then nobody wants to know. One that cannot be read has accepted nothing, and nothing more: a rollback must not fail over it.
async fn router(
    outside: &Outside,
    namespace: &Namespace,
    spec: &EnvironmentSpec,
    phase: Phase,
    route: &Route,
) -> Result<(RouterObservation, Standing), ClusterError> {
    let Route { router, services } = route;
    if !matches!(phase, Phase::Shifting | Phase::Baking | Phase::Restoring) {
        let observed = namespace.router(router, services).await?;
        let standing = standing(observed.standing.clone(), None);
        return Ok((observed, standing));
    }
    let mut unread = None;
    let noted = &mut unread;
    let observed = namespace.router_with(router, services, |address| async move {
        let place = place_of(spec);
        let read = outside
            .load_balancers
            .read(&place, &address.cluster, &address.ingress, &address.hostname);
        let found = read.await;
        Ok::<_, ClusterError>(found.unwrap_or_else(|error| {
            *noted = Some(said(&error));
            None
        }))
    });
    let observed = observed.await?;
    let standing = standing(observed.standing.clone(), unread);
    Ok((observed, standing))
}

fn standing(verdict: RouterVerdict, unread: Option<String>) -> Standing {
    match (verdict, unread) {
        (RouterVerdict::Accepted, _) => Standing::Accepted,
        (RouterVerdict::Refused(reason), _) => Standing::Refused(reason),
        (RouterVerdict::Pending(_), Some(reason)) | (RouterVerdict::Pending(reason), None) => {
            Standing::Pending(reason)
        }
    }
}

/// For people, as a part of a sentence. The causes go to the log.
fn said(error: &LoadBalancersError) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| {
        Error::source(*cause)
    });
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    tracing::warn!(%error, causes = %causes.join(": "), "a load balancer cannot be read");
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancer_that_cannot_be_read_has_accepted_nothing() {
        let no_right = || Some("access to Elastic Load Balancing is denied".to_owned());
        let pending = RouterVerdict::Pending("it has no load balancer that could be read".into());
        assert_eq!(
            standing(pending, no_right()),
            Standing::Pending("access to Elastic Load Balancing is denied".into()),
            "the better reason of both"
        );
        let refused = RouterVerdict::Refused("two rules disagree".into());
        assert_eq!(
            standing(refused, no_right()),
            Standing::Refused("two rules disagree".into())
        );
    }
}
