//! `pause` and `resume`: a rollout stays at its weight, and goes on.

use super::done;
use crate::door::Door;
use crate::error::{OperateError, deciding, declined};
use crate::place::{Place, permit};
use crate::waking::wake_each;
use jiff::Timestamp;
use sluice_domain::api::Answer;
use sluice_domain::environment::{Environment, Rollout};
use sluice_domain::ledger::Record;
use sluice_domain::pipeline::{Action, EnvironmentSpec};
use sluice_domain::rollout::{self, Said};
use sluice_table::Transaction;
use sluice_transitions::{load_pipeline, spec_of};

/// Keeps the rollout that is under way at its weight. The same wish again is fine.
pub async fn pause(
    door: &Door,
    caller_arn: &str,
    at: &Place,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let by = permit(door, caller_arn, at, Action::Pause).await?;
    let (rollout, _) = deciding(|| {
        steered(door, at, now, |environment, spec| {
            rollout::pause(environment, spec, &by, reason.as_deref(), now)
        })
    })
    .await?;
    let said = wake_each(door, at, rollout.promotion()).await;
    let message = format!("{}{said}", paused_text(at, &rollout));
    Ok(done(message, Some(at.command("resume")), Some(rollout.owner)))
}

/// Lets it go on. Where it is not paused, that is fine; it is woken all the same, in case an earlier call was killed before
/// it could.
pub async fn resume(
    door: &Door,
    caller_arn: &str,
    at: &Place,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let by = permit(door, caller_arn, at, Action::Resume).await?;
    let (rollout, record) = deciding(|| {
        steered(door, at, now, |environment, _| {
            rollout::resume(environment, &by, reason.as_deref(), now)
        })
    })
    .await?;
    let said = wake_each(door, at, rollout.promotion()).await;
    let how = if record.is_some() {
        "goes on"
    } else {
        "is not paused"
    };
    let message = format!("{} {how} in {}.{said}", name(at, &rollout), at.environment);
    Ok(done(message, Some(next(at, &rollout)), Some(rollout.owner)))
}

/// Records what a person says to the rollout that is under way, with the pipeline version that it works by. Answers the
/// rollout as it is then, and what was recorded, if it was not so already.
pub async fn steered(
    door: &Door,
    at: &Place,
    now: Timestamp,
    say: impl Fn(&mut Environment, &EnvironmentSpec) -> Said,
) -> Result<(Rollout, Option<Record>), OperateError> {
    let table = &door.backends.table;
    let mut environment = table.environment(&at.service, &at.environment).await?;
    // What is not under way has no version; the command is declined before it looks at one.
    let version = environment.under_way().or(environment.rollout.as_ref());
    let version = match version.map(|rollout| rollout.pipeline.clone()) {
        Some(version) => version,
        None => crate::place::service(door, &at.service).await?.pipeline,
    };
    let pipeline = load_pipeline(table, &at.service, &version).await?;
    let spec = spec_of(&pipeline, &at.environment)?;
    let record = say(&mut environment, spec).map_err(declined)?;
    if let Some(record) = record.clone() {
        let mut transaction = Transaction::new();
        transaction.record(&mut environment, record, now);
        transaction.update(&environment);
        transaction.commit(table).await?;
    }
    let rollout = environment.rollout.ok_or_else(|| {
        sluice_lambda::Failure::internal("a command was recorded for an environment without a rollout")
    })?;
    Ok((rollout, record))
}

/// The release, by its whole name.
pub fn name(at: &Place, rollout: &Rollout) -> String {
    rollout.release.map_or_else(
        || rollout.owner.to_string(),
        |release| format!("{}{release}", at.service),
    )
}

/// The command that shows how it goes on.
pub fn next(at: &Place, rollout: &Rollout) -> String {
    rollout
        .release
        .map_or_else(|| at.status(), |release| at.follow(release))
}

fn paused_text(at: &Place, rollout: &Rollout) -> String {
    let weight = rollout.traffic.as_deref().and_then(|traffic| {
        let weights = traffic.weights?;
        Some((weights.of(traffic.to?), traffic.shifted_at.is_some()))
    });
    let (name, place) = (name(at, rollout), &at.environment);
    let stays = match weight {
        Some((weight, true)) => format!("It keeps {weight} % of the traffic"),
        Some((weight, false)) => format!("It stays at the {weight} % of the traffic that it is given now"),
        None => "It stays at its first step, which it is made ready for now".to_owned(),
    };
    format!(
        "{name} is paused in {place}. {stays}, until `sluice resume`; alarms, `abort` and `rollback` still stop it."
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::{on_tracks, place};
    use sluice_domain::environment::Phase;

    #[test]
    fn where_it_stays_is_said() {
        let place = place("production");
        let mut told = Vec::new();
        let baking = on_tracks(Phase::Baking, 1);
        let mut shifting = on_tracks(Phase::Shifting, 1);
        shifting
            .rollout
            .as_mut()
            .unwrap()
            .traffic
            .as_mut()
            .unwrap()
            .shifted_at = None;
        let mut rolling = on_tracks(Phase::Rolling, 0);
        rolling
            .rollout
            .as_mut()
            .unwrap()
            .traffic
            .as_mut()
            .unwrap()
            .weights = None;
        for environment in [baking, shifting, rolling] {
            told.push(paused_text(&place, environment.rollout.as_ref().unwrap()));
        }
        insta::assert_snapshot!(told.join("\n"), @r"
        mc-api#42 is paused in production. It keeps 25 % of the traffic, until `sluice resume`; alarms, `abort` and `rollback` still stop it.
        mc-api#42 is paused in production. It stays at the 25 % of the traffic that it is given now, until `sluice resume`; alarms, `abort` and `rollback` still stop it.
        mc-api#42 is paused in production. It stays at its first step, which it is made ready for now, until `sluice resume`; alarms, `abort` and `rollback` still stop it.
        ");
    }
}
