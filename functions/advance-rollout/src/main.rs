//! Does one step of a rollout.

mod alarms;
mod begin;
mod checks;
mod handler;
mod looking;
mod outside;
mod pins;
mod scene;
mod traffic;

use crate::outside::Outside;
use sluice_alarms::Alarms;
use sluice_cluster::Clusters;
use sluice_domain::wire::Step;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run};
use sluice_load_balancers::LoadBalancers;
use sluice_transitions::Backends;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let (backends, config) = Backends::from_settings().await?;
    let outside = Outside {
        clusters: Clusters::new(&config),
        alarms: Alarms::new(&config),
        load_balancers: LoadBalancers::new(&config),
    };
    let (backends, outside) = (&backends, &outside);
    run(move |event: Invocation<Step>| handler::handle(backends, outside, event.payload, now())).await
}
