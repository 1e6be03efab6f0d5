//! A rollout on tracks: what is seen of the traffic, and each decision recorded before it is carried out.

use crate::begin::{abandon, store_baseline};
use crate::checks::awaits;
use crate::handler::commit;
use crate::pins::{keep, left};
use crate::scene::{Scene, in_place};
use jiff::Timestamp;
use serde_json::Value;
use sluice_domain::bundle::{Baseline, Bundle};
use sluice_domain::environment::{Environment, Rollout};
use sluice_domain::pipeline::Seconds;
use sluice_domain::plan::{config_wanted, without_server_fields};
use sluice_domain::rollout::{self, Beginning};
use sluice_domain::tracks::{self, Ground, Planned, Track, everywhere, pin, planned_chart, pointed};
use sluice_domain::wire::{Next, NextState};
use sluice_lambda::Failure;
use sluice_transitions::{Backends, load_live_on_track, load_release, point_services, write_weights};
use std::collections::BTreeMap;
use std::iter;

/// Stores what is there and what is to be, records where it comes, and writes the idle track.
pub(crate) async fn begin(
    backends: &Backends,
    mut scene: Scene,
    step: u32,
    now: Timestamp,
) -> Result<Next, Failure> {
    let planned = if scene.is_helm {
        plan_chart(backends, &mut scene).await?
    } else {
        plan(backends, &scene).await?
    };
    let (planned, baseline) = match planned {
        Ok(planned) => planned,
        Err(reason) => return abandon(backends, scene, step, &reason, now).await,
    };
    let has_other = matches!(baseline, Baseline::Bundle { .. });
    let (target, mut traffic) = planned.traffic(has_other);
    traffic.despite.clone_from(&scene.rollout.despite);
    let hash = backends.table.put_bundle(&target).await?;
    let Scene {
        mut environment,
        observed,
        namespace,
        spec,
        ..
    } = scene;
    let beginning = Beginning {
        baseline,
        target: hash,
        highest_fence: observed.highest_fence,
        timeout: spec.timeout,
    };
    let to = traffic.to;
    let record = rollout::begin_on_tracks(&mut environment, step, beginning, traffic, now);
    let rollout = recorded(&environment)?;
    let placed = in_place(&rollout, &spec, target)?;
    commit(backends, environment, record, now).await?;
    let place = to.map_or("its old place", Track::as_str);
    if placed.helm.is_some() {
        return Ok(Next::now(NextState::Helm, format!("helm brings it to {place}")));
    }
    namespace.apply(&placed, rollout.fence).await?;
    Ok(Next::now(
        NextState::Pods,
        format!("written on {place} with fence {}; waits for pods", rollout.fence),
    ))
}

/// What comes, and what it replaces. The inner error is why the release cannot come here.
async fn plan(backends: &Backends, scene: &Scene) -> Result<Result<(Planned, Baseline), String>, Failure> {
    let number = scene
        .rollout
        .release
        .ok_or_else(|| Failure::internal("a promotion without a release"))?;
    let environment = &scene.environment;
    let release = load_release(backends, &environment.service, number).await?;
    let tracks = environment.tracks.clone().unwrap_or_default();
    let live = load_live_on_track(&backends.table, environment).await?;
    let config = scene
        .namespace
        .config_maps(&config_wanted(&scene.package, &scene.observed))
        .await?;
    let named = scene
        .namespace
        .named_service(scene.spec.strategy.service())
        .await?;
    let planned = tracks::planned(&Ground {
        release: &release,
        package: &scene.package,
        spec: &scene.spec,
        tracks: &tracks,
        observed: &scene.observed,
        config: &config,
        live: live.as_ref(),
        named: &named,
    });
    let planned = match planned {
        Ok(planned) => planned,
        Err(reason) => return Ok(Err(reason)),
    };
    let baseline = match environment.live_on_track() {
        Some(live) => Baseline::Bundle {
            hash: live.bundle.clone(),
        },
        None => store_original(backends, scene, &config, &planned.target).await?,
    };
    Ok(Ok((planned, baseline)))
}

/// The same of a chart: what comes and what is there was stored when helm was asked.
async fn plan_chart(
    backends: &Backends,
    scene: &mut Scene,
) -> Result<Result<(Planned, Baseline), String>, Failure> {
    let (Some(baseline), Some(target)) = (&scene.rollout.baseline, &scene.rollout.target) else {
        return Err(Failure::internal("helm was not asked before it is to run"));
    };
    let (baseline, target) = (baseline.clone(), backends.table.bundle(target).await?);
    let tracks = scene.environment.tracks.clone().unwrap_or_default();
    let live = load_live_on_track(&backends.table, &scene.environment).await?;
    let places = everywhere(iter::once(&target).chain(&live));
    let highest = scene.observed.highest_fence;
    scene.observed = scene.namespace.observe(&places).await?;
    scene.observed.highest_fence = scene.observed.highest_fence.max(highest);
    let planned = planned_chart(target, &scene.spec, &tracks, &scene.observed, live.as_ref());
    Ok(planned.map(|planned| (planned, baseline)))
}

/// What was there before there were tracks, with the Services that are pointed back at it.
async fn store_original(
    backends: &Backends,
    scene: &Scene,
    config: &BTreeMap<String, Option<sluice_domain::plan::ConfigData>>,
    target: &Bundle,
) -> Result<Baseline, Failure> {
    let services: Vec<Value> = pointed(target).into_iter().cloned().collect();
    let baseline = store_baseline(backends, scene, config).await?;
    let Baseline::Bundle { hash } = &baseline else {
        return Ok(baseline);
    };
    let mut stored = backends.table.bundle(hash).await?;
    // Only what was there without tracks can get the traffic back as it was.
    stored
        .deployments
        .retain(|one| target.deployments.iter().any(|wanted| wanted.name == one.name));
    if stored.deployments.is_empty() {
        return Ok(Baseline::Nothing);
    }
    let names = |object: &Value| object.pointer("/metadata/name").cloned();
    let missing: Vec<Value> = services
        .into_iter()
        .filter(|one| !stored.objects.iter().any(|other| names(other) == names(one)))
        .collect();
    let found = scene.namespace.objects(&missing).await?;
    // As it can be applied again.
    stored.objects.extend(found.iter().map(without_server_fields));
    Ok(Baseline::Bundle {
        hash: backends.table.put_bundle(&stored).await?,
    })
}

/// Records the weights of the present stage, and writes them. What is left is pinned before.
pub(crate) async fn shift(
    backends: &Backends,
    scene: Scene,
    step: u32,
    now: Timestamp,
) -> Result<Next, Failure> {
    let stage = scene
        .stage()
        .ok_or_else(|| Failure::internal("a shift without tracks"))?;
    let within = patience(&scene);
    let highest = scene.observed.highest_fence;
    let left = left(backends, &scene.rollout).await?;
    let Scene {
        mut environment,
        namespace,
        observed,
        neutral,
        ..
    } = scene;
    if let Some(left) = &left {
        pin(&mut environment, left, &observed);
    }
    let record = rollout::shift(&mut environment, step, stage, highest, within, now);
    rollout::await_others(&mut environment, None);
    let rollout = recorded(&environment)?;
    let (service, name) = (environment.service.clone(), environment.name.clone());
    commit(backends, environment, record, now).await?;
    keep(&namespace, left.as_ref(), &rollout).await?;
    write_weights(&namespace, &rollout, neutral.as_ref(), (&service, &name), now).await?;
    Ok(looks_at_once(said(&rollout)))
}

/// Writes the recorded weights (again), with the fence that they were recorded with.
pub(crate) async fn route(backends: &Backends, scene: &Scene, now: Timestamp) -> Result<Next, Failure> {
    let place = (&scene.environment.service, &scene.environment.name);
    let left = left(backends, &scene.rollout).await?;
    keep(&scene.namespace, left.as_ref(), &scene.rollout).await?;
    write_weights(
        &scene.namespace,
        &scene.rollout,
        scene.neutral.as_ref(),
        place,
        now,
    )
    .await?;
    Ok(looks_at_once(said(&scene.rollout)))
}

fn said(rollout: &Rollout) -> String {
    let weights = rollout.heading().and_then(|heading| heading.weights);
    weights.map_or_else(
        || "the router is written".to_owned(),
        |weights| format!("the traffic: {weights}"),
    )
}

/// Points the workload's Services at where the traffic is.
pub(crate) async fn point(scene: &Scene) -> Result<Next, Failure> {
    point_services(&scene.namespace, &scene.rollout, scene.neutral.as_ref()).await?;
    Ok(looks_at_once("the Services follow the traffic".to_owned()))
}

/// Records that the weights are served, and sleeps.
pub(crate) async fn bake(
    backends: &Backends,
    scene: Scene,
    step: u32,
    now: Timestamp,
) -> Result<Next, Failure> {
    let (weight, bake) = scene
        .stage()
        .and_then(|stage| Some((stage.weight, stage.bake?)))
        .ok_or_else(|| Failure::internal("a stage without a bake"))?;
    let mut environment = scene.environment;
    let record = rollout::bake(&mut environment, step, bake, now);
    commit(backends, environment, record, now).await?;
    Ok(sleeps(
        format!("{weight} % of the traffic for {bake}"),
        bake.get(),
    ))
}

/// Records the next stage, and scales the release for it.
pub(crate) async fn advance(
    backends: &Backends,
    scene: Scene,
    step: u32,
    stage: u32,
    now: Timestamp,
) -> Result<Next, Failure> {
    let within = patience(&scene);
    let highest = scene.observed.highest_fence;
    let Scene {
        mut environment,
        namespace,
        spec,
        neutral,
        ..
    } = scene;
    let record = rollout::advance(&mut environment, step, stage, highest, within, now);
    let rollout = recorded(&environment)?;
    let bundle = neutral.ok_or_else(|| Failure::internal("no bundle is recorded"))?;
    let placed = in_place(&rollout, &spec, bundle)?;
    commit(backends, environment, record, now).await?;
    namespace.apply(&placed, rollout.fence).await?;
    Ok(Next::now(
        NextState::Pods,
        format!("scaled for stage {}; waits for pods", stage.saturating_add(1)),
    ))
}

/// Records that a person is awaited.
pub(crate) async fn pause(
    backends: &Backends,
    scene: Scene,
    step: u32,
    reason: &str,
    now: Timestamp,
) -> Result<Next, Failure> {
    let pause = scene
        .stage()
        .and_then(|stage| stage.pause)
        .ok_or_else(|| Failure::internal("a stage without a pause"))?;
    let mut environment = scene.environment;
    let record = rollout::await_person(&mut environment, step, reason, pause, now);
    commit(backends, environment, record, now).await?;
    Ok(awaits(reason.to_owned(), pause.get()))
}

/// How long the next stage may take until it is served.
fn patience(scene: &Scene) -> Seconds {
    if scene.rollout.promotion().is_some() {
        scene.spec.timeout
    } else {
        scene.spec.rollback_within
    }
}

/// The answer that lets the execution sleep until the end of a bake.
pub(crate) fn sleeps(reason: String, seconds: u64) -> Next {
    Next {
        next: NextState::Bake,
        seconds,
        reason,
        ok: true,
    }
}

/// The answer that has everything looked at again in so many seconds.
pub(crate) fn looks_again(reason: String, seconds: u64) -> Next {
    Next {
        next: NextState::Look,
        seconds,
        reason,
        ok: true,
    }
}

fn looks_at_once(reason: String) -> Next {
    looks_again(reason, 1)
}

fn recorded(environment: &Environment) -> Result<Rollout, Failure> {
    environment
        .rollout
        .clone()
        .ok_or_else(|| Failure::internal("a rollout without a row"))
}
