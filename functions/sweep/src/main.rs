//! Finds what was lost.

mod cooling;
mod easing;
mod handler;
mod heard;
mod pods;
mod recording;
mod repair;

use handler::Sweeper;
use serde_json::Value;
use sluice_alarms::Alarms;
use sluice_cluster::Clusters;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run, settings};
use sluice_rollback_call::RollBack;
use sluice_transitions::Backends;
use sluice_watching::Watching;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let [function] = settings::required([settings::ROLL_BACK_FUNCTION])?;
    let (backends, config) = Backends::from_settings().await?;
    let roll_back = RollBack::new(
        aws_sdk_lambda::Client::new(&config),
        function,
        backends.table.clone(),
    );
    let watching = Watching::new(backends.clone(), Alarms::new(&config), roll_back.clone());
    let sweeper = &Sweeper {
        backends,
        roll_back,
        watching,
        clusters: Clusters::new(&config),
    };
    run(move |event: Invocation<Value>| handler::handle(sweeper, event.payload, now())).await
}
