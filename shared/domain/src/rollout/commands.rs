//! What a person says to a rollout that is under way: stay, go on, all traffic now, never mind these alarms.
//!
//! Each command makes sense in few states. Elsewhere it is declined with the reason and the command that would be right.
//! The same wish again is fine: it records nothing.

use super::stage_of;
use crate::environment::{Environment, Phase, Rollout, RolloutKind};
use crate::ids::ReleaseNumber;
use crate::ledger::{Event, Record};
use crate::pipeline::EnvironmentSpec;
use crate::tracks::{Hurry, Pause};
use jiff::Timestamp;

/// Why a command is not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Declined {
    /// What stands against it, in a sentence.
    pub why: String,
    /// The next command.
    pub next: String,
}

/// What is recorded; none where it is so already.
pub type Said = Result<Option<Record>, Declined>;

/// Which command it is, for the words of its refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Pause,
    Resume,
    Full,
    Despite,
}

/// Keeps a promotion's rollout on tracks at the weight that it is at, or is about to get, until somebody resumes it. Alarms,
/// checks and pods stop it as before.
///
/// It takes the place of the pipeline's own pause: what a person stopped stays, and is not given up at the pause's end.
pub fn pause(
    environment: &mut Environment,
    spec: &EnvironmentSpec,
    by: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Said {
    let rollout = moving(environment, Wish::Pause)?;
    let traffic = rollout.traffic.as_deref();
    if traffic.is_some_and(|traffic| stage_of(rollout, traffic, spec).weight >= 100) {
        return Err(last_stage(environment, rollout, Wish::Pause));
    }
    let pause = Pause {
        by: Some(by.to_owned()),
        reason: reason.unwrap_or_default().to_owned(),
        since: now,
        until: None,
    };
    let there = traffic.and_then(|traffic| traffic.pause.as_ref());
    let same = |there: &Pause| (&there.by, &there.reason) == (&pause.by, &pause.reason);
    if there.is_some_and(same) {
        return Ok(None);
    }
    let record = said(rollout, Event::RolloutPaused, by, reason.map(str::to_owned));
    if let Some(traffic) = traffic_of(environment) {
        traffic.pause = Some(pause);
        traffic.hurry = None;
    }
    Ok(Some(record))
}

/// Lets a paused rollout go on: lifts a person's pause, or the pipeline's for this stage. One that is not paused goes on as
/// it did.
///
/// A person's pause that is lifted when the pipeline would have asked already lifts the pipeline's too: nobody is asked twice.
pub fn resume(environment: &mut Environment, by: &str, reason: Option<&str>, now: Timestamp) -> Said {
    let rollout = moving(environment, Wish::Resume)?;
    let Some(traffic) = rollout.traffic.as_deref() else {
        return Ok(None);
    };
    let Some(pause) = &traffic.pause else {
        return match rollout.held_until {
            Some(until) => Err(Declined {
                why: format!(
                    "{} is not paused in {} but held until {until}{}.",
                    named(environment, rollout.release),
                    environment.name,
                    because(rollout)
                ),
                next: command(environment, "retry"),
            }),
            None => Ok(None),
        };
    };
    let asked = pause.by.is_none() || traffic.bake_until.is_some_and(|until| until <= now);
    let what = match (reason, pause.by.as_deref()) {
        (Some(why), _) => Some(why.to_owned()),
        (None, Some(_)) => Some(pause.said()),
        (None, None) => None,
    };
    let record = said(rollout, Event::RolloutResumed, by, what);
    if let Some(traffic) = traffic_of(environment) {
        traffic.pause = None;
        if asked {
            traffic.resumed = Some(traffic.stage);
        }
    }
    Ok(Some(record))
}

/// Gives the release that is rolled out all traffic next: bakes and pauses are left out, and alarms that say nothing do not
/// hold it. What is full is still made ready before it gets its weight, and an alarm that blames the release still stops it.
pub fn hurry(
    environment: &mut Environment,
    spec: &EnvironmentSpec,
    release: ReleaseNumber,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Said {
    let rollout = moving_of(environment, release, Wish::Full)?;
    let traffic = rollout.traffic.as_deref();
    if traffic.is_some_and(|traffic| stage_of(rollout, traffic, spec).weight >= 100) {
        return Err(last_stage(environment, rollout, Wish::Full));
    }
    if traffic.is_some_and(|traffic| traffic.hurry.is_some()) {
        return Ok(None);
    }
    let record = said(rollout, Event::RolloutHurried, by, Some(reason.to_owned()));
    let hurry = Hurry {
        by: by.to_owned(),
        reason: reason.to_owned(),
        at: now,
    };
    if let Some(rollout) = environment.rollout.as_mut() {
        rollout.held_until = None;
        rollout.reason = None;
    }
    if let Some(traffic) = traffic_of(environment) {
        traffic.hurry = Some(hurry);
        traffic.pause = None;
    }
    Ok(Some(record))
}

/// Lets the release that is rolled out go forward in spite of these alarms, as long as they stay as they were before it got
/// traffic. That they are the environment's is for the caller to check.
pub fn despite(
    environment: &mut Environment,
    release: ReleaseNumber,
    alarms: &[String],
    by: &str,
    reason: &str,
) -> Said {
    let rollout = match moving_of(environment, release, Wish::Despite) {
        Ok(rollout) => rollout,
        // What waits before its first write waits for alarms, too, and what has no tracks is watched by them.
        Err(declined) => match environment.under_way() {
            Some(rollout) if goes_forward(rollout, release) => rollout,
            _ => return Err(declined),
        },
    };
    let new: Vec<String> = alarms
        .iter()
        .filter(|alarm| !rollout.despite.contains(alarm))
        .cloned()
        .collect();
    if new.is_empty() {
        return Ok(None);
    }
    let record = set_aside(rollout.release, &new, by, reason);
    let record = Record {
        execution: Some(rollout.owner.clone()),
        ..record
    };
    if let Some(rollout) = environment.rollout.as_mut() {
        rollout.despite.extend(new);
        rollout.despite.sort();
        rollout.held_until = rollout.held_until.filter(|_| rollout.phase != Phase::Baking);
        let all = rollout.despite.clone();
        if let Some(traffic) = rollout.traffic.as_mut() {
            traffic.despite = all;
        }
    }
    Ok(Some(record))
}

/// For the ledger: a release goes forward in spite of these alarms.
pub fn set_aside(release: Option<ReleaseNumber>, alarms: &[String], by: &str, reason: &str) -> Record {
    Record {
        event: Event::AlarmsSetAside,
        by: by.to_owned(),
        release,
        digest: None,
        execution: None,
        fence: None,
        reason: Some(format!("{}: {reason}", alarms.join(", "))),
    }
}

fn goes_forward(rollout: &Rollout, release: ReleaseNumber) -> bool {
    matches!(rollout.phase, Phase::Starting | Phase::Rolling)
        && rollout.promotion().is_some()
        && rollout.release == Some(release)
}

fn traffic_of(environment: &mut Environment) -> Option<&mut crate::tracks::Traffic> {
    environment.rollout.as_mut()?.traffic.as_deref_mut()
}

/// The rollout of this release, where it is what moves.
fn moving_of(environment: &Environment, release: ReleaseNumber, wish: Wish) -> Result<&Rollout, Declined> {
    let of = environment.under_way().and_then(|rollout| rollout.release);
    match of.filter(|there| *there != release) {
        Some(there) => Err(another(environment, release, there)),
        None if of.is_none() => Err(nothing(environment, Some(release), wish)),
        None => moving(environment, wish),
    }
}

/// A promotion's rollout on tracks, while its stages are gone through.
fn moving(environment: &Environment, wish: Wish) -> Result<&Rollout, Declined> {
    let Some(rollout) = environment.under_way() else {
        return Err(nothing(environment, None, wish));
    };
    if matches!(rollout.kind, RolloutKind::Rollback { .. }) {
        return Err(goes_back(environment, rollout));
    }
    match (rollout.phase, &rollout.traffic) {
        (Phase::Rolling | Phase::Shifting | Phase::Baking, Some(_)) => Ok(rollout),
        _ => Err(standing_still(environment, rollout, wish)),
    }
}

fn nothing(environment: &Environment, release: Option<ReleaseNumber>, wish: Wish) -> Declined {
    let place = &environment.name;
    let waits = environment.queue.iter().map(|queued| queued.id.release);
    let mut waits = waits.filter(|one| release.is_none_or(|release| release == *one));
    if let Some(first) = waits.next() {
        let next = match wish {
            Wish::Pause => command_of(environment, "abort", Some(first)),
            _ => follow(environment),
        };
        let why = format!(
            "{} waits for its turn into {place}: its rollout has not begun.",
            named(environment, Some(first))
        );
        return Declined { why, next };
    }
    let live = environment.live.as_ref().and_then(|live| live.release);
    let (why, next) = match (wish, release) {
        (Wish::Full | Wish::Despite, Some(release)) if live == Some(release) => (
            format!(
                "{} is live in {place} already.",
                named(environment, Some(release))
            ),
            status(environment),
        ),
        (Wish::Full | Wish::Despite, Some(release)) => (
            format!(
                "{} is not being rolled out in {place}. `sluice promote` brings it there in the steps that the pipeline says.",
                named(environment, Some(release))
            ),
            command_of(environment, "promote", Some(release)),
        ),
        (wish, _) => (
            format!(
                "Nothing is being rolled out in {place} of {}: there is nothing to {}.",
                environment.service,
                verb(wish)
            ),
            status(environment),
        ),
    };
    Declined { why, next }
}

fn another(environment: &Environment, release: ReleaseNumber, there: ReleaseNumber) -> Declined {
    Declined {
        why: format!(
            "{} is not what is done to {}: that is {there}.",
            named(environment, Some(release)),
            environment.name
        ),
        next: status(environment),
    }
}

fn goes_back(environment: &Environment, rollout: &Rollout) -> Declined {
    let to = rollout.release.map_or_else(
        || "what was there before Sluice".to_owned(),
        |release| named(environment, Some(release)),
    );
    Declined {
        why: format!(
            "{} brings {to} back into {}, in one go: a rollback has no steps.",
            rollout.owner, environment.name
        ),
        next: follow(environment),
    }
}

fn standing_still(environment: &Environment, rollout: &Rollout, wish: Wish) -> Declined {
    let (name, place) = (named(environment, rollout.release), &environment.name);
    let abort = || command_of(environment, "abort", rollout.release);
    let (why, next) = match rollout.phase {
        Phase::Starting => (
            format!(
                "{name} has been given nothing of {place} yet{}.",
                because(rollout)
            ),
            match wish {
                Wish::Pause => abort(),
                _ if rollout.held_until.is_some() => command(environment, "retry"),
                _ => follow(environment),
            },
        ),
        Phase::Rolling | Phase::Shifting | Phase::Baking => (
            format!(
                "{name} takes the place of what runs in {place} pod by pod, not on a track of its own: there are no steps to {}.",
                verb(wish)
            ),
            match wish {
                Wish::Pause => abort(),
                _ => follow(environment),
            },
        ),
        Phase::Verified => (format!("{name} has all of {place} already."), status(environment)),
        Phase::Restoring | Phase::Restored => (
            format!(
                "{name} failed in {place}, and what was there before is brought back{}.",
                because(rollout)
            ),
            follow(environment),
        ),
        Phase::Stuck => (
            format!("{name} is stuck in {place}{}.", because(rollout)),
            command(environment, "rollback"),
        ),
    };
    Declined { why, next }
}

fn last_stage(environment: &Environment, rollout: &Rollout, wish: Wish) -> Declined {
    let (name, place) = (named(environment, rollout.release), &environment.name);
    Declined {
        why: format!(
            "{name} is at its last step in {place}, all of the traffic: there is nothing left to {}.",
            verb(wish)
        ),
        next: match wish {
            Wish::Pause => command_of(environment, "abort", rollout.release),
            _ => follow(environment),
        },
    }
}

fn verb(wish: Wish) -> &'static str {
    match wish {
        Wish::Pause => "pause",
        Wish::Resume => "resume",
        Wish::Full => "skip",
        Wish::Despite => "let go forward",
    }
}

fn because(rollout: &Rollout) -> String {
    let why = rollout.waits_for.as_ref().or(rollout.reason.as_ref());
    why.map(|why| format!(": {}", why.trim_end_matches('.')))
        .unwrap_or_default()
}

fn named(environment: &Environment, release: Option<ReleaseNumber>) -> String {
    release.map_or_else(
        || environment.service.to_string(),
        |release| format!("{}{release}", environment.service),
    )
}

fn command(environment: &Environment, word: &str) -> String {
    format!("sluice {word} {} {}", environment.service, environment.name)
}

fn command_of(environment: &Environment, word: &str, release: Option<ReleaseNumber>) -> String {
    let command = command(environment, word);
    release.map_or(command.clone(), |release| format!("{command} {}", release.0))
}

fn status(environment: &Environment) -> String {
    format!(
        "sluice status {} --environment {}",
        environment.service, environment.name
    )
}

fn follow(environment: &Environment) -> String {
    format!("{} --follow", status(environment))
}

fn said(rollout: &Rollout, event: Event, by: &str, reason: Option<String>) -> Record {
    Record {
        event,
        by: by.to_owned(),
        release: rollout.release,
        digest: None,
        execution: Some(rollout.owner.clone()),
        fence: None,
        reason,
    }
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
