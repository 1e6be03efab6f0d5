//! Every state of a rollout against every command.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::bundle::Bundle;
use crate::check::ask_again;
use crate::ids::Fence;
use crate::pipeline::Seconds;
use crate::rollout::{Decision, Facts, advance, decide, sleeps};
use crate::samples::*;
use crate::tracks::{Standing, Track, Traffic, TrafficSeen, Weights};
use crate::workload::{Observation, Verdict};
use std::collections::BTreeMap;

type Command = fn(&mut Environment) -> Said;

fn on_tracks() -> EnvironmentSpec {
    EnvironmentSpec {
        strategy: canary(&[5, 50], &[50]),
        alarms: vec!["5xx".into()],
        ..spec(None)
    }
}

fn traffic(stage: u32) -> Traffic {
    let weight = [5, 50, 100][stage as usize];
    let full = BTreeMap::from([("mc-api".to_owned(), 1)]);
    Traffic {
        stage,
        weights: Some(Weights::split(Track::Green, weight)),
        decided_at: None,
        first_shift: Some(at(0)),
        shifted_at: Some(at(10)),
        bake_until: Some(at(310)),
        ..Traffic::new(route(http_route()), Some(Track::Green), Some(Track::Blue), full)
    }
}

/// `#2` on its way over `#1`, on tracks.
fn moved(phase: Phase, stage: u32) -> Environment {
    let mut environment = rolling(with_completed(&[1]), 2, phase);
    environment.rollout.as_mut().unwrap().traffic = Some(Box::new(traffic(stage)));
    environment
}

fn with(mut environment: Environment, change: impl FnOnce(&mut Rollout)) -> Environment {
    change(environment.rollout.as_mut().unwrap());
    environment
}

fn paused_by_pipeline(environment: Environment) -> Environment {
    with(environment, |rollout| {
        rollout.traffic.as_mut().unwrap().pause = Some(Pause {
            by: None,
            reason: "at 50 % a person is asked to go on".into(),
            since: at(310),
            until: Some(at(3_910)),
        });
    })
}

fn states() -> Vec<(&'static str, Environment)> {
    let back = |environment: Environment| {
        with(environment, |rollout| {
            rollout.kind = RolloutKind::Rollback {
                leaving: Some(ReleaseNumber(2)),
                by: "ana".into(),
                restore: false,
            };
            rollout.release = Some(ReleaseNumber(1));
        })
    };
    let because = |environment, why: &str| with(environment, |one| one.reason = Some(why.to_owned()));
    let mut waiting = with_completed(&[1]);
    waiting.queue.current = Some(queued(2));
    let held = |environment: Environment| {
        with(environment, |rollout| {
            rollout.held_until = Some(at(2_000));
            rollout.reason = Some("alarm 5xx has no data".into());
        })
    };
    vec![
        ("nothing", with_completed(&[1])),
        ("live", with_completed(&[1, 2])),
        ("waiting", waiting),
        (
            "starting",
            because(
                rolling(with_completed(&[1]), 2, Phase::Starting),
                "alarm 5xx is in ALARM",
            ),
        ),
        ("pod by pod", rolling(with_completed(&[1]), 2, Phase::Rolling)),
        ("rolling", moved(Phase::Rolling, 0)),
        ("shifting", moved(Phase::Shifting, 1)),
        ("baking", moved(Phase::Baking, 0)),
        ("held by alarms", held(moved(Phase::Baking, 0))),
        (
            "paused by the pipeline",
            paused_by_pipeline(moved(Phase::Baking, 1)),
        ),
        ("last step", moved(Phase::Shifting, 2)),
        ("verified", moved(Phase::Verified, 2)),
        (
            "restoring",
            because(moved(Phase::Restoring, 1), "pod mc-api-1 crashes"),
        ),
        ("stuck", because(moved(Phase::Stuck, 1), "pod mc-api-1 crashes.")),
        ("rollback", back(moved(Phase::Rolling, 2))),
    ]
}

fn ana_pauses(environment: &mut Environment) -> Said {
    pause(environment, &on_tracks(), "ana", Some("p99"), at(100))
}

fn ana_hurries(environment: &mut Environment) -> Said {
    hurry(
        environment,
        &on_tracks(),
        ReleaseNumber(2),
        "ana",
        "a fix",
        at(100),
    )
}

fn ana_goes_on(environment: &mut Environment) -> Said {
    despite(
        environment,
        ReleaseNumber(2),
        &["5xx".into()],
        "ana",
        "it mends it",
    )
}

/// What each command does in each state, and what is right where it does nothing.
#[test]
fn each_command_in_each_state() {
    let mut lines = Vec::new();
    for (name, environment) in states() {
        let commands: [(&str, Command); 4] = [
            ("pause", ana_pauses),
            ("resume", |environment| resume(environment, "ana", None, at(100))),
            ("promote --full", ana_hurries),
            ("promote --despite", ana_goes_on),
        ];
        for (word, command) in commands {
            let mut after = environment.clone();
            let told = match command(&mut after) {
                Ok(None) => "it is so already".to_owned(),
                Ok(Some(record)) => format!(
                    "{:?}{}",
                    record.event,
                    record.reason.map(|why| format!(": {why}")).unwrap_or_default()
                ),
                Err(declined) => format!("no: {}\n    next: {}", declined.why, declined.next),
            };
            let is_change = told.starts_with(char::is_uppercase);
            assert_eq!(after != environment, is_change, "{name}, {word}");
            lines.push(format!("{name}, {word}: {told}"));
            // Asked once more, nothing more is recorded.
            if is_change {
                let mut again = after.clone();
                assert_eq!(command(&mut again), Ok(None), "{name}, {word}");
                assert_eq!(again, after);
            }
        }
        let mut after = environment.clone();
        let told = match ask_again(&mut after, "ana") {
            Ok(record) => format!("{:?}: {}", record.event, record.reason.unwrap_or_default()),
            Err(why) => format!("no: {why}"),
        };
        lines.push(format!("{name}, retry: {told}\n"));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn another_release_than_the_one_that_is_rolled_out_is_refused() {
    let mut environment = moved(Phase::Baking, 0);
    let said = hurry(
        &mut environment,
        &on_tracks(),
        ReleaseNumber(3),
        "ana",
        "x",
        at(1),
    );
    assert_eq!(
        said.unwrap_err().why,
        "mc-api#3 is not what is done to production: that is #2."
    );
    assert!(despite(&mut environment, ReleaseNumber(3), &["5xx".into()], "ana", "x").is_err());
}

fn seen(environment: &Environment) -> TrafficSeen {
    let traffic = environment.rollout.as_ref().unwrap().traffic.as_deref().unwrap();
    TrafficSeen {
        weights: Ok(traffic.weights.unwrap()),
        fence: environment.fence,
        standing: Standing::Accepted,
        pointed: Some(traffic.from),
        pointed_fence: environment.fence,
        ready: [(Track::Blue, 4), (Track::Green, 4)].into(),
    }
}

/// What comes next, with every pod as it should be.
fn next(environment: &Environment, alarms: &Verdict, second: i64) -> Decision {
    let spec = on_tracks();
    let rollout = environment.rollout.as_ref().unwrap();
    let wanted: Bundle = bundle(2);
    let observed: Observation = observed(2, environment.fence.0);
    let facts = Facts {
        rollout,
        wanted: Some(&wanted),
        observed: &observed,
        spec: &spec,
        is_helm: false,
        helm: None,
        caught: None,
        traffic: Some(&seen(environment)),
        alarms: Some(alarms),
    };
    decide(facts, at(second))
}

fn is_asleep(environment: &Environment, second: i64) -> bool {
    let rollout = environment.rollout.as_ref().unwrap();
    let asleep = sleeps(rollout, at(second)).is_some();
    let decided = matches!(next(environment, &Verdict::Passed, second), Decision::Sleep(..));
    assert_eq!(
        asleep, decided,
        "what sleeps is what the execution is told to sleep for"
    );
    asleep
}

#[test]
fn a_paused_rollout_stays_beyond_its_bake_until_it_is_resumed() {
    let mut environment = moved(Phase::Baking, 0);
    ana_pauses(&mut environment).unwrap().unwrap();
    for second in [100, 400, 1_000_000] {
        assert!(is_asleep(&environment, second));
    }
    // An alarm still stops it.
    let failed = Verdict::Failed("5xx".into());
    assert_eq!(next(&environment, &failed, 400), Decision::Restore("5xx".into()));
    resume(&mut environment, "ben", None, at(400)).unwrap().unwrap();
    assert_eq!(next(&environment, &Verdict::Passed, 400), Decision::Advance(1));
}

#[test]
fn a_person_who_resumes_is_not_asked_once_more_by_the_pipeline() {
    // During the bake only the person's own pause is lifted: the pipeline asks later, as it would have.
    let mut early = moved(Phase::Baking, 1);
    ana_pauses(&mut early).unwrap().unwrap();
    resume(&mut early, "ana", None, at(200)).unwrap().unwrap();
    assert!(matches!(next(&early, &Verdict::Passed, 310), Decision::Pause(_)));
    // After it, and where the pipeline has asked, once is enough.
    for mut late in [
        moved(Phase::Baking, 1),
        paused_by_pipeline(moved(Phase::Baking, 1)),
    ] {
        ana_pauses(&mut late).unwrap().unwrap();
        assert!(is_asleep(&late, 1_000_000), "a person's pause has no end");
        resume(&mut late, "ana", None, at(400)).unwrap().unwrap();
        assert_eq!(next(&late, &Verdict::Passed, 400), Decision::Advance(2));
    }
    let mut asked = paused_by_pipeline(moved(Phase::Baking, 1));
    resume(&mut asked, "ana", None, at(400)).unwrap().unwrap();
    assert_eq!(next(&asked, &Verdict::Passed, 400), Decision::Advance(2));
}

#[test]
fn all_traffic_now_leaves_out_bakes_and_pauses_but_no_alarm() {
    let (nothing, failed) = (
        Verdict::Inconclusive("no data".into()),
        Verdict::Failed("5xx".into()),
    );
    let mut environment = paused_by_pipeline(moved(Phase::Baking, 1));
    environment.rollout.as_mut().unwrap().held_until = Some(at(500));
    ana_hurries(&mut environment).unwrap().unwrap();
    assert!(!is_asleep(&environment, 20));
    for verdict in [&Verdict::Passed, &nothing] {
        assert_eq!(next(&environment, verdict, 20), Decision::Advance(2));
    }
    assert_eq!(next(&environment, &failed, 20), Decision::Restore("5xx".into()));
    // Who thinks better of it pauses it, until the last step is recorded.
    ana_pauses(&mut environment).unwrap().unwrap();
    assert!(is_asleep(&environment, 400));
    advance(&mut environment, 9, 2, Fence(0), Seconds(60), at(400)).unwrap();
    assert!(ana_pauses(&mut environment).is_err());
}

#[test]
fn alarms_that_said_nothing_are_read_again_and_hold_anew() {
    let nothing = Verdict::Inconclusive("alarm 5xx has no data".into());
    let mut environment = moved(Phase::Baking, 0);
    assert_eq!(
        next(&environment, &nothing, 400),
        Decision::Hold("alarm 5xx has no data".into())
    );
    crate::check::hold(
        &mut environment,
        5,
        &on_tracks(),
        "alarm 5xx has no data",
        at(400),
    )
    .unwrap();
    assert!(sleeps(environment.rollout.as_ref().unwrap(), at(401)).is_some());
    ask_again(&mut environment, "ana").unwrap();
    assert!(
        sleeps(environment.rollout.as_ref().unwrap(), at(401)).is_none(),
        "awake at once"
    );
    assert_eq!(
        next(&environment, &nothing, 401),
        Decision::Hold("alarm 5xx has no data".into())
    );
    assert_eq!(next(&environment, &Verdict::Passed, 401), Decision::Advance(1));
    // The wish is done with the next stage: it must not run a later check again by itself.
    advance(&mut environment, 6, 1, Fence(0), Seconds(60), at(402)).unwrap();
    assert!(!environment.rollout.unwrap().asked_again);
}

#[test]
fn alarms_are_set_aside_once_each_and_reach_the_traffic() {
    let mut environment = moved(Phase::Baking, 0);
    environment.rollout.as_mut().unwrap().held_until = Some(at(900));
    ana_goes_on(&mut environment).unwrap().unwrap();
    let both = ["p99".to_owned(), "5xx".to_owned()];
    let record = despite(&mut environment, ReleaseNumber(2), &both, "ben", "too");
    assert_eq!(record.unwrap().unwrap().reason.unwrap(), "p99: too");
    let rollout = environment.rollout.unwrap();
    assert_eq!(rollout.despite, ["5xx", "p99"]);
    assert_eq!(rollout.traffic.unwrap().despite, ["5xx", "p99"]);
    assert_eq!(rollout.held_until, None);
}

#[test]
fn a_promotion_takes_what_was_set_aside_to_its_rollout() {
    let mut promotion = promotion(2);
    let record = promotion
        .set_aside(&["5xx".into()], "ana", "it mends it")
        .unwrap();
    assert_eq!(record.reason.unwrap(), "5xx: it mends it");
    assert_eq!(promotion.set_aside(&["5xx".into()], "ana", "it mends it"), None);
    let mut environment = with_completed(&[1]);
    super::super::take_lease(&mut environment, &mut promotion, Seconds(60), at(0));
    assert_eq!(environment.rollout.unwrap().despite, ["5xx"]);
}
