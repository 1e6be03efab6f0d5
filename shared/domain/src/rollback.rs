//! One-call rollback: which release comes back, and what is recorded before the cluster is written.

mod place;

pub use place::place;

use crate::alarm::Blame;
use crate::bundle::Baseline;
use crate::environment::{
    Completed, Environment, Hold, LastRollback, Lease, Live, Phase, Rollout, RolloutKind,
};
use crate::ids::{Digest, ExecutionName, Fence, Hash, ReleaseNumber, rollback_execution};
use crate::ledger::{Event, Record};
use crate::pipeline::Seconds;
use crate::promotion::{Promotion, PromotionState};
use crate::rollout::after;
use crate::tracks::Traffic;
use jiff::Timestamp;
use place::{as_found, keep_places};
use serde::{Deserialize, Serialize};

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// A release that completed here; the default target when none.
    pub to: Option<ReleaseNumber>,
    /// Bring back what was live before the unfinished rollout, and blame nothing that completed.
    pub restore: bool,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// What is undone; none where it is whatever is there.
    pub undoes: Option<Undoes>,
}

/// What a call that follows from a look at one rollout undoes: that rollout, and no later one that it did not look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undoes {
    /// The execution that brings the release in, or brought it in.
    pub execution: ExecutionName,
    /// The alarm that blames it; none where it is undone because the alarms could not tell.
    #[serde(default)]
    pub blame: Option<Blame>,
}

/// What can be brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The release; none for what was there before Sluice.
    pub release: Option<ReleaseNumber>,
    /// Its digest.
    pub digest: Option<Digest>,
    /// Everything needed to run it again.
    pub bundle: Hash,
    /// The pipeline version it came with; none for what was there before Sluice.
    pub pipeline: Option<Hash>,
    /// Whether it is brought back without pods: there was nothing before.
    pub without_pods: bool,
}

/// Whether a target may be used, as looked up for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usable {
    /// It may.
    Yes,
    /// It may not, for this reason.
    No(String),
}

/// What a call comes to before any target is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// A rollback to the same target is in flight.
    Join(ExecutionName),
    /// Nothing was promoted since the last rollback: this is that one.
    Already(LastRollback),
    /// The first usable of these comes back.
    BringBack {
        /// The release being left.
        leaving: Option<ReleaseNumber>,
        /// Best first.
        candidates: Vec<Target>,
    },
    /// It cannot be done.
    Refuse {
        /// Why.
        reason: String,
        /// The next command.
        next: Option<String>,
    },
}

/// What a call comes to. `older` is the completed promotion of `call.to` where it is no longer at hand; `holder_ended`
/// says that the execution that has the lease is over, so that there is nothing to join.
pub fn decide(
    environment: &Environment,
    call: &Call,
    older: Option<&Completed>,
    holder_ended: bool,
) -> Course {
    if let Some(flying) = in_flight(environment).filter(|_| !holder_ended)
        && (call.restore || call.to.is_none() || call.to == flying.release)
    {
        return Course::Join(flying.owner.clone());
    }
    if let Some(course) = call
        .undoes
        .as_ref()
        .and_then(|undoes| too_late(environment, undoes, call))
    {
        return course;
    }
    let course = match call.to {
        _ if call.restore => restore(environment),
        Some(to) => back_to(environment, to, older),
        None => back(environment),
    };
    match course {
        Course::BringBack { leaving, candidates } => Course::BringBack {
            leaving,
            candidates: candidates
                .into_iter()
                .map(|target| as_found(environment, target))
                .collect(),
        },
        other => other,
    }
}

/// What a call comes to whose rollout is no longer the one that is there, or is over where it was to be stopped.
fn too_late(environment: &Environment, undoes: &Undoes, call: &Call) -> Option<Course> {
    // A newer promotion that had the environment and gave it back unwritten does not end the watch.
    let is_watched = environment
        .watch
        .as_ref()
        .is_some_and(|watch| watch.execution == undoes.execution);
    let is_last = environment
        .rollout
        .as_ref()
        .is_some_and(|rollout| rollout.owner == undoes.execution)
        || is_watched;
    let is_under_way = environment.is_held_by(&undoes.execution);
    let is_left_alone = environment.lease.is_none();
    if is_last && (if call.restore { is_under_way } else { is_left_alone }) {
        return None;
    }
    let last = environment.last_rollback.as_ref().filter(|_| is_left_alone);
    Some(match last {
        Some(last) => Course::Already(last.clone()),
        None => Course::Refuse {
            reason: format!(
                "what {} did to {} was followed by something else, so that there is nothing to undo",
                undoes.execution, environment.name
            ),
            next: Some(format!("sluice status {}", environment.service)),
        },
    })
}

/// The rollback that is being done, unless it is stuck.
fn in_flight(environment: &Environment) -> Option<&Rollout> {
    let rollout = environment.under_way()?;
    let rollback = matches!(rollout.kind, RolloutKind::Rollback { .. });
    (rollback && rollout.phase != Phase::Stuck).then_some(rollout)
}

fn restore(environment: &Environment) -> Course {
    let Some(rollout) = environment.under_way() else {
        let reason = format!(
            "nothing is being done to {} that could be undone",
            environment.name
        );
        return Course::Refuse { reason, next: None };
    };
    let before = same_again(rollout)
        .or_else(|| environment.live.as_ref().map(|live| target_of(live, environment)))
        .or_else(|| baseline_of(rollout));
    match before {
        Some(target) => Course::BringBack {
            leaving: rollout.release,
            candidates: vec![target],
        },
        None => Course::Refuse {
            reason: format!("the rollout of {} has written nothing yet", rollout.owner),
            next: Some(format!(
                "sluice abort {} {}",
                environment.service, environment.name
            )),
        },
    }
}

fn target_of(live: &Live, environment: &Environment) -> Target {
    let completed = live
        .release
        .and_then(|release| environment.completed_release(release));
    Target {
        release: live.release,
        digest: live.digest.clone(),
        bundle: live.bundle.clone(),
        pipeline: completed.map(|completed| completed.pipeline.clone()),
        without_pods: false,
    }
}

/// What a rollback that is stuck, or whose execution is gone, was to bring back.
fn same_again(rollout: &Rollout) -> Option<Target> {
    let RolloutKind::Rollback { .. } = rollout.kind else {
        return None;
    };
    Some(Target {
        release: rollout.release,
        digest: None,
        bundle: rollout.target.clone()?,
        pipeline: Some(rollout.pipeline.clone()),
        without_pods: rollout.baseline == Some(Baseline::Nothing),
    })
}

/// What was there before an unfinished first promotion.
fn baseline_of(rollout: &Rollout) -> Option<Target> {
    let (bundle, without_pods) = match (&rollout.baseline, &rollout.target) {
        (Some(Baseline::Bundle { hash }), _) => (hash.clone(), false),
        (Some(Baseline::Nothing), Some(target)) => (target.clone(), true),
        _ => return None,
    };
    Some(Target {
        release: None,
        digest: None,
        bundle,
        pipeline: None,
        without_pods,
    })
}

fn back_to(environment: &Environment, to: ReleaseNumber, older: Option<&Completed>) -> Course {
    let live = environment.live.as_ref().and_then(|live| live.release);
    let idle = environment.lease.is_none();
    if idle && live == Some(to) {
        let reason = format!("{to} is live in {} already", environment.name);
        return Course::Refuse {
            reason,
            next: Some(format!(
                "sluice history {} {}",
                environment.service, environment.name
            )),
        };
    }
    match environment.completed_release(to).or(older) {
        Some(completed) => Course::BringBack {
            leaving: leaving(environment),
            candidates: vec![target_from(completed)],
        },
        None => Course::Refuse {
            reason: format!(
                "{to} never completed in {}, so there is nothing recorded to bring back",
                environment.name
            ),
            next: Some(format!(
                "sluice history {} {}",
                environment.service, environment.name
            )),
        },
    }
}

fn target_from(completed: &Completed) -> Target {
    Target {
        release: Some(completed.release),
        digest: Some(completed.digest.clone()),
        bundle: completed.bundle.clone(),
        pipeline: Some(completed.pipeline.clone()),
        without_pods: false,
    }
}

/// The release being left: the one that is being rolled out, else the one that is live.
fn leaving(environment: &Environment) -> Option<ReleaseNumber> {
    match environment.under_way() {
        Some(Rollout {
            kind: RolloutKind::Rollback { leaving, .. },
            ..
        }) => *leaving,
        Some(rollout) => rollout.release,
        None => environment.live.as_ref().and_then(|live| live.release),
    }
}

/// The default target: the newest release, other than the one being left, that completed here, with its watch where there
/// was one, and was not itself rolled back; last, what was there before Sluice. A rollback that did not get through is tried again first.
fn back(environment: &Environment) -> Course {
    if let (None, Some(last)) = (&environment.lease, &environment.last_rollback) {
        return Course::Already(last.clone());
    }
    let leaving = leaving(environment);
    let mut candidates: Vec<Target> = Vec::new();
    candidates.extend(environment.under_way().and_then(same_again));
    // Where the traffic is shared between two releases no third one has a place to come to, also where it is newer.
    candidates.extend(
        environment
            .live
            .as_ref()
            .filter(|_| shares_traffic(environment))
            .map(|live| target_of(live, environment)),
    );
    let mut completed: Vec<&Completed> = Vec::new();
    for one in &environment.completed {
        let latest = !completed.iter().any(|other| other.release == one.release);
        if latest && Some(one.release) != leaving {
            completed.push(one);
        }
    }
    completed.retain(|one| one.rolled_back_at.is_none());
    // What did not get through its watch is better than nothing.
    let is_proven = |one: &Completed| one.watched != Some(false);
    completed.sort_by_key(|one| std::cmp::Reverse((is_proven(one), one.pushed_at, one.release)));
    candidates.extend(completed.into_iter().map(target_from));
    let nothing_live = environment.live.is_none();
    candidates.extend(
        environment
            .adopted
            .as_ref()
            .map(|adopted| target_of(adopted, environment)),
    );
    candidates.extend(
        environment
            .under_way()
            .filter(|_| nothing_live)
            .and_then(baseline_of),
    );
    let mut seen = Vec::new();
    candidates.retain(|target| {
        let is_new = !seen.contains(&target.bundle);
        seen.push(target.bundle.clone());
        is_new
    });
    if candidates.is_empty() {
        let what = leaving.map_or_else(
            || "Nothing".to_owned(),
            |release| format!("No release other than {release}"),
        );
        let reason = format!(
            "{what} completed in {} before, so there is nothing to bring back",
            environment.name
        );
        return Course::Refuse {
            reason,
            next: Some(format!("sluice status {}", environment.service)),
        };
    }
    Course::BringBack { leaving, candidates }
}

/// Whether a promotion that is under way may have a part of the traffic.
fn shares_traffic(environment: &Environment) -> bool {
    let rollout = environment
        .under_way()
        .filter(|rollout| rollout.promotion().is_some());
    let traffic = rollout.and_then(|rollout| rollout.traffic.as_deref());
    traffic.is_some_and(|traffic| traffic.weights.is_some())
}

/// What a rollback needs beyond its target.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The highest fence seen in the cluster.
    pub highest_fence: Fence,
    /// How long pods have.
    pub within: Seconds,
    /// The pipeline version it works by where the target has none.
    pub pipeline: Hash,
    /// On tracks: where the target comes back ([`place`]).
    pub traffic: Option<Traffic>,
}

/// Records a rollback: takes the lease over with the next fence, ends what it preempts, holds automatic promotion.
/// The promotion that it preempts, if any, is ended by this too.
pub fn begin(
    environment: &mut Environment,
    preempted: Option<&mut Promotion>,
    call: &Call,
    target: &Target,
    leaving: Option<ReleaseNumber>,
    beginning: Beginning,
    now: Timestamp,
) -> Vec<Record> {
    let fence = environment.fence.next(beginning.highest_fence);
    let owner = rollback_execution(&environment.service, &environment.name, fence);
    let mut records = Vec::new();
    records.extend(blamed(call, leaving));
    let record = |event, reason: Option<String>| Record {
        event,
        by: call.by.clone(),
        release: target.release,
        digest: target.digest.clone(),
        execution: Some(owner.clone()),
        fence: Some(fence),
        reason,
    };
    keep_places(environment, target, beginning.traffic.as_ref());
    if let Some(promotion) = preempted {
        records.push(preempt(environment, promotion, call, now));
    }
    records.push(record(Event::RollbackStarted, call.reason.clone()));
    environment.fence = fence;
    environment.lease = Some(Lease {
        owner: owner.clone(),
        since: now,
    });
    environment.rollout = Some(Rollout {
        owner: owner.clone(),
        kind: RolloutKind::Rollback {
            leaving,
            by: call.by.clone(),
            restore: call.restore,
        },
        release: target.release,
        pipeline: target.pipeline.clone().unwrap_or(beginning.pipeline),
        // A target without pods is kept as a baseline that was nothing: the phase that scales it down.
        phase: if target.without_pods {
            Phase::Restoring
        } else {
            Phase::Rolling
        },
        step: None,
        fence,
        baseline: target.without_pods.then_some(Baseline::Nothing),
        target: Some(target.bundle.clone()),
        started_at: now,
        deadline: after(now, beginning.within),
        checks: Vec::new(),
        held_until: None,
        asked_again: false,
        waits_for: None,
        traffic: beginning.traffic.map(Box::new),
        despite: Vec::new(),
        written_at: Some(now),
        reason: call.reason.clone(),
    });
    if !call.restore {
        environment.watch = None;
        blame(environment, leaving, call, &owner, target, now);
        let why = environment.hold.as_ref().map(|hold| hold.reason.clone());
        records.push(record(Event::Held, why));
    }
    records
}

/// That an alarm blames the release being left.
fn blamed(call: &Call, leaving: Option<ReleaseNumber>) -> Option<Record> {
    let undoes = call.undoes.as_ref()?;
    let blame = undoes.blame.as_ref()?;
    Some(Record {
        event: Event::AlarmBlamed,
        by: call.by.clone(),
        release: leaving,
        digest: None,
        execution: Some(undoes.execution.clone()),
        fence: None,
        reason: Some(blame.to_string()),
    })
}

/// The promotion ends; its release did not complete.
fn preempt(environment: &mut Environment, promotion: &mut Promotion, call: &Call, now: Timestamp) -> Record {
    let blames = call.undoes.as_ref().is_some_and(|undoes| undoes.blame.is_some());
    let (state, event) = if call.restore && blames {
        (PromotionState::Failed, Event::PromotionFailed)
    } else if call.restore {
        (PromotionState::Aborted, Event::PromotionAborted)
    } else {
        (PromotionState::Preempted, Event::PromotionPreempted)
    };
    let why = call
        .reason
        .clone()
        .unwrap_or_else(|| format!("rolled back by {}", call.by));
    crate::turn::end(promotion, environment, state, event, &call.by, &why, now)
}

/// Marks the release being left as rolled back, and holds automatic promotion.
fn blame(
    environment: &mut Environment,
    leaving: Option<ReleaseNumber>,
    call: &Call,
    owner: &ExecutionName,
    target: &Target,
    now: Timestamp,
) {
    if let Some(left) = environment
        .completed
        .iter_mut()
        .find(|completed| Some(completed.release) == leaving)
    {
        left.rolled_back_at = Some(now);
    }
    let to = target.release.map_or_else(
        || "what ran before Sluice".to_owned(),
        |release| release.to_string(),
    );
    let left = leaving.map_or_else(|| "an unknown release".to_owned(), |release| release.to_string());
    let why = call
        .reason
        .as_deref()
        .map(|why| format!(": {why}"))
        .unwrap_or_default();
    environment.hold = Some(Hold {
        by: call.by.clone(),
        at: now,
        reason: format!("rolled back from {left} to {to}{why}"),
        after_rollback: true,
    });
    environment.last_rollback = Some(LastRollback {
        execution: owner.clone(),
        leaving,
        to: target.release,
        at: now,
        finished_at: None,
    });
}

#[cfg(test)]
#[path = "rollback_tests.rs"]
mod tests;
