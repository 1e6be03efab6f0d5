//! An alarm's event: only a hint to look at the alarm.

use jiff::Timestamp;
use serde_json::{Value, json};
use sluice_domain::alarm::event;
use sluice_lambda::Failure;
use sluice_watching::Watching;

/// Reads the alarm that the event names again, wherever a release may be blamed by it. Noise is answered, never an error:
/// EventBridge would deliver it again.
pub async fn handle(watching: &Watching, json: Value, now: Timestamp) -> Result<Value, Failure> {
    let alarm = match event(&json) {
        Ok(alarm) => alarm,
        Err(reason) => {
            tracing::info!(%reason, "no alarm that went into ALARM");
            return Ok(json!({ "ignored": reason.to_string() }));
        }
    };
    let done = watching.heard(&alarm, now).await?;
    tracing::info!(%alarm, ?done, "alarm");
    Ok(json!({ "alarm": alarm.to_string(), "done": done }))
}
