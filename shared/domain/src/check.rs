//! Checks of an environment: what must pass before the cluster is written, and after every pod is on the release.

use crate::environment::{Environment, Phase, Rollout};
use crate::ids::{Fence, Hash};
use crate::ledger::{Event, Record};
use crate::pipeline::{CheckAction, CheckSpec, EnvironmentSpec, Strategy};
use crate::rollout::after;
use crate::watch;
use crate::workload::Verdict;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long after its time is over a check's own function has to say so, before the rollout says it for it.
const GRACE: SignedDuration = SignedDuration::from_secs(90);
/// How often a check is run for one rollout. A person who asks again and again is told to start anew.
pub const MOST_ATTEMPTS: u32 = 20;

/// When a check runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Before the cluster is written. One that fails starts nothing.
    Before,
    /// On the idle track, before it gets any traffic. One that fails restores.
    Preview,
    /// After every pod is on the release. One that fails restores.
    Verify,
}

/// One run of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    /// When it runs.
    pub stage: Stage,
    /// The check's name in its list.
    pub name: String,
    /// 1 for the first run, one more for each that a person asked for after that.
    pub attempt: u32,
    /// The fence under which its Job is made.
    pub fence: Fence,
    /// When it was started.
    pub started_at: Timestamp,
    /// Until when its answer counts.
    pub deadline: Timestamp,
    /// Its answer; none while it runs. Without an answer in time it is inconclusive.
    #[serde(default)]
    pub answer: Option<Verdict>,
    /// When it answered, or its time was over.
    #[serde(default)]
    pub answered_at: Option<Timestamp>,
    /// Whether a webhook took it and will answer later.
    #[serde(default)]
    pub later: bool,
    /// What it printed, stored; at most the last 64 KiB.
    #[serde(default)]
    pub log: Option<Hash>,
}

/// Where a rollout's checks of one stage stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing<'a> {
    /// All have passed, or there are none.
    Passed,
    /// This one is next; how often it ran before.
    Next(&'a CheckSpec, u32),
    /// This one runs.
    Runs(&'a CheckRun),
    /// This one failed, and why.
    Failed(String),
    /// This one gave no answer, and why; a person may have it run again.
    Inconclusive(String),
}

impl Stage {
    /// The checks of this stage.
    pub fn of(self, spec: &EnvironmentSpec) -> &[CheckSpec] {
        match self {
            Self::Before => &spec.before,
            Self::Preview => match &spec.strategy {
                Strategy::BlueGreen(blue_green) => &blue_green.preview,
                Strategy::Rolling | Strategy::Canary(_) => &[],
            },
            Self::Verify => &spec.verify,
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::Preview => "preview",
            Self::Verify => "verify",
        })
    }
}

/// Where the checks of a stage stand.
pub fn standing<'a>(rollout: &'a Rollout, spec: &'a EnvironmentSpec, stage: Stage) -> Standing<'a> {
    for check in stage.of(spec) {
        let last = last_run(rollout, stage, &check.name);
        let Some(run) = last else {
            return Standing::Next(check, 0);
        };
        let said = |reason: &str| format!("{stage} {}: {reason}", check.name);
        match &run.answer {
            Some(Verdict::Passed) => {}
            Some(Verdict::Failed(reason)) => return Standing::Failed(said(reason)),
            Some(Verdict::Inconclusive(_)) if rollout.asked_again => {
                return Standing::Next(check, run.attempt);
            }
            Some(Verdict::Inconclusive(reason)) => return Standing::Inconclusive(said(reason)),
            None => return Standing::Runs(run),
        }
    }
    Standing::Passed
}

/// The latest run of a check.
pub fn last_run<'a>(rollout: &'a Rollout, stage: Stage, name: &str) -> Option<&'a CheckRun> {
    rollout
        .checks
        .iter()
        .rev()
        .find(|run| run.stage == stage && run.name == name)
}

/// Why a rollout sleeps until somebody answers; none where there is something to do now.
pub fn waits(rollout: &Rollout, now: Timestamp) -> Option<String> {
    let run = rollout.checks.last()?;
    match (&run.answer, rollout.held_until) {
        (None, _) if run.later && now < run.deadline => {
            Some(format!("{} {}: its answer is awaited", run.stage, run.name))
        }
        (Some(Verdict::Inconclusive(reason)), Some(until)) if !rollout.asked_again && now < until => Some(
            format!("held until {until}: {} {}: {reason}", run.stage, run.name),
        ),
        _ => None,
    }
}

/// The check that runs now.
pub fn running(rollout: &Rollout) -> Option<&CheckRun> {
    rollout.checks.last().filter(|run| run.answer.is_none())
}

/// Records that a check is run, and gives the rollout the time for it.
pub fn start(
    environment: &mut Environment,
    step: u32,
    stage: Stage,
    check: &CheckSpec,
    attempt: u32,
    now: Timestamp,
) -> Option<Record> {
    let fence = environment.fence.next(environment.fence);
    let rollout = environment.rollout.as_mut()?;
    let deadline = after(now, check.timeout);
    rollout.step = Some(step);
    rollout.asked_again = false;
    rollout.held_until = None;
    rollout.reason = None;
    rollout.checks.push(CheckRun {
        stage,
        name: check.name.clone(),
        attempt,
        fence,
        started_at: now,
        deadline,
        answer: None,
        answered_at: None,
        later: false,
        log: None,
    });
    rollout.deadline = rollout
        .deadline
        .max(deadline.saturating_add(GRACE).unwrap_or(deadline));
    let reason = if attempt == 1 {
        format!("{stage} {}", check.name)
    } else {
        format!("{stage} {}, run {attempt}", check.name)
    };
    let record = Record {
        fence: Some(fence),
        ..record(rollout, Event::CheckStarted, reason)
    };
    environment.fence = fence;
    Some(record)
}

/// Records a check's answer. None where that run has one, or is not the one that runs: the first answer counts.
pub fn answer(
    environment: &mut Environment,
    of: &CheckRun,
    verdict: Verdict,
    log: Option<Hash>,
    now: Timestamp,
) -> Option<Record> {
    let rollout = environment.rollout.as_mut()?;
    let run = rollout.checks.last_mut()?;
    let same = (run.stage, &run.name, run.attempt) == (of.stage, &of.name, of.attempt);
    if !same || run.answer.is_some() {
        return None;
    }
    let (event, why) = match &verdict {
        Verdict::Passed => (Event::CheckPassed, None),
        Verdict::Failed(reason) => (Event::CheckFailed, Some(reason.clone())),
        Verdict::Inconclusive(reason) => (Event::CheckInconclusive, Some(reason.clone())),
    };
    run.answer = Some(verdict);
    run.answered_at = Some(now);
    run.log = log;
    let named = format!("{} {}", run.stage, run.name);
    let reason = why.map_or_else(|| named.clone(), |why| format!("{named}: {why}"));
    Some(record(rollout, event, reason))
}

/// What a later answer of a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Later {
    /// It is the check's answer now, for the ledger.
    Recorded(Record),
    /// It was the check's answer before.
    Before,
}

/// Records the answer of a webhook's check that comes by another way: the first answer counts, and the same one again is
/// fine. The error is why it does not count.
pub fn answer_later(
    environment: &mut Environment,
    spec: &EnvironmentSpec,
    name: &str,
    verdict: &Verdict,
    by: &str,
    now: Timestamp,
) -> Result<Later, String> {
    let place = environment.name.clone();
    let none = || format!("check {name} was not run for what is done to {place}");
    let rollout = environment.rollout.as_ref().ok_or_else(none)?;
    let run = rollout.checks.iter().rev().find(|run| run.name == name);
    let run = run.ok_or_else(none)?.clone();
    let what = format!("{} {name}", run.stage);
    match &run.answer {
        Some(said) if is_same(said, verdict) => return Ok(Later::Before),
        Some(Verdict::Inconclusive(why)) => {
            return Err(format!("{what} gave no answer while it counted: {why}"));
        }
        Some(said) => return Err(format!("{what} was answered before: {}", told(said))),
        None => {}
    }
    if environment.under_way().is_none() {
        return Err(format!("what {what} was run for is over"));
    }
    let check = run.stage.of(spec).iter().find(|check| check.name == name);
    if !check.is_some_and(|check| matches!(check.run, CheckAction::Webhook { .. })) {
        return Err(format!("{what} is no webhook: it answers by itself"));
    }
    if now >= run.deadline {
        return Err(format!("the time of {what} was over at {}", run.deadline));
    }
    let record = answer(environment, &run, verdict.clone(), None, now).ok_or_else(none)?;
    Ok(Later::Recorded(Record {
        by: by.to_owned(),
        ..record
    }))
}

/// Passed is passed, and failed is failed, whatever the reason.
fn is_same(one: &Verdict, other: &Verdict) -> bool {
    matches!(
        (one, other),
        (Verdict::Passed, Verdict::Passed) | (Verdict::Failed(_), Verdict::Failed(_))
    )
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => "it passed".to_owned(),
        Verdict::Failed(why) => format!("it failed: {why}"),
        Verdict::Inconclusive(why) => format!("it gave no answer: {why}"),
    }
}

/// Notes that a webhook took a run and answers later; false where that run has an answer, or is not the one that runs.
pub fn answers_later(environment: &mut Environment, of: &CheckRun) -> bool {
    let run = environment
        .rollout
        .as_mut()
        .and_then(|rollout| rollout.checks.last_mut());
    match run {
        Some(run)
            if (run.stage, &run.name, run.attempt) == (of.stage, &of.name, of.attempt)
                && run.answer.is_none() =>
        {
            run.later = true;
            true
        }
        _ => false,
    }
}

/// Records that a rollout is held until a person decides, or until `hold_for` is over.
pub fn hold(
    environment: &mut Environment,
    step: u32,
    spec: &EnvironmentSpec,
    reason: &str,
    now: Timestamp,
) -> Option<Record> {
    let rollout = environment.rollout.as_mut()?;
    let until = after(now, spec.hold_for);
    rollout.step = Some(step);
    rollout.held_until = Some(until);
    rollout.asked_again = false;
    rollout.deadline = rollout.deadline.max(until.saturating_add(GRACE).unwrap_or(until));
    rollout.reason = Some(reason.to_owned());
    Some(record(rollout, Event::RolloutHeld, reason.to_owned()))
}

/// Why a person's wish to run the last check again, or to have the alarms read again that gave no answer, is refused; none where it is granted, and recorded.
pub fn ask_again(environment: &mut Environment, by: &str) -> Result<Record, String> {
    let Some(rollout) = environment.under_way().cloned() else {
        let again = watch::ask_again(environment, by);
        return again.ok_or_else(|| format!("nothing is being done to {}", environment.name));
    };
    if rollout.phase == Phase::Baking {
        return alarms_again(environment, &rollout, by);
    }
    let last = rollout.checks.last();
    let Some(run) = last.filter(|run| matches!(run.answer, Some(Verdict::Inconclusive(_)))) else {
        return Err(match last.filter(|run| run.answer.is_none()) {
            Some(run) => format!("{} {} still runs", run.stage, run.name),
            None => format!("no check of {} is without an answer", rollout.owner),
        });
    };
    if rollout.held_until.is_none() {
        return Err(format!("{} is not held", rollout.owner));
    }
    if run.attempt >= MOST_ATTEMPTS {
        return Err(format!(
            "{} {} has run {} times for this promotion",
            run.stage, run.name, run.attempt
        ));
    }
    let reason = format!("{} {} is run again", run.stage, run.name);
    let mut record = record(&rollout, Event::CheckAskedAgain, reason);
    record.by = by.to_owned();
    if let Some(rollout) = environment.rollout.as_mut() {
        rollout.asked_again = true;
    }
    Ok(record)
}

/// No check runs in a bake: what holds it there is alarms that say nothing.
fn alarms_again(environment: &mut Environment, rollout: &Rollout, by: &str) -> Result<Record, String> {
    if rollout.held_until.is_none() {
        return Err(format!("{} is not held", rollout.owner));
    }
    let what = "the alarms are read again";
    let why = rollout.reason.as_ref();
    let reason = why.map_or_else(|| what.to_owned(), |why| format!("{what}; before: {why}"));
    if let Some(rollout) = environment.rollout.as_mut() {
        rollout.held_until = None;
        rollout.asked_again = true;
        rollout.reason = None;
    }
    Ok(Record {
        by: by.to_owned(),
        ..record(rollout, Event::CheckAskedAgain, reason)
    })
}

/// Whether a check is run by helm.
pub fn is_helms(spec: &EnvironmentSpec, stage: Stage, name: &str) -> bool {
    let mut checks = stage.of(spec).iter();
    checks.any(|check| check.name == name && check.run == CheckAction::HelmTest)
}

fn record(rollout: &Rollout, event: Event, reason: String) -> Record {
    Record {
        event,
        by: "sluice".into(),
        release: rollout.release,
        digest: None,
        execution: Some(rollout.owner.clone()),
        fence: None,
        reason: Some(reason),
    }
}

mod job;
pub use job::{Subject, job};

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
