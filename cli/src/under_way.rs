//! What is under way in an environment, in a line each, and what somebody could type about it.

use crate::text::{ago, left, phase, plain_line, release, state};
use jiff::Timestamp;
use sluice_domain::api::{
    Activity, CheckState, EnvironmentStatus, ServiceStatus, TrafficStatus, WaitingStatus, WatchStatus,
};
use sluice_domain::environment::{Hold, Phase};
use sluice_domain::promotion::PromotionState;

/// `promotion of #43: rolling out, 8 m left`
pub fn activity_text(activity: &Activity, now: Timestamp) -> String {
    let what = plain_line(&activity.what);
    let whom = activity
        .release
        .map_or_else(String::new, |number| format!(" of {}", release(Some(number))));
    let to = if activity.what == "promotion" {
        whom
    } else {
        format!(" to {}", release(activity.release))
    };
    if let Some(said) = activity
        .traffic
        .as_ref()
        .and_then(|traffic| traffic_text(activity, traffic, now))
    {
        return format!("{what}{to}: {said}");
    }
    let time = match activity.phase {
        _ if activity.held_until.is_some() => activity
            .held_until
            .map(|until| format!(", held, {}", left(until, now)))
            .unwrap_or_default(),
        Phase::Starting | Phase::Rolling | Phase::Shifting | Phase::Restoring => {
            format!(", {}", left(activity.deadline, now))
        }
        Phase::Baking | Phase::Verified | Phase::Restored | Phase::Stuck => String::new(),
    };
    let reason = activity
        .reason
        .as_ref()
        .map(|reason| format!(": {}", plain_line(reason)))
        .unwrap_or_default();
    format!("{what}{to}: {}{time}{reason}", phase(activity.phase))
}

/// `25 % of the traffic (step 2 of 4), baking, 4 m left, then 50 %`; none where it goes no more forward.
fn traffic_text(activity: &Activity, traffic: &TrafficStatus, now: Timestamp) -> Option<String> {
    let part = match traffic.weight {
        100.. => "all of the traffic".to_owned(),
        weight => format!("{weight} % of the traffic"),
    };
    let step = match traffic.steps {
        1 => String::new(),
        steps => format!(" (step {} of {steps})", traffic.step),
    };
    let time = left(activity.deadline, now);
    let here = match activity.phase {
        Phase::Rolling => match &activity.reason {
            Some(reason) => format!("making ready for {part}{step}, {time}: {}", plain_line(reason)),
            None => format!("making ready for {part}{step}, {time}"),
        },
        Phase::Shifting => format!("shifting {part}{step}, {time}"),
        Phase::Baking => format!("{part}{step}, {}", bake_text(activity, traffic, now)),
        _ => return None,
    };
    let later = match (&traffic.hurry, &traffic.pause) {
        (Some(hurry), _) => format!("; then everything, as {} wants", plain_line(&hurry.by)),
        (None, Some(pause)) if !waits(activity, traffic, now) => {
            format!("; then {}", plain_line(&pause.said()))
        }
        _ => String::new(),
    };
    Some(format!("{here}{later}"))
}

/// Whether a baked part waits for a person.
fn waits(activity: &Activity, traffic: &TrafficStatus, now: Timestamp) -> bool {
    activity.phase == Phase::Baking && traffic.bake_until.is_none_or(|until| now >= until)
}

fn bake_text(activity: &Activity, traffic: &TrafficStatus, now: Timestamp) -> String {
    if let (None, Some(until)) = (&traffic.hurry, traffic.bake_until.filter(|until| now < *until)) {
        let then = traffic.next_weight.map(|weight| match weight {
            100.. => ", then everything".to_owned(),
            weight => format!(", then {weight} %"),
        });
        let then = then.filter(|_| traffic.pause.is_none()).unwrap_or_default();
        return format!("baking, {}{then}", left(until, now));
    }
    let because = activity
        .reason
        .as_ref()
        .map(|reason| format!(": {}", plain_line(reason)));
    if let Some(until) = activity.held_until {
        return format!("held, {}{}", left(until, now), because.unwrap_or_default());
    }
    match traffic.pause.as_ref().filter(|_| traffic.hurry.is_none()) {
        Some(pause) => match pause.until {
            Some(until) => format!(
                "waits for a person, {}: {}",
                left(until, now),
                plain_line(&pause.said())
            ),
            None => format!("{}, {}", plain_line(&pause.said()), ago(pause.since, now)),
        },
        None => "baked".to_owned(),
    }
}

/// `#43 is watched, 20 m left`
pub fn watch_text(watch: &WatchStatus, now: Timestamp) -> String {
    let what = release(watch.release);
    match watch.held_until {
        None => format!("{what} is watched, {}", left(watch.until, now)),
        Some(until) => {
            let why = watch.reason.as_ref().map(|why| format!(": {}", plain_line(why)));
            format!(
                "{what} is watched, held, {}{}",
                left(until, now),
                why.unwrap_or_default()
            )
        }
    }
}

/// `#44 awaiting approval: 1 of 2 (ana), ben may; 20 h left`
pub fn waiting_text(waiting: &WaitingStatus, now: Timestamp) -> String {
    let reason = waiting
        .reason
        .as_ref()
        .map(|reason| format!(": {}", plain_line(reason)))
        .unwrap_or_default();
    if waiting.state != PromotionState::AwaitingApproval {
        return format!("{} {}{reason}", waiting.release, state(waiting.state));
    }
    let names = |names: &[_]| {
        names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let said = match waiting.approved_by.as_slice() {
        [] => String::new(),
        yes => format!(" ({})", names(yes)),
    };
    let may: Vec<_> = waiting
        .approvers
        .iter()
        .filter(|name| !waiting.approved_by.contains(name))
        .cloned()
        .collect();
    let may = if may.is_empty() {
        String::new()
    } else {
        format!(", may approve: {}", names(&may))
    };
    let until = waiting
        .expires_at
        .map(|at| format!("; {}", left(at, now)))
        .unwrap_or_default();
    format!(
        "{} awaiting approval: {} of {}{said}{may}{until}",
        waiting.release,
        waiting.approved_by.len(),
        waiting.quorum
    )
}

/// `held by ana 2 h ago: sale until Monday`
pub fn hold_text(hold: &Hold, now: Timestamp) -> String {
    let lifted = if hold.after_rollback {
        "; a newer push lifts it"
    } else {
        ""
    };
    format!(
        "held by {} {}: {}{lifted}",
        plain_line(&hold.by),
        ago(hold.at, now),
        plain_line(&hold.reason)
    )
}

/// What a person could type now: approvals and answers that are waited for, and the way out where a rollout is held or
/// stuck.
pub fn commands(service: &ServiceStatus) -> Vec<String> {
    let name = &service.service;
    let of_environment = |environment: &EnvironmentStatus| {
        let place = format!("{name} {}", environment.name);
        let stuck = environment
            .activity
            .iter()
            .filter(|activity| activity.phase == Phase::Stuck);
        let stuck = stuck.map(|_| format!("  sluice rollback {place}"));
        let held = environment
            .activity
            .iter()
            .filter(|activity| activity.held_until.is_some());
        let held = held.flat_map(|activity| {
            let release = activity
                .release
                .map(|release| format!(" {}", release.0))
                .unwrap_or_default();
            [
                format!("  sluice retry {place}"),
                format!("  sluice abort {place}{release}"),
            ]
        });
        let paused = environment.activity.iter().filter(|activity| {
            let traffic = activity.traffic.as_ref();
            traffic.is_some_and(|traffic| traffic.pause.is_some() && traffic.hurry.is_none())
        });
        let paused = paused.map(|_| format!("  sluice resume {place}"));
        let watched = environment
            .watch
            .iter()
            .filter(|watch| watch.held_until.is_some());
        let watched =
            watched.flat_map(|_| ["retry", "rollback"].map(|word| format!("  sluice {word} {place}")));
        let later = environment
            .checks
            .iter()
            .filter(|check| environment.activity.is_some() && check.state == CheckState::AnswersLater);
        let later =
            later.map(|check| format!("  sluice answer {place} {} --passed", plain_line(&check.name)));
        let asked = environment
            .waiting
            .iter()
            .filter(|one| one.state == PromotionState::AwaitingApproval);
        let asked = asked.map(|one| format!("  sluice approve {place} {}", one.release.0));
        let own = stuck.chain(held).chain(paused).chain(watched);
        own.chain(later).chain(asked).collect::<Vec<_>>()
    };
    service.environments.iter().flat_map(of_environment).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples::*;
    use sluice_domain::api::Activity;

    fn told(phase: Phase, second: i64, change: impl FnOnce(&mut Activity)) -> String {
        let mut activity = on_tracks(phase).activity.unwrap();
        change(&mut activity);
        format!("{phase:?} at {second}: {}", activity_text(&activity, at(second)))
    }

    fn stays(by: Option<&'static str>, reason: &'static str) -> impl FnOnce(&mut Activity) {
        move |activity| activity.traffic.as_mut().unwrap().pause = Some(pause(by, reason))
    }

    #[test]
    fn how_far_the_traffic_is() {
        let lines = [
            told(Phase::Rolling, 300, |_| {}),
            told(Phase::Rolling, 300, |one| {
                one.reason = Some("2 of 3 pods are ready".into())
            }),
            told(Phase::Shifting, 300, |_| {}),
            told(Phase::Baking, 300, |_| {}),
            told(Phase::Baking, 300, |one| {
                let traffic = one.traffic.as_mut().unwrap();
                (traffic.step, traffic.weight, traffic.next_weight) = (3, 50, Some(100));
            }),
            told(Phase::Baking, 500, stays(Some("ana"), "p99")),
            told(Phase::Baking, 700, stays(Some("ana"), "p99")),
            told(Phase::Baking, 700, stays(Some("ana"), "")),
            told(
                Phase::Baking,
                700,
                stays(None, "at 25 % a person is asked to go on"),
            ),
            told(Phase::Baking, 700, |one| {
                one.held_until = Some(at(2_400));
                one.reason = Some("alarm mc-api-production-p99 has no data".into());
            }),
            told(Phase::Baking, 500, |one| {
                one.traffic.as_mut().unwrap().hurry = Some(hurry())
            }),
            told(Phase::Shifting, 300, |one| {
                let traffic = one.traffic.as_mut().unwrap();
                (traffic.step, traffic.weight, traffic.next_weight) = (4, 100, None);
            }),
            told(Phase::Shifting, 300, |one| {
                one.what = "rollback".into();
                let traffic = one.traffic.as_mut().unwrap();
                (traffic.step, traffic.steps, traffic.weight, traffic.next_weight) = (1, 1, 100, None);
            }),
            told(Phase::Restoring, 300, |one| {
                one.reason = Some("pod mc-api-1 crashes".into())
            }),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_could_be_typed() {
        let mut paused = on_tracks(Phase::Baking);
        paused.activity.as_mut().unwrap().traffic.as_mut().unwrap().pause = Some(pause(Some("ana"), ""));
        let all = [paused, watched(None), watched(Some(3_600))];
        let told = all.map(|one| commands(&service("mc-api", vec![one])).join("\n"));
        insta::assert_snapshot!(told.join("\n--\n"));
    }
}
