//! Puts the last good release back.

mod handler;
mod input;
mod target;
mod warm;

use crate::input::Input;
use sluice_cluster::Clusters;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run};
use sluice_transitions::Backends;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let (backends, config) = Backends::from_settings().await?;
    let clusters = Clusters::new(&config);
    let (backends, clusters) = (&backends, &clusters);
    run(move |event: Invocation<Input>| handler::handle(backends, clusters, event.payload, now())).await
}
