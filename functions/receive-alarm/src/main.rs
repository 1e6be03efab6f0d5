//! Takes back what an alarm blames.

mod handler;

use serde_json::Value;
use sluice_alarms::Alarms;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run, settings};
use sluice_rollback_call::RollBack;
use sluice_transitions::Backends;
use sluice_watching::Watching;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let [function] = settings::required([settings::ROLL_BACK_FUNCTION])?;
    let (backends, config) = Backends::from_settings().await?;
    let lambda = aws_sdk_lambda::Client::new(&config);
    let roll_back = RollBack::new(lambda, function, backends.table.clone());
    let watching = Watching::new(backends, Alarms::new(&config), roll_back);
    let watching = &watching;
    run(move |event: Invocation<Value>| handler::handle(watching, event.payload, now())).await
}
