//! `retry`: a check that gave no answer, and holds its rollout, is run again; alarms that gave none are read again.

use super::answer::meant;
use super::done;
use crate::door::Door;
use crate::error::{OperateError, deciding, refused};
use crate::place::{Place, permit};
use crate::waking::wake_each;
use jiff::Timestamp;
use sluice_domain::api::Answer;
use sluice_domain::check::ask_again;
use sluice_domain::environment::{Phase, Rollout};
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::pipeline::Action;
use sluice_table::Transaction;

/// Records the wish and wakes the promotion; what is watched has none, and the sweep looks at it. The same wish again is fine: it wakes again.
pub async fn run(
    door: &Door,
    caller_arn: &str,
    at: &Place,
    release: Option<ReleaseNumber>,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let by = permit(door, caller_arn, at, Action::Retry).await?;
    let (rollout, is_watched) = deciding(|| record(door, at, release, &by, reason.as_deref(), now)).await?;
    if is_watched {
        let message = format!(
            "The alarms of {} are read again within a minute or two.",
            at.environment
        );
        return Ok(done(message, Some(at.status()), None));
    }
    let said = wake_each(door, at, rollout.promotion()).await;
    let message = format!("{}{said}", text(at, &rollout));
    let next = rollout
        .release
        .map_or_else(|| at.status(), |release| at.follow(release));
    Ok(done(message, Some(next), Some(rollout.owner)))
}

fn text(at: &Place, rollout: &Rollout) -> String {
    if rollout.phase == Phase::Baking {
        return format!("The alarms of {} are read again.", at.environment);
    }
    let check = rollout.checks.last();
    let check = check.map(|run| format!("{} {}", run.stage, run.name));
    format!(
        "{} is run again in {}.",
        check.unwrap_or_default(),
        at.environment
    )
}

async fn record(
    door: &Door,
    at: &Place,
    release: Option<ReleaseNumber>,
    by: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(Rollout, bool), OperateError> {
    let table = &door.backends.table;
    let mut environment = table.environment(&at.service, &at.environment).await?;
    let rollout = meant(at, &environment, release)?.clone();
    let is_watched = environment.under_way().is_none();
    if !is_watched && rollout.asked_again {
        return Ok((rollout, false));
    }
    let mut record = ask_again(&mut environment, by).map_err(|why| {
        let message = format!("There is nothing to run again: {why}.");
        refused(message, at.status())
    })?;
    if let (Some(why), Some(what)) = (reason, &record.reason) {
        record.reason = Some(format!("{what}: {why}"));
    }
    let mut transaction = Transaction::new();
    transaction.record(&mut environment, record, now);
    transaction.update(&environment);
    transaction.commit(table).await?;
    Ok((rollout, is_watched))
}
