//! `apply`: publishes a pipeline version.

use crate::door::Door;
use crate::error::{OperateError, deciding, denied, not_authorised};
use crate::place::who;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, Unit};
use sluice_domain::alarm::{alarms_of, warnings};
use sluice_domain::api::{Answer, Refusal, RefusalKind};
use sluice_domain::environment::Environment;
use sluice_domain::ids::{EnvironmentName, Hash};
use sluice_domain::ledger::{Event, Record};
use sluice_domain::pipeline::{
    Action, Caller, EnvironmentSpec, Fault, Faults, Pipeline, Version, approval_changes, authorise,
    may_apply, package, read,
};
use sluice_domain::service::{Meta, PipelineVersion};
use sluice_lambda::Failure;
use sluice_table::{Overview, Transaction};
use sluice_transitions::load_pipeline;
use sluice_watching::place_of;
use std::collections::BTreeMap;

/// A pipeline file and what it names.
pub struct Files {
    /// Its name, for messages.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Texts, by the path that the file names them with.
    pub manifests: BTreeMap<String, String>,
    /// Archives of charts in base64, likewise.
    pub charts: BTreeMap<String, String>,
}

/// What was read of the files, checked.
struct Checked {
    version: Version,
    /// By their hash, as the version's package names them.
    archives: BTreeMap<Hash, Vec<u8>>,
    warnings: Vec<Fault>,
}

/// What was read of the files, checked, with its package and charts stored.
struct Ready<'a> {
    version: Version,
    package: Hash,
    files: &'a Files,
}

/// What came of it.
struct Published {
    changed: bool,
    approval_changed: Vec<EnvironmentName>,
}

/// Checks the files whole, and publishes them unless they are the current version already.
pub async fn run(
    door: &Door,
    caller_arn: &str,
    files: &Files,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let Checked {
        version,
        archives,
        warnings,
    } = checked(files)?;
    // before anything names them; the same content has the same name, so that storing it in vain harms nothing
    for archive in archives.values() {
        door.backends.table.put_blob(archive).await?;
    }
    let package = door.backends.table.put_json(&version.package).await?;
    let ready = Ready {
        version,
        package,
        files,
    };
    let published = deciding(|| publish(door, caller_arn, &ready, now)).await?;
    let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    warnings.extend(of_alarms(door, &ready.version.pipeline).await);
    Ok(Answer::Applied {
        service: ready.version.pipeline.service,
        version: ready.version.hash,
        changed: published.changed,
        approval_changed: published.approval_changed,
        warnings,
    })
}

/// What is odd about the alarms as they are now. Those of environments that are reached by a role are not looked at: what may
/// assume such a role may also reach its cluster, which this function must not.
async fn of_alarms(door: &Door, pipeline: &Pipeline) -> Vec<String> {
    let mut said = Vec::new();
    let ours = |spec: &&EnvironmentSpec| spec.role.is_none() && !spec.alarms.is_empty();
    for spec in pipeline.environments.iter().filter(ours) {
        let seen = door.alarms.states(&place_of(spec), &spec.alarms).await;
        let odd = warnings(&spec.alarms, &seen).into_iter();
        said.extend(odd.map(|odd| format!("{}: {odd}", spec.name)));
    }
    said
}

/// The version, and what is odd about it; or every fault.
fn checked(files: &Files) -> Result<Checked, OperateError> {
    let Files {
        file,
        text,
        manifests,
        charts,
    } = files;
    let faulty = |faults| of_faults(file, faults);
    let read = read(file, text).map_err(faulty)?;
    let absent = || "it did not come with the request".to_owned();
    let manifest = |path: &str| manifests.get(path).cloned().ok_or_else(absent);
    let chart = |path: &str| {
        let archive = STANDARD.decode(charts.get(path).ok_or_else(absent)?);
        archive.map_err(|error| format!("its base64 cannot be read: {error}"))
    };
    let packaged = package(&read.pipeline, file, text, manifest, chart).map_err(faulty)?;
    let version = Version::of(read.pipeline, packaged.package)
        .map_err(|error| Failure::internal("a pipeline version has no name").caused_by(error))?;
    Ok(Checked {
        version,
        archives: packaged.archives,
        warnings: [read.warnings, packaged.warnings].concat(),
    })
}

fn of_faults(file: &str, Faults(faults): Faults) -> Refusal {
    let count = match faults.len() {
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    let message = format!("{file} has {count}. Nothing was published.");
    Refusal {
        faults: faults.iter().map(ToString::to_string).collect(),
        ..Refusal::new(
            RefusalKind::Invalid,
            message,
            Some(format!("sluice validate {file}")),
        )
    }
}

async fn publish(
    door: &Door,
    caller_arn: &str,
    ready: &Ready<'_>,
    now: Timestamp,
) -> Result<Published, OperateError> {
    match door
        .backends
        .table
        .overview(&ready.version.pipeline.service)
        .await?
    {
        None => publish_first(door, caller_arn, ready, now).await,
        Some(before) => publish_next(door, caller_arn, ready, before, now).await,
    }
}

/// Nothing protects a service that is not there yet: whoever IAM lets in may apply it first.
async fn publish_first(
    door: &Door,
    caller_arn: &str,
    ready: &Ready<'_>,
    now: Timestamp,
) -> Result<Published, OperateError> {
    let pipeline = &ready.version.pipeline;
    let by = who(&Caller::of(pipeline, caller_arn, &door.account));
    let names: Vec<EnvironmentName> = names_of(pipeline).cloned().collect();
    let meta = Meta {
        service: pipeline.service.clone(),
        repository: pipeline.source.repository.clone(),
        pipeline: ready.version.hash.clone(),
        last_number: 0,
        newest: None,
        first_applied_at: whole_second(now),
        environments: names.clone(),
        alarms: alarms_of(pipeline, door.backends.executions.home()),
        removed: None,
        v: 0,
    };
    may_lead(meta.alarms.len())?;
    let mut transaction = Transaction::new();
    transaction.new_service(&meta);
    let reason = format!("version {} is the first", ready.version.hash.short());
    let environments = names
        .into_iter()
        .map(|name| Environment::new(meta.service.clone(), name))
        .collect();
    add_records(&mut transaction, environments, &record_of(&by, reason), now);
    add_version(door, &mut transaction, ready, by, now).await?;
    transaction.commit(&door.backends.table).await?;
    Ok(Published {
        changed: true,
        approval_changed: Vec::new(),
    })
}

/// ECR says in whole seconds when it received an image (`imagePushedAt`); one pushed in this very second is no past.
fn whole_second(now: Timestamp) -> Timestamp {
    let rounding = jiff::TimestampRound::new()
        .smallest(Unit::Second)
        .mode(jiff::RoundMode::Floor);
    now.round(rounding).unwrap_or(now)
}

async fn publish_next(
    door: &Door,
    caller_arn: &str,
    ready: &Ready<'_>,
    before: Overview,
    now: Timestamp,
) -> Result<Published, OperateError> {
    let (pipeline, hash) = (&ready.version.pipeline, &ready.version.hash);
    let old = load_pipeline(&door.backends.table, &pipeline.service, &before.meta.pipeline).await?;
    let caller = Caller::of(&old, caller_arn, &door.account);
    let status = format!("sluice status {}", pipeline.service);
    authorise(&caller, Action::Apply, None, &old).map_err(|why| not_authorised(&why, status))?;
    may_apply(&old, pipeline, caller_arn, &door.account).map_err(denied)?;
    let comes_back = before.meta.removed.is_some();
    if before.meta.pipeline == *hash && !comes_back {
        return Ok(Published {
            changed: false,
            approval_changed: Vec::new(),
        });
    }
    let approval_changed = approval_changes(&old, pipeline);
    let place = match before.meta.pipeline == *hash {
        true => String::new(),
        false => format!(" takes the place of {}", before.meta.pipeline.short()),
    };
    let back = match comes_back {
        true => "; the service is in Sluice's care again",
        false => "",
    };
    let reason = format!("version {}{place}{}{back}", hash.short(), told(&approval_changed));
    let by = who(&caller);
    let alarms = alarms_of(pipeline, door.backends.executions.home());
    let after = Meta {
        alarms,
        ..meta_after(&before, pipeline, hash, now)
    };
    may_lead(after.alarms.symmetric_difference(&before.meta.alarms).count())?;
    let mut transaction = Transaction::new();
    let environments = touched(&old, pipeline, &before);
    transaction.update_service(&after, &before.meta);
    add_records(&mut transaction, environments, &record_of(&by, reason), now);
    add_version(door, &mut transaction, ready, by, now).await?;
    transaction.commit(&door.backends.table).await?;
    Ok(Published {
        changed: true,
        approval_changed,
    })
}

/// The most alarms that are told of a service, or no longer, at once: each is a row, and one transaction writes them all with
/// the environments' own (DynamoDB takes 100 writes).
const MOST_ALARMS: usize = 40;

fn may_lead(changed: usize) -> Result<(), Refusal> {
    if changed <= MOST_ALARMS {
        return Ok(());
    }
    let message = format!(
        "{changed} alarms are added or taken away, and {MOST_ALARMS} can be at once. Nothing was published: apply it in steps."
    );
    Err(Refusal::new(RefusalKind::Invalid, message, None))
}

fn told(approval_changed: &[EnvironmentName]) -> String {
    let names: Vec<&str> = approval_changed.iter().map(EnvironmentName::as_str).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; it changes who decides in {}", names.join(", "))
    }
}

fn names_of(pipeline: &Pipeline) -> impl Iterator<Item = &EnvironmentName> {
    pipeline.environments.iter().map(|spec| &spec.name)
}

/// Every environment of the new version, and every one that leaves with the old: its ledger says so, too.
fn touched(old: &Pipeline, new: &Pipeline, before: &Overview) -> Vec<Environment> {
    let leaving = names_of(old).filter(|name| new.environment(name).is_none());
    let state = |name: &EnvironmentName| {
        let there = before
            .environments
            .iter()
            .find(|environment| environment.name == *name);
        there
            .cloned()
            .unwrap_or_else(|| Environment::new(new.service.clone(), name.clone()))
    };
    names_of(new).chain(leaving).map(state).collect()
}

/// The new version's environments in order, then older ones that still have a state.
/// One that was removed comes back; what was pushed meanwhile is no release.
fn meta_after(before: &Overview, pipeline: &Pipeline, hash: &Hash, now: Timestamp) -> Meta {
    let has_state = |name: &&EnvironmentName| {
        before
            .environments
            .iter()
            .any(|environment| environment.name == **name)
    };
    let older = before
        .meta
        .environments
        .iter()
        .filter(|name| pipeline.environment(name).is_none())
        .filter(has_state);
    Meta {
        repository: pipeline.source.repository.clone(),
        pipeline: hash.clone(),
        environments: names_of(pipeline).chain(older).cloned().collect(),
        first_applied_at: match before.meta.removed {
            Some(_) => whole_second(now),
            None => before.meta.first_applied_at,
        },
        removed: None,
        ..before.meta.clone()
    }
}

fn record_of(by: &str, reason: String) -> Record {
    Record {
        event: Event::PipelineApplied,
        by: by.to_owned(),
        release: None,
        digest: None,
        execution: None,
        fence: None,
        reason: Some(reason),
    }
}

fn add_records(
    transaction: &mut Transaction,
    environments: Vec<Environment>,
    record: &Record,
    now: Timestamp,
) {
    for mut environment in environments {
        transaction.record(&mut environment, record.clone(), now);
        transaction.update(&environment);
    }
}

/// A version that was published before, and is applied again, is there already.
async fn add_version(
    door: &Door,
    transaction: &mut Transaction,
    ready: &Ready<'_>,
    by: String,
    now: Timestamp,
) -> Result<(), OperateError> {
    let Version { hash, pipeline, .. } = &ready.version;
    if door
        .backends
        .table
        .find_pipeline(&pipeline.service, hash)
        .await?
        .is_some()
    {
        return Ok(());
    }
    let value = serde_json::to_value(pipeline)
        .map_err(|error| Failure::internal(format!("a pipeline has no JSON: {error}")))?;
    transaction.create(&PipelineVersion {
        hash: hash.clone(),
        service: pipeline.service.clone(),
        text: ready.files.text.clone(),
        pipeline: value,
        package: ready.package.clone(),
        applied_at: now,
        applied_by: by,
    });
    Ok(())
}

#[cfg(test)]
mod tests;
