//! What comes next on tracks: whole walks. What follows in each phase of one is in the modules below.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::bundle::Baseline;
use crate::ids::{Fence, ReleaseNumber};
use crate::pipeline::{CheckAction, CheckSpec, Seconds};
use crate::rollout::track_world::*;
use crate::samples::at;
use crate::tracks::{Track, cooling};
use crate::watch::Watch;

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

#[path = "on_tracks_bake_tests.rs"]
mod baking;
#[path = "on_tracks_shift_tests.rs"]
mod shifting;
