//! A rollout, decision by decision.

mod commands;
mod decision;

pub use commands::{Declined, Said, despite, hurry, pause, resume, set_aside};
pub use decision::{
    Decision, Facts, awaits_helm, decide, has_all_pods, is_warm, lost_its_pods, sleeps, stage_of,
};

use crate::bundle::{Baseline, Bundle};
use crate::environment::{
    COMPLETED_AT_HAND, Completed, Environment, LastRollback, Lease, Live, Phase, Rollout, RolloutKind, Wanted,
};
use crate::ids::{ExecutionName, Fence, Hash};
use crate::ledger::{Event, Record};
use crate::pipeline::Seconds;
use crate::promotion::{Promotion, PromotionState};
use crate::release::Release;
use crate::tracks::{Held, Pause, Stage, Traffic};
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

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// For the environment's ledger.
    pub record: Record,
    /// Whether the release that was to run runs.
    pub verified: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// Why a rollout cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompletionFault {
    /// The lease is another's, or gone.
    #[error("{0} does not hold the environment")]
    NotHeld(ExecutionName),
    /// It is not over.
    #[error("the rollout of {0} is not over: it is {1:?}")]
    NotOver(ExecutionName, Phase),
}

/// Ends a rollout that is Verified or Restored: gives the lease back, closes the promotion, sets what is live.
/// `release` is the release that runs when it is verified.
pub fn complete(
    environment: &mut Environment,
    execution: &ExecutionName,
    promotion: Option<&mut Promotion>,
    release: Option<&Release>,
    now: Timestamp,
) -> Result<Completion, CompletionFault> {
    let under_way = environment
        .under_way()
        .filter(|rollout| rollout.owner == *execution)
        .cloned();
    let rollout = under_way.ok_or_else(|| CompletionFault::NotHeld(execution.clone()))?;
    if !matches!(rollout.phase, Phase::Verified | Phase::Restored) {
        return Err(CompletionFault::NotOver(execution.clone(), rollout.phase));
    }
    let verified = rollout.phase == Phase::Verified;
    environment.lease = None;
    settle_tracks(environment, &rollout, verified);
    let event = match (&rollout.kind, verified) {
        (RolloutKind::Promotion { .. }, true) => Event::PromotionCompleted,
        (RolloutKind::Promotion { .. }, false) => Event::PromotionFailed,
        (RolloutKind::Rollback { .. }, _) => Event::RollbackCompleted,
    };
    if verified {
        set_live(environment, &rollout, release, now);
    }
    came_back(environment, &rollout, now);
    if let Some(promotion) = promotion {
        environment.queue.take(promotion.id);
        let state = if verified {
            PromotionState::Verified
        } else {
            PromotionState::Failed
        };
        promotion.end(
            state,
            rollout
                .reason
                .clone()
                .unwrap_or_else(|| "every pod is on the release".into()),
            now,
        );
        promotion.bundle = rollout.target.clone().filter(|_| verified);
    }
    let record = record(&rollout, event, None, rollout.reason.as_deref());
    let record = Record {
        digest: release.map(|release| release.digest.clone()),
        ..record
    };
    Ok(Completion {
        record,
        verified,
        reason: rollout.reason,
    })
}

/// A release that had traffic on a track and failed was left by this. Who calls for a rollback just then means that release, and
/// not the one that is back. In place nobody is sure of what had traffic: there a call brings back what was before what is live.
fn came_back(environment: &mut Environment, rollout: &Rollout, now: Timestamp) {
    if rollout.traffic.is_none() {
        return;
    }
    let leaving = match (&rollout.kind, rollout.phase) {
        (RolloutKind::Promotion { .. }, Phase::Restored) if rollout.exposed_at().is_some() => rollout.release,
        (
            RolloutKind::Rollback {
                leaving,
                restore: true,
                ..
            },
            Phase::Verified,
        ) => *leaving,
        _ => return,
    };
    let Some(live) = &environment.live else { return };
    environment.last_rollback = Some(LastRollback {
        execution: rollout.owner.clone(),
        leaving,
        to: live.release,
        at: now,
        finished_at: Some(now),
    });
}

/// What each place holds once a rollout is over. What lost the traffic stays as it is until it is cooled.
fn settle_tracks(environment: &mut Environment, rollout: &Rollout, verified: bool) {
    let (Some(traffic), Some(tracks)) = (&rollout.traffic, environment.tracks.as_mut()) else {
        return;
    };
    if let (Some(to), Some(target)) = (traffic.to, &rollout.target) {
        tracks.held.insert(to, Held::new(target.clone(), rollout.release));
    }
    // Either side that has the traffic now was made ready in its whole size.
    (tracks.at_full, tracks.easing) = (true, None);
    if !verified {
        return;
    }
    match (traffic.from, &rollout.baseline) {
        // What never had the whole traffic has no size to be kept at.
        (Some(from), _) if tracks.live != Some(from) => {}
        (Some(from), _) => {
            if let Some(left) = tracks.held.get_mut(&from) {
                left.pinned = traffic.kept();
            }
        }
        (None, Some(Baseline::Bundle { hash })) => {
            let before = environment.live.as_ref().and_then(|live| live.release);
            let mut original = Held::new(hash.clone(), before);
            original.pinned = traffic.kept();
            tracks.original = Some(original);
        }
        (None, _) => {}
    }
    if traffic.to.is_none() {
        // It is what is live again, and no track's warm other side.
        tracks.original = None;
    }
    tracks.live = traffic.to;
}

fn set_live(environment: &mut Environment, rollout: &Rollout, release: Option<&Release>, now: Timestamp) {
    let Some(bundle) = rollout.target.clone() else {
        return;
    };
    let digest = release.map(|release| release.digest.clone());
    if let (None, Some(Baseline::Bundle { hash }), Some(_)) =
        (&environment.live, &rollout.baseline, rollout.promotion())
    {
        let before = Live {
            release: None,
            digest: None,
            bundle: hash.clone(),
            since: rollout.started_at,
        };
        environment.adopted = Some(before);
    }
    environment.live = Some(Live {
        release: rollout.release,
        digest,
        bundle: bundle.clone(),
        since: now,
    });
    match (&rollout.kind, release) {
        (RolloutKind::Promotion { .. }, Some(release)) => {
            environment.last_rollback = None;
            environment.completed.insert(
                0,
                Completed {
                    release: release.number,
                    digest: release.digest.clone(),
                    pushed_at: release.pushed_at,
                    bundle,
                    pipeline: rollout.pipeline.clone(),
                    at: now,
                    rolled_back_at: None,
                    watched: None,
                },
            );
            forget(&mut environment.completed);
        }
        _ => {
            if let Some(last) = environment
                .last_rollback
                .as_mut()
                .filter(|last| last.execution == rollout.owner)
            {
                last.finished_at = Some(now);
            }
        }
    }
}

/// Keeps as many as are kept at hand. What was rolled back goes first, oldest first: it is no default target, and must
/// not push out the one that is.
fn forget(completed: &mut Vec<Completed>) {
    while completed.len() > COMPLETED_AT_HAND {
        let rolled_back = completed.iter().rposition(|one| one.rolled_back_at.is_some());
        completed.remove(rolled_back.unwrap_or(COMPLETED_AT_HAND));
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
