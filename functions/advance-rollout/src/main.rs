//! Does one step of a rollout.

mod begin;
mod checks;
mod handler;
mod scene;
mod traffic;

use sluice_cluster::Clusters;
use sluice_domain::wire::Step;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run};
use sluice_transitions::Backends;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let (backends, config) = Backends::from_settings().await?;
    let clusters = Clusters::new(&config);
    let (backends, clusters) = (&backends, &clusters);
    run(move |event: Invocation<Step>| handler::handle(backends, clusters, event.payload, now())).await
}
