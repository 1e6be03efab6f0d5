//! What comes next on tracks: whole walks, and for each phase what is seen and what follows.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::bundle::Baseline;
use crate::ids::{Fence, ReleaseNumber};
use crate::pipeline::{CheckAction, CheckSpec, Seconds};
use crate::rollout::track_world::*;
use crate::samples::at;
use crate::tracks::{Hurry, Pause, Track, cooling};
use crate::watch::Watch;
use crate::wire::Caught;

/// Each decision with the state that it leaves; time passes by what is slept for.
fn walk(world: &mut World) -> String {
    let mut said = Vec::new();
    for _ in 0..100 {
        let decision = world.advance();
        said.push(format!(
            "{:>5} {:<8} {}",
            world.now,
            word(&decision),
            world.said()
        ));
        match decision {
            Decision::Sleep(_, seconds) | Decision::Look(_, seconds) | Decision::AwaitAnswer(_, seconds) => {
                world.now += i64::try_from(seconds).unwrap();
            }
            Decision::AwaitCheck { .. } => world.answer(Verdict::Passed),
            Decision::Over => return said.join("\n"),
            _ => {}
        }
    }
    panic!("it goes on for ever:\n{}", said.join("\n"));
}

/// A canary that has come to this phase of this stage.
fn canary_at(phase: Phase, stage: u32) -> World {
    World::new(canary(&[])).come_to(phase, stage)
}

fn inconclusive(reason: &str) -> Option<Verdict> {
    Some(Verdict::Inconclusive(reason.into()))
}

#[test]
fn a_good_release_walks_up_and_is_scaled_before_each_step() {
    let mut world = World::new(canary(&[]));
    insta::assert_snapshot!(walk(&mut world), @r"
      0 Begin    blue 100 % (#2: 4/4), green 0 % (#3: 1/1), root blue
      0 Shift    blue 95 % (#2: 4/4), green 5 % (#3: 1/1), root blue
      0 Bake     blue 95 % (#2: 4/4), green 5 % (#3: 1/1), root blue
      0 Sleep    blue 95 % (#2: 4/4), green 5 % (#3: 1/1), root blue
    300 Advance  blue 95 % (#2: 4/4), green 5 % (#3: 1/1), root blue
    300 Shift    blue 75 % (#2: 4/4), green 25 % (#3: 1/1), root blue
    300 Bake     blue 75 % (#2: 4/4), green 25 % (#3: 1/1), root blue
    300 Sleep    blue 75 % (#2: 4/4), green 25 % (#3: 1/1), root blue
    600 Advance  blue 75 % (#2: 4/4), green 25 % (#3: 2/2), root blue
    600 Shift    blue 50 % (#2: 4/4), green 50 % (#3: 2/2), root blue
    600 Bake     blue 50 % (#2: 4/4), green 50 % (#3: 2/2), root blue
    600 Sleep    blue 50 % (#2: 4/4), green 50 % (#3: 2/2), root blue
    900 Advance  blue 50 % (#2: 4/4), green 50 % (#3: 4/4), root blue
    900 Shift    blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root blue
    900 Point    blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root green
    900 Verify   blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root green
    900 Over     blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root green
    ");
    world.complete();
    let tracks = world.environment.tracks.unwrap();
    assert_eq!(tracks.live, Some(Track::Green));
    assert_eq!(tracks.held[&Track::Green].release.unwrap().0, 3);
    let warm = &tracks.held[&Track::Blue];
    assert_eq!(
        (warm.release.unwrap().0, warm.pinned["mc-api"]),
        (2, FULL),
        "it is kept at its size"
    );
}

#[test]
fn pods_that_no_request_would_find_get_no_traffic() {
    // Every pod is available, and the controller of endpoints is behind.
    let mut world = World::new(blue_green(vec![]));
    world.reached = 3;
    let Decision::Look(reason, _) = world.settle() else {
        panic!("{:?}", world.rollout());
    };
    assert_eq!(
        reason,
        "Service mc-api-green has 3 ready endpoints, and 4 pods are behind it"
    );
    assert_eq!(world.traffic().weights, None);
    world.reached = u32::MAX;
    assert!(matches!(world.advance(), Decision::Shift));
    // Nor is the Service pointed, where they are gone again by then.
    world.reached = 0;
    assert!(matches!(world.decide(), Decision::Look(..)));
    world.reached = u32::MAX;
    assert!(matches!(world.decide(), Decision::Point));
}

#[test]
fn what_is_watched_keeps_its_way_back_warm() {
    let mut world = World::new(canary(&[]));
    walk(&mut world);
    world.complete();
    let spec = world.spec.clone();
    let cools = |environment: &crate::environment::Environment| {
        cooling::to_cool(environment).map(|found| found.place)
    };
    assert_eq!(cools(&world.environment), Some(Some(Track::Blue)));
    world.environment.watch = Some(Watch {
        release: Some(ReleaseNumber(3)),
        execution: world.rollout().owner.clone(),
        pipeline: world.rollout().pipeline.clone(),
        since: at(0),
        until: at(1_800),
        alarms: spec.alarms,
        despite: Vec::new(),
        held_until: None,
        reason: None,
    });
    assert_eq!(cools(&world.environment), None);
}

#[test]
fn what_is_left_is_pinned_once_at_the_size_it_has_at_the_first_shift() {
    let mut world = World::new(canary(&[])).come_to(Phase::Rolling, 0);
    world.at(Some(Track::Blue)).wanted = 9;
    let mut world = world.come_to(Phase::Baking, 0);
    assert_eq!(world.traffic().pinned, [("mc-api".to_owned(), 9)].into());
    // Whatever became of it meanwhile.
    world.at(Some(Track::Blue)).wanted = 2;
    let world = world.come_to(Phase::Baking, 1);
    assert_eq!(world.traffic().pinned, [("mc-api".to_owned(), 9)].into());
    // A first release leaves nothing.
    let world = World::first(canary(&[])).come_to(Phase::Shifting, 0);
    assert!(world.traffic().pinned.is_empty());
}

#[test]
fn blue_green_is_looked_at_before_it_gets_everything_at_once() {
    let check = CheckSpec {
        name: "smoke".into(),
        timeout: Seconds(60),
        run: CheckAction::Lambda {
            function: "arn:aws:lambda:eu-west-1:123456789012:function:smoke".into(),
        },
    };
    let mut world = World::new(blue_green(vec![check.clone()]));
    insta::assert_snapshot!(walk(&mut world), @r"
    0 Begin    blue 100 % (#2: 4/4), green 0 % (#3: 4/4), root blue
    0 Check    blue 100 % (#2: 4/4), green 0 % (#3: 4/4), root blue
    0 AwaitCheck blue 100 % (#2: 4/4), green 0 % (#3: 4/4), root blue
    0 Shift    blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root blue
    0 Point    blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root green
    0 Verify   blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root green
    0 Over     blue 0 % (#2: 4/4), green 100 % (#3: 4/4), root green
    ");
    // One that does not pass gives it no traffic at all.
    let mut world = World::new(blue_green(vec![check]));
    assert!(matches!(world.settle(), Decision::AwaitCheck { .. }));
    world.answer(Verdict::Failed("500".into()));
    insta::assert_snapshot!(walk(&mut world), @r"
    0 Restore  blue 100 % (#2: 4/4), green 0 % (#3: 4/4), root blue
    0 Restored blue 100 % (#2: 4/4), green 0 % (#3: 4/4), root blue
    0 Over     blue 100 % (#2: 4/4), green 0 % (#3: 4/4), root blue
    ");
    assert_eq!(world.rollout().reason.as_deref(), Some("preview smoke: 500"));
}

#[test]
fn the_first_release_has_nothing_to_be_compared_with() {
    let mut world = World::first(canary(&[]));
    insta::assert_snapshot!(walk(&mut world), @r"
    0 Begin    blue 0 % (#1: 4/4), root before
    0 Shift    blue 100 % (#1: 4/4), root before
    0 Point    blue 100 % (#1: 4/4), root blue
    0 Verify   blue 100 % (#1: 4/4), root blue
    0 Over     blue 100 % (#1: 4/4), root blue
    ");
    let mut world = World::first(canary(&[]));
    world.prompt = false;
    world.settle();
    world.at(Some(Track::Blue)).crashes = true;
    insta::assert_snapshot!(walk(&mut world), @r"
    0 Restore  blue 0 % (#1: 0/0), root before
    0 Restored blue 0 % (#1: 0/0), root before
    0 Over     blue 0 % (#1: 0/0), root before
    ");
    assert_eq!(world.rollout().baseline, Some(Baseline::Nothing));
}

#[test]
fn what_was_there_before_tracks_loses_its_traffic_in_steps_and_gets_it_back() {
    let mut world = World::before_tracks(canary(&[]));
    insta::assert_snapshot!(walk(&mut world), @r"
      0 Begin    before 100 % (#1: 4/4), blue 0 % (#2: 1/1), root before
      0 Shift    before 95 % (#1: 4/4), blue 5 % (#2: 1/1), root before
      0 Bake     before 95 % (#1: 4/4), blue 5 % (#2: 1/1), root before
      0 Sleep    before 95 % (#1: 4/4), blue 5 % (#2: 1/1), root before
    300 Advance  before 95 % (#1: 4/4), blue 5 % (#2: 1/1), root before
    300 Shift    before 75 % (#1: 4/4), blue 25 % (#2: 1/1), root before
    300 Bake     before 75 % (#1: 4/4), blue 25 % (#2: 1/1), root before
    300 Sleep    before 75 % (#1: 4/4), blue 25 % (#2: 1/1), root before
    600 Advance  before 75 % (#1: 4/4), blue 25 % (#2: 2/2), root before
    600 Shift    before 50 % (#1: 4/4), blue 50 % (#2: 2/2), root before
    600 Bake     before 50 % (#1: 4/4), blue 50 % (#2: 2/2), root before
    600 Sleep    before 50 % (#1: 4/4), blue 50 % (#2: 2/2), root before
    900 Advance  before 50 % (#1: 4/4), blue 50 % (#2: 4/4), root before
    900 Shift    before 0 % (#1: 4/4), blue 100 % (#2: 4/4), root before
    900 Point    before 0 % (#1: 4/4), blue 100 % (#2: 4/4), root blue
    900 Verify   before 0 % (#1: 4/4), blue 100 % (#2: 4/4), root blue
    900 Over     before 0 % (#1: 4/4), blue 100 % (#2: 4/4), root blue
    ");
    world.complete();
    assert_eq!(world.environment.tracks.as_ref().unwrap().live, Some(Track::Blue));
    // A rollback is one change of weights, while what was there before still runs.
    world.roll_back(None, false).unwrap();
    insta::assert_snapshot!(walk(&mut world), @r"
    900 Shift    before 100 % (#1: 4/4), blue 0 % (#2: 4/4), root blue
    900 Point    before 100 % (#1: 4/4), blue 0 % (#2: 4/4), root before
    900 Verify   before 100 % (#1: 4/4), blue 0 % (#2: 4/4), root before
    900 Over     before 100 % (#1: 4/4), blue 0 % (#2: 4/4), root before
    ");
    world.complete();
    let tracks = world.environment.tracks.unwrap();
    assert_eq!((tracks.live, tracks.original), (None, None));
}

#[test]
fn a_canary_that_an_alarm_blames_gives_its_traffic_back_to_what_is_ready() {
    let mut world = canary_at(Phase::Baking, 1);
    world.now += 300;
    world.alarms = Some(Verdict::Failed("alarm 5xx went into ALARM".into()));
    insta::assert_snapshot!(walk(&mut world), @r"
    600 Restore  blue 75 % (#2: 4/4), green 25 % (#3: 1/1), root blue
    600 Route    blue 100 % (#2: 4/4), green 0 % (#3: 1/1), root blue
    600 Point    blue 100 % (#2: 4/4), green 0 % (#3: 1/1), root blue
    600 Restored blue 100 % (#2: 4/4), green 0 % (#3: 1/1), root blue
    600 Over     blue 100 % (#2: 4/4), green 0 % (#3: 1/1), root blue
    ");
    assert_eq!(
        world.rollout().reason.as_deref(),
        Some("alarm 5xx went into ALARM")
    );
    world.complete();
    assert_eq!(world.environment.tracks.unwrap().live, Some(Track::Blue));
}

#[test]
fn no_traffic_comes_before_pods_are_ready() {
    for stage in 0..4 {
        let mut world = canary_at(Phase::Rolling, stage);
        let green = world.at(Some(Track::Green));
        green.ready = green.wanted - 1;
        assert_eq!(word(&world.decide()), "Await", "stage {stage}");
        world.now += 600;
        assert_eq!(word(&world.decide()), "Restore", "stage {stage}, late");
        // Also where somebody, or an autoscaler, has taken away what was asked for.
        let mut world = canary_at(Phase::Rolling, stage);
        let green = world.at(Some(Track::Green));
        (green.wanted, green.ready) = (green.wanted - 1, green.wanted - 1);
        assert_eq!(word(&world.decide()), "Await", "stage {stage}, scaled down");
    }
}

#[test]
fn a_release_without_pods_gets_no_traffic() {
    let world = canary_at(Phase::Rolling, 0);
    let mut wanted = world.wanted().unwrap().scaled_to_zero();
    wanted.objects.clear();
    let mut observed = world.observed();
    for found in &mut observed.deployments {
        (found.wanted, found.total, found.updated, found.available) = (0, 0, 0, 0);
        found.pods.clear();
    }
    let facts = Facts {
        rollout: world.rollout(),
        wanted: Some(&wanted),
        observed: &observed,
        spec: &world.spec,
        is_helm: false,
        helm: None,
        caught: None,
        traffic: Some(&world.seen),
        alarms: world.alarms.as_ref(),
    };
    let said = "its Deployments say 0 replicas, and it is to have traffic: say how many it needs";
    assert_eq!(super::super::decide(facts, at(1)), Decision::Restore(said.into()));
}

#[test]
fn weights_are_written_and_read_back_before_anything_follows() {
    let shifting = || canary_at(Phase::Shifting, 1);
    assert_eq!(word(&shifting().decide()), "Bake");
    let mut unwritten = shifting();
    unwritten.seen.fence = Fence(unwritten.seen.fence.0 - 1);
    assert_eq!(word(&unwritten.decide()), "Route");
    unwritten.at(Some(Track::Green)).ready = 0;
    assert_eq!(
        word(&unwritten.decide()),
        "Await",
        "not to pods that are gone meanwhile"
    );
    unwritten.at(Some(Track::Green)).crashes = true;
    assert_eq!(word(&unwritten.decide()), "Restore");
    let mut unreadable = shifting();
    unreadable.seen.weights = Err("HTTPRoute mc-api is not there".into());
    assert_eq!(word(&unreadable.decide()), "Route");
    unreadable.now += 600;
    assert_eq!(word(&unreadable.decide()), "Restore", "not for ever");
    let mut pending = shifting();
    pending.seen.standing = Standing::Pending("generation 3 of 4".into());
    assert_eq!(pending.decide(), Decision::Look("generation 3 of 4".into(), 2));
    pending.now += 600;
    assert_eq!(word(&pending.decide()), "Restore");
    let mut refused = shifting();
    refused.seen.standing = Standing::Refused("no Gateway accepts it".into());
    assert_eq!(word(&refused.decide()), "Look", "it may not have heard of it yet");
    refused.now += 30;
    assert_eq!(
        refused.decide(),
        Decision::Restore("no Gateway accepts it".into())
    );
    let mut changed = shifting();
    changed.seen.weights = Ok(Weights::split(Track::Green, 90));
    let said = "somebody else changed the weights to blue 10 %, green 90 %";
    assert_eq!(changed.decide(), Decision::Restore(said.into()));
}

#[test]
fn the_services_follow_the_whole_traffic_to_ready_pods_only() {
    let last = || canary_at(Phase::Shifting, 3);
    assert_eq!(word(&last().decide()), "Point");
    let mut gone = last();
    gone.at(Some(Track::Green)).ready = 1;
    assert_eq!(word(&gone.decide()), "Await");
    gone.now += 600;
    assert_eq!(word(&gone.decide()), "Restore");
    let mut pointed = last();
    pointed.seen.pointed = Some(Some(Track::Green));
    assert_eq!(word(&pointed.decide()), "Point", "also under this fence");
    pointed.seen.pointed_fence = pointed.rollout().fence;
    assert_eq!(word(&pointed.decide()), "Verify");
    pointed.seen.pointed = None;
    assert_eq!(word(&pointed.decide()), "Point", "half of them is not all");
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
    let traffic = resumed
        .environment
        .rollout
        .as_mut()
        .unwrap()
        .traffic
        .as_mut()
        .unwrap();
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
    let traffic = world
        .environment
        .rollout
        .as_mut()
        .unwrap()
        .traffic
        .as_mut()
        .unwrap();
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
        let traffic = world
            .environment
            .rollout
            .as_mut()
            .unwrap()
            .traffic
            .as_mut()
            .unwrap();
        traffic.hurry = Some(Hurry {
            by: "ana".into(),
            reason: "the fix".into(),
            at: at(world.now),
        });
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

#[test]
fn the_way_back_is_the_same_order() {
    let restoring = || {
        let mut world = canary_at(Phase::Baking, 1);
        world.now += 300;
        world.alarms = Some(Verdict::Failed("5xx".into()));
        assert_eq!(word(&world.advance()), "Restore");
        world
    };
    let after = |change: &dyn Fn(&mut World)| {
        let mut world = restoring();
        change(&mut world);
        word(&world.decide())
    };
    assert_eq!(after(&|_| {}), "Route");
    assert_eq!(
        after(&|world| world.at(Some(Track::Blue)).fence = Fence(0)),
        "Apply"
    );
    assert_eq!(after(&|world| world.at(Some(Track::Blue)).ready = 3), "Await");
    assert_eq!(
        after(&|world| world.at(Some(Track::Blue)).crashes = true),
        "Stick"
    );
    let late = |world: &mut World| {
        world.at(Some(Track::Blue)).ready = 3;
        world.now += 300;
    };
    assert_eq!(after(&late), "Stick");
    let routed = |world: &mut World| assert_eq!(word(&world.advance()), "Route");
    assert_eq!(
        after(&|world| {
            routed(world);
            world.seen.standing = Standing::Pending("soon".into());
        }),
        "Look"
    );
    assert_eq!(
        after(&|world| {
            routed(world);
            world.seen.pointed = Some(Some(Track::Green));
        }),
        "Point"
    );
    assert_eq!(
        after(&|world| {
            routed(world);
            world.seen.pointed = Some(Some(Track::Green));
            world.at(Some(Track::Blue)).ready = 0;
        }),
        "Await",
        "not to pods that are gone"
    );
    // They point there already; but a late step of before may still point them elsewhere.
    assert_eq!(after(&routed), "Point");
    assert_eq!(
        after(&|world| {
            routed(world);
            assert_eq!(word(&world.advance()), "Point");
        }),
        "Restored"
    );
}

#[test]
fn what_never_had_traffic_has_none_to_give_back() {
    let mut world = World::new(canary(&[]));
    world.prompt = false;
    assert_eq!(word(&world.settle()), "Await");
    world.at(Some(Track::Green)).crashes = true;
    let before = world.seen.clone();
    insta::assert_snapshot!(walk(&mut world), @r"
    0 Restore  blue 100 % (#2: 4/4), green 0 % (#3: 0/1), root blue
    0 Restored blue 100 % (#2: 4/4), green 0 % (#3: 0/1), root blue
    0 Over     blue 100 % (#2: 4/4), green 0 % (#3: 0/1), root blue
    ");
    assert_eq!(world.seen, before, "the router is left alone");
}

#[test]
fn the_router_is_always_looked_at() {
    let world = canary_at(Phase::Baking, 0);
    let (wanted, observed) = (world.wanted(), world.observed());
    let facts = Facts {
        rollout: world.rollout(),
        wanted: wanted.as_ref(),
        observed: &observed,
        spec: &world.spec,
        is_helm: false,
        helm: None,
        caught: None,
        traffic: None,
        alarms: None,
    };
    let said = "the router was not looked at".to_owned();
    assert_eq!(super::super::decide(facts, at(1)), Decision::Look(said, 2));
}

/// The other track's Service is another release's: its ports are not this one's.
#[test]
fn the_services_of_what_has_traffic_are_not_written() {
    let services = |world: &World| -> Vec<String> {
        let objects = world.wanted().unwrap().objects;
        let services = objects.iter().filter(|object| object["kind"] == "Service");
        services
            .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(services(&canary_at(Phase::Rolling, 0)), ["mc-api-green"]);
    let mut back = canary_at(Phase::Baking, 1);
    back.now += 300;
    back.alarms = Some(Verdict::Failed("5xx".into()));
    back.advance();
    assert_eq!(services(&back), ["mc-api-blue"]);
    // Where nothing was on the other one yet, a router would refuse the name.
    let first = World::first(canary(&[])).come_to(Phase::Rolling, 0);
    assert_eq!(services(&first), ["mc-api-blue", "mc-api-green"]);
}
