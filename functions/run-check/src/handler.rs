//! One look at the check that is recorded as running: starts it, awaits it for a while, records what it answers.

use crate::{cluster_job, lambda, webhook};
use jiff::Timestamp;
use serde::Serialize;
use sluice_cluster::Clusters;
use sluice_domain::check::{self, CheckRun, Stage};
use sluice_domain::environment::Environment;
use sluice_domain::ids::{Digest, EnvironmentName, ExecutionName, ReleaseNumber, ServiceName};
use sluice_domain::pipeline::{CheckAction, EnvironmentPackage, EnvironmentSpec, Package};
use sluice_domain::wire::{Next, NextState, Step};
use sluice_domain::workload::Verdict;
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{Backends, load_release, load_version, racing, spec_of};
use std::time::Duration;

/// What this function works with.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The table, the state machines, the images.
    pub backends: Backends,
    /// The clusters.
    pub clusters: Clusters,
    /// Lambda, for checks that are functions.
    pub functions: aws_sdk_lambda::Client,
    /// Secrets Manager, for what signs webhooks.
    pub secrets: aws_sdk_secretsmanager::Client,
}

/// The check that runs, and what it is about.
#[derive(Debug)]
pub(crate) struct Scene {
    /// The environment's row.
    pub environment: Environment,
    /// The execution that has it.
    pub execution: ExecutionName,
    /// The release.
    pub release: ReleaseNumber,
    /// The run.
    pub run: CheckRun,
    /// What is run.
    pub action: CheckAction,
    /// What the pipeline version says of the environment.
    pub spec: EnvironmentSpec,
    /// What it packages for it.
    pub package: EnvironmentPackage,
    /// How long an answer still counts.
    pub left: Duration,
}

/// What a function or a webhook is asked. Part of what users build on: keys are added, never renamed.
#[derive(Debug, Serialize)]
pub(crate) struct Asked<'a> {
    /// The same for every try of the same run.
    pub id: String,
    /// The service.
    pub service: &'a ServiceName,
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// `before` or `verify`.
    pub stage: Stage,
    /// The check's name.
    pub check: &'a str,
    /// 1 for the first run.
    pub attempt: u32,
    /// The release's number.
    pub release: ReleaseNumber,
    /// The release's image, by digest.
    pub image: String,
    /// Its digest.
    pub digest: Digest,
    /// Until when an answer counts.
    pub deadline: Timestamp,
}

/// What one look came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It answered, and printed this.
    Answered(Verdict, Option<String>),
    /// It runs.
    Runs(String),
    /// It answers later.
    Later,
}

/// Runs the check that is recorded as running.
pub(crate) async fn handle(
    tools: &Tools,
    step: Step,
    now: Timestamp,
    at_most: Duration,
) -> Result<Next, Failure> {
    let Some(scene) = load(tools, &step, now).await? else {
        return Ok(Next::now(NextState::Check, "no check runs"));
    };
    let outcome = match &scene.action {
        CheckAction::Job { file } => cluster_job::run(tools, &scene, file, at_most).await?,
        _ if scene.left.is_zero() => silent(),
        CheckAction::Lambda { function } => {
            let limit = scene.left.min(at_most);
            let asked = asked(tools, &scene).await?;
            match lambda::invoke(&tools.functions, function, &asked, limit).await? {
                Some((verdict, log)) => Outcome::Answered(verdict, log),
                None if limit < scene.left => Outcome::Answered(
                    Verdict::Inconclusive(format!("it did not answer in {} s", limit.as_secs())),
                    None,
                ),
                None => silent(),
            }
        }
        CheckAction::Webhook { url, secret, .. } => post(tools, &scene, url, secret, at_most).await?,
        CheckAction::HelmTest => return Ok(Next::now(NextState::Helm, "helm runs this check")),
    };
    conclude(tools, &scene, outcome).await
}

fn silent() -> Outcome {
    Outcome::Answered(
        Verdict::Inconclusive("it did not answer in time".to_owned()),
        None,
    )
}

async fn post(
    tools: &Tools,
    scene: &Scene,
    url: &str,
    secret: &str,
    at_most: Duration,
) -> Result<Outcome, Failure> {
    if scene.run.later {
        return Ok(Outcome::Later);
    }
    let key = key(tools, secret).await?;
    let asked = asked(tools, scene).await?;
    let limit = scene.left.min(at_most);
    Ok(match webhook::ask(url, key.as_bytes(), &asked, limit).await? {
        webhook::Said::Verdict(verdict, log) => Outcome::Answered(verdict, log),
        webhook::Said::Later => Outcome::Later,
        webhook::Said::Nothing(reason) if limit < scene.left => Outcome::Runs(reason),
        webhook::Said::Nothing(reason) => Outcome::Answered(
            Verdict::Inconclusive(format!("it did not answer in time: {reason}")),
            None,
        ),
    })
}

async fn key(tools: &Tools, secret: &str) -> Result<String, Failure> {
    use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
    let found = tools.secrets.get_secret_value().secret_id(secret).send().await;
    let found = found.map_err(|error| {
        let said = error.message().unwrap_or("no reason was given").to_owned();
        let what = format!("what signs the webhook, {secret}, cannot be read: {said}");
        match error.code() {
            Some("ResourceNotFoundException" | "AccessDeniedException") => Failure::refused(what),
            _ => Failure::transient(what),
        }
    })?;
    found
        .secret_string
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Failure::refused(format!("what signs the webhook, {secret}, holds no text")))
}

async fn asked<'s>(tools: &Tools, scene: &'s Scene) -> Result<Asked<'s>, Failure> {
    let release = load_release(&tools.backends, &scene.environment.service, scene.release).await?;
    let CheckRun {
        stage, name, attempt, ..
    } = &scene.run;
    Ok(Asked {
        id: format!("{}/{stage}/{name}/{attempt}", scene.execution),
        service: &scene.environment.service,
        environment: &scene.environment.name,
        stage: *stage,
        check: name,
        attempt: *attempt,
        release: scene.release,
        image: release.image(),
        digest: release.digest,
        deadline: scene.run.deadline,
    })
}

/// None where nothing runs: this is a late repeat.
async fn load(tools: &Tools, step: &Step, now: Timestamp) -> Result<Option<Scene>, Failure> {
    let (service, name) = (&step.work.service, &step.work.environment);
    let table = &tools.backends.table;
    let environment = table.environment(service, name).await?;
    let rollout = environment
        .under_way()
        .filter(|rollout| rollout.owner == step.execution)
        .ok_or_else(|| Failure::preempted(format!("{} does not hold {name}", step.execution)))?
        .clone();
    let Some(run) = check::running(&rollout).cloned() else {
        return Ok(None);
    };
    let version = load_version(table, service, &rollout.pipeline).await?;
    let spec = spec_of(&version.pipeline, name)?.clone();
    let wanted = run.stage.of(&spec).iter().find(|check| check.name == run.name);
    let action = wanted
        .map(|check| check.run.clone())
        .ok_or_else(|| Failure::internal(format!("there is no check {}", run.name)))?;
    let mut package: Package = table.json(&version.package).await?;
    Ok(Some(Scene {
        left: Duration::try_from(run.deadline.duration_since(now)).unwrap_or(Duration::ZERO),
        release: rollout
            .release
            .ok_or_else(|| Failure::internal("a check without a release"))?,
        package: package.environments.remove(name).unwrap_or_default(),
        execution: step.execution.clone(),
        environment,
        run,
        action,
        spec,
    }))
}

async fn conclude(tools: &Tools, scene: &Scene, outcome: Outcome) -> Result<Next, Failure> {
    let table = &tools.backends.table;
    let (verdict, log) = match outcome {
        Outcome::Runs(reason) => return Ok(Next::now(NextState::Check, reason)),
        Outcome::Answered(verdict, log) => (Some(verdict), log),
        Outcome::Later => (None, None),
    };
    let log = match log.filter(|log| !log.trim().is_empty()) {
        Some(log) => Some(table.put_blob(tail(&log).as_bytes()).await?),
        None => None,
    };
    racing(|| async {
        let mut environment = table
            .environment(&scene.environment.service, &scene.environment.name)
            .await?;
        let held = environment
            .under_way()
            .is_some_and(|rollout| rollout.owner == scene.execution);
        if !held {
            return Err(Failure::preempted(format!(
                "{} does not hold {} any more",
                scene.execution, environment.name
            )));
        }
        let mut transaction = Transaction::new();
        let now = sluice_lambda::now();
        match &verdict {
            Some(verdict) => {
                let record = check::answer(&mut environment, &scene.run, verdict.clone(), log.clone(), now);
                // It has an answer already: the first one counts.
                let Some(record) = record else { return Ok(()) };
                transaction.record(&mut environment, record, now);
            }
            None if !check::answers_later(&mut environment, &scene.run) => return Ok(()),
            None => {}
        }
        transaction.update(&environment);
        Ok(transaction.commit(table).await?)
    })
    .await?;
    let name = &scene.run.name;
    let said = match verdict {
        Some(Verdict::Passed) => format!("{name} passed"),
        Some(Verdict::Failed(reason)) => format!("{name} failed: {reason}"),
        Some(Verdict::Inconclusive(reason)) => format!("{name} gave no answer: {reason}"),
        None => format!("{name} answers later"),
    };
    Ok(Next::now(NextState::Check, said))
}

/// The end of a log: that is where it says why.
fn tail(log: &str) -> String {
    const MOST: usize = 64 << 10;
    let mut start = log.len().saturating_sub(MOST);
    while !log.is_char_boundary(start) {
        start += 1;
    }
    log.get(start..).unwrap_or_default().to_owned()
}
