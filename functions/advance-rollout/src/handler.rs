//! One step of a rollout: load, observe, decide, record, apply.

use crate::begin::{begin, begin_helm};
use crate::checks;
use crate::outside::Outside;
use crate::scene::{Scene, in_place};
use crate::traffic;
use jiff::{SignedDuration, Timestamp};
use sluice_domain::bundle::Bundle;
use sluice_domain::environment::{Environment, Phase, Wanted};
use sluice_domain::ledger::Record;
use sluice_domain::plan::capture_bundle;
use sluice_domain::rollout::{self, Decision, bundle_of, decide};
use sluice_domain::seen;
use sluice_domain::wire::{Next, NextState, Step};
use sluice_lambda::{About, Failure, Metric, Metrics};
use sluice_table::Transaction;
use sluice_transitions::{Backends, load_release, racing};
use std::time::{Duration, Instant};

/// How long what is about to change is looked at again here, before the state machine waits for it.
const HERE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// What is looked at again here: the seconds that an answer would have the state machine wait.
const SOON: u64 = 2;

/// Does the next step of the execution's rollout.
pub async fn handle(
    backends: &Backends,
    outside: &Outside,
    step: Step,
    now: Timestamp,
) -> Result<Next, Failure> {
    let started = Instant::now();
    loop {
        // Each look is a decision of its own, at its own time.
        let passed = SignedDuration::try_from(started.elapsed()).unwrap_or_default();
        let now = now.saturating_add(passed).unwrap_or(now);
        let next = racing(|| advance(backends, outside, &step, now)).await?;
        if next.next != NextState::Look || next.seconds > SOON || started.elapsed() > HERE {
            return Ok(next);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn advance(
    backends: &Backends,
    outside: &Outside,
    step: &Step,
    now: Timestamp,
) -> Result<Next, Failure> {
    let scene = Scene::load(backends, outside, step, now).await?;
    let decision = decide(scene.facts(step.error.as_ref()), now);
    tracing::info!(execution = %step.execution, step = step.step, phase = ?scene.rollout.phase, ?decision, "decided");
    match decision {
        Decision::Prepare => Ok(Next::now(NextState::Helm, "asks helm what it would do")),
        Decision::Begin if scene.is_helm && !scene.is_tracked() => {
            begin_helm(backends, scene, step.step, now).await
        }
        Decision::Begin if scene.is_tracked() => traffic::begin(backends, scene, step.step, now).await,
        Decision::Begin => begin(backends, scene, step.step, now).await,
        Decision::Apply => apply_recorded(&scene).await,
        Decision::Check { stage, name, attempt } => {
            checks::start(backends, scene, step.step, stage, &name, attempt, now).await
        }
        Decision::AwaitCheck { reason, by_helm } => Ok(Next::now(checks::runner(by_helm), reason)),
        Decision::Silent(reason) => checks::silent(backends, scene, reason, now).await,
        Decision::Hold(reason) => checks::hold(backends, scene, step.step, &reason, now).await,
        Decision::AwaitAnswer(reason, seconds) => Ok(checks::awaits(reason, seconds)),
        Decision::Await(reason) => Ok(Next::now(NextState::Pods, reason)),
        Decision::Shift => traffic::shift(backends, scene, step.step, now).await,
        Decision::Route => traffic::route(backends, &scene, now).await,
        Decision::Point => traffic::point(&scene).await,
        Decision::Bake => traffic::bake(backends, scene, step.step, now).await,
        Decision::Advance(stage) => traffic::advance(backends, scene, step.step, stage, now).await,
        Decision::Pause(reason) => traffic::pause(backends, scene, step.step, &reason, now).await,
        Decision::Sleep(reason, seconds) => {
            keep(backends, scene, None).await?;
            Ok(traffic::sleeps(reason, seconds))
        }
        Decision::Look(reason, seconds) => {
            // What is over in a moment is not worth a write.
            let waits_for = (seconds > SOON).then_some(reason.as_str());
            keep(backends, scene, waits_for).await?;
            Ok(traffic::looks_again(reason, seconds))
        }
        Decision::Verify => verify(backends, scene, step.step, now).await,
        Decision::Restore(reason) => restore(backends, scene, step.step, &reason, now).await,
        Decision::Restored => reach(backends, scene, step.step, Phase::Restored, None, now).await,
        Decision::Abandon(reason) => {
            reach(backends, scene, step.step, Phase::Restored, Some(&reason), now).await
        }
        Decision::Stick(reason) => reach(backends, scene, step.step, Phase::Stuck, Some(&reason), now).await,
        Decision::Over => Ok(over(scene.rollout.phase, scene.rollout.reason.as_deref())),
    }
}

/// Keeps on the row what `status` is to say: what is waited for, and how alarms stand. Nothing is decided by it.
async fn keep(backends: &Backends, scene: Scene, waits_for: Option<&str>) -> Result<(), Failure> {
    let mut environment = scene.environment;
    let waits = waits_for.is_some() && rollout::await_others(&mut environment, waits_for);
    if !waits && !scene.alarms_are_news {
        return Ok(());
    }
    let mut transaction = Transaction::new();
    transaction.update(&environment);
    Ok(transaction.commit(&backends.table).await?)
}

/// What is recorded is written (again), with the fence it was recorded with: what carries that fence already is done.
async fn apply_recorded(scene: &Scene) -> Result<Next, Failure> {
    if scene.by_helm() {
        return Ok(Next::now(NextState::Helm, "helm runs"));
    }
    if let Some(wanted) = &scene.wanted {
        scene.namespace.apply(wanted, scene.rollout.fence).await?;
    }
    Ok(Next::now(NextState::Pods, "written; waits for pods"))
}

async fn verify(backends: &Backends, scene: Scene, step: u32, now: Timestamp) -> Result<Next, Failure> {
    let captured = match (scene.helm_bundle(), &scene.neutral) {
        (Some(bundle), _) => bundle,
        // What is on a track was written whole.
        (None, Some(bundle)) if scene.rollout.traffic.is_some() => bundle.clone(),
        (None, _) => capture(backends, &scene).await?,
    };
    let hash = backends.table.put_bundle(&captured).await?;
    let mut environment = scene.environment;
    seen::note(&mut environment, &scene.observed, now);
    let record = rollout::reach(&mut environment, step, Phase::Verified, Some(hash), None);
    commit(backends, environment, record, now).await?;
    Ok(over(Phase::Verified, None))
}

/// The bundle as it runs.
async fn capture(backends: &Backends, scene: &Scene) -> Result<Bundle, Failure> {
    let config = scene.config_of_observed().await?;
    let release = match scene.rollout.release {
        Some(number) => Some(load_release(backends, &scene.environment.service, number).await?),
        None => None,
    };
    let objects = scene
        .wanted
        .as_ref()
        .map(|wanted| wanted.objects.as_slice())
        .unwrap_or_default();
    let captured = capture_bundle(&scene.observed, objects, &config, release.as_ref());
    captured.ok_or_else(|| Failure::internal("nothing runs in an environment that was just verified"))
}

async fn restore(
    backends: &Backends,
    scene: Scene,
    step: u32,
    reason: &str,
    now: Timestamp,
) -> Result<Next, Failure> {
    let Scene {
        mut environment,
        observed,
        namespace,
        spec,
        ..
    } = scene;
    let within = spec.rollback_within;
    let record = rollout::restore(
        &mut environment,
        step,
        reason,
        observed.highest_fence,
        within,
        now,
    );
    let Some(rollout) = environment.rollout.clone() else {
        return Err(Failure::internal("a rollout without a row"));
    };
    let wanted = match stored(backends, rollout.wanted()).await? {
        Some(bundle) => Some(in_place(&rollout, &spec, bundle)?),
        None => None,
    };
    let fence = rollout.fence;
    let by_helm = environment.tracks.as_ref().is_some_and(|tracks| tracks.by_helm);
    commit(backends, environment, record, now).await?;
    let said = format!("brings back what was there before: {reason}");
    match wanted {
        Some(wanted) if wanted.is_charted() => {
            // Whatever helm still runs on the track that is left is refused from here on. What comes back is written by the
            // next look, which sees whether helm has a part in that.
            namespace.write_helm_fence(fence).await?;
            return Ok(traffic::looks_again(said, 1));
        }
        Some(wanted) if wanted.helm.is_some() => return Ok(Next::now(NextState::Helm, said)),
        Some(wanted) => {
            if by_helm {
                namespace.write_helm_fence(fence).await?;
            }
            namespace.apply(&wanted, fence).await?
        }
        None => return Ok(Next::now(NextState::Pods, said)),
    };
    Ok(Next::now(NextState::Pods, said))
}

/// Records a phase in which nothing is written.
async fn reach(
    backends: &Backends,
    scene: Scene,
    step: u32,
    phase: Phase,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Next, Failure> {
    let mut environment = scene.environment;
    let record = rollout::reach(&mut environment, step, phase, None, reason);
    let reason = environment
        .rollout
        .as_ref()
        .and_then(|rollout| rollout.reason.clone());
    if phase == Phase::Stuck {
        let about = About {
            release: environment.rollout.as_ref().and_then(|rollout| rollout.release),
            reason: reason.as_deref(),
        };
        let (service, name) = (&environment.service, &environment.name);
        Metrics::StandardOutput.count_of(Metric::Stuck, service, name, about, now);
    }
    commit(backends, environment, record, now).await?;
    Ok(over(phase, reason.as_deref()))
}

fn over(phase: Phase, reason: Option<&str>) -> Next {
    match phase {
        Phase::Verified => Next::now(NextState::Done, "every pod is on the release"),
        Phase::Stuck => Next::now(NextState::Stuck, reason.unwrap_or("a person is needed")),
        _ => Next::now(NextState::Done, reason.unwrap_or("what was there before is back")),
    }
}

/// Records a decision in one transaction.
pub(crate) async fn commit(
    backends: &Backends,
    mut environment: Environment,
    record: Option<Record>,
    now: Timestamp,
) -> Result<(), Failure> {
    let record =
        record.ok_or_else(|| Failure::internal("a decision over an environment without a rollout"))?;
    let mut transaction = Transaction::new();
    transaction.record(&mut environment, record, now);
    transaction.update(&environment);
    Ok(transaction.commit(&backends.table).await?)
}

/// The bundle that a phase wants, as stored.
pub(crate) async fn stored(
    backends: &Backends,
    wanted: Option<Wanted<'_>>,
) -> Result<Option<Bundle>, Failure> {
    let Some(wanted) = wanted else { return Ok(None) };
    let (Wanted::Bundle(hash) | Wanted::NoPods(hash)) = wanted;
    let bundle = backends.table.bundle(hash).await?;
    Ok(Some(bundle_of(wanted, bundle)))
}
