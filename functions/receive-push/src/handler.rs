//! An ECR event: only a hint to look at the image.

use jiff::Timestamp;
use serde_json::Value;
use sluice_domain::image_event::{Heard, parse};
use sluice_lambda::{Failure, Metric, Metrics};
use sluice_transitions::{Backends, Recorded, record_image};

/// Records the image that the event names, as ECR has it now. Noise is answered, never an error: EventBridge would
/// deliver it again.
pub async fn handle(backends: &Backends, event: Value, now: Timestamp) -> Result<Value, Failure> {
    let (repository, digest) = match parse(&event) {
        Heard::Push {
            repository, digest, ..
        } => (repository, digest),
        Heard::Noise(reason) => {
            tracing::info!(%reason, "no push of an image");
            return Ok(serde_json::json!({ "ignored": reason.to_string() }));
        }
    };
    let recorded = record_image(backends, &repository, &digest, now).await?;
    let lines: Vec<String> = recorded.iter().map(|recorded| said(recorded, now)).collect();
    tracing::info!(%repository, %digest, outcome = ?lines, "push");
    Ok(serde_json::json!({ "recorded": lines }))
}

fn said(recorded: &Recorded, now: Timestamp) -> String {
    match recorded {
        Recorded::New(service, number) => {
            Metrics::StandardOutput.count(Metric::Releases, service, None, now);
            format!("{service}{number} is a new release")
        }
        Recorded::Known(service, number) => format!("{service}{number} is known"),
        Recorded::Ignored(reason) => reason.clone(),
    }
}
