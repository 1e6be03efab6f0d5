//! Finds what was lost.

mod cooling;
mod handler;
mod heard;
mod repair;

use serde_json::Value;
use sluice_cluster::Clusters;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run, settings};
use sluice_rollback_call::RollBack;
use sluice_transitions::Backends;

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
    let clusters = Clusters::new(&config);
    let (backends, clusters, roll_back) = (&backends, &clusters, &roll_back);
    run(move |event: Invocation<Value>| handler::handle(backends, clusters, roll_back, event.payload, now()))
        .await
}
