//! The first write of a promotion: what is there and what is to be are stored before it.

use crate::handler::commit;
use crate::scene::Scene;
use jiff::Timestamp;
use sluice_domain::bundle::Baseline;
use sluice_domain::environment::Phase;
use sluice_domain::plan::{ConfigData, capture_bundle, config_wanted, plan_bundle};
use sluice_domain::rollout::{self, Beginning};
use sluice_domain::wire::{Next, NextState};
use sluice_lambda::Failure;
use sluice_transitions::{Backends, load_release};
use std::collections::BTreeMap;

/// Stores both bundles, records the decision, and writes the cluster.
pub(crate) async fn begin(
    backends: &Backends,
    scene: Scene,
    step: u32,
    now: Timestamp,
) -> Result<Next, Failure> {
    let number = scene
        .rollout
        .release
        .ok_or_else(|| Failure::internal("a promotion without a release"))?;
    let release = load_release(backends, &scene.environment.service, number).await?;
    let config = scene
        .namespace
        .config_maps(&config_wanted(&scene.package, &scene.observed))
        .await?;
    let target = match plan_bundle(&release, &scene.package, &scene.observed, &config) {
        Ok(target) => target,
        Err(faults) => return abandon(backends, scene, step, &faults.to_string(), now).await,
    };
    let baseline = store_baseline(backends, &scene, &config).await?;
    let hash = backends.table.put_bundle(&target).await?;
    let Scene {
        mut environment,
        observed,
        namespace,
        spec,
        ..
    } = scene;
    let highest_fence = observed.highest_fence;
    let beginning = Beginning {
        baseline,
        target: hash,
        highest_fence,
        timeout: spec.timeout,
    };
    let record = rollout::begin(&mut environment, step, beginning, now);
    let fence = environment.fence;
    commit(backends, environment, record, now).await?;
    namespace.apply(&target, fence).await?;
    Ok(Next::now(
        NextState::Pods,
        format!("{number} is written with fence {fence}; waits for pods"),
    ))
}

/// Records the first decision that helm carries out. What is there and what is to be were stored when helm was asked.
pub(crate) async fn begin_helm(
    backends: &Backends,
    scene: Scene,
    step: u32,
    now: Timestamp,
) -> Result<Next, Failure> {
    let mut environment = scene.environment;
    let (baseline, target) = (scene.rollout.baseline, scene.rollout.target);
    let (Some(baseline), Some(target)) = (baseline, target) else {
        return Err(Failure::internal("helm was not asked before it is to run"));
    };
    let beginning = Beginning {
        baseline,
        target,
        highest_fence: scene.observed.highest_fence,
        timeout: scene.spec.timeout,
    };
    let record = rollout::begin(&mut environment, step, beginning, now);
    commit(backends, environment, record, now).await?;
    Ok(Next::now(NextState::Helm, "helm runs"))
}

/// What is there now, believed to be the live release where its image is what runs.
pub(crate) async fn store_baseline(
    backends: &Backends,
    scene: &Scene,
    config: &BTreeMap<String, Option<ConfigData>>,
) -> Result<Baseline, Failure> {
    let live = scene.environment.live.as_ref();
    // What this release would write, and what the live one wrote, as it is there: also what was there before Sluice.
    let mut manifests = scene.package.manifests.clone();
    if let Some(live) = live {
        let before = backends.table.bundle(&live.bundle).await?.objects;
        manifests.extend(before.into_iter().filter(|object| !scene.package.has(object)));
    }
    let objects = scene.namespace.objects(&manifests).await?;
    let release = match live.and_then(|live| live.release) {
        Some(number) => Some(load_release(backends, &scene.environment.service, number).await?),
        None => None,
    };
    match capture_bundle(&scene.observed, &objects, config, release.as_ref()) {
        Some(bundle) => Ok(Baseline::Bundle {
            hash: backends.table.put_bundle(&bundle).await?,
        }),
        None => Ok(Baseline::Nothing),
    }
}

/// Nothing is written: the rollout is over before it began.
pub(crate) async fn abandon(
    backends: &Backends,
    scene: Scene,
    step: u32,
    reason: &str,
    now: Timestamp,
) -> Result<Next, Failure> {
    let mut environment = scene.environment;
    let record = rollout::reach(&mut environment, step, Phase::Restored, None, Some(reason));
    commit(backends, environment, record, now).await?;
    Ok(Next::now(NextState::Done, reason))
}
