//! One run: finds out what helm would do, or has it done.

use crate::{apply, plan, prepare, test};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_cluster::Clusters;
use sluice_domain::api::{Plan, PlanRequest};
use sluice_domain::check;
use sluice_domain::environment::{Environment, Phase, Rollout};
use sluice_domain::ids::ExecutionName;
use sluice_domain::pipeline::{EnvironmentSpec, Package, Pipeline};
use sluice_domain::wire::{Next, NextState, Step};
use sluice_lambda::Failure;
use sluice_transitions::{Backends, load_version, spec_of};
use std::path::PathBuf;
use std::time::Duration;

/// What this function works with.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The table, the state machines, the images.
    pub backends: Backends,
    /// The clusters.
    pub clusters: Clusters,
    /// Secrets Manager.
    pub secrets: aws_sdk_secretsmanager::Client,
    /// The helm program.
    pub program: PathBuf,
    /// The role as which helm reaches clusters of this account.
    pub helm_role: String,
}

/// What is recorded of an environment, for the execution that holds it.
#[derive(Debug)]
pub(crate) struct Held {
    /// The environment's row.
    pub environment: Environment,
    /// The execution's rollout.
    pub rollout: Rollout,
    /// The pipeline version that it works by.
    pub pipeline: Pipeline,
    /// What that says of the environment.
    pub spec: EnvironmentSpec,
    /// What was packaged with it.
    pub package: Package,
}

/// What this function is asked.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Asked {
    /// By a state machine: one step of a rollout.
    Step(Step),
    /// By `operate`: what a promotion would change.
    Plan {
        /// Of what.
        plan: PlanRequest,
    },
}

/// What it answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// To a state machine.
    Next(Next),
    /// To `operate`.
    Plan(Box<Plan>),
}

/// Answers. `at_most` is how long helm itself may take.
pub(crate) async fn handle(
    tools: &Tools,
    asked: Asked,
    now: Timestamp,
    at_most: Duration,
) -> Result<Answer, Failure> {
    match asked {
        Asked::Step(step) => advance(tools, step, now, at_most).await.map(Answer::Next),
        Asked::Plan { plan } => {
            let plan = plan::plan(tools, &plan, at_most).await?;
            Ok(Answer::Plan(Box::new(plan)))
        }
    }
}

/// Does what the rollout's phase asks of helm.
async fn advance(tools: &Tools, step: Step, now: Timestamp, at_most: Duration) -> Result<Next, Failure> {
    let held = load(tools, &step).await?;
    if let Some(run) = check::running(&held.rollout).cloned() {
        return test::test(tools, held, &run, now, at_most).await;
    }
    match held.rollout.phase {
        Phase::Starting if held.rollout.target.is_none() => {
            prepare::prepare(tools, held, &step.execution, now, at_most).await
        }
        Phase::Rolling | Phase::Restoring => apply::apply(tools, held, &step.execution, now, at_most).await,
        Phase::Starting
        | Phase::Shifting
        | Phase::Baking
        | Phase::Verified
        | Phase::Restored
        | Phase::Stuck => Ok(Next::now(NextState::Helm, "there is nothing for helm to do")),
    }
}

async fn load(tools: &Tools, step: &Step) -> Result<Held, Failure> {
    let (service, name) = (&step.work.service, &step.work.environment);
    let table = &tools.backends.table;
    let environment = table.environment(service, name).await?;
    let rollout = rollout_of(&environment, &step.execution)?.clone();
    let version = load_version(table, service, &rollout.pipeline).await?;
    let spec = spec_of(&version.pipeline, name)?.clone();
    Ok(Held {
        environment,
        rollout,
        pipeline: version.pipeline,
        spec,
        package: table.json(&version.package).await?,
    })
}

/// The rollout that this execution does; `Preempted` where it does not hold the environment any more.
pub(crate) fn rollout_of<'e>(
    environment: &'e Environment,
    execution: &ExecutionName,
) -> Result<&'e Rollout, Failure> {
    environment
        .under_way()
        .filter(|rollout| rollout.owner == *execution)
        .ok_or_else(|| {
            let holder = environment
                .lease
                .as_ref()
                .map_or_else(|| "nobody".to_owned(), |lease| lease.owner.to_string());
            Failure::preempted(format!(
                "{execution} does not hold {}: {holder} does",
                environment.name
            ))
        })
}
