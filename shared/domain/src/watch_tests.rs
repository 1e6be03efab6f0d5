//! What becomes of a watch, as tables over alarms and time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::alarm::{AlarmKind, AlarmState, SeenAlarm, Sight, StateChange};
use crate::ids::Fence;
use crate::rollback::{self, Call, Course, Undoes};
use crate::rollout;
use crate::samples::*;
use crate::tracks::{Stage, Track, Traffic};
use proptest::prelude::*;

const HOLD: Seconds = Seconds(1_800);

fn watched_spec() -> EnvironmentSpec {
    EnvironmentSpec {
        alarms: vec!["a".into()],
        watch: Some(Seconds(600)),
        ..spec(None)
    }
}

/// `#2` was rolled out over `#1`, completed at second 100 and is watched until 700; its first write was at second 10.
fn watched() -> (Environment, Record) {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Verified);
    let owner = environment.lease.clone().unwrap().owner;
    rollout::complete(
        &mut environment,
        &owner,
        Some(&mut promotion(2)),
        Some(&release(2)),
        at(100),
    )
    .unwrap();
    let rollout = environment.rollout.clone().unwrap();
    let record = begin(&mut environment, &rollout, &watched_spec(), at(100)).unwrap();
    (environment, record)
}

fn watch() -> Watch {
    watched().0.watch.unwrap()
}

fn seen(state: AlarmState, since: i64, turned: &[i64]) -> AlarmsSeen {
    let changes = turned.iter().map(|second| StateChange {
        at: at(*second),
        from: Some(AlarmState::Ok),
        to: AlarmState::Alarm,
        reason: "crossed".into(),
    });
    let alarm = SeenAlarm {
        kind: AlarmKind::Metric,
        state,
        since: at(since),
        reason: String::new(),
        evaluation: None,
        missing_data: None,
        metric: None,
        changes: changes.collect(),
        changes_incomplete: None,
    };
    AlarmsSeen([("a".to_owned(), Sight::Seen(alarm))].into())
}

fn missing() -> AlarmsSeen {
    AlarmsSeen::default()
}

#[test]
fn a_completed_promotion_is_watched_from_its_first_traffic() {
    let (environment, record) = watched();
    let watch = environment.watch.unwrap();
    assert_eq!((watch.since, watch.until), (at(10), at(700)));
    assert_eq!(
        (watch.release, watch.execution.as_str()),
        (Some(ReleaseNumber(2)), "mc-api-2-production-1")
    );
    assert_eq!(
        (record.event, record.release),
        (Event::WatchStarted, Some(ReleaseNumber(2)))
    );
    assert_eq!(environment.completed[0].watched, Some(false));
}

#[test]
fn without_a_watch_in_the_pipeline_and_after_a_rollback_nothing_is_watched() {
    let (environment, _) = watched();
    let rollout = environment.rollout.clone().unwrap();
    let mut other = Environment {
        watch: None,
        ..environment
    };
    assert_eq!(begin(&mut other, &rollout, &spec(None), at(100)), None);
    let back = Rollout {
        kind: crate::environment::RolloutKind::Rollback {
            leaving: None,
            by: "ana".into(),
            restore: false,
        },
        ..rollout
    };
    assert_eq!(begin(&mut other, &back, &watched_spec(), at(100)), None);
    assert_eq!(other.watch, None);
}

#[test]
fn what_becomes_of_it() {
    use AlarmState::{Alarm, InsufficientData, Ok};
    let held = Watch {
        held_until: Some(at(2_500)),
        ..watch()
    };
    let roll_back = |decision: &WatchDecision| matches!(decision, WatchDecision::RollBack { .. });
    for (what, watch, seen, now, wanted) in [
        (
            "quiet, before its end",
            watch(),
            seen(Ok, 0, &[]),
            699,
            WatchDecision::Wait,
        ),
        (
            "quiet, at its end",
            watch(),
            seen(Ok, 0, &[]),
            700,
            WatchDecision::Passed,
        ),
        (
            "unclear before its end",
            watch(),
            missing(),
            699,
            WatchDecision::Wait,
        ),
        (
            "no data before its end",
            watch(),
            seen(InsufficientData, 0, &[]),
            300,
            WatchDecision::Wait,
        ),
        (
            "held, unclear",
            held.clone(),
            missing(),
            2_499,
            WatchDecision::Wait,
        ),
        (
            "held, clear again",
            held.clone(),
            seen(Ok, 0, &[]),
            800,
            WatchDecision::Passed,
        ),
        (
            "held, clear at the end of the hold",
            held.clone(),
            seen(Ok, 0, &[]),
            9_999,
            WatchDecision::Passed,
        ),
    ] {
        assert_eq!(decide(&watch, &seen, HOLD, at(now)), wanted, "{what}");
    }
    for (what, watch, seen, now) in [
        ("in ALARM", watch(), seen(Alarm, 200, &[200]), 201),
        ("flapped back", watch(), seen(Ok, 210, &[200]), 220),
        (
            "between first traffic and completion",
            watch(),
            seen(Ok, 60, &[50]),
            110,
        ),
        ("found only after the end", watch(), seen(Ok, 210, &[200]), 5_000),
        ("while it is held", held.clone(), seen(Alarm, 800, &[800]), 810),
        ("held too long", held, missing(), 2_500),
    ] {
        assert!(roll_back(&decide(&watch, &seen, HOLD, at(now))), "{what}");
    }
    // What stood before the first traffic blames nobody; it is unclear at the end, unless a person said that it stands.
    let stands = seen(Alarm, 5, &[5]);
    assert!(matches!(
        decide(&watch(), &stands, HOLD, at(700)),
        WatchDecision::Hold { until, .. } if until == at(2_500)
    ));
    let despite = Watch {
        despite: vec!["a".into()],
        ..watch()
    };
    assert_eq!(decide(&despite, &stands, HOLD, at(700)), WatchDecision::Passed);
}

#[test]
fn a_watch_without_alarms_ends_with_its_time() {
    let bare = Watch {
        alarms: vec![],
        ..watch()
    };
    assert_eq!(decide(&bare, &missing(), HOLD, at(699)), WatchDecision::Wait);
    assert_eq!(decide(&bare, &missing(), HOLD, at(700)), WatchDecision::Passed);
}

#[test]
fn holding_and_passing_are_recorded() {
    let (mut environment, _) = watched();
    let record = hold(&mut environment, "no data", at(2_500)).unwrap();
    assert_eq!(record.event, Event::WatchHeld);
    assert_eq!(environment.watch.as_ref().unwrap().held_until, Some(at(2_500)));
    let record = pass(&mut environment).unwrap();
    assert_eq!(
        (record.event, record.release),
        (Event::WatchPassed, Some(ReleaseNumber(2)))
    );
    assert_eq!(
        (environment.watch.clone(), environment.completed[0].watched),
        (None, Some(true))
    );
    assert_eq!(pass(&mut environment), None);
    assert_eq!(hold(&mut environment, "no data", at(1)), None);
}

#[test]
fn a_newer_release_rests_the_watch_and_ends_it_with_its_first_write() {
    let (mut environment, _) = watched();
    rollout::take_lease(&mut environment, &mut promotion(3), Seconds(600), at(200));
    assert_eq!(
        exposed(&environment),
        None,
        "#3 has written nothing, and #2 is not what it brings"
    );
    assert!(environment.watch.is_some());
    let beginning = rollout::Beginning {
        baseline: crate::bundle::Baseline::Nothing,
        target: hash(3),
        highest_fence: Fence(0),
        timeout: Seconds(600),
    };
    let record = rollout::begin(&mut environment, 0, beginning, at(210)).unwrap();
    assert_eq!(environment.watch, None);
    insta::assert_snapshot!(record.reason.unwrap(), @"the watch of #2, which was to last until 1970-01-12T13:58:20Z, ends with it");
    let exposed = exposed(&environment).unwrap();
    assert_eq!(
        (exposed.release, exposed.since, exposed.watched),
        (Some(ReleaseNumber(3)), at(210), false)
    );
    // #2 did not get through its watch: #1 is what comes back first
    let course = rollback::decide(&environment, &call(None, None), None, false);
    let Course::BringBack { candidates, .. } = course else {
        panic!("{course:?}")
    };
    let releases: Vec<_> = candidates.iter().filter_map(|target| target.release).collect();
    assert_eq!(releases, [ReleaseNumber(1), ReleaseNumber(2)]);
}

#[test]
fn on_tracks_a_watch_rests_until_the_newer_release_gets_traffic() {
    let (mut environment, _) = watched();
    rollout::take_lease(&mut environment, &mut promotion(3), Seconds(600), at(200));
    let beginning = rollout::Beginning {
        baseline: crate::bundle::Baseline::Nothing,
        target: hash(3),
        highest_fence: Fence(0),
        timeout: Seconds(600),
    };
    let traffic = Traffic::new(
        route(http_route()),
        Some(Track::Green),
        Some(Track::Blue),
        [].into(),
    );
    rollout::begin_on_tracks(&mut environment, 0, beginning, traffic, at(210)).unwrap();
    // What was there keeps its traffic: nothing of the newer one is to blame, and the watch waits for what becomes of it.
    assert_eq!(exposed(&environment), None);
    assert!(environment.watch.is_some());
    let stage = Stage {
        weight: 5,
        bake: None,
        pause: None,
    };
    let record = rollout::shift(&mut environment, 1, stage, Fence(0), Seconds(60), at(220)).unwrap();
    assert_eq!(environment.watch, None);
    assert!(record.reason.unwrap().contains("the watch of #2"));
    let found = exposed(&environment).unwrap();
    assert_eq!((found.release, found.since), (Some(ReleaseNumber(3)), at(220)));
}

#[test]
fn who_can_be_blamed_in_each_phase() {
    for (phase, is_exposed) in [
        (Phase::Starting, false),
        (Phase::Rolling, true),
        (Phase::Shifting, true),
        (Phase::Baking, true),
        (Phase::Verified, true),
        (Phase::Restoring, false),
        (Phase::Restored, false),
        (Phase::Stuck, false),
    ] {
        let environment = rolling(with_completed(&[1]), 2, phase);
        assert_eq!(exposed(&environment).is_some(), is_exposed, "{phase:?}");
    }
    assert_eq!(exposed(&with_completed(&[1])), None, "what was never watched");
    assert!(exposed(&watched().0).unwrap().watched);
}

fn call(undoes: Option<&str>, restore: Option<()>) -> Call {
    Call {
        to: None,
        restore: restore.is_some(),
        by: "sluice".into(),
        reason: Some("alarm a".into()),
        undoes: undoes.map(|execution| Undoes {
            execution: crate::ids::ExecutionName::parse(execution).unwrap(),
            blame: Some(Blame {
                alarm: "a".into(),
                at: at(200),
                reason: "crossed".into(),
            }),
        }),
    }
}

/// Whoever asks because of a look at one rollout never undoes another one.
#[test]
fn a_blame_undoes_its_own_rollout_and_no_other() {
    let ours = Some("mc-api-2-production-1");
    let (environment, _) = watched();
    let decided = |environment: &Environment, call: &Call| rollback::decide(environment, call, None, false);
    assert!(matches!(
        decided(&environment, &call(ours, None)),
        Course::BringBack {
            leaving: Some(ReleaseNumber(2)),
            ..
        }
    ));
    let other = call(Some("mc-api-1-production-1"), None);
    assert!(matches!(decided(&environment, &other), Course::Refuse { .. }));
    // restored is what is under way, and rolled back is what is not
    assert!(matches!(
        decided(&environment, &call(ours, Some(()))),
        Course::Refuse { .. }
    ));
    let under_way = rolling(with_completed(&[1]), 2, Phase::Rolling);
    assert!(matches!(
        decided(&under_way, &call(ours, Some(()))),
        Course::BringBack { .. }
    ));
    assert!(matches!(
        decided(&under_way, &call(ours, None)),
        Course::Refuse { .. }
    ));
    // a newer release has the environment
    let (mut newer, _) = watched();
    rollout::take_lease(&mut newer, &mut promotion(3), Seconds(600), at(200));
    assert!(matches!(
        decided(&newer, &call(ours, None)),
        Course::Refuse { .. }
    ));
}

/// A newer release that had the environment and wrote nothing does not end the watch of the one that is live.
#[test]
fn a_blame_undoes_what_is_watched_also_after_a_newer_one_gave_up() {
    let (mut environment, _) = watched();
    let execution = crate::ids::ExecutionName::parse("mc-api-3-production-1").unwrap();
    rollout::take_lease(&mut environment, &mut promotion(3), Seconds(600), at(200));
    rollout::reach(
        &mut environment,
        0,
        Phase::Restored,
        None,
        Some("a check said no"),
    );
    rollout::complete(
        &mut environment,
        &execution,
        Some(&mut promotion(3)),
        None,
        at(201),
    )
    .unwrap();
    assert!(environment.watch.is_some() && environment.last_rollback.is_none());
    let ours = call(Some("mc-api-2-production-1"), None);
    assert!(matches!(
        rollback::decide(&environment, &ours, None, false),
        Course::BringBack {
            leaving: Some(ReleaseNumber(2)),
            ..
        }
    ));
}

fn rolled_back() -> (Environment, Vec<Record>) {
    let (mut environment, _) = watched();
    let call = call(Some("mc-api-2-production-1"), None);
    let Course::BringBack { leaving, candidates } = rollback::decide(&environment, &call, None, false) else {
        panic!("refused")
    };
    let beginning = rollback::Beginning {
        highest_fence: Fence(0),
        within: Seconds(300),
        pipeline: hash(900),
        traffic: None,
    };
    let records = rollback::begin(
        &mut environment,
        None,
        &call,
        &candidates[0],
        leaving,
        beginning,
        at(210),
    );
    (environment, records)
}

#[test]
fn a_doubled_blame_is_one_rollback() {
    let (mut environment, records) = rolled_back();
    let events: Vec<Event> = records.iter().map(|record| record.event).collect();
    assert_eq!(events, [Event::AlarmBlamed, Event::RollbackStarted, Event::Held]);
    insta::assert_snapshot!(records[0].reason.clone().unwrap(), @"alarm a went into ALARM at 1970-01-12 13:50:00 UTC (crossed)");
    assert_eq!((environment.watch.clone(), exposed(&environment)), (None, None));
    let again = call(Some("mc-api-2-production-1"), None);
    assert!(matches!(
        rollback::decide(&environment, &again, None, false),
        Course::Join(_)
    ));
    environment.lease = None;
    assert!(matches!(
        rollback::decide(&environment, &again, None, false),
        Course::Already(_)
    ));
}

#[test]
fn a_promotion_that_an_alarm_stops_failed() {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    let call = call(Some("mc-api-2-production-1"), Some(()));
    let Course::BringBack { leaving, candidates } = rollback::decide(&environment, &call, None, false) else {
        panic!("refused")
    };
    let beginning = rollback::Beginning {
        highest_fence: Fence(0),
        within: Seconds(300),
        pipeline: hash(900),
        traffic: None,
    };
    let mut preempted = promotion(2);
    let records = rollback::begin(
        &mut environment,
        Some(&mut preempted),
        &call,
        &candidates[0],
        leaving,
        beginning,
        at(210),
    );
    let events: Vec<Event> = records.iter().map(|record| record.event).collect();
    assert_eq!(
        events,
        [Event::AlarmBlamed, Event::PromotionFailed, Event::RollbackStarted]
    );
    assert_eq!(preempted.state, crate::promotion::PromotionState::Failed);
    assert_eq!(environment.hold, None, "a rollout that failed holds nothing");
}

proptest! {
    /// However often and whenever it is looked at, one ALARM in the window ends in a rollback, and none never does before the
    /// alarms were unclear for a whole hold.
    #[test]
    fn looks_lost_doubled_and_late_end_the_same(turned in prop::option::of(10i64..699), looks in prop::collection::vec(0i64..6_000, 1..12)) {
        let mut looks = looks;
        looks.push(6_000);
        looks.sort_unstable();
        let (mut environment, _) = watched();
        let mut ended = None;
        for now in looks {
            let Some(watch) = environment.watch.clone() else { break };
            let turned: Vec<i64> = turned.filter(|second| *second <= now).into_iter().collect();
            match decide(&watch, &seen(AlarmState::Ok, 0, &turned), HOLD, at(now)) {
                WatchDecision::Wait => {}
                WatchDecision::Hold { reason, until } => { hold(&mut environment, &reason, until); }
                WatchDecision::Passed => { pass(&mut environment); ended = Some(false); }
                WatchDecision::RollBack { .. } => { environment.watch = None; ended = Some(true); }
            }
        }
        prop_assert_eq!(ended, Some(turned.is_some()));
    }
}
