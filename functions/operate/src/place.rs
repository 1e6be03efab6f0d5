//! What a command is about: the service, the environment, and whether the caller may.

use crate::door::Door;
use crate::error::{OperateError, denied, not_authorised, not_found, refused};
use sluice_domain::environment::Environment;
use sluice_domain::ids::{EnvironmentName, ReleaseNumber, ServiceName};
use sluice_domain::pipeline::{Action, Caller, EnvironmentSpec, Pipeline, authorise};
use sluice_domain::release::Release;
use sluice_domain::service::Meta;
use sluice_transitions::load_pipeline;

/// An environment of a service.
#[derive(Debug, Clone)]
pub struct Place {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
}

impl Place {
    /// The command that shows it.
    pub fn status(&self) -> String {
        format!(
            "sluice status {} --environment {}",
            self.service, self.environment
        )
    }

    /// The command that shows a release's way into it.
    pub fn follow(&self, release: ReleaseNumber) -> String {
        format!("{} --release {} --follow", self.status(), release.0)
    }

    /// The command of this word here.
    pub fn command(&self, word: &str) -> String {
        format!("sluice {word} {} {}", self.service, self.environment)
    }

    /// The command of this word here, for a release.
    pub fn command_of(&self, word: &str, release: ReleaseNumber) -> String {
        format!("{} {}", self.command(word), release.0)
    }
}

/// A service, its current pipeline version, and the caller as that version knows them.
#[derive(Debug, Clone)]
pub struct Known {
    /// The service.
    pub meta: Meta,
    /// Its current pipeline.
    pub pipeline: Pipeline,
    /// Who asks.
    pub caller: Caller,
}

/// The service as a whole.
pub async fn service(door: &Door, service: &ServiceName) -> Result<Meta, OperateError> {
    let unknown = || not_found(format!("There is no service {service}."), "sluice status");
    door.backends.table.service(service).await?.ok_or_else(unknown)
}

/// The service as a whole, which has this environment, now or in an older pipeline version.
pub async fn service_at(door: &Door, at: &Place) -> Result<Meta, OperateError> {
    let meta = service(door, &at.service).await?;
    if meta.environments.contains(&at.environment) {
        Ok(meta)
    } else {
        Err(no_environment(at, &meta.environments))
    }
}

/// There is no such environment.
pub fn no_environment(at: &Place, there: &[EnvironmentName]) -> OperateError {
    let there: Vec<&str> = there.iter().map(EnvironmentName::as_str).collect();
    let message = format!(
        "{} has no environment {}: it has {}.",
        at.service,
        at.environment,
        there.join(", ")
    );
    not_found(message, format!("sluice status {}", at.service))
}

/// A release.
pub async fn release(
    door: &Door,
    service: &ServiceName,
    number: ReleaseNumber,
) -> Result<Release, OperateError> {
    let unknown = || {
        not_found(
            format!("{service} has no release {number}."),
            format!("sluice history {service}"),
        )
    };
    door.backends
        .table
        .release(service, number)
        .await?
        .ok_or_else(unknown)
}

/// Loads a service with its current pipeline.
pub async fn known(door: &Door, caller_arn: &str, service_name: &ServiceName) -> Result<Known, OperateError> {
    let meta = service(door, service_name).await?;
    let pipeline = load_pipeline(&door.backends.table, service_name, &meta.pipeline).await?;
    let caller = Caller::of(&pipeline, caller_arn, &door.account);
    Ok(Known {
        meta,
        pipeline,
        caller,
    })
}

/// Refuses what is asked of a service that Sluice does not deliver any more.
pub fn in_care(meta: &Meta) -> Result<(), OperateError> {
    match meta.out_of_care() {
        None => Ok(()),
        Some(removed) => {
            let message = format!("{removed}. `sluice apply` takes it back.");
            Err(refused(
                message,
                format!("sluice apply pipelines/{}.toml", meta.service),
            ))
        }
    }
}

/// Who the caller is, as the ledger shows it, once they may.
///
/// An operator is who the *current* pipeline version says: operators look after what runs, whatever version it came with.
/// Where the environment is in no current version any more, the version decides by which it was last changed; where that
/// does not know it either, all operators of the service must include the caller.
pub async fn permit(
    door: &Door,
    caller_arn: &str,
    at: &Place,
    action: Action,
) -> Result<String, OperateError> {
    let known = known(door, caller_arn, &at.service).await?;
    in_care(&known.meta)?;
    if let Some(spec) = known.pipeline.environment(&at.environment) {
        return permitted(&known.caller, action, Some(spec), &known.pipeline, at);
    }
    if !known.meta.environments.contains(&at.environment) {
        return Err(no_environment(at, &known.meta.environments));
    }
    let environment = door
        .backends
        .table
        .environment(&at.service, &at.environment)
        .await?;
    let older = last_pipeline(door, &environment).await?.unwrap_or(known.pipeline);
    let caller = Caller::of(&older, caller_arn, &door.account);
    permitted(&caller, action, older.environment(&at.environment), &older, at)
}

async fn last_pipeline(door: &Door, environment: &Environment) -> Result<Option<Pipeline>, OperateError> {
    match &environment.rollout {
        Some(rollout) => Ok(Some(
            load_pipeline(&door.backends.table, &environment.service, &rollout.pipeline).await?,
        )),
        None => Ok(None),
    }
}

fn permitted(
    caller: &Caller,
    action: Action,
    spec: Option<&EnvironmentSpec>,
    pipeline: &Pipeline,
    at: &Place,
) -> Result<String, OperateError> {
    authorise(caller, action, spec, pipeline).map_err(|why| not_authorised(&why, at.status()))?;
    Ok(who(caller))
}

/// The person, or the ARN of one who is nobody in the pipeline.
pub fn who(caller: &Caller) -> String {
    caller
        .person
        .as_ref()
        .map_or_else(|| caller.arn.clone(), ToString::to_string)
}

/// The person that the caller is: without one there is nobody whose word counts.
pub fn person(caller: &Caller) -> Result<sluice_domain::ids::PersonName, OperateError> {
    caller
        .person
        .clone()
        .ok_or_else(|| denied(format!("{caller} has no say")))
}
