//! A rollout, decision by decision.

mod commands;
mod completion;
mod decision;

pub use commands::{Declined, Said, despite, hurry, pause, resume, set_aside};
pub use completion::{Completion, CompletionFault, complete};
pub use decision::{
    Decision, Facts, awaits_helm, decide, has_all_pods, is_warm, lost_its_pods, sleeps, stage_of,
};

use crate::bundle::{Baseline, Bundle};
use crate::environment::{Environment, Lease, Phase, Rollout, RolloutKind, Wanted};
use crate::ids::{Fence, Hash};
use crate::ledger::{Event, Record};
use crate::pipeline::Seconds;
use crate::promotion::{Promotion, PromotionState};
use crate::tracks::{Pause, Stage, Traffic};
use crate::watch::Watch;
use jiff::{SignedDuration, Timestamp};

/// Takes the lease for a promotion whose turn it is. The cluster has not been written.
pub fn take_lease(
    environment: &mut Environment,
    promotion: &mut Promotion,
    timeout: Seconds,
    now: Timestamp,
) -> Record {
    let owner = promotion.execution();
    promotion.state = PromotionState::RollingOut;
    promotion.reason = None;
    // What was noted is of an earlier release.
    environment.alarms.clear();
    environment.lease = Some(Lease {
        owner: owner.clone(),
        since: now,
    });
    environment.rollout = Some(Rollout {
        owner: owner.clone(),
        kind: RolloutKind::Promotion { id: promotion.id },
        release: Some(promotion.id.release),
        pipeline: promotion.pipeline.clone(),
        phase: Phase::Starting,
        step: None,
        fence: environment.fence,
        baseline: None,
        target: None,
        started_at: now,
        deadline: after(now, timeout),
        reason: None,
        checks: Vec::new(),
        held_until: None,
        asked_again: false,
        waits_for: None,
        traffic: None,
        written_at: None,
        despite: promotion.despite.clone(),
    });
    Record {
        event: Event::LeaseTaken,
        by: "sluice".into(),
        release: Some(promotion.id.release),
        digest: Some(promotion.digest.clone()),
        execution: Some(owner),
        fence: None,
        reason: None,
    }
}

/// `now` and so many seconds.
pub fn after(now: Timestamp, seconds: Seconds) -> Timestamp {
    let seconds = i64::try_from(seconds.get()).unwrap_or(i64::MAX);
    now.saturating_add(SignedDuration::from_secs(seconds))
        .unwrap_or(now)
}

/// What a decision to begin needs beyond the decision itself.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// What was there, stored.
    pub baseline: Baseline,
    /// The bundle to be, stored.
    pub target: Hash,
    /// The highest fence seen in the cluster.
    pub highest_fence: Fence,
    /// How long pods have.
    pub timeout: Seconds,
}

/// Records the first write of a rollout. What was watched until now is written over, in place; on tracks it keeps its traffic,
/// and its watch rests until the first shift.
pub fn begin(
    environment: &mut Environment,
    step: u32,
    beginning: Beginning,
    now: Timestamp,
) -> Option<Record> {
    let fence = environment.fence.next(beginning.highest_fence);
    let rollout = environment.rollout.as_mut()?;
    let unwatched = match rollout.traffic {
        Some(_) => None,
        None => environment.watch.take().map(ends_early),
    };
    rollout.phase = Phase::Rolling;
    rollout.written_at = Some(now);
    rollout.step = Some(step);
    rollout.fence = fence;
    rollout.baseline = Some(beginning.baseline);
    rollout.target = Some(beginning.target);
    rollout.deadline = after(now, beginning.timeout);
    rollout.reason = None;
    rollout.waits_for = None;
    let record = record(rollout, Event::RolloutStarted, Some(fence), unwatched.as_deref());
    environment.fence = fence;
    Some(record)
}

/// Records the first write of a rollout on tracks: the release comes to a place of its own.
pub fn begin_on_tracks(
    environment: &mut Environment,
    step: u32,
    beginning: Beginning,
    traffic: Traffic,
    now: Timestamp,
) -> Option<Record> {
    let tracks = environment.tracks.get_or_insert_default();
    // What the place held until now is written over.
    if let Some(to) = traffic.to {
        tracks.held.remove(&to);
    }
    tracks.route = Some(traffic.route.clone());
    tracks.full.clone_from(&traffic.full);
    tracks.by_helm = traffic.by_helm;
    environment.rollout.as_mut()?.traffic = Some(Box::new(traffic));
    begin(environment, step, beginning, now)
}

/// Records the weights of the present stage, before they are written. What turns from now on may blame the release.
pub fn shift(
    environment: &mut Environment,
    step: u32,
    stage: Stage,
    highest_fence: Fence,
    within: Seconds,
    now: Timestamp,
) -> Option<Record> {
    let fence = environment.fence.next(highest_fence);
    let rollout = environment.rollout.as_mut()?;
    let traffic = rollout.traffic.as_mut()?;
    let unwatched = environment.watch.take().map(ends_early);
    let weights = traffic.weights_of(stage);
    traffic.weights = Some(weights);
    traffic.decided_at = Some(now);
    traffic.first_shift.get_or_insert(now);
    traffic.shifted_at = None;
    traffic.bake_until = None;
    rollout.phase = Phase::Shifting;
    rollout.step = Some(step);
    rollout.fence = fence;
    rollout.deadline = after(now, within);
    let reason = match unwatched {
        Some(unwatched) => format!("{weights}; {unwatched}"),
        None => weights.to_string(),
    };
    let record = record(rollout, Event::TrafficShifted, Some(fence), Some(&reason));
    environment.fence = fence;
    Some(record)
}

/// Records that the weights are served.
pub fn bake(environment: &mut Environment, step: u32, bake: Seconds, now: Timestamp) -> Option<Record> {
    let rollout = environment.rollout.as_mut()?;
    let until = after(now, bake);
    let traffic = rollout.traffic.as_mut()?;
    traffic.shifted_at = Some(now);
    traffic.bake_until = Some(until);
    rollout.phase = Phase::Baking;
    rollout.step = Some(step);
    rollout.held_until = None;
    let reason = format!("until {until}");
    Some(record(rollout, Event::BakeStarted, None, Some(&reason)))
}

/// Records the next stage: the release is scaled for it before it gets its weight.
pub fn advance(
    environment: &mut Environment,
    step: u32,
    stage: u32,
    highest_fence: Fence,
    within: Seconds,
    now: Timestamp,
) -> Option<Record> {
    let fence = environment.fence.next(highest_fence);
    let rollout = environment.rollout.as_mut()?;
    let traffic = rollout.traffic.as_mut()?;
    traffic.stage = stage;
    traffic.pause = None;
    rollout.asked_again = false;
    rollout.phase = Phase::Rolling;
    rollout.step = Some(step);
    rollout.fence = fence;
    rollout.deadline = after(now, within);
    rollout.held_until = None;
    rollout.reason = None;
    let reason = format!("stage {}", stage.saturating_add(1));
    let record = record(rollout, Event::RolloutStarted, Some(fence), Some(&reason));
    environment.fence = fence;
    Some(record)
}

/// Records that the pipeline awaits a person before the next stage.
pub fn await_person(
    environment: &mut Environment,
    step: u32,
    reason: &str,
    pause: Seconds,
    now: Timestamp,
) -> Option<Record> {
    let rollout = environment.rollout.as_mut()?;
    let traffic = rollout.traffic.as_mut()?;
    traffic.pause = Some(Pause {
        by: None,
        reason: reason.to_owned(),
        since: now,
        until: Some(after(now, pause)),
    });
    rollout.step = Some(step);
    Some(record(rollout, Event::RolloutPaused, None, Some(reason)))
}

fn ends_early(watch: Watch) -> String {
    let release = watch
        .release
        .map_or_else(String::new, |release| format!(" of {release}"));
    format!(
        "the watch{release}, which was to last until {}, ends with it",
        watch.until
    )
}

/// Records what helm would run, before anything is written: what is there and what is to be.
pub fn prepared(environment: &mut Environment, baseline: Baseline, target: Hash) -> bool {
    match environment.rollout.as_mut() {
        Some(rollout) if rollout.phase == Phase::Starting => {
            rollout.baseline = Some(baseline);
            rollout.target = Some(target);
            rollout.waits_for = None;
            true
        }
        _ => false,
    }
}

/// Records what the holder of the lease waits for before it writes; false where that is what is recorded.
pub fn await_others(environment: &mut Environment, why: Option<&str>) -> bool {
    match environment.rollout.as_mut() {
        Some(rollout) if rollout.waits_for.as_deref() != why => {
            rollout.waits_for = why.map(str::to_owned);
            true
        }
        _ => false,
    }
}

/// Records that what was there before is brought back.
pub fn restore(
    environment: &mut Environment,
    step: u32,
    reason: &str,
    highest_fence: Fence,
    within: Seconds,
    now: Timestamp,
) -> Option<Record> {
    let fence = environment.fence.next(highest_fence);
    let rollout = environment.rollout.as_mut()?;
    rollout.phase = Phase::Restoring;
    rollout.step = Some(step);
    rollout.fence = fence;
    rollout.deadline = after(now, within);
    rollout.reason = Some(reason.to_owned());
    rollout.held_until = None;
    rollout.waits_for = None;
    let record = record(rollout, Event::RestoreStarted, Some(fence), Some(reason));
    environment.fence = fence;
    Some(record)
}

/// Records a phase in which nothing is written. `captured` is the bundle as it runs, on success.
pub fn reach(
    environment: &mut Environment,
    step: u32,
    phase: Phase,
    captured: Option<Hash>,
    reason: Option<&str>,
) -> Option<Record> {
    let rollout = environment.rollout.as_mut()?;
    rollout.phase = phase;
    rollout.step = Some(step);
    rollout.held_until = None;
    rollout.waits_for = None;
    if let Some(captured) = captured {
        rollout.target = Some(captured);
    }
    if let Some(reason) = reason {
        rollout.reason = Some(reason.to_owned());
    }
    let event = match phase {
        Phase::Verified => Event::RolloutVerified,
        Phase::Stuck => Event::RolloutStuck,
        _ => Event::Restored,
    };
    if phase == Phase::Verified {
        rollout.reason = None;
    }
    let reason = rollout.reason.clone();
    Some(record(rollout, event, None, reason.as_deref()))
}

fn record(rollout: &Rollout, event: Event, fence: Option<Fence>, reason: Option<&str>) -> Record {
    Record {
        event,
        by: "sluice".into(),
        release: rollout.release,
        digest: None,
        execution: Some(rollout.owner.clone()),
        fence,
        reason: reason.map(str::to_owned),
    }
}

/// The bundle of a phase, from its stored form.
pub fn bundle_of(wanted: Wanted<'_>, stored: Bundle) -> Bundle {
    match wanted {
        Wanted::Bundle(_) => stored,
        Wanted::NoPods(_) => stored.scaled_to_zero(),
    }
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "rollout/track_world.rs"]
pub(crate) mod track_world;

#[cfg(test)]
#[path = "rollout/table_tests.rs"]
mod table_tests;
