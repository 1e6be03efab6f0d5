//! What following shows, and when it ends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::change::{Change, What, line, sentence};
use super::goal::{Goal, Standing, by_history};
use super::tracker::{Step, Tracker, Work};
use crate::samples::*;
use jiff::Timestamp;
use sluice_domain::alarm::AlarmState;
use sluice_domain::api::{EnvironmentStatus, ServiceStatus, TrafficStatus};
use sluice_domain::environment::Phase;
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::promotion::PromotionState;

fn services(environments: Vec<EnvironmentStatus>) -> Vec<ServiceStatus> {
    vec![service("mc-api", environments)]
}

fn lines(step: &Step) -> Vec<String> {
    step.changes
        .iter()
        .map(|change| anstream::adapter::strip_str(&line(change)).to_string())
        .collect()
}

#[test]
fn a_release_on_its_way_is_told_step_by_step() {
    let mut tracker = Tracker::default();
    let mut told = Vec::new();
    let waiting = with_waiting(
        environment("production"),
        waiting(43, PromotionState::AwaitingApproval),
    );
    let states = [
        waiting.clone(),
        waiting,
        with_activity(
            environment("production"),
            activity("promotion", Some(43), Phase::Starting),
        ),
        with_activity(
            environment("production"),
            activity("promotion", Some(43), Phase::Rolling),
        ),
        with_live(environment("production"), Some(43)),
        held(with_live(environment("production"), Some(43))),
        with_live(environment("production"), Some(43)),
    ];
    for (second, state) in states.into_iter().enumerate() {
        let step = tracker.look(&services(vec![state]), at(second as i64));
        told.extend(lines(&step));
        told.extend(step.gone.iter().map(|(_, work)| format!("gone: {work:?}")));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn steps_of_the_traffic_alarms_and_the_watch_are_told_as_they_come() {
    let change = |phase, change: &dyn Fn(&mut TrafficStatus)| {
        let mut environment = on_tracks(phase);
        change(environment.activity.as_mut().unwrap().traffic.as_mut().unwrap());
        environment
    };
    let mut paused = change(Phase::Baking, &|traffic| {
        traffic.pause = Some(pause(Some("ana"), "p99"))
    });
    paused.alarms[1].state = Some(AlarmState::Ok);
    let mut crossed = paused.clone();
    crossed.alarms[0] = alarm("mc-api-production-5xx", Some(AlarmState::Alarm));
    let states = [
        change(Phase::Rolling, &|_| {}),
        change(Phase::Shifting, &|_| {}),
        change(Phase::Baking, &|_| {}),
        change(Phase::Baking, &|_| {}),
        paused,
        crossed,
        change(Phase::Rolling, &|traffic| {
            (traffic.step, traffic.weight) = (3, 50)
        }),
        watched(None),
        watched(Some(3_600)),
        with_live(environment("production"), Some(43)),
    ];
    let mut tracker = Tracker::default();
    let mut told = Vec::new();
    for (second, state) in (400..).zip(states) {
        told.extend(lines(&tracker.look(&services(vec![state]), at(second))));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_promotion_that_loses_the_environment_is_gone_and_the_rollback_is_new() {
    let mut tracker = Tracker::default();
    let promotion = with_activity(
        environment("production"),
        activity("promotion", Some(43), Phase::Rolling),
    );
    let rollback = with_activity(
        environment("production"),
        activity("rollback", Some(41), Phase::Rolling),
    );
    tracker.look(&services(vec![promotion]), at(0));
    let step = tracker.look(&services(vec![rollback.clone()]), at(1));
    assert_eq!(step.gone[0].1, Work::Promotion(ReleaseNumber(43)));
    assert_eq!(
        lines(&step),
        ["1970-01-01T00:00:01Z mc-api production: rollback to #41: rolling out, 10 m left"]
    );
    let step = tracker.look(&services(vec![rollback]), at(2));
    assert_eq!(step, Step::default(), "what does not change is not told again");
}

#[test]
fn quiet_is_when_nothing_is_under_way_and_nothing_waits() {
    let goal = Goal::Quiet {
        service: None,
        environment: None,
    };
    let standing = |environments| goal.standing(&services(environments));
    assert!(matches!(
        standing(vec![environment("dev")]),
        Standing::Succeeded(_)
    ));
    assert!(matches!(
        standing(vec![held(environment("dev"))]),
        Standing::Succeeded(_)
    ));
    for phase in [
        Phase::Starting,
        Phase::Rolling,
        Phase::Verified,
        Phase::Restoring,
        Phase::Restored,
    ] {
        let one = with_activity(environment("dev"), activity("promotion", Some(43), phase));
        assert_eq!(
            standing(vec![environment("production"), one]),
            Standing::Going,
            "{phase:?}"
        );
    }
    let one = with_waiting(environment("dev"), waiting(43, PromotionState::Wanted));
    assert_eq!(standing(vec![one]), Standing::Going);
    let stuck = with_activity(environment("dev"), activity("promotion", Some(43), Phase::Stuck));
    let stuck = with_waiting(stuck, waiting(44, PromotionState::Wanted));
    assert!(
        matches!(standing(vec![stuck]), Standing::Failed(_)),
        "a person is needed: nothing more happens by itself"
    );
}

#[test]
fn a_release_is_followed_through_the_environments_before() {
    let goal = Goal::Release {
        service: name("mc-api"),
        environment: env("production"),
        release: ReleaseNumber(43),
    };
    let standing = |dev, production| goal.standing(&services(vec![dev, production]));
    let busy =
        |name, release, phase| with_activity(environment(name), activity("promotion", Some(release), phase));
    assert_eq!(
        standing(busy("dev", 43, Phase::Rolling), environment("production")),
        Standing::Going
    );
    assert_eq!(
        standing(environment("dev"), busy("production", 43, Phase::Restoring)),
        Standing::Going
    );
    assert_eq!(
        standing(environment("dev"), busy("production", 42, Phase::Rolling)),
        Standing::AskHistory
    );
    let text = |standing| {
        if let Standing::Failed(text) = standing {
            text
        } else {
            format!("{standing:?}")
        }
    };
    let stuck = [
        text(standing(busy("dev", 43, Phase::Stuck), environment("production"))),
        text(standing(environment("dev"), busy("production", 43, Phase::Stuck))),
    ];
    insta::assert_snapshot!(stuck.join("\n"), @"
    #43 is stuck in dev, before production
    #43 is stuck in production
    ");
}

#[test]
fn the_history_says_what_became_of_a_release() {
    let standing = |promotions: &[(&str, PromotionState)]| {
        let history = release_history(43, promotions);
        by_history(Some(&history), &env("production"), ReleaseNumber(43))
    };
    use PromotionState::*;
    let cases = [
        vec![("dev", Verified), ("production", Verified)],
        vec![("dev", Verified), ("production", RollingOut)],
        vec![("dev", Verified), ("production", Failed)],
        vec![("dev", Verified), ("production", Rejected)],
        vec![("dev", Verified), ("production", Superseded)],
        vec![("dev", Failed)],
        vec![("dev", Wanted)],
        vec![("dev", Verified)],
        vec![],
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|case| format!("{case:?}\n  {:?}", standing(case)))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    let other = release_history(42, &[]);
    assert!(matches!(
        by_history(Some(&other), &env("production"), ReleaseNumber(43)),
        Standing::Failed(_)
    ));
}

#[test]
fn a_rollback_is_over_when_what_it_brought_back_runs() {
    let own = activity("rollback", Some(41), Phase::Rolling);
    let goal = |to: Option<u32>| Goal::Rollback {
        service: name("mc-api"),
        environment: env("production"),
        execution: own.execution.clone(),
        to: to.map(ReleaseNumber),
    };
    let live = |release| with_live(environment("production"), release);
    let standing = |goal: Goal, environment| goal.standing(&services(vec![environment]));
    assert_eq!(
        standing(goal(Some(41)), with_activity(live(Some(41)), own.clone())),
        Standing::Going
    );
    assert!(matches!(
        standing(goal(Some(41)), live(Some(41))),
        Standing::Succeeded(_)
    ));
    assert!(matches!(standing(goal(None), live(None)), Standing::Succeeded(_)));
    let stuck = activity("rollback", Some(41), Phase::Stuck);
    let other = activity("promotion", Some(44), Phase::Rolling);
    let told = [
        standing(goal(Some(41)), with_activity(live(Some(42)), stuck)),
        standing(goal(Some(41)), with_activity(live(Some(42)), other)),
        standing(goal(Some(41)), live(Some(43))),
        standing(goal(None), live(Some(43))),
    ];
    insta::assert_snapshot!(told.map(|standing| format!("{standing:?}")).join("\n"));
}

#[test]
fn every_change_has_a_sentence_and_survives_json() {
    let changes = [
        What::UnderWay(Box::new(activity("restore", None, Phase::Restoring))),
        What::Waiting(waiting(43, PromotionState::Wanted)),
        What::Live {
            release: Some(ReleaseNumber(43)),
            digest: Some(digest()),
        },
        What::Live {
            release: None,
            digest: None,
        },
        What::Held {
            by: "ana".into(),
            reason: "sale".into(),
        },
        What::Unheld,
        What::PromotionEnded {
            release: ReleaseNumber(43),
            state: Some(PromotionState::Verified),
            reason: Some("x".into()),
        },
        What::PromotionEnded {
            release: ReleaseNumber(43),
            state: Some(PromotionState::Failed),
            reason: Some("pod mc-api-7d9: ImagePullBackOff\u{1b}[2J".into()),
        },
        What::PromotionEnded {
            release: ReleaseNumber(43),
            state: Some(PromotionState::Superseded),
            reason: None,
        },
        What::PromotionEnded {
            release: ReleaseNumber(43),
            state: None,
            reason: None,
        },
        What::ReturnEnded {
            kind: "rollback".into(),
            to: Some(ReleaseNumber(41)),
            succeeded: true,
        },
        What::ReturnEnded {
            kind: "restore".into(),
            to: None,
            succeeded: false,
        },
    ];
    let mut told = Vec::new();
    for what in changes {
        told.push(format!(
            "{:?} {}",
            what.ended_well(),
            sentence(&what, Timestamp::UNIX_EPOCH)
        ));
        let change = Change {
            at: at(1),
            service: name("mc-api"),
            environment: env("production"),
            what,
        };
        let json = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<Change>(&json).unwrap(), change, "{json}");
        told.push(format!("  {json}"));
    }
    insta::assert_snapshot!(told.join("\n"));
}
