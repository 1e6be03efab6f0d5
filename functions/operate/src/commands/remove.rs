//! `remove`: a service leaves Sluice's care. Its history and what runs stay.

use super::done;
use crate::door::Door;
use crate::error::{OperateError, deciding, not_authorised, refused};
use crate::place::{Place, known, who};
use crate::waking::wake_each;
use jiff::Timestamp;
use sluice_domain::api::Answer;
use sluice_domain::environment::Environment;
use sluice_domain::ids::ServiceName;
use sluice_domain::ledger::{Event, Record};
use sluice_domain::pipeline::{Action, authorise};
use sluice_domain::service::{Meta, Removed};
use sluice_table::{Overview, Transaction};
use sluice_transitions::load_pipeline;

/// Removes the service unless something is under way. One that is removed already stays as it is.
pub async fn run(
    door: &Door,
    caller_arn: &str,
    service: &ServiceName,
    now: Timestamp,
) -> Result<Answer, OperateError> {
    let known = known(door, caller_arn, service).await?;
    let allowed = authorise(&known.caller, Action::Remove, None, &known.pipeline);
    allowed.map_err(|why| not_authorised(&why, format!("sluice status {service}")))?;
    let by = who(&known.caller);
    let (environments, already) = deciding(|| record(door, service, &by, now)).await?;
    for environment in &environments {
        // who was ended may still sleep, and no sweep looks after it any more
        let ended = environment.to_wake.iter().copied();
        wake_each(door, &place_of(environment), ended).await;
    }
    Ok(done(
        text(service, already.as_deref(), &environments),
        Some(format!("sluice history {service}")),
        None,
    ))
}

async fn record(
    door: &Door,
    service: &ServiceName,
    by: &str,
    now: Timestamp,
) -> Result<(Vec<Environment>, Option<String>), OperateError> {
    let table = &door.backends.table;
    let overview = table.overview(service).await?;
    let Some(Overview { meta, environments }) = overview else {
        return Err(refused(
            format!("There is no service {service}."),
            "sluice status",
        ));
    };
    if let Some(removed) = meta.out_of_care() {
        return Ok((environments, Some(removed)));
    }
    for environment in &environments {
        idle(&place_of(environment), environment)?;
    }
    // What left the pipeline and did not change since has nothing to end: its row is left alone.
    let pipeline = load_pipeline(table, service, &meta.pipeline).await?;
    let after = Meta {
        removed: Some(Removed {
            by: by.to_owned(),
            at: now,
        }),
        ..meta.clone()
    };
    let mut transaction = Transaction::new();
    transaction.update_service(&after, &meta);
    for environment in &environments {
        if pipeline.environment(&environment.name).is_none() {
            transaction.check_unchanged(environment);
            continue;
        }
        let mut environment = environment.clone();
        transaction.record(&mut environment, record_of(by), now);
        transaction.update(&environment);
    }
    transaction.commit(table).await?;
    Ok((environments, None))
}

fn place_of(environment: &Environment) -> Place {
    Place {
        service: environment.service.clone(),
        environment: environment.name.clone(),
    }
}

/// Refused while something is under way or waits: it would go on, and nobody would look after it.
fn idle(at: &Place, environment: &Environment) -> Result<(), OperateError> {
    if let Some(lease) = &environment.lease {
        let message = format!(
            "{} changes {} of {} now; {} is removed when nothing is under way.",
            lease.owner, at.environment, at.service, at.service
        );
        let promotion = environment.under_way().and_then(|rollout| rollout.promotion());
        let next = promotion.map_or_else(
            || format!("{} --follow", at.status()),
            |id| at.command_of("abort", id.release),
        );
        return Err(refused(message, next));
    }
    match environment.queue.iter().next() {
        None => Ok(()),
        Some(waiting) => {
            let release = waiting.id.release;
            let message = format!(
                "{}{release} waits for {}; {} is removed when nothing waits.",
                at.service, at.environment, at.service
            );
            Err(refused(message, at.command_of("abort", release)))
        }
    }
}

fn record_of(by: &str) -> Record {
    Record {
        event: Event::ServiceRemoved,
        by: by.to_owned(),
        release: None,
        digest: None,
        execution: None,
        fence: None,
        reason: Some("what runs stays as it is, and is not looked after any more".to_owned()),
    }
}

fn text(service: &ServiceName, already: Option<&str>, environments: &[Environment]) -> String {
    if let Some(removed) = already {
        return format!("{removed} already. `sluice apply` takes it back.");
    }
    let live: Vec<String> = environments
        .iter()
        .filter_map(|environment| {
            let release = environment.live.as_ref()?.release?;
            Some(format!("{release} in {}", environment.name))
        })
        .collect();
    let runs = match live.as_slice() {
        [] => "Nothing of Sluice's runs anywhere".to_owned(),
        live => format!("What runs stays: {}", live.join(", ")),
    };
    format!(
        "{service} is out of Sluice's care. {runs}. A push is no release any more; history and ledger stay. `sluice apply` \
         takes it back."
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::samples::{at, environment, id, live, service, under_way};
    use sluice_domain::environment::{Phase, RolloutKind};
    use sluice_domain::queue::Queued;

    #[test]
    fn what_is_under_way_is_named_with_the_command_against_it() {
        let mut waiting = environment("production");
        waiting.queue.current = Some(Queued {
            id: id(42, 1),
            pushed_at: at(0),
            automatic: true,
        });
        let promotion = RolloutKind::Promotion { id: id(43, 1) };
        let rollback = RolloutKind::Rollback {
            leaving: None,
            by: "ana".into(),
            restore: false,
        };
        let told = [
            waiting,
            under_way(environment("dev"), promotion, 43, Phase::Stuck),
            under_way(environment("dev"), rollback, 41, Phase::Rolling),
        ]
        .map(|environment| match idle(&place_of(&environment), &environment) {
            Err(OperateError::Refusal(refusal)) => {
                format!("{}\n  next: {}", refusal.message, refusal.next.unwrap())
            }
            other => panic!("{other:?}"),
        });
        insta::assert_snapshot!(told.join("\n"), @r"
        mc-api#42 waits for production; mc-api is removed when nothing waits.
          next: sluice abort mc-api production 42
        mc-api-43-dev-1 changes dev of mc-api now; mc-api is removed when nothing is under way.
          next: sluice abort mc-api dev 43
        mc-api-dev-r7 changes dev of mc-api now; mc-api is removed when nothing is under way.
          next: sluice status mc-api --environment dev --follow
        ");
        assert!(idle(&place_of(&environment("dev")), &environment("dev")).is_ok());
    }

    #[test]
    fn what_is_said() {
        let mut running = environment("dev");
        running.live = Some(live(41));
        let told = [
            text(&service(), None, &[running.clone(), environment("production")]),
            text(&service(), None, &[]),
            text(&service(), Some("mc-api was removed by ana"), &[running]),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        mc-api is out of Sluice's care. What runs stays: #41 in dev. A push is no release any more; history and ledger stay. `sluice apply` takes it back.
        mc-api is out of Sluice's care. Nothing of Sluice's runs anywhere. A push is no release any more; history and ledger stay. `sluice apply` takes it back.
        mc-api was removed by ana already. `sluice apply` takes it back.
        ");
    }
}
