//! `quarantine` and `unquarantine`: whether a release may be promoted, or rolled back to.

use super::done;
use crate::door::Door;
use crate::error::{OperateError, deciding, not_authorised};
use crate::place::{Known, Place, in_care, known, release, who};
use crate::waking::wake_each;
use jiff::Timestamp;
use sluice_domain::api::Answer;
use sluice_domain::environment::Environment;
use sluice_domain::ids::{PromotionId, ReleaseNumber, ServiceName};
use sluice_domain::ledger::{Event, Record};
use sluice_domain::pipeline::{Action, authorise};
use sluice_domain::release::{Quarantine, Release};
use sluice_table::Transaction;

/// Forbids a release. One that is forbidden already keeps the reason that it has.
pub async fn quarantine(
    door: &Door,
    caller_arn: &str,
    service: &ServiceName,
    number: ReleaseNumber,
    reason: &str,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let known = permitted(door, caller_arn, service, Action::Quarantine).await?;
    let by = who(&known.caller);
    let (before, environments) = deciding(|| async {
        let mut release = release(door, service, number).await?;
        let mut environments = environments(door, &known).await?;
        let before = release.quarantine.clone();
        if before.is_none() {
            release.quarantine = Some(Quarantine {
                by: by.clone(),
                at: now,
                reason: reason.to_owned(),
            });
            let record = record_of(Event::Quarantined, &by, &release, Some(reason.to_owned()));
            save(door, &release, &mut environments, &record, now).await?;
        }
        Ok((before, environments))
    })
    .await?;
    let woken = wake_where(door, &environments, |id| id.release == number).await;
    let already = before
        .map(|before| format!(" already, by {}: {}", before.by, before.reason))
        .unwrap_or_default();
    let (what_runs, next) = running(service, number, &environments);
    let message = format!(
        "{service}{number} is quarantined{already}. It is neither promoted nor rolled back to.{what_runs}{woken}"
    );
    Ok(done(message, Some(next), None))
}

/// Allows a release again.
pub async fn unquarantine(
    door: &Door,
    caller_arn: &str,
    service: &ServiceName,
    number: ReleaseNumber,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let known = permitted(door, caller_arn, service, Action::Unquarantine).await?;
    let by = who(&known.caller);
    let before = deciding(|| async {
        let mut release = release(door, service, number).await?;
        let before = release.quarantine.take();
        if let Some(before) = &before {
            let mut environments = environments(door, &known).await?;
            let why = format!("quarantined by {} at {}: {}", before.by, before.at, before.reason);
            let record = record_of(Event::Unquarantined, &by, &release, Some(why));
            save(door, &release, &mut environments, &record, now).await?;
        }
        Ok(before)
    })
    .await?;
    let message = match before {
        Some(before) => format!(
            "{service}{number} is allowed again; it was quarantined by {}: {}.",
            before.by, before.reason
        ),
        None => format!("{service}{number} is not quarantined."),
    };
    Ok(done(message, Some(format!("sluice history {service}")), None))
}

/// A quarantine closes, and its end opens, every environment: the caller must be an operator of all of them.
async fn permitted(
    door: &Door,
    caller_arn: &str,
    service: &ServiceName,
    action: Action,
) -> Result<Known, OperateError> {
    let known = known(door, caller_arn, service).await?;
    in_care(&known.meta)?;
    let allowed = authorise(&known.caller, action, None, &known.pipeline);
    allowed.map_err(|why| not_authorised(&why, format!("sluice status {service}")))?;
    Ok(known)
}

/// The environments of the current pipeline: at most 20, so that one transaction carries them all.
async fn environments(door: &Door, known: &Known) -> Result<Vec<Environment>, OperateError> {
    let mut environments = Vec::new();
    for spec in &known.pipeline.environments {
        environments.push(
            door.backends
                .table
                .environment(&known.meta.service, &spec.name)
                .await?,
        );
    }
    Ok(environments)
}

fn record_of(event: Event, by: &str, release: &Release, reason: Option<String>) -> Record {
    let (number, digest) = (Some(release.number), Some(release.digest.clone()));
    Record {
        event,
        by: by.to_owned(),
        release: number,
        digest,
        execution: None,
        fence: None,
        reason,
    }
}

async fn save(
    door: &Door,
    release: &Release,
    environments: &mut [Environment],
    record: &Record,
    now: Timestamp,
) -> Result<(), OperateError> {
    let mut transaction = Transaction::new();
    transaction.update(release);
    for environment in environments {
        transaction.record(environment, record.clone(), now);
        transaction.update(environment);
    }
    Ok(transaction.commit(&door.backends.table).await?)
}

/// Wakes the promotions that wait and are meant, so that they look at their gates again.
async fn wake_where(
    door: &Door,
    environments: &[Environment],
    meant: impl Fn(PromotionId) -> bool,
) -> &'static str {
    let mut said = "";
    for environment in environments {
        let at = Place {
            service: environment.service.clone(),
            environment: environment.name.clone(),
        };
        let ids = environment
            .queue
            .iter()
            .map(|queued| queued.id)
            .filter(|id| meant(*id));
        let one = wake_each(door, &at, ids).await;
        said = if one.is_empty() { said } else { one };
    }
    said
}

/// Where the release runs or is about to, and the command against the last of these places, which is the one that
/// matters most.
fn running(service: &ServiceName, number: ReleaseNumber, environments: &[Environment]) -> (String, String) {
    let is_rolling = |environment: &&Environment| {
        environment
            .under_way()
            .is_some_and(|rollout| rollout.release == Some(number) && rollout.promotion().is_some())
    };
    let is_live = |environment: &&Environment| {
        environment
            .live
            .as_ref()
            .is_some_and(|live| live.release == Some(number))
    };
    let names = |environments: &[&Environment]| {
        environments
            .iter()
            .map(|environment| environment.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let rolling: Vec<_> = environments.iter().filter(is_rolling).collect();
    let live: Vec<_> = environments.iter().filter(is_live).collect();
    let mut text = String::new();
    if !rolling.is_empty() {
        text.push_str(&format!(
            " It is being rolled out in {}: a rollout that has started goes on.",
            names(&rolling)
        ));
    }
    if !live.is_empty() {
        text.push_str(&format!(
            " It is live in {}, and stays there until somebody rolls back.",
            names(&live)
        ));
    }
    let next = match (rolling.last(), live.last()) {
        (Some(rolling), _) => format!("sluice abort {service} {} {}", rolling.name, number.0),
        (None, Some(live)) => format!("sluice rollback {service} {}", live.name),
        (None, None) => format!("sluice unquarantine {service} {}", number.0),
    };
    (text, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{environment, id, live, service, under_way};
    use sluice_domain::environment::{Phase, RolloutKind};

    #[test]
    fn where_it_runs_is_said_with_the_command_against_it() {
        let nowhere = vec![environment("dev")];
        let mut staging = environment("staging");
        staging.live = Some(live(42));
        let mut production = environment("production");
        production.live = Some(live(42));
        let lives = vec![environment("dev"), staging.clone(), production];
        let kind = RolloutKind::Promotion { id: id(42, 1) };
        let rolls = vec![
            staging,
            under_way(environment("production"), kind, 42, Phase::Rolling),
        ];
        let texts = [nowhere, lives, rolls].map(|environments| {
            let (text, next) = running(&service(), ReleaseNumber(42), &environments);
            format!("{text}\n  next: {next}")
        });
        insta::assert_snapshot!(texts.join("\n"));
    }
}
