//! Whose turn it is: what a promotion does next before its rollout starts.

use crate::approval::{Standing, names, standing};
use crate::environment::{Environment, Phase};
use crate::gates::{GateResult, held, worst};
use crate::ids::{Hash, PromotionId};
use crate::ledger::{Event, Record};
use crate::pipeline::EnvironmentSpec;
use crate::promotion::{Evidence, Promotion, PromotionState};
use crate::workload::Verdict;
use jiff::Timestamp;

/// How long an execution waits for its turn before it looks again by itself, in seconds: one day. It is woken before.
pub const LOOK_AGAIN: u64 = 86_400;
/// How long it waits when a gate could not be read, in seconds.
const READ_AGAIN: u64 = 60;

/// What a promotion does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It is over already: the row says why.
    Over {
        /// Whether that is a normal end.
        ok: bool,
        /// Why.
        reason: String,
    },
    /// It ends now.
    End {
        /// As what.
        state: PromotionState,
        /// For the ledger.
        event: Event,
        /// Why.
        reason: String,
    },
    /// It waits.
    Wait {
        /// For what.
        reason: String,
        /// How long at most, in seconds.
        seconds: u64,
    },
    /// People are asked, or their answer is awaited.
    Ask {
        /// What is asked.
        reason: String,
        /// How long an answer counts, in seconds.
        seconds: u64,
    },
    /// Nothing is in its way.
    Proceed {
        /// What was found.
        reason: String,
    },
}

/// What an approval is for, as things stand now.
pub fn evidence(promotion: &Promotion, environment: &Environment) -> Evidence {
    let replaces: Option<Hash> = environment.live.as_ref().map(|live| live.bundle.clone());
    Evidence {
        digest: promotion.digest.clone(),
        pipeline: promotion.pipeline.clone(),
        replaces,
    }
}

/// What the promotion does next. `gates` is empty where they were not looked at because it is not its turn.
pub fn decide(
    promotion: &Promotion,
    environment: &Environment,
    spec: &EnvironmentSpec,
    gates: &[GateResult],
    now: Timestamp,
) -> Turn {
    if promotion.state.is_final() {
        let ok = matches!(
            promotion.state,
            PromotionState::Verified | PromotionState::Superseded
        );
        let reason = promotion
            .reason
            .clone()
            .unwrap_or_else(|| promotion.state.to_string());
        return Turn::Over { ok, reason };
    }
    if let Some(reason) = not_yet(promotion, environment) {
        return Turn::Wait {
            reason,
            seconds: LOOK_AGAIN,
        };
    }
    match worst(gates).map(|worst| &worst.verdict) {
        Some(Verdict::Failed(reason)) => {
            return Turn::End {
                state: PromotionState::Refused,
                event: Event::PromotionRefused,
                reason: reason.clone(),
            };
        }
        Some(Verdict::Inconclusive(reason)) => {
            return Turn::Wait {
                reason: reason.clone(),
                seconds: READ_AGAIN,
            };
        }
        _ => {}
    }
    by_approval(promotion, environment, spec, now)
}

/// Why it is not this promotion's turn, looking at the row alone.
pub fn not_yet(promotion: &Promotion, environment: &Environment) -> Option<String> {
    let mine = promotion.execution();
    if environment.is_held_by(&mine) {
        return None;
    }
    if !environment.queue.is_turn_of(promotion.id) {
        let before = environment
            .queue
            .current
            .as_ref()
            .map(|current| current.id.release.to_string());
        return Some(format!(
            "waits behind {}",
            before.unwrap_or_else(|| "another release".to_owned())
        ));
    }
    if promotion.asked_by == crate::promotion::Asker::Automatic
        && let Some(reason) = held(environment)
    {
        return Some(reason);
    }
    let lease = environment.lease.as_ref()?;
    let stuck = environment
        .under_way()
        .is_some_and(|rollout| rollout.phase == Phase::Stuck);
    let what = if stuck {
        "is stuck and needs a person"
    } else {
        "changes the environment now"
    };
    Some(format!("{} {what}", lease.owner))
}

fn by_approval(
    promotion: &Promotion,
    environment: &Environment,
    spec: &EnvironmentSpec,
    now: Timestamp,
) -> Turn {
    let asked = spec.approval.as_ref();
    let end = |state, event, reason| Turn::End { state, event, reason };
    match standing(promotion, asked, &evidence(promotion, environment), now) {
        Standing::NotNeeded => Turn::Proceed {
            reason: "every gate passes".to_owned(),
        },
        Standing::Approved { by } => Turn::Proceed {
            reason: format!("approved by {}", names(&by)),
        },
        Standing::ToAsk => Turn::Ask {
            reason: asked
                .map(|spec| format!("asks {}", names(&spec.approvers)))
                .unwrap_or_default(),
            seconds: asked.map_or(1, |spec| spec.expires.get()),
        },
        Standing::Pending { missing, until } => Turn::Ask {
            reason: format!("{missing} more must approve until {until}"),
            seconds: u64::try_from(until.as_second().saturating_sub(now.as_second()))
                .unwrap_or(0)
                .max(1),
        },
        Standing::Rejected { reason } => end(PromotionState::Rejected, Event::Rejected, reason),
        Standing::Expired => {
            let reason = "nobody answered in time".to_owned();
            end(PromotionState::Expired, Event::ApprovalExpired, reason)
        }
    }
}

/// Whether a promotion has the environment and has written the cluster: then only a rollback ends it.
pub fn has_written(environment: &Environment, id: PromotionId) -> bool {
    environment
        .under_way()
        .is_some_and(|rollout| rollout.promotion() == Some(id) && rollout.phase != Phase::Starting)
}

/// Ends a promotion before its rollout: out of the queue, and for the ledger.
pub fn end(
    promotion: &mut Promotion,
    environment: &mut Environment,
    state: PromotionState,
    event: Event,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Record {
    promotion.end(state, reason, now);
    if promotion.wake.is_some() {
        environment.to_wake.push(promotion.id);
    }
    environment.queue.take(promotion.id);
    if environment.is_held_by(&promotion.execution()) {
        environment.lease = None;
    }
    Record {
        event,
        by: by.to_owned(),
        release: Some(promotion.id.release),
        digest: Some(promotion.digest.clone()),
        execution: Some(promotion.execution()),
        fence: None,
        reason: Some(reason.to_owned()),
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
