//! SIMULATIONS of what routes traffic in a cluster. No traffic flows: they read the objects that real controllers read,
//! write the status that those would write, and remember what they would serve.
//!
//! Each lags, refuses, fails by half or never answers on request: see [`faults`].

pub mod alb;
mod aws;
pub mod faults;
pub mod gateway;
pub mod metrics;
pub mod programmed;
pub mod seen;

use anyhow::Result;
use kube::Client;

use programmed::Programmed;
use seen::Seen;

/// Plays the doubles in the cluster of this name until dropped; `endpoint` is the local AWS.
pub async fn run(client: Client, endpoint: String, cluster: String) -> Result<()> {
    let (seen, watching) = Seen::new(&client);
    let programmed = Programmed::default();
    let both = (seen.clone(), programmed.clone());
    let balancers = alb::Balancers::new(client.clone(), both, &endpoint, &cluster)?;
    let gateway = gateway::Gateways::new(client, seen.clone(), programmed.clone());
    let metrics = metrics::Metrics::new(seen, programmed, &endpoint)?;
    tokio::select! {
        ended = watching => ended,
        ended = gateway.run() => ended,
        ended = balancers.run() => ended,
        ended = metrics.run() => ended,
    }
}
