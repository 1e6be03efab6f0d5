//! What an administrator does past the command: functions invoked, executions listed and stopped, the clock awaited.

use crate::wait::until;
use crate::{Person, World};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// How long something that takes no rollout may take here. Not a measure of speed.
const SOON: Duration = Duration::from_secs(60);

/// Invokes a function, by its crate's name, and answers what it answered; one that failed is an error.
pub async fn invoke(world: &World, function: &str, payload: &Value) -> Result<Value> {
    let (said, failed) = crate::act::invoke(world, function, payload).await?;
    ensure!(failed.is_none(), "{function} failed: {said}");
    Ok(said)
}

/// Sweeps one service, as the end of one of its executions does.
pub async fn sweep(world: &World, service: &str) -> Result<Value> {
    let input = json!({ "service": service }).to_string();
    invoke(world, "sweep", &json!({ "detail": { "input": input } })).await
}

/// Name and status of every execution of a state machine whose name begins so.
pub async fn executions(world: &World, machine: &str, prefix: &str) -> Result<Vec<(String, String)>> {
    let client = aws_sdk_sfn::Client::new(&world.config);
    let mut pages = client
        .list_executions()
        .state_machine_arn(arn(world, machine)?)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page?;
        let ours = page
            .executions()
            .iter()
            .filter(|one| one.name().starts_with(prefix));
        found.extend(ours.map(|one| (one.name().to_owned(), one.status().as_str().to_owned())));
    }
    found.sort();
    Ok(found)
}

/// Waits until an execution has ended, and answers how.
pub async fn ended(world: &World, machine: &str, name: &str) -> Result<String> {
    until(&format!("the end of {name}"), SOON, || async {
        let found = executions(world, machine, name)
            .await?
            .into_iter()
            .find(|(found, _)| found == name);
        Ok(match found {
            Some((_, status)) if status != "RUNNING" => Ok(status),
            other => Err(format!("{other:?}")),
        })
    })
    .await
}

/// Stops an execution, as somebody at the console would.
pub async fn stop(world: &World, machine: &str, name: &str) -> Result<()> {
    let execution = format!(
        "{}:{name}",
        arn(world, machine)?.replace(":stateMachine:", ":execution:")
    );
    aws_sdk_sfn::Client::new(&world.config)
        .stop_execution()
        .execution_arn(execution)
        .send()
        .await?;
    Ok(())
}

fn arn<'a>(world: &'a World, machine: &str) -> Result<&'a str> {
    let found = world.local.sluice()?.state_machines.get(machine);
    found
        .map(String::as_str)
        .with_context(|| format!("no state machine {machine}"))
}

/// Waits until the clock shows another second: ECR tells the time of a push in whole ones.
pub async fn next_second() -> Result<()> {
    let second = || {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map(|passed| passed.as_secs())
    };
    let started = second()?;
    until("the next second", SOON, || async move {
        Ok(if second()? > started {
            Ok(())
        } else {
            Err("the same".to_owned())
        })
    })
    .await
}

/// Waits until a fault rule has acted on a call of this function to this service.
pub async fn until_fired(world: &World, function: &str, service: &str) -> Result<()> {
    until(
        &format!("a fault between {function} and {service}"),
        SOON,
        || async {
            let fired = world.local.faults().fired().await?;
            let ours = |call: &sluice_local::faults::Call| {
                call.service == service && call.function.as_ref().is_some_and(|name| name.contains(function))
            };
            Ok(if fired.iter().any(|fired| ours(&fired.call)) {
                Ok(())
            } else {
                Err(format!("{} others", fired.len()))
            })
        },
    )
    .await
}

/// Waits until a release is being rolled out in an environment: the cluster is written, its pods are awaited.
pub async fn until_rolling(person: &Person, service: &str, name: &str, release: u64) -> Result<Value> {
    until(
        &format!("{service}#{release} rolling in {name}"),
        SOON,
        || async {
            let found = crate::seen::environment(person, service, name).await?;
            let phase = found.pointer("/activity/phase").and_then(Value::as_str) == Some("rolling");
            let ours = found.pointer("/activity/release").and_then(Value::as_u64) == Some(release);
            Ok(if phase && ours {
                Ok(found)
            } else {
                Err(found.to_string())
            })
        },
    )
    .await
}

/// Every release of `sluice history --output json`, newest first.
pub async fn releases(person: &Person, service: &str) -> Result<Vec<Value>> {
    let history = person.json(&["history", service]).await?;
    let releases = history.get("releases").and_then(Value::as_array).cloned();
    releases.with_context(|| format!("a history without releases: {history}"))
}

/// The ledger of an environment, in order.
pub async fn ledger(person: &Person, service: &str, name: &str) -> Result<Vec<Value>> {
    let text = person.run(&["ledger", "export", service, name]).await?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
        .collect()
}

/// How many calls that functions made are recorded so far, of those that are meant.
pub fn calls(world: &World, meant: impl Fn(&Value) -> bool) -> Result<usize> {
    let path = &world.local.calls_log;
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let recorded = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    Ok(recorded.filter(meant).count())
}

/// How many state transitions an execution took, as Step Functions counts them for its price: each state that it entered,
/// and each time that it tried one again.
pub async fn transitions(world: &World, machine: &str, name: &str) -> Result<usize> {
    let client = aws_sdk_sfn::Client::new(&world.config);
    let execution = format!(
        "{}:{name}",
        arn(world, machine)?.replace(":stateMachine:", ":execution:")
    );
    let mut pages = client
        .get_execution_history()
        .execution_arn(execution)
        .into_paginator()
        .send();
    let mut counted = 0;
    while let Some(page) = pages.next().await {
        let counts = |kind: &str| {
            kind.ends_with("StateEntered")
                || ["TaskFailed", "LambdaFunctionFailed", "TaskTimedOut"].contains(&kind)
        };
        let page = page?;
        let kinds = page.events().iter().map(|event| event.r#type().as_str());
        counted += kinds.filter(|kind| counts(kind)).count();
    }
    Ok(counted)
}
