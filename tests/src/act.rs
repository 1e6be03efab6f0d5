//! What a test does that no person does: calling functions as AWS does, and killing them at a call of theirs.

use crate::World;
use crate::wait::until;
use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::primitives::Blob;
use serde_json::{Value, json};
use sluice_local::faults::{Action, Held, Rule};
use std::time::Duration;

/// How long a call is waited for that a rule is to hold.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls a function (its crate's name) and waits for its answer: what it answered, and the error's name where it failed.
pub async fn invoke(world: &World, function: &str, event: &Value) -> Result<(Value, Option<String>)> {
    let sluice = world.local.sluice()?;
    let arn = sluice
        .functions
        .get(function)
        .with_context(|| format!("there is no function {function}"))?;
    let client = aws_sdk_lambda::Client::new(&world.config);
    let answer = client
        .invoke()
        .function_name(arn)
        .payload(Blob::new(event.to_string()))
        .send()
        .await?;
    let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
    let said: Value = serde_json::from_slice(&payload).context("a function's answer is JSON")?;
    let failed = answer.function_error.is_some();
    let name = said
        .get("errorType")
        .and_then(Value::as_str)
        .unwrap_or("unnamed")
        .to_owned();
    Ok((said, failed.then_some(name)))
}

/// Lets the sweep look at everything, as its schedule does.
pub async fn sweep(world: &World) -> Result<Value> {
    let event = json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
    let (said, failed) = invoke(world, "sweep", &event).await?;
    ensure!(failed.is_none(), "the sweep failed: {said}");
    Ok(said)
}

/// The call of `function` on behalf of `service` that a rule like this holds.
///
/// Several tests may hold calls at once: whose call it is, is told by what the process was invoked with. The sweep is
/// invoked for all services, so only one of its calls may be held at a time.
pub async fn held(world: &World, rule: &Rule, service: &str) -> Result<Held> {
    let faults = world.local.faults();
    let function = rule.function.clone().unwrap_or_default();
    until(
        &format!("a held call of {function} for {service}"),
        PATIENCE,
        || async {
            let held = faults.held().await?;
            let mine = held
                .iter()
                .find(|held| like(held, rule) && is_for(world, held, service));
            Ok(mine.cloned().ok_or_else(|| format!("{held:?}")))
        },
    )
    .await
}

/// Whether this rule may be the one that holds the call; a held call comes without its body.
fn like(held: &Held, rule: &Rule) -> bool {
    let rule = Rule {
        body: None,
        ..rule.clone()
    };
    rule.matches(&held.call) && held.after == (rule.action == Action::HoldAfter)
}

fn is_for(world: &World, held: &Held, service: &str) -> bool {
    let running = world.local.in_flight().unwrap_or_default();
    let mine = running
        .iter()
        .find(|invocation| invocation.pid.is_some() && invocation.pid == held.call.pid);
    mine.is_some_and(|mine| mine.function.ends_with("-sweep") || mine.event.to_string().contains(service))
}
