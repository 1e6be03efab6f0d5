//! Gives the environment back, and wants the next one.

mod handler;

use sluice_domain::wire::Step;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run};
use sluice_transitions::Backends;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let (backends, _) = Backends::from_settings().await?;
    let backends = &backends;
    run(move |event: Invocation<Step>| handler::handle(backends, event.payload, now())).await
}
