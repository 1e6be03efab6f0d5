//! What comes next: a pure function of what is recorded and what was observed.

mod on_tracks;
mod readiness;

pub use on_tracks::{sleeps, stage_of};
pub use readiness::{awaits_helm, has_all_pods, is_warm, lost_its_pods};

use crate::bundle::Bundle;
use crate::check::{Stage, Standing, is_helms, standing};
use crate::environment::{HelmRun, Phase, Rollout, RolloutKind};
use crate::ids::Fence;
use crate::pipeline::EnvironmentSpec;
use crate::tracks::TrafficSeen;
use crate::wire::Caught;
use crate::workload::{Leaving, Observation, Verdict, verdict};
use jiff::{SignedDuration, Timestamp};

/// How long after a check's time its own function has to record that there was no answer.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// How long an execution sleeps at most while a person or a webhook is awaited, in seconds: then pods are looked at again.
const LOOK_AGAIN: i64 = 300;
/// How soon what is about to change is looked at again, in seconds: a router's word.
const SOON: u64 = 2;
/// How soon what may take minutes is looked at again, in seconds: an alarm from before the release.
const LATER: u64 = 30;

/// What an execution does next to its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Find out what helm would do: what is there, and what is to be.
    Prepare,
    /// Store what is there and what is to be, and write the target bundle.
    Begin,
    /// Nothing was written, and nothing will be: the rollout is over.
    Abandon(String),
    /// The recorded bundle is not wholly in the cluster: write it (again), with the recorded fence.
    Apply,
    /// Wait for pods.
    Await(String),
    /// Run this check of a stage, for this time.
    Check {
        /// The stage.
        stage: Stage,
        /// The check's name.
        name: String,
        /// 1 for the first time.
        attempt: u32,
    },
    /// Wait for the check that runs; by helm, where it is one of helm's tests.
    AwaitCheck {
        /// What is awaited.
        reason: String,
        /// Whether helm runs it.
        by_helm: bool,
    },
    /// The check that runs gave no answer in time.
    Silent(String),
    /// Wait for a person, from now on.
    Hold(String),
    /// Wait for a person, or for a webhook's answer, for so many seconds at most.
    AwaitAnswer(String, u64),
    /// The pods of the present stage are ready: decide its weights, and write them.
    Shift,
    /// The weights that are recorded are not written: write them (again).
    Route,
    /// Point the workload's Services at where the traffic is.
    Point,
    /// The weights are served: bake them.
    Bake,
    /// The stage is over: scale the release for the next one.
    Advance(u32),
    /// Wait for a person before the next stage, from now on.
    Pause(String),
    /// Wait for the end of a bake or of a pause, for so many seconds at most.
    Sleep(String, u64),
    /// Look again in so many seconds.
    Look(String, u64),
    /// Every pod is on the release, and every check passed.
    Verify,
    /// Bring back what was there before.
    Restore(String),
    /// What was there before is back.
    Restored,
    /// Neither forward nor back works: a person is needed.
    Stick(String),
    /// The rollout is over; its phase says how.
    Over,
}

/// What a decision looks at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The rollout, as recorded.
    pub rollout: &'a Rollout,
    /// The bundle of the present phase ([`Rollout::wanted`]).
    pub wanted: Option<&'a Bundle>,
    /// What is in the cluster.
    pub observed: &'a Observation,
    /// What the pipeline version says of the environment.
    pub spec: &'a EnvironmentSpec,
    /// Whether the pipeline version's workload is helm's.
    pub is_helm: bool,
    /// What helm was last told to do here.
    pub helm: Option<&'a HelmRun>,
    /// The error that ended the step before, after all its retries.
    pub caught: Option<&'a Caught>,
    /// Of a rollout on tracks: what is seen of the traffic.
    pub traffic: Option<&'a TrafficSeen>,
    /// What the environment's alarms say, where they were looked at; before the first shift, what stands against it. None
    /// passes only where the environment has no alarms.
    pub alarms: Option<&'a Verdict>,
}

/// Decides what comes next.
pub fn decide(facts: Facts<'_>, now: Timestamp) -> Decision {
    match (facts.rollout.phase, facts.wanted) {
        (Phase::Verified | Phase::Restored | Phase::Stuck, _) => Decision::Over,
        (Phase::Starting, _) => starting(facts, now),
        (_, None) => Decision::Stick("no bundle is recorded for this phase".into()),
        (_, Some(wanted)) => match (&facts.rollout.traffic, facts.traffic) {
            (Some(traffic), Some(seen)) => on_tracks::decide(facts, traffic, seen, wanted, now),
            (Some(_), None) => Decision::Look("the router was not looked at".into(), SOON),
            (None, _) => in_cluster(facts, wanted, now),
        },
    }
}

/// Nothing is written yet: what stops it now starts nothing.
fn starting(facts: Facts<'_>, now: Timestamp) -> Decision {
    let rollout = facts.rollout;
    if let Some(reason) = facts.caught.and_then(hopeless) {
        return Decision::Abandon(reason);
    }
    // Nothing helm would do is written before it is known: also a check that changes a database comes after that.
    if facts.is_helm && rollout.target.is_none() {
        return if now >= rollout.deadline {
            Decision::Abandon(waited("its time was over before it began", rollout))
        } else {
            Decision::Prepare
        };
    }
    match checks(facts, Stage::Before, now) {
        Checked::Passed => match alarms(facts) {
            Verdict::Failed(reason) | Verdict::Inconclusive(reason) if now >= rollout.deadline => {
                Decision::Abandon(format!("its time was over before it began: {reason}"))
            }
            _ if now >= rollout.deadline => {
                Decision::Abandon(waited("its time was over before it began", rollout))
            }
            Verdict::Failed(reason) | Verdict::Inconclusive(reason) => Decision::Look(reason, LATER),
            Verdict::Passed => Decision::Begin,
        },
        Checked::Failed(reason) => Decision::Abandon(reason),
        Checked::Open(decision) => decision,
    }
}

fn in_cluster(facts: Facts<'_>, wanted: &Bundle, now: Timestamp) -> Decision {
    let rollout = facts.rollout;
    let late = now >= rollout.deadline;
    if let Some(reason) = facts.caught.and_then(hopeless) {
        return give_up(rollout, reason);
    }
    let is_applied = match wanted.helm {
        Some(_) => facts.helm.is_some_and(|helm| helm.has_done(rollout)),
        None => is_applied(wanted, facts.observed, rollout.fence),
    };
    if !is_applied {
        let reason = waited("the cluster could not be written in time", rollout);
        return if late {
            give_up(rollout, reason)
        } else {
            Decision::Apply
        };
    }
    let leaving = if late {
        Leaving::LeftAlone
    } else {
        Leaving::Awaited
    };
    match verdict(wanted, facts.observed, leaving) {
        Verdict::Passed if rollout.phase == Phase::Rolling => verified(facts, now),
        Verdict::Passed => Decision::Restored,
        Verdict::Failed(reason) => give_up(rollout, reason),
        Verdict::Inconclusive(reason) if late => give_up(rollout, format!("not ready in time: {reason}")),
        Verdict::Inconclusive(reason) => Decision::Await(reason),
    }
}

/// Every pod is on the release. A rollback is exempt from checks: they cost time, and what comes back has passed them.
fn verified(facts: Facts<'_>, now: Timestamp) -> Decision {
    if facts.rollout.promotion().is_none() {
        return Decision::Verify;
    }
    match checks(facts, Stage::Verify, now) {
        Checked::Passed => Decision::Verify,
        Checked::Failed(reason) => give_up(facts.rollout, reason),
        Checked::Open(decision) => decision,
    }
}

/// What the alarms say. Not to have looked is not to have passed.
fn alarms(facts: Facts<'_>) -> Verdict {
    match facts.alarms {
        Some(verdict) => verdict.clone(),
        None if facts.spec.alarms.is_empty() => Verdict::Passed,
        None => Verdict::Inconclusive("the alarms were not looked at".into()),
    }
}

/// What happened, and what was waited for until then.
fn waited(what: &str, rollout: &Rollout) -> String {
    match &rollout.waits_for {
        Some(waits_for) => format!("{what}: {waits_for}"),
        None => what.to_owned(),
    }
}

enum Checked {
    Passed,
    Failed(String),
    Open(Decision),
}

fn checks(facts: Facts<'_>, stage: Stage, now: Timestamp) -> Checked {
    let rollout = facts.rollout;
    Checked::Open(match standing(rollout, facts.spec, stage) {
        Standing::Passed => return Checked::Passed,
        Standing::Failed(reason) => return Checked::Failed(reason),
        Standing::Next(check, before) => Decision::Check {
            stage,
            name: check.name.clone(),
            attempt: before.saturating_add(1),
        },
        Standing::Runs(run) => {
            let what = format!("{stage} {}", run.name);
            let silent = format!("no answer by {}", run.deadline);
            let grace = if run.later { SignedDuration::ZERO } else { GRACE };
            if now >= run.deadline.saturating_add(grace).unwrap_or(run.deadline) {
                Decision::Silent(silent)
            } else if run.later {
                Decision::AwaitAnswer(
                    format!("{what}: its answer is awaited"),
                    seconds(now, run.deadline),
                )
            } else {
                Decision::AwaitCheck {
                    reason: format!("{what} runs"),
                    by_helm: is_helms(facts.spec, stage, &run.name),
                }
            }
        }
        Standing::Inconclusive(reason) => match rollout.held_until {
            None => Decision::Hold(reason),
            Some(until) if now < until => Decision::AwaitAnswer(reason, seconds(now, until)),
            Some(_) => return Checked::Failed(format!("nobody decided in time: {reason}")),
        },
    })
}

fn seconds(now: Timestamp, until: Timestamp) -> u64 {
    let left = until.duration_since(now).as_secs().clamp(1, LOOK_AGAIN);
    left.unsigned_abs()
}

/// A promotion's rollout that fails goes back; the way back that fails needs a person.
fn give_up(rollout: &Rollout, reason: String) -> Decision {
    match (rollout.phase, &rollout.kind) {
        (Phase::Rolling | Phase::Shifting | Phase::Baking, RolloutKind::Promotion { .. }) => {
            Decision::Restore(reason)
        }
        _ => Decision::Stick(reason),
    }
}

/// Whether every Deployment of the bundle carries the decision's fence: it is the last thing that is written.
fn is_applied(wanted: &Bundle, observed: &Observation, fence: Fence) -> bool {
    wanted.deployments.iter().all(|deployment| {
        observed
            .deployments
            .iter()
            .any(|found| found.name == deployment.name && found.fence == fence)
    })
}

/// An error that trying again does not mend. Others are left to the deadline.
fn hopeless(caught: &Caught) -> Option<String> {
    let hopeless = matches!(caught.error.as_str(), "Refused" | "Invalid" | "Internal");
    hopeless.then(|| {
        caught
            .cause
            .as_deref()
            .and_then(sentence)
            .unwrap_or_else(|| caught.error.clone())
    })
}

/// The sentence in a Lambda error's JSON: `{"errorType", "errorMessage"}`; other text as it is.
fn sentence(cause: &str) -> Option<String> {
    let parsed: Option<serde_json::Value> = serde_json::from_str(cause).ok();
    let message = parsed
        .as_ref()
        .and_then(|value| value.get("errorMessage")?.as_str());
    Some(message.unwrap_or(cause).chars().take(2_000).collect())
}
