//! The watch: the time after full traffic in which an alarm still rolls a release back.
//!
//! It begins with the completion of the promotion and looks back to the release's first traffic, so that nothing falls between
//! the rollout and its watch. It ends when it passed, when the release is rolled back, and when a newer one is written over it.

use crate::alarm::{AlarmsSeen, Blame, Window, judge};
use crate::environment::{Environment, Phase, Rollout};
use crate::ids::{ExecutionName, Hash, ReleaseNumber};
use crate::ledger::{Event, Record};
use crate::pipeline::{EnvironmentSpec, Seconds};
use crate::rollout::after;
use crate::workload::Verdict;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A release that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The release.
    pub release: Option<ReleaseNumber>,
    /// The execution that brought it.
    pub execution: ExecutionName,
    /// The pipeline version that it came with: where its alarms are, and how long it is held.
    pub pipeline: Hash,
    /// Since when it has traffic: what turned before does not blame it.
    pub since: Timestamp,
    /// When the watch is over, if nothing is unclear then.
    pub until: Timestamp,
    /// The alarms.
    #[serde(default)]
    pub alarms: Vec<String>,
    /// Those that a person said stand in ALARM for another reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub despite: Vec<String>,
    /// Until when it is held, because at its end the alarms could not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// Why it is held, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What becomes of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchDecision {
    /// It goes on.
    Wait,
    /// The release is rolled back.
    RollBack {
        /// Why, in a sentence.
        reason: String,
        /// The alarm that blames it; none where the alarms could not tell until the end of the hold.
        blame: Option<Blame>,
    },
    /// Its time is over and the alarms cannot tell: it is held until then, once.
    Hold {
        /// Why, in a sentence.
        reason: String,
        /// Until when.
        until: Timestamp,
    },
    /// Its time is over and nothing speaks against the release.
    Passed,
}

/// A release that has traffic and can be blamed: in its rollout, or in its watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// The release.
    pub release: Option<ReleaseNumber>,
    /// The execution that brings it, or brought it.
    pub execution: ExecutionName,
    /// The pipeline version that it comes with.
    pub pipeline: Hash,
    /// Since when it has traffic.
    pub since: Timestamp,
    /// Alarms that stand for another reason.
    pub despite: Vec<String>,
    /// Whether it is in its watch, and no longer in its rollout.
    pub watched: bool,
}

/// The release of an environment that an alarm can blame now; none where nothing new has traffic, or what has it is on its
/// way back already. While another promotion has the environment and has not written yet, the watch rests: its alarms' history
/// is read again afterwards.
pub fn exposed(environment: &Environment) -> Option<Exposed> {
    if environment.lease.is_some() {
        return in_rollout(environment.under_way()?);
    }
    let watch = environment.watch.as_ref()?;
    Some(Exposed {
        release: watch.release,
        execution: watch.execution.clone(),
        pipeline: watch.pipeline.clone(),
        since: watch.since,
        despite: watch.despite.clone(),
        watched: true,
    })
}

fn in_rollout(rollout: &Rollout) -> Option<Exposed> {
    rollout.promotion()?;
    // What is restored, or stuck on the way back, is not blamed once more.
    let forward = !matches!(
        rollout.phase,
        Phase::Starting | Phase::Restoring | Phase::Restored | Phase::Stuck
    );
    let since = rollout.exposed_at().filter(|_| forward)?;
    Some(Exposed {
        release: rollout.release,
        execution: rollout.owner.clone(),
        pipeline: rollout.pipeline.clone(),
        since,
        despite: rollout.despite().to_vec(),
        watched: false,
    })
}

/// Begins the watch over what this rollout has just brought; none where the pipeline wants no watch, or nothing was brought in.
pub fn begin(
    environment: &mut Environment,
    rollout: &Rollout,
    spec: &EnvironmentSpec,
    now: Timestamp,
) -> Option<Record> {
    rollout.promotion()?;
    let until = after(now, spec.watch?);
    environment.watch = Some(Watch {
        release: rollout.release,
        execution: rollout.owner.clone(),
        pipeline: rollout.pipeline.clone(),
        since: rollout.exposed_at().unwrap_or(now),
        until,
        alarms: spec.alarms.clone(),
        despite: rollout.despite().to_vec(),
        held_until: None,
        reason: None,
    });
    if let Some(completed) = latest(environment, rollout.release) {
        completed.watched = Some(false);
    }
    let reason = match spec.alarms.as_slice() {
        [] => format!("until {until}"),
        alarms => format!("until {until}: {}", alarms.join(", ")),
    };
    record(environment, Event::WatchStarted, Some(reason))
}

fn latest(
    environment: &mut Environment,
    release: Option<ReleaseNumber>,
) -> Option<&mut crate::environment::Completed> {
    environment
        .completed
        .iter_mut()
        .find(|completed| Some(completed.release) == release)
}

/// What becomes of the watch, by what the alarms say now. `hold_for` is how long it is held where they cannot tell at its end.
pub fn decide(watch: &Watch, seen: &AlarmsSeen, hold_for: Seconds, now: Timestamp) -> WatchDecision {
    let window = Window {
        shifted_at: watch.since,
        now,
    };
    let judgement = judge(&watch.alarms, seen, None, window, &watch.despite);
    let is_over = now >= watch.until;
    match (judgement.verdict, watch.held_until) {
        (Verdict::Failed(reason), _) => WatchDecision::RollBack {
            reason,
            blame: judgement.blame,
        },
        (Verdict::Passed, _) if is_over => WatchDecision::Passed,
        (Verdict::Inconclusive(reason), None) if is_over => WatchDecision::Hold {
            reason,
            until: after(now, hold_for),
        },
        (Verdict::Inconclusive(reason), Some(until)) if now >= until => WatchDecision::RollBack {
            reason: format!(
                "at the end of the watch, and for {hold_for} after it, the alarms could not tell: {reason}"
            ),
            blame: None,
        },
        _ => WatchDecision::Wait,
    }
}

/// Records that the watch is held.
pub fn hold(environment: &mut Environment, reason: &str, until: Timestamp) -> Option<Record> {
    let watch = environment.watch.as_mut()?;
    watch.held_until = Some(until);
    watch.reason = Some(reason.to_owned());
    record(
        environment,
        Event::WatchHeld,
        Some(format!("until {until}: {reason}")),
    )
}

/// Has the alarms of a held watch read again: where they still cannot tell, it is held anew. None where it is not held.
pub fn ask_again(environment: &mut Environment, by: &str) -> Option<Record> {
    let watch = environment.watch.as_mut()?;
    watch.held_until.take()?;
    let before = watch.reason.take();
    let reason = before.map_or_else(String::new, |why| format!("; before: {why}"));
    let reason = format!("the alarms are read again{reason}");
    Some(Record {
        by: by.to_owned(),
        ..record(environment, Event::CheckAskedAgain, Some(reason))?
    })
}

/// Records that the watch passed: the release is one to come back to.
pub fn pass(environment: &mut Environment) -> Option<Record> {
    let record = record(environment, Event::WatchPassed, None)?;
    let watch = environment.watch.take()?;
    if let Some(completed) = latest(environment, watch.release) {
        completed.watched = Some(true);
    }
    Some(record)
}

fn record(environment: &Environment, event: Event, reason: Option<String>) -> Option<Record> {
    let watch = environment.watch.as_ref()?;
    Some(Record {
        event,
        by: "sluice".into(),
        release: watch.release,
        digest: None,
        execution: Some(watch.execution.clone()),
        fence: None,
        reason,
    })
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
