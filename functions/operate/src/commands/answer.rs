//! `answer`: what a webhook's check says later, by a person or a program.

use super::done;
use crate::door::Door;
use crate::error::{OperateError, deciding, not_authorised, refused};
use crate::place::{Place, in_care, permit, service_at, who};
use crate::waking::wake_each;
use jiff::Timestamp;
use sluice_domain::api::Answer;
use sluice_domain::check::{Later, answer_later};
use sluice_domain::environment::{Environment, Rollout};
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::ledger::Record;
use sluice_domain::pipeline::{
    Action, Caller, CheckAction, CheckSpec, EnvironmentSpec, Pipeline, may_answer,
};
use sluice_domain::workload::Verdict;
use sluice_table::Transaction;
use sluice_transitions::{load_pipeline, spec_of};

/// What is said.
pub struct Word {
    /// Where.
    pub at: Place,
    /// The check's name.
    pub check: String,
    /// Whether it passed.
    pub passed: bool,
    /// Why.
    pub reason: Option<String>,
    /// The release that was looked at.
    pub release: Option<ReleaseNumber>,
}

/// Records the answer and wakes the promotion that waits for it. The same answer again is fine: it wakes again.
pub async fn run(door: &Door, caller_arn: &str, word: &Word, now: Timestamp) -> Result<Answer, OperateError> {
    in_care(&service_at(door, &word.at).await?)?;
    let rollout = deciding(|| record(door, caller_arn, word, now)).await?;
    let Word { at, check, .. } = word;
    let said = wake_each(door, at, rollout.promotion()).await;
    let how = if word.passed { "passed" } else { "failed" };
    let of = rollout
        .release
        .map(|release| format!(" of {}{release}", at.service))
        .unwrap_or_default();
    let message = format!(
        "Check {check}{of} in {} {how}: the answer is recorded.{said}",
        at.environment
    );
    let next = rollout
        .release
        .map_or_else(|| at.status(), |release| at.follow(release));
    Ok(done(message, Some(next), Some(rollout.owner)))
}

async fn record(door: &Door, caller_arn: &str, word: &Word, now: Timestamp) -> Result<Rollout, OperateError> {
    let at = &word.at;
    let table = &door.backends.table;
    let mut environment = table.environment(&at.service, &at.environment).await?;
    let rollout = meant(at, &environment, word.release)?.clone();
    // The version that the rollout works by says what the check is, and whom it names.
    let pipeline = load_pipeline(table, &at.service, &rollout.pipeline).await?;
    let spec = spec_of(&pipeline, &at.environment)?;
    let by = permitted(door, caller_arn, word, &pipeline, spec, &rollout).await?;
    let verdict = verdict(word);
    let later = answer_later(&mut environment, spec, &word.check, &verdict, &by, now);
    match later.map_err(|why| refused(format!("{}.", capital(&why)), next(at, &rollout)))? {
        Later::Before => {}
        Later::Recorded(record) => {
            let mut transaction = Transaction::new();
            transaction.record(&mut environment, explained(record, word), now);
            transaction.update(&environment);
            transaction.commit(table).await?;
        }
    }
    Ok(rollout)
}

/// The rollout that is being done, or was done last: an answer that is given again may come after its end.
pub fn meant<'e>(
    at: &Place,
    environment: &'e Environment,
    release: Option<ReleaseNumber>,
) -> Result<&'e Rollout, OperateError> {
    let Some(rollout) = environment.rollout.as_ref() else {
        let message = format!("Nothing was ever done to {} of {}.", at.environment, at.service);
        return Err(refused(message, at.status()));
    };
    match release.filter(|release| rollout.release != Some(*release)) {
        None => Ok(rollout),
        Some(other) => {
            let there = rollout
                .release
                .map_or_else(|| rollout.owner.to_string(), |release| release.to_string());
            let message = format!(
                "{}{other} is not what is done to {}: that is {there}.",
                at.service, at.environment
            );
            Err(refused(message, at.status()))
        }
    }
}

/// Whom the check names, by the rollout's own version; else an operator, by the current one.
async fn permitted(
    door: &Door,
    caller_arn: &str,
    word: &Word,
    pipeline: &Pipeline,
    spec: &EnvironmentSpec,
    rollout: &Rollout,
) -> Result<String, OperateError> {
    match named(spec, rollout, &word.check) {
        None => permit(door, caller_arn, &word.at, Action::Answer).await,
        Some(check) => {
            let caller = Caller::of(pipeline, caller_arn, &door.account);
            may_answer(&caller, check, spec, pipeline)
                .map_err(|why| not_authorised(&why, word.at.status()))?;
            Ok(who(&caller))
        }
    }
}

/// The check of this name that was run last, where it names who answers it.
fn named<'s>(spec: &'s EnvironmentSpec, rollout: &Rollout, name: &str) -> Option<&'s CheckSpec> {
    let run = rollout.checks.iter().rev().find(|run| run.name == name)?;
    let mut checks = run.stage.of(spec).iter();
    checks.find(|check| {
        let names = matches!(&check.run, CheckAction::Webhook { answered_by, .. } if !answered_by.is_empty());
        check.name == name && names
    })
}

fn verdict(word: &Word) -> Verdict {
    match (word.passed, &word.reason) {
        (true, _) => Verdict::Passed,
        (false, Some(reason)) => Verdict::Failed(reason.clone()),
        (false, None) => Verdict::Failed("it was answered so, without a reason".to_owned()),
    }
}

/// Why it passed is nowhere but in the ledger.
fn explained(record: Record, word: &Word) -> Record {
    match (&word.reason, word.passed, &record.reason) {
        (Some(why), true, Some(what)) => Record {
            reason: Some(format!("{what}: {why}")),
            ..record
        },
        _ => record,
    }
}

fn next(at: &Place, rollout: &Rollout) -> String {
    match rollout.held_until {
        Some(_) => at.command("retry"),
        None => at.status(),
    }
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    let first: String = rest
        .next()
        .map(|first| first.to_uppercase().collect())
        .unwrap_or_default();
    format!("{first}{}", rest.as_str())
}
