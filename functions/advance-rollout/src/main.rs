//! Does one step of a rollout.

mod alarms;
mod begin;
mod checks;
mod handler;
mod scene;
mod traffic;

use sluice_alarms::Alarms;
use sluice_cluster::Clusters;
use sluice_domain::wire::Step;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run};
use sluice_transitions::Backends;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let (backends, config) = Backends::from_settings().await?;
    let clusters = Clusters::new(&config);
    let alarms = Alarms::new(&config);
    let (backends, clusters, alarms) = (&backends, &clusters, &alarms);
    run(move |event: Invocation<Step>| handler::handle(backends, clusters, alarms, event.payload, now()))
        .await
}
