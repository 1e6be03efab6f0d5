//! `hold` and `unhold`: automatic promotion into an environment.

use super::done;
use crate::door::Door;
use crate::error::{OperateError, deciding};
use crate::place::{Place, permit};
use crate::waking::wake_each;
use jiff::Timestamp;
use sluice_domain::api::Answer;
use sluice_domain::environment::{Environment, Hold};
use sluice_domain::ids::PromotionId;
use sluice_domain::ledger::{Event, Record};
use sluice_domain::pipeline::Action;
use sluice_table::Transaction;

/// Stops automatic promotion. It takes the place of a hold that is there, also of a rollback's, which a later push would
/// have lifted by itself.
pub async fn hold(
    door: &Door,
    caller_arn: &str,
    at: &Place,
    reason: &str,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let by = permit(door, caller_arn, at, Action::Hold).await?;
    deciding(|| async {
        let mut environment = door
            .backends
            .table
            .environment(&at.service, &at.environment)
            .await?;
        let hold = Hold {
            by: by.clone(),
            at: now,
            reason: reason.to_owned(),
            after_rollback: false,
        };
        if !is_same(environment.hold.as_ref(), &hold) {
            environment.hold = Some(hold);
            record(
                door,
                &mut environment,
                Event::Held,
                &by,
                Some(reason.to_owned()),
                now,
            )
            .await?;
        }
        Ok(environment)
    })
    .await
    .map(|environment| done(held_text(at, &environment), Some(at.command("unhold")), None))
}

/// Whether the hold that is there says the same, whenever it began.
fn is_same(there: Option<&Hold>, hold: &Hold) -> bool {
    there.is_some_and(|there| {
        Hold {
            at: hold.at,
            ..there.clone()
        } == *hold
    })
}

fn held_text(at: &Place, environment: &Environment) -> String {
    let going_on = match environment.under_way() {
        Some(rollout) => format!(" {} is under way and goes on.", rollout.owner),
        None => String::new(),
    };
    format!(
        "Automatic promotion of {} into {} is held.{going_on} `sluice promote` and `sluice rollback` work as before.",
        at.service, at.environment
    )
}

/// Lets automatic promotion go on. Where nothing is held, that is fine; whoever waits is woken all the same, in case an
/// earlier call was killed before it could.
pub async fn unhold(
    door: &Door,
    caller_arn: &str,
    at: &Place,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let by = permit(door, caller_arn, at, Action::Unhold).await?;
    let (lifted, current) = deciding(|| lift(door, at, &by, now)).await?;
    let said = wake_each(door, at, current).await;
    let message = format!("{}{said}", unheld_text(at, lifted.as_ref(), current));
    let next = current
        .map(|id| at.follow(id.release))
        .unwrap_or_else(|| at.status());
    Ok(done(
        message,
        Some(next),
        current.map(|id| id.execution(&at.service, &at.environment)),
    ))
}

async fn lift(
    door: &Door,
    at: &Place,
    by: &str,
    now: Timestamp,
) -> Result<(Option<Hold>, Option<PromotionId>), OperateError> {
    let mut environment = door
        .backends
        .table
        .environment(&at.service, &at.environment)
        .await?;
    let current = environment.queue.current.as_ref().map(|current| current.id);
    let lifted = environment.hold.take();
    if let Some(hold) = &lifted {
        let why = format!("held by {} at {}: {}", hold.by, hold.at, hold.reason);
        record(door, &mut environment, Event::Unheld, by, Some(why), now).await?;
    }
    Ok((lifted, current))
}

fn unheld_text(at: &Place, lifted: Option<&Hold>, current: Option<PromotionId>) -> String {
    let place = format!("{} into {}", at.service, at.environment);
    let first = match lifted {
        Some(hold) => format!(
            "Automatic promotion of {place} goes on; it was held by {}: {}.",
            hold.by, hold.reason
        ),
        None => format!("Automatic promotion of {place} was not held."),
    };
    match current {
        Some(id) => format!("{first} {} is next.", id.release),
        None => format!("{first} Nothing waits."),
    }
}

async fn record(
    door: &Door,
    environment: &mut Environment,
    event: Event,
    by: &str,
    reason: Option<String>,
    now: Timestamp,
) -> Result<(), OperateError> {
    let record = Record {
        event,
        by: by.to_owned(),
        release: None,
        digest: None,
        execution: None,
        fence: None,
        reason,
    };
    let mut transaction = Transaction::new();
    transaction.record(environment, record, now);
    transaction.update(environment);
    Ok(transaction.commit(&door.backends.table).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{at, environment, id, place, under_way};
    use sluice_domain::environment::{Phase, RolloutKind};

    #[test]
    fn what_is_said() {
        let hold = Hold {
            by: "ana".into(),
            at: at(0),
            reason: "sale".into(),
            after_rollback: false,
        };
        let place = place("production");
        let rolling = under_way(
            environment("production"),
            RolloutKind::Promotion { id: id(42, 1) },
            42,
            Phase::Rolling,
        );
        let texts = [
            held_text(&place, &environment("production")),
            held_text(&place, &rolling),
            unheld_text(&place, Some(&hold), Some(id(43, 1))),
            unheld_text(&place, None, None),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn a_rollbacks_hold_is_replaced_and_the_same_hold_is_not() {
        let hold = Hold {
            by: "ana".into(),
            at: at(9),
            reason: "sale".into(),
            after_rollback: false,
        };
        assert!(!is_same(None, &hold));
        assert!(is_same(
            Some(&Hold {
                at: at(1),
                ..hold.clone()
            }),
            &hold
        ));
        assert!(!is_same(
            Some(&Hold {
                after_rollback: true,
                ..hold.clone()
            }),
            &hold
        ));
        assert!(!is_same(
            Some(&Hold {
                reason: "other".into(),
                ..hold.clone()
            }),
            &hold
        ));
    }
}
