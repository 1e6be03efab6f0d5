//! At the end of a bake, and of what holds it: alarms, people.
use super::*;
use crate::tracks::{Hurry, Pause};
use crate::wire::Caught;

fn inconclusive(reason: &str) -> Option<Verdict> {
    Some(Verdict::Inconclusive(reason.into()))
}

#[test]
fn a_bake_ends_with_what_is_seen_then() {
    let baked = || {
        let mut world = canary_at(Phase::Baking, 0);
        world.now += 300;
        world
    };
    let mut early = baked();
    early.now -= 1;
    assert_eq!(word(&early.decide()), "Sleep");
    early.alarms = Some(Verdict::Failed("5xx".into()));
    assert_eq!(
        word(&early.decide()),
        "Sleep",
        "whoever hears of an alarm calls roll-back"
    );
    assert_eq!(baked().decide(), Decision::Advance(1));
    let after = |change: &dyn Fn(&mut World)| {
        let mut world = baked();
        change(&mut world);
        word(&world.decide())
    };
    type Change<'c> = &'c dyn Fn(&mut World);
    let table: [(&str, Change<'_>, &str); 12] = [
        (
            "an alarm",
            &|world| world.alarms = Some(Verdict::Failed("5xx".into())),
            "Restore",
        ),
        (
            "no answer of alarms",
            &|world| world.alarms = inconclusive("missing"),
            "Hold",
        ),
        ("alarms not looked at", &|world| world.alarms = None, "Hold"),
        (
            "weights unreadable",
            &|world| world.seen.weights = Err("gone".into()),
            "Hold",
        ),
        (
            "router not sure",
            &|world| world.seen.standing = Standing::Pending("?".into()),
            "Hold",
        ),
        (
            "router refuses",
            &|world| world.seen.standing = Standing::Refused("!".into()),
            "Restore",
        ),
        (
            "weights changed",
            &|world| world.seen.weights = Ok(Weights::split(Track::Green, 6)),
            "Restore",
        ),
        (
            "no pod serves",
            &|world| world.at(Some(Track::Green)).ready = 0,
            "Restore",
        ),
        (
            "a pod crashes",
            &|world| world.at(Some(Track::Green)).crashes = true,
            "Restore",
        ),
        (
            "pods scaled away",
            &|world| world.at(Some(Track::Green)).wanted = 0,
            "Advance",
        ),
        (
            "the Deployment is gone",
            &|world| {
                world.pods.remove("mc-api-green");
            },
            "Restore",
        ),
        (
            "an error that stays",
            &|world| {
                let (error, cause) = ("Refused".to_owned(), Some("forbidden".to_owned()));
                world.caught = Some(Caught { error, cause });
            },
            "Restore",
        ),
    ];
    for (what, change, right) in table {
        assert_eq!(after(change), right, "{what}");
    }
}

/// One of several pods is not there at the end of a bake: the next step waits for it before it gets more.
#[test]
fn a_step_up_waits_for_all_pods_but_not_for_ever() {
    let mut world = canary_at(Phase::Baking, 2);
    world.now += 300;
    world.prompt = false;
    world.at(Some(Track::Green)).ready = 1;
    assert_eq!(world.advance(), Decision::Advance(3));
    assert_eq!(word(&world.advance()), "Await");
    world.now += 600;
    assert_eq!(word(&world.advance()), "Restore");
}

#[test]
fn alarms_that_say_nothing_hold_it_and_then_it_goes_back() {
    let mut world = canary_at(Phase::Baking, 0);
    world.now += 300;
    world.alarms = inconclusive("alarm 5xx is INSUFFICIENT_DATA");
    assert_eq!(word(&world.advance()), "Hold");
    let slept = Decision::Sleep(
        format!(
            "held until {}: alarm 5xx is INSUFFICIENT_DATA",
            at(world.now + 1_800)
        ),
        300,
    );
    assert_eq!(world.decide(), slept);
    // Once they say something, it goes on.
    let mut clear = world.clone();
    clear.alarms = Some(Verdict::Passed);
    assert_eq!(clear.advance(), Decision::Advance(1));
    assert_eq!(
        (clear.rollout().held_until, &clear.rollout().reason),
        (None, &None)
    );
    world.now += 1_800;
    let said = "nobody decided in time: alarm 5xx is INSUFFICIENT_DATA";
    assert_eq!(world.decide(), Decision::Restore(said.into()));
}

#[test]
fn an_alarm_from_before_keeps_it_from_any_traffic() {
    let mut world = World::new(canary(&[]));
    let stands = Some(Verdict::Failed("5xx is in ALARM since before".into()));
    world.alarms.clone_from(&stands);
    assert_eq!(word(&world.decide()), "Look");
    world.now = 600;
    assert_eq!(word(&world.decide()), "Abandon");
    let mut world = canary_at(Phase::Rolling, 0);
    world.alarms.clone_from(&stands);
    assert_eq!(word(&world.decide()), "Look");
    world.alarms = None;
    assert_eq!(word(&world.decide()), "Look", "nobody looked");
    world.now += 600;
    assert_eq!(word(&world.decide()), "Restore");
    // Later steps are judged at the end of the bake before.
    let mut world = canary_at(Phase::Rolling, 1);
    world.alarms = stands;
    assert_eq!(word(&world.decide()), "Shift");
}

#[test]
fn a_pause_of_the_pipeline_asks_a_person_and_ends_in_no() {
    let mut world = World::new(canary(&[5])).come_to(Phase::Baking, 0);
    world.now += 300;
    assert_eq!(
        world.advance(),
        Decision::Pause("at 5 % a person is asked to go on".into())
    );
    assert_eq!(
        world.decide(),
        Decision::Sleep("at 5 % a person is asked to go on".into(), 3_600)
    );
    assert!(sleeps(world.rollout(), at(world.now)).is_some());
    let mut resumed = world.clone();
    let traffic = resumed.traffic_mut();
    (traffic.pause, traffic.resumed) = (None, Some(0));
    assert_eq!(resumed.decide(), Decision::Advance(1));
    // An alarm is heard in a pause too.
    let mut blamed = world.clone();
    blamed.alarms = Some(Verdict::Failed("5xx".into()));
    assert_eq!(word(&blamed.decide()), "Restore");
    world.now += 3_600;
    let said = "nobody resumed it in time: at 5 % a person is asked to go on";
    assert_eq!(world.decide(), Decision::Restore(said.into()));
}

#[test]
fn a_person_may_pause_it_for_as_long_as_it_takes() {
    let mut world = canary_at(Phase::Baking, 1);
    let traffic = world.traffic_mut();
    traffic.pause = Some(Pause {
        by: Some("ana".into()),
        reason: "lunch".into(),
        since: at(0),
        until: None,
    });
    world.now += 300;
    assert_eq!(
        world.decide(),
        Decision::Sleep("paused by ana: lunch".into(), 86_400)
    );
    world.now += 7 * 86_400;
    assert_eq!(word(&world.decide()), "Sleep");
    assert_eq!(
        sleeps(world.rollout(), at(world.now)).as_deref(),
        Some("paused by ana: lunch")
    );
}

#[test]
fn in_a_hurry_bakes_and_pauses_are_left_out_but_not_readiness_nor_blame() {
    let hurried = |phase, stage| {
        let pauses: &[u32] = if stage == 0 { &[5, 25, 50] } else { &[50] };
        let mut world = World::new(canary(pauses)).come_to(phase, stage);
        let hurry = Hurry {
            by: "ana".into(),
            reason: "the fix".into(),
            at: at(world.now),
        };
        world.traffic_mut().hurry = Some(hurry);
        world
    };
    let mut world = hurried(Phase::Baking, 0);
    assert_eq!(
        sleeps(world.rollout(), at(world.now)),
        None,
        "it is woken and goes on"
    );
    world.alarms = inconclusive("too few requests");
    assert_eq!(world.advance(), Decision::Advance(3));
    world.at(Some(Track::Green)).ready = 0;
    assert_eq!(word(&world.decide()), "Await");
    world.at(Some(Track::Green)).ready = FULL;
    insta::assert_snapshot!(walk(&mut world), @r"
    0 Shift    blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root blue
    0 Point    blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root green
    0 Verify   blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root green
    0 Over     blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root green
    ");
    let mut world = hurried(Phase::Baking, 0);
    world.alarms = Some(Verdict::Failed("5xx".into()));
    assert_eq!(word(&world.decide()), "Restore");
    let mut world = hurried(Phase::Baking, 0);
    world.alarms = None;
    assert_eq!(word(&world.decide()), "Hold", "nobody looked");
    let mut world = hurried(Phase::Rolling, 1);
    assert!(walk(&mut world).ends_with("root green"));
}
