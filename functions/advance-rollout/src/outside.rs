//! What a step of a rollout looks at outside of the table.

use sluice_alarms::Alarms;
use sluice_cluster::Clusters;
use sluice_load_balancers::LoadBalancers;

/// What a step of a rollout looks at outside of the table.
pub struct Outside {
    /// The clusters, which are written too.
    pub clusters: Clusters,
    /// The environments' alarms.
    pub alarms: Alarms,
    /// What load balancers themselves say of an Ingress.
    pub load_balancers: LoadBalancers,
}
