//! Runs one check before or after a rollout, and says how it went.

mod cluster_job;
mod handler;
mod lambda;
mod reply;
mod webhook;

use handler::Tools;
use sluice_cluster::Clusters;
use sluice_domain::wire::Step;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run};
use sluice_transitions::Backends;
use std::time::{Duration, SystemTime};

/// What is left of the invocation's time for recording and answering.
const TO_ANSWER: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let (backends, config) = Backends::from_settings().await?;
    let tools = Tools {
        backends,
        clusters: Clusters::new(&config),
        functions: lambda::client(&config),
        secrets: aws_sdk_secretsmanager::Client::new(&config),
    };
    let tools = &tools;
    run(move |event: Invocation<Step>| {
        let left = event
            .context
            .deadline()
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        handler::handle(tools, event.payload, now(), left.saturating_sub(TO_ANSWER))
    })
    .await
}
