//! Records a pushed image as a release.

mod handler;

use serde_json::Value;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run};
use sluice_transitions::Backends;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let (backends, _) = Backends::from_settings().await?;
    let backends = &backends;
    run(move |event: Invocation<Value>| handler::handle(backends, event.payload, now())).await
}
