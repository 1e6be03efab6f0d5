//! The end of a rollout: what is live then, what each place holds, and what a rollback can return to.

use super::record;
use crate::bundle::Baseline;
use crate::environment::{
    COMPLETED_AT_HAND, Completed, Environment, LastRollback, Live, Phase, Rollout, RolloutKind,
};
use crate::ids::ExecutionName;
use crate::ledger::{Event, Record};
use crate::promotion::{Promotion, PromotionState};
use crate::release::Release;
use crate::tracks::Held;
use jiff::Timestamp;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ReleaseNumber;
    use crate::samples::{at, completed};

    #[test]
    fn many_rolled_back_releases_do_not_push_out_the_good_one() {
        let mut completed: Vec<_> = (1..=30).rev().map(completed).collect();
        for one in completed.iter_mut().filter(|one| one.release > ReleaseNumber(1)) {
            one.rolled_back_at = Some(at(1));
        }
        forget(&mut completed);
        assert_eq!(completed.len(), COMPLETED_AT_HAND);
        assert_eq!(completed.last().map(|one| one.release), Some(ReleaseNumber(1)));
    }
}
