//! `promote --full` and `promote --despite`: a person goes forward where the pipeline would wait.

use super::done;
use super::steering::{name, next, steered};
use crate::door::Door;
use crate::error::{OperateError, deciding, invalid, refused};
use crate::place::Place;
use crate::waking::wake_each;
use jiff::Timestamp;
use sluice_domain::api::Answer;
use sluice_domain::ids::{ExecutionName, PromotionId, ReleaseNumber};
use sluice_domain::pipeline::EnvironmentSpec;
use sluice_domain::rollout;
use sluice_domain::want::Word;
use sluice_table::Transaction;

/// All traffic now for the release that is being rolled out. The same wish again is fine: it wakes again.
pub async fn full(
    door: &Door,
    at: &Place,
    release: ReleaseNumber,
    by: &str,
    word: Word,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let reason = word.reason.unwrap_or_default();
    let (rollout, _) = deciding(|| {
        steered(door, at, now, |environment, spec| {
            rollout::hurry(environment, spec, release, by, &reason, now)
        })
    })
    .await?;
    let said = wake_each(door, at, rollout.promotion()).await;
    let message = format!(
        "{} gets all of the traffic in {} as soon as it is ready for it; the rest of its steps is left out.{said}",
        name(at, &rollout),
        at.environment
    );
    Ok(done(message, Some(next(at, &rollout)), Some(rollout.owner)))
}

/// Refuses alarms that are none of the environment's: a wrong name would stop nothing, and let nothing pass.
pub fn known_alarms(at: &Place, spec: &EnvironmentSpec, despite: &[String]) -> Result<(), OperateError> {
    let unknown: Vec<&str> = despite
        .iter()
        .filter(|alarm| !spec.alarms.contains(alarm))
        .map(String::as_str)
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let there = match spec.alarms.as_slice() {
        [] => "it has none".to_owned(),
        alarms => format!("it has {}", alarms.join(", ")),
    };
    let message = format!(
        "Field `despite` names {}, which is no alarm of {} in the version that the release keeps: {there}.",
        unknown.join(", "),
        at.environment
    );
    Err(invalid(message, at.status()))
}

/// A release that is on its way already goes forward in spite of alarms: one that waits, or one that is rolled out.
pub async fn despite(
    door: &Door,
    at: &Place,
    release: ReleaseNumber,
    by: &str,
    word: Word,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let id = deciding(|| set_aside(door, at, release, by, &word, now)).await?;
    let said = wake_each(door, at, [id]).await;
    let message = format!(
        "{}{release} goes forward in {} in spite of {}, as long as it stays as it was.{said}",
        at.service,
        at.environment,
        word.despite.join(", ")
    );
    let execution: ExecutionName = id.execution(&at.service, &at.environment);
    Ok(done(message, Some(at.follow(release)), Some(execution)))
}

async fn set_aside(
    door: &Door,
    at: &Place,
    release: ReleaseNumber,
    by: &str,
    word: &Word,
    now: Timestamp,
) -> Result<PromotionId, OperateError> {
    let table = &door.backends.table;
    let mut environment = table.environment(&at.service, &at.environment).await?;
    let why = word.reason.as_deref().unwrap_or_default();
    let Some(id) = environment.on_its_way(release) else {
        let message = format!(
            "{}{release} is on its way into {} no more.",
            at.service, at.environment
        );
        return Err(refused(message, at.status()));
    };
    let mut transaction = Transaction::new();
    let is_under_way = environment.under_way().and_then(|rollout| rollout.promotion()) == Some(id);
    let record = if is_under_way {
        rollout::despite(&mut environment, release, &word.despite, by, why).map_err(crate::error::declined)?
    } else {
        let waiting = table.promotion(&at.service, &at.environment, id).await?;
        let Some(mut promotion) = waiting.filter(|promotion| !promotion.state.is_final()) else {
            let message = format!("{}{release} is over in {} already.", at.service, at.environment);
            return Err(refused(message, at.status()));
        };
        let record = promotion.set_aside(&word.despite, by, why);
        transaction.update(&promotion);
        record
    };
    if let Some(record) = record {
        transaction.record(&mut environment, record, now);
        transaction.update(&environment);
        transaction.commit(table).await?;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;
    use crate::samples::{canary, place};

    #[test]
    fn an_alarm_that_is_not_the_environments_is_named() {
        let mut spec = canary();
        let place = place("production");
        let wrong = ["mc-api-p95".to_owned(), "mc-api-5xx".to_owned()];
        assert!(known_alarms(&place, &spec, &wrong[1..]).is_ok());
        let mut told = Vec::new();
        for _ in 0..2 {
            let Err(OperateError::Refusal(refusal)) = known_alarms(&place, &spec, &wrong[..1]) else {
                panic!("a refusal")
            };
            told.push(refusal.message);
            spec.alarms.clear();
        }
        insta::assert_snapshot!(told.join("\n"), @r"
        Field `despite` names mc-api-p95, which is no alarm of production in the version that the release keeps: it has mc-api-5xx, mc-api-p99.
        Field `despite` names mc-api-p95, which is no alarm of production in the version that the release keeps: it has none.
        ");
    }
}
