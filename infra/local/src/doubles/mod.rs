//! SIMULATIONS of what routes traffic in a cluster. No traffic flows: they read the objects that real controllers read,
//! write the status that those would write, and remember what they would serve.
//!
//! Each lags, refuses, fails by half or never answers on request: see [`faults`].

pub mod faults;
pub mod gateway;
pub mod programmed;
pub mod seen;

use anyhow::Result;
use kube::Client;

use programmed::Programmed;
use seen::Seen;

/// Plays the doubles in one cluster until dropped.
pub async fn run(client: Client) -> Result<()> {
    let (seen, watching) = Seen::new(&client);
    let gateway = gateway::Gateways::new(client, seen, Programmed::default());
    tokio::select! {
        ended = watching => ended,
        ended = gateway.run() => ended,
    }
}
