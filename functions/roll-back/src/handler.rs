//! One call puts the last good release back: take the lease over, write the cluster, wake the preempted, start the
//! execution that sees it through, answer.

use crate::input::{Asked, Input};
use crate::target::{Chosen, choose};
use crate::warm::{Site, give_back};
use jiff::Timestamp;
use sluice_cluster::{ClusterError, Clusters, Namespace};
use sluice_domain::api::{RollbackAnswer, RollbackOutcome};
use sluice_domain::bundle::Bundle;
use sluice_domain::environment::{Completed, Environment, LastRollback, Rollout, RolloutKind};
use sluice_domain::ids::{ExecutionName, Fence, ReleaseNumber};
use sluice_domain::promotion::{Promotion, PromotionState};
use sluice_domain::rollback::{self, Beginning, Call, Course};
use sluice_domain::rollout::bundle_of;
use sluice_domain::tracks::{Traffic, everywhere, placed};
use sluice_domain::workload::WorkloadRef;
use sluice_executions::{ExecutionStatus, Kind};
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{Backends, address_of, load_pipeline, racing, spec_of, start_rollback};

/// What was recorded, and is still to be done in the cluster and to executions.
struct Begun {
    environment: Environment,
    answer: RollbackAnswer,
    preempted: Option<Promotion>,
    written: Option<Site>,
}

/// Answers in seconds; the same call again joins what is in flight.
pub async fn handle(
    backends: &Backends,
    clusters: &Clusters,
    input: Input,
    now: Timestamp,
) -> Result<RollbackAnswer, Failure> {
    let asked = input.asked(&backends.table, now).await?;
    let begun = racing(|| record(backends, clusters, &asked, now)).await?;
    follow(backends, begun, now).await
}

/// Decides and records.
async fn record(
    backends: &Backends,
    clusters: &Clusters,
    asked: &Asked,
    now: Timestamp,
) -> Result<Begun, Failure> {
    let Asked {
        service,
        environment: name,
        call,
    } = asked;
    let (environment, meta) = tokio::try_join!(
        backends.table.environment(service, name),
        backends.table.service(service)
    )?;
    if let Some(removed) = meta.and_then(|meta| meta.out_of_care()) {
        return Err(refusal(
            format!("{removed}. `sluice apply` takes it back"),
            Some(format!("sluice apply pipelines/{service}.toml")),
        ));
    }
    if environment.v == 0 {
        return Err(Failure::refused(format!(
            "nothing ever happened in {name} of {service}. Next: sluice status {service}"
        )));
    }
    let older = older(backends, &environment, call.to).await?;
    let holder_ended = holder_ended(backends, &environment).await?;
    match rollback::decide(&environment, call, older.as_ref(), holder_ended) {
        Course::Join(execution) => joined(environment, &execution),
        Course::Already(last) => Ok(already(environment, &last)),
        Course::Refuse { reason, next } => Err(refusal(reason, next)),
        Course::BringBack { leaving, candidates } => {
            let chosen = choose(backends, service, candidates, call.to.is_some()).await?;
            bring_back(backends, clusters, environment, call, chosen, leaving, now).await
        }
    }
}

/// Whether the execution of a rollback under way is over. Only a definite answer counts: one that was just started may
/// not be found yet, and an outage of Step Functions must not keep a rollback from being joined.
async fn holder_ended(backends: &Backends, environment: &Environment) -> Result<bool, Failure> {
    let Some(rollout) = environment
        .under_way()
        .filter(|rollout| rollout.promotion().is_none())
    else {
        return Ok(false);
    };
    let status = backends.executions.status(&rollout.owner, Kind::Rollback).await;
    Ok(status.is_ok_and(|status| !matches!(status, ExecutionStatus::Running | ExecutionStatus::NotFound)))
}

fn refusal(reason: String, next: Option<String>) -> Failure {
    Failure::refused(match next {
        Some(next) => format!("{reason}. Next: {next}"),
        None => reason,
    })
}

/// The completed promotion of a release that is no longer at hand in the environment's row.
async fn older(
    backends: &Backends,
    environment: &Environment,
    to: Option<ReleaseNumber>,
) -> Result<Option<Completed>, Failure> {
    let Some(number) = to.filter(|to| environment.completed_release(*to).is_none()) else {
        return Ok(None);
    };
    let tries = backends
        .table
        .promotions_of(&environment.service, &environment.name, number)
        .await?;
    let verified = tries
        .into_iter()
        .find(|promotion| promotion.state == PromotionState::Verified);
    let (Some(promotion), Some(release)) = (
        verified,
        backends.table.release(&environment.service, number).await?,
    ) else {
        return Ok(None);
    };
    Ok(promotion.bundle.map(|bundle| Completed {
        release: number,
        digest: promotion.digest,
        pushed_at: release.pushed_at,
        bundle,
        pipeline: promotion.pipeline,
        at: promotion.ended_at.unwrap_or(promotion.wanted_at),
        rolled_back_at: None,
        watched: None,
    }))
}

fn named(release: Option<ReleaseNumber>) -> String {
    release.map_or_else(|| "what ran before".to_owned(), |release| release.to_string())
}

fn joined(environment: Environment, execution: &ExecutionName) -> Result<Begun, Failure> {
    let rollout = environment
        .under_way()
        .ok_or_else(|| Failure::internal("joined a rollback that is not there"))?;
    let leaving = match &rollout.kind {
        RolloutKind::Rollback { leaving, .. } => *leaving,
        RolloutKind::Promotion { .. } => None,
    };
    let answer = RollbackAnswer {
        service: environment.service.clone(),
        environment: environment.name.clone(),
        outcome: RollbackOutcome::Joined,
        execution: execution.clone(),
        leaving,
        to: rollout.release,
        digest: rollout
            .release
            .and_then(|release| Some(environment.completed_release(release)?.digest.clone())),
        message: format!(
            "joined the rollback of {} to {}",
            environment.name,
            named(rollout.release)
        ),
    };
    Ok(Begun {
        environment,
        answer,
        preempted: None,
        written: None,
    })
}

fn already(environment: Environment, last: &LastRollback) -> Begun {
    let at = last.finished_at.unwrap_or(last.at);
    let message = format!(
        "{} was rolled back to {} at {at}, and nothing was promoted since. To go further back, name a release with `--to`",
        environment.name,
        named(last.to)
    );
    let answer = RollbackAnswer {
        service: environment.service.clone(),
        environment: environment.name.clone(),
        outcome: RollbackOutcome::Already,
        execution: last.execution.clone(),
        leaving: last.leaving,
        to: last.to,
        digest: environment.live.as_ref().and_then(|live| live.digest.clone()),
        message,
    };
    Begun {
        environment,
        answer,
        preempted: None,
        written: None,
    }
}

async fn bring_back(
    backends: &Backends,
    clusters: &Clusters,
    mut environment: Environment,
    call: &Call,
    chosen: Chosen,
    leaving: Option<ReleaseNumber>,
    now: Timestamp,
) -> Result<Begun, Failure> {
    let service = environment.service.clone();
    let Chosen { target, bundle, note } = chosen;
    let version = match environment.under_way() {
        Some(rollout) => rollout.pipeline.clone(),
        None => match &target.pipeline {
            Some(pipeline) => pipeline.clone(),
            None => current_pipeline(backends, &environment).await?,
        },
    };
    let pipeline = load_pipeline(&backends.table, &service, &version).await?;
    let spec = spec_of(&pipeline, &environment.name)?;
    let namespace = clusters.connect(&address_of(spec)).await?;
    let traffic = rollback::place(&environment, &target, &bundle).map_err(|why| {
        refusal(
            why,
            Some(format!("sluice rollback {service} {}", environment.name)),
        )
    })?;
    let highest_fence = highest_fence(&namespace, &bundle, traffic.as_ref()).await?;
    let mut preempted = preempted(backends, &environment).await?;
    let call = Call {
        reason: with_note(call.reason.clone(), note),
        ..call.clone()
    };
    let beginning = Beginning {
        highest_fence,
        within: spec.rollback_within,
        pipeline: version,
        traffic,
    };
    let records = rollback::begin(
        &mut environment,
        preempted.as_mut(),
        &call,
        &target,
        leaving,
        beginning,
        now,
    );
    let mut transaction = Transaction::new();
    for record in records {
        transaction.record(&mut environment, record, now);
    }
    transaction.update(&environment);
    if let Some(promotion) = &preempted {
        transaction.update(promotion);
    }
    transaction.commit(&backends.table).await?;
    let answer = started(&environment, &target, leaving)?;
    let written = match environment
        .rollout
        .as_ref()
        .and_then(|rollout| Some((rollout, rollout.wanted()?)))
    {
        Some((rollout, wanted)) => {
            let neutral = bundle_of(wanted, bundle);
            let placed = placed(rollout, spec, neutral.clone());
            Some(Site {
                neutral,
                namespace,
                spec: spec.clone(),
                placed: placed.map_err(|fault| Failure::refused(fault.to_string()))?,
            })
        }
        None => None,
    };
    Ok(Begun {
        environment,
        answer,
        preempted,
        written,
    })
}

async fn highest_fence(
    namespace: &Namespace,
    bundle: &Bundle,
    traffic: Option<&Traffic>,
) -> Result<Fence, ClusterError> {
    let Some(traffic) = traffic else {
        if bundle.helm.is_some() {
            // No object of helm's carries one.
            return Ok(namespace.helm_fence().await?.unwrap_or_default());
        }
        let asked = WorkloadRef::all_of(bundle);
        return Ok(namespace.observe(&asked).await?.highest_fence);
    };
    let asked = everywhere([bundle]);
    let (observed, router, helm) = tokio::try_join!(
        namespace.observe(&asked),
        namespace.router(&traffic.route.router, &traffic.route.services),
        namespace.helm_fence()
    )?;
    let highest = observed.highest_fence.max(router.highest_fence());
    Ok(highest.max(helm.unwrap_or_default()))
}

fn with_note(reason: Option<String>, note: Option<String>) -> Option<String> {
    match (reason, note) {
        (Some(reason), Some(note)) => Some(format!("{reason} ({note})")),
        (reason, note) => reason.or(note),
    }
}

async fn current_pipeline(
    backends: &Backends,
    environment: &Environment,
) -> Result<sluice_domain::ids::Hash, Failure> {
    let meta = backends.table.service(&environment.service).await?;
    let unknown = || Failure::refused(format!("{} is not a service of Sluice", environment.service));
    meta.map(|meta| meta.pipeline).ok_or_else(unknown)
}

/// The promotion that has the environment.
async fn preempted(backends: &Backends, environment: &Environment) -> Result<Option<Promotion>, Failure> {
    match environment.under_way().and_then(|rollout| rollout.promotion()) {
        Some(id) => Ok(backends
            .table
            .promotion(&environment.service, &environment.name, id)
            .await?),
        None => Ok(None),
    }
}

fn started(
    environment: &Environment,
    target: &rollback::Target,
    leaving: Option<ReleaseNumber>,
) -> Result<RollbackAnswer, Failure> {
    let lease = environment
        .lease
        .as_ref()
        .ok_or_else(|| Failure::internal("a rollback without a lease"))?;
    let (service, name) = (&environment.service, &environment.name);
    Ok(RollbackAnswer {
        service: service.clone(),
        environment: name.clone(),
        outcome: RollbackOutcome::Started,
        execution: lease.owner.clone(),
        leaving,
        to: target.release,
        digest: target.digest.clone(),
        message: format!(
            "{name} goes back from {} to {}",
            named(leaving),
            named(target.release)
        ),
    })
}

/// Writes the cluster, starts the execution, wakes the preempted. A call that only joined starts the execution again, no
/// more: where a function was killed in between, the execution writes the cluster at its first step, and who was preempted
/// finds that out at its next one. What the cluster refuses, the execution tries again.
async fn follow(backends: &Backends, begun: Begun, now: Timestamp) -> Result<RollbackAnswer, Failure> {
    let Begun {
        environment,
        answer,
        preempted,
        written,
    } = begun;
    let Some(rollout) = environment
        .under_way()
        .filter(|_| answer.outcome != RollbackOutcome::Already)
    else {
        return Ok(answer);
    };
    if let Some(site) = written
        && let Err(error) = write(backends, &site, rollout, &environment, now).await
    {
        tracing::warn!(%error, execution = %rollout.owner, "the cluster was not written; the execution goes on");
    }
    let first_fence = fence_of(&rollout.owner).unwrap_or(rollout.fence);
    start_rollback(
        backends,
        &environment.service,
        &environment.name,
        &rollout.owner,
        first_fence,
    )
    .await?;
    if let Some(wake) = preempted.and_then(|promotion| promotion.wake) {
        backends.executions.preempt(&wake.token).await?;
    }
    Ok(answer)
}

/// What of a rollback is written at once: everything, and the weights where the target is still warm; of helm's the fence,
/// which ends whatever helm still runs there, and the size of what is still on its track.
async fn write(
    backends: &Backends,
    site: &Site,
    rollout: &Rollout,
    environment: &Environment,
    now: Timestamp,
) -> Result<(), Failure> {
    let Site {
        namespace, placed, ..
    } = site;
    let on_tracks = environment.tracks.as_ref().is_some_and(|tracks| tracks.by_helm);
    if placed.helm.is_some() || on_tracks {
        namespace.write_helm_fence(rollout.fence).await?;
    }
    // A release that still is on its track is only sized.
    let sized = rollout.traffic.as_ref().is_some_and(|traffic| !traffic.by_helm);
    if placed.helm.is_some() && !sized {
        return Ok(());
    }
    namespace.apply(placed, rollout.fence).await?;
    let is_back = give_back(backends, site, rollout, environment, now).await?;
    if is_back {
        tracing::info!(execution = %rollout.owner, "its target was warm, and has the traffic back");
    }
    Ok(())
}

/// The fence in a rollback's name: its input says the same, also when a later decision raised the fence.
fn fence_of(name: &ExecutionName) -> Option<Fence> {
    let (_, digits) = name.as_str().rsplit_once("-r")?;
    digits.parse().ok().map(Fence)
}
