//! Looks at a promotion's gates and its place in the queue.

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
