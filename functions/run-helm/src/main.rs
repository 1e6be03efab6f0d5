//! Runs helm for one step of a rollout, and asks it what it would do.

mod apply;
mod archive;
mod asking;
mod complaint;
mod drift;
mod files;
mod handler;
mod place;
mod plan;
mod prepare;
mod process;
mod site;
mod test;
mod tracked;
mod turn;

use handler::{Asked, Tools};
use sluice_cluster::Clusters;
use sluice_lambda::{Invocation, RuntimeError, logs, now, run, settings};
use sluice_transitions::Backends;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What is left of the invocation's time for reading back and answering.
const TO_ANSWER: Duration = Duration::from_secs(45);

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let [program, helm_role] = settings::required([settings::HELM, settings::HELM_ROLE])?;
    let (backends, config) = Backends::from_settings().await?;
    let tools = Tools {
        backends,
        clusters: Clusters::new(&config),
        secrets: aws_sdk_secretsmanager::Client::new(&config),
        program: PathBuf::from(program),
        helm_role,
    };
    let tools = &tools;
    run(move |event: Invocation<Asked>| {
        let left = event
            .context
            .deadline()
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        handler::handle(tools, event.payload, now(), left.saturating_sub(TO_ANSWER))
    })
    .await
}
