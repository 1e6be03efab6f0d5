//! Watches pods for one step of a rollout.

mod handler;

use sluice_cluster::Clusters;
use sluice_domain::wire::Step;
use sluice_lambda::{Invocation, RuntimeError, config, logs, now, run, settings};
use sluice_table::Table;
use std::time::Duration;

/// What is left of the invocation's time for answering.
const TO_ANSWER: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let [table] = settings::required([settings::TABLE])?;
    let config = config().await;
    let table = Table::new(aws_sdk_dynamodb::Client::new(&config), table);
    let clusters = Clusters::new(&config);
    let (table, clusters) = (&table, &clusters);
    run(move |event: Invocation<Step>| {
        let left = event
            .context
            .deadline()
            .duration_since(std::time::SystemTime::now())
            .unwrap_or_default();
        handler::handle(
            table,
            clusters,
            event.payload,
            now(),
            left.saturating_sub(TO_ANSWER),
        )
    })
    .await
}
