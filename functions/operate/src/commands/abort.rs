//! `abort`: a promotion ends; what it wrote is taken back.

use super::done;
use super::rollback::{Asked, call};
use crate::door::Door;
use crate::error::{OperateError, refused};
use crate::place::{Place, permit};
use crate::waking::wake_each;
use jiff::Timestamp;
use sluice_domain::api::{Answer, Refusal, RefusalKind};
use sluice_domain::environment::Environment;
use sluice_domain::ids::{PromotionId, ReleaseNumber};
use sluice_domain::ledger::Event;
use sluice_domain::pipeline::Action;
use sluice_domain::promotion::{Promotion, PromotionState};
use sluice_domain::turn::has_written;
use sluice_transitions::{Ending, end_promotion};

/// Who ends a promotion, and why.
struct Stop<'a> {
    caller_arn: &'a str,
    by: String,
    reason: String,
}

/// Ends the promotion of the release, or whatever is current.
///
/// A promotion may write the cluster between the look and the end: then it is looked at once more.
pub async fn run(
    door: &Door,
    caller_arn: &str,
    at: &Place,
    release: Option<ReleaseNumber>,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let by = permit(door, caller_arn, at, Action::Abort).await?;
    let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let stop = Stop {
        caller_arn,
        reason: format!("aborted by {by}{why}"),
        by,
    };
    for _ in 0..2 {
        let environment = door
            .backends
            .table
            .environment(&at.service, &at.environment)
            .await?;
        let Some(id) = meant(&environment, release) else {
            return nothing_to_abort(door, at, &environment, release).await;
        };
        if has_written(&environment, id) {
            return restore(door, at, id, stop, now).await;
        }
        if let Some(answer) = end(door, at, id, &stop, now).await? {
            return Ok(answer);
        }
    }
    let message = format!(
        "What is done to {} changed while it was looked at. Nothing was aborted.",
        at.environment
    );
    Err(Refusal::new(RefusalKind::Unavailable, message, Some(at.status())).into())
}

/// The promotion that is meant: the one of this release, else the one that has the environment, else the first in line.
fn meant(environment: &Environment, release: Option<ReleaseNumber>) -> Option<PromotionId> {
    let rolling = environment.under_way().and_then(|rollout| rollout.promotion());
    match release {
        Some(release) => environment.on_its_way(release),
        None if environment.lease.is_some() && rolling.is_none() => None,
        None => environment.on_their_way().next(),
    }
}

/// Nothing is there to abort: because it was aborted before, or because there is something else, or nothing.
async fn nothing_to_abort(
    door: &Door,
    at: &Place,
    environment: &Environment,
    release: Option<ReleaseNumber>,
) -> Result<Answer, OperateError> {
    let Some(number) = release else {
        return Err(nothing_current(at, environment));
    };
    match door
        .backends
        .table
        .latest_attempt(&at.service, &at.environment, number)
        .await?
    {
        Some(last) if last.state == PromotionState::Aborted => Ok(aborted(at, &last, "")),
        Some(last) => Err(over_already(at, &last)),
        None => Err(refused(
            format!(
                "{}{number} was never promoted into {}: there is nothing to abort.",
                at.service, at.environment
            ),
            at.status(),
        )),
    }
}

fn nothing_current(at: &Place, environment: &Environment) -> OperateError {
    let message = match environment.under_way() {
        Some(rollout) => format!(
            "{} does not do a promotion but a rollback of {}, which is not aborted; `sluice rollback --to` changes its target.",
            rollout.owner, at.environment
        ),
        None => format!(
            "No promotion of {} into {} is under way: there is nothing to abort.",
            at.service, at.environment
        ),
    };
    refused(message, at.status())
}

fn over_already(at: &Place, last: &Promotion) -> OperateError {
    let number = last.id.release;
    let next = match last.state {
        PromotionState::Verified => at.command("rollback"),
        _ => at.status(),
    };
    let message = format!(
        "{}{number} is {} in {} already: there is nothing to abort.",
        at.service, last.state, at.environment
    );
    refused(message, next)
}

/// Ends a promotion that has written nothing; none where it wrote meanwhile.
async fn end(
    door: &Door,
    at: &Place,
    id: PromotionId,
    stop: &Stop<'_>,
    now: Timestamp,
) -> Result<Option<Answer>, OperateError> {
    let ending = Ending {
        state: PromotionState::Aborted,
        event: Event::PromotionAborted,
        by: stop.by.clone(),
        reason: stop.reason.clone(),
    };
    let ended = end_promotion(&door.backends, &at.service, &at.environment, id, &ending, now).await?;
    match ended {
        Some(promotion) if promotion.state == PromotionState::Aborted => {
            let said = wake_each(door, at, [id]).await;
            Ok(Some(aborted(at, &promotion, said)))
        }
        Some(promotion) => Err(over_already(at, &promotion)),
        None => Ok(None),
    }
}

fn aborted(at: &Place, promotion: &Promotion, said: &str) -> Answer {
    let number = promotion.id.release;
    let why = promotion.reason.as_deref().unwrap_or("aborted");
    let message = format!(
        "The promotion of {}{number} into {} is over: {why}.{said}",
        at.service, at.environment
    );
    done(message, Some(at.status()), Some(promotion.execution()))
}

/// What was live comes back; the promotion ends with it.
async fn restore(
    door: &Door,
    at: &Place,
    id: PromotionId,
    stop: Stop<'_>,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let Stop {
        caller_arn,
        by,
        reason,
    } = stop;
    let asked = Asked {
        caller_arn,
        by,
        to: None,
        reason: Some(reason),
        restore: true,
    };
    let answer = call(door, at, asked, now).await?;
    let message = format!(
        "The rollout of {}{} into {} is stopped; it has written the cluster, so what was live is brought back.",
        at.service, id.release, at.environment
    );
    let next = format!("{} --follow", at.status());
    Ok(done(message, Some(next), Some(answer.execution)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;
    use crate::samples::{at, environment, id, place, promotion, under_way};
    use sluice_domain::environment::{Phase, RolloutKind};
    use sluice_domain::queue::Queued;

    fn queued(release: u32) -> Option<Queued> {
        Some(Queued {
            id: id(release, 1),
            pushed_at: at(0),
            automatic: true,
        })
    }

    #[test]
    fn the_one_that_is_meant() {
        let mut waiting = environment("production");
        waiting.queue.current = queued(42);
        waiting.queue.next = queued(43);
        let rolling = under_way(
            waiting.clone(),
            RolloutKind::Promotion { id: id(42, 1) },
            42,
            Phase::Rolling,
        );
        let back = RolloutKind::Rollback {
            leaving: None,
            by: "ana".into(),
            restore: false,
        };
        let rolled_back = under_way(waiting.clone(), back, 41, Phase::Rolling);
        let release = |number| Some(ReleaseNumber(number));
        for (environment, asked, meant_is) in [
            (environment("production"), None, None),
            (waiting.clone(), None, Some(id(42, 1))),
            (waiting.clone(), release(43), Some(id(43, 1))),
            (waiting, release(41), None),
            (rolling.clone(), None, Some(id(42, 1))),
            (rolling, release(43), Some(id(43, 1))),
            // without a name, a rollback is not mistaken for a promotion; by its name, what waits behind it is aborted
            (rolled_back.clone(), None, None),
            (rolled_back, release(42), Some(id(42, 1))),
        ] {
            assert_eq!(meant(&environment, asked), meant_is, "{asked:?}");
        }
    }

    #[test]
    fn what_is_said() {
        let place = place("production");
        let mut ended = promotion("production", 42, 1, PromotionState::Aborted);
        ended.reason = Some("aborted by ana: wrong day".into());
        let Answer::Done { message, next, .. } = aborted(&place, &ended, "") else {
            panic!("done")
        };
        let mut lines = vec![format!("{message} -> {next:?}")];
        let back = RolloutKind::Rollback {
            leaving: None,
            by: "ana".into(),
            restore: false,
        };
        for error in [
            nothing_current(&place, &environment("production")),
            nothing_current(
                &place,
                &under_way(environment("production"), back, 41, Phase::Rolling),
            ),
            over_already(&place, &promotion("production", 42, 1, PromotionState::Verified)),
            over_already(&place, &promotion("production", 42, 1, PromotionState::Rejected)),
        ] {
            let OperateError::Refusal(refusal) = error else {
                panic!("a refusal")
            };
            lines.push(format!("{} -> {:?}", refusal.message, refusal.next));
        }
        insta::assert_snapshot!(lines.join("\n"));
    }
}
