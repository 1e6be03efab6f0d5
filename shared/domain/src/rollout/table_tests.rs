//! What happens in every state of a rollout on tracks, whatever comes between: one table.
//!
//! `#2` is live on blue, `#3` comes to green; in the rows of a rollback `#3` was live and `#2` comes back. A cell says how it ends
//! when nothing else happens after that:
//!
//! | word | end |
//! |---|---|
//! | `forward` | verified: `#3` has all traffic |
//! | `back` | `#2` has all traffic: restored, or a rollback that is verified |
//! | `stays` | nothing is recorded nor written; it ends as it would have |
//! | `paused` | it stays at its weight until somebody resumes it |
//! | `stuck` | a person is paged; the lease is kept, and what has traffic keeps it |
//! | `ends` | the promotion ends; nothing had been written |
//! | `joined`, `already` | the rollback that is or was done is the answer |
//! | `refused` | with the reason, and the next command |
//! | `waits` | it stays in the queue until this one is over |
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::track_world::*;
use super::*;
use crate::check;
use crate::ids::ReleaseNumber;
use crate::pipeline::{CheckAction, CheckSpec};
use crate::promotion::Promotion;
use crate::recovery::{ExecutionStatus, Repair, repairs};
use crate::samples::{at, promotion, queued};
use crate::tracks::{Standing, Track};
use crate::turn;
use crate::workload::Verdict;

type State = (&'static str, fn() -> World);
type Happening = (&'static str, fn(World) -> String);

const STATES: [State; 19] = [
    ("Starting", starting),
    ("Rolling, first stage", || awaiting(0)),
    ("Rolling, later stage", || awaiting(2)),
    ("Shifting, not written", || unwritten(1)),
    ("Shifting, pending", || pending(1)),
    ("Shifting, refused", refused),
    ("Shifting to 100 %", || pending(3)),
    ("Check held", check_held),
    ("Baking", || promoting().come_to(Phase::Baking, 1)),
    ("Baking, held", held),
    ("Baking, paused", paused),
    ("Restoring, no shift", restoring_unshifted),
    ("Restoring, not back", restoring),
    ("Restoring, shifted", restoring_shifted),
    ("Verified", verified),
    ("Restored", restored),
    ("Stuck", stuck),
    ("Rollback", rolling_back),
    ("Rollback, stuck", rollback_stuck),
];

const HAPPENINGS: [Happening; 13] = [
    ("rollback", |world| call(world, false, false)),
    ("abort", abort),
    ("pause", paused_by_ana),
    ("resume", resumed),
    ("retry", retry),
    ("--full", hurried),
    ("alarm", alarm),
    ("newer", newer),
    ("killed", killed),
    ("taken over", taken_over),
    ("gone", gone),
    ("pods lost", pods_lost),
    ("not routed", not_routed),
];

fn promoting() -> World {
    World::new(canary(&[]))
}

fn starting() -> World {
    promoting()
}

/// The stage is written; its pods are not ready yet.
fn awaiting(stage: u32) -> World {
    let mut world = promoting().come_to(Phase::Rolling, stage);
    world.at(Some(Track::Green)).ready = 0;
    world
}

/// The weights are recorded; the function was killed before it wrote them.
fn unwritten(stage: u32) -> World {
    let mut world = promoting().come_to(Phase::Rolling, stage);
    let decision = world.decide();
    assert_eq!(word(&decision), "Shift");
    world.record(&decision);
    world
}

fn pending(stage: u32) -> World {
    let mut world = promoting().come_to(Phase::Rolling, stage);
    world.accepting = false;
    assert_eq!(word(&world.advance()), "Shift");
    world
}

fn refused() -> World {
    let mut world = pending(1);
    world.seen.standing = Standing::Refused("no Gateway accepts it".into());
    world
}

fn check_held() -> World {
    let mut world = promoting();
    world.spec.verify = vec![CheckSpec {
        name: "smoke".into(),
        timeout: Seconds(60),
        run: CheckAction::Lambda {
            function: "arn:aws:lambda:eu-west-1:123456789012:function:smoke".into(),
        },
    }];
    let mut world = world.come_to(Phase::Shifting, 3);
    world.settle();
    world.answer(Verdict::Inconclusive("no answer".into()));
    assert_eq!(word(&world.advance()), "Hold");
    world
}

fn baked(stage: u32) -> World {
    let mut world = promoting().come_to(Phase::Baking, stage);
    world.now += 300;
    world
}

fn held() -> World {
    let mut world = baked(1);
    world.alarms = Some(Verdict::Inconclusive("INSUFFICIENT_DATA".into()));
    assert_eq!(word(&world.advance()), "Hold");
    world
}

fn paused() -> World {
    let mut world = World::new(canary(&[25])).come_to(Phase::Baking, 1);
    world.now += 300;
    assert_eq!(word(&world.advance()), "Pause");
    world
}

fn restoring_unshifted() -> World {
    let mut world = awaiting(0);
    world.prompt = false;
    world.at(Some(Track::Green)).crashes = true;
    assert_eq!(word(&world.advance()), "Restore");
    world
}

fn restoring() -> World {
    let mut world = baked(1);
    world.alarms = Some(Verdict::Failed("5xx".into()));
    assert_eq!(word(&world.advance()), "Restore");
    world
}

fn restoring_shifted() -> World {
    let mut world = restoring();
    world.accepting = false;
    assert_eq!(word(&world.advance()), "Route");
    world
}

fn verified() -> World {
    promoting().come_to(Phase::Verified, 3)
}

fn restored() -> World {
    restoring().come_to(Phase::Restored, 1)
}

fn stuck() -> World {
    let mut world = restoring();
    world.at(Some(Track::Blue)).crashes = true;
    assert_eq!(word(&world.advance()), "Stick");
    // Whoever mends it first, calls again then.
    world.at(Some(Track::Blue)).crashes = false;
    world
}

fn rolling_back() -> World {
    let mut world = verified();
    world.complete();
    assert_eq!(world.roll_back(None, false), Ok(Some(2)));
    world
}

fn rollback_stuck() -> World {
    let mut world = rolling_back();
    world.at(Some(Track::Blue)).crashes = true;
    assert_eq!(word(&world.advance()), "Stick");
    world.at(Some(Track::Blue)).crashes = false;
    world
}

/// One step, with what it waits for: time, checks that pass, a router that accepts in the end.
fn step(world: &mut World) -> bool {
    let decision = world.advance();
    match decision {
        Decision::Sleep(_, seconds) | Decision::Look(_, seconds) | Decision::AwaitAnswer(_, seconds) => {
            world.now += i64::try_from(seconds).unwrap();
        }
        Decision::Await(_) => world.now += 60,
        Decision::AwaitCheck { .. } => world.answer(Verdict::Passed),
        _ => {}
    }
    decision != Decision::Over
}

/// Lets it go on until it is over, and says how that is.
fn ends(world: &mut World) -> String {
    for _ in 0..2_000 {
        if !step(world) {
            return end_of(world);
        }
    }
    panic!("it goes on for ever: {:?}", world.rollout());
}

/// With pods that come, alarms that are silent and a router that accepts.
fn ends_well(mut world: World) -> String {
    world.accepting = true;
    world.seen.standing = Standing::Accepted;
    for pods in world.pods.values_mut().filter(|pods| !pods.crashes) {
        pods.ready = pods.wanted;
    }
    ends(&mut world)
}

fn end_of(world: &World) -> String {
    let all_on = |release: u32| {
        let weights = world.seen.weights.as_ref().unwrap();
        let places = [Track::Blue, Track::Green].into_iter();
        let mut served = places.filter(|track| weights.of(*track) > 0);
        served.all(|track| {
            let pods = &world.pods[&track.of("mc-api")];
            pods.release == release && pods.ready > 0
        })
    };
    let word = match world.phase() {
        Phase::Stuck => "stuck",
        Phase::Verified if all_on(3) => "forward",
        Phase::Verified | Phase::Restored if all_on(2) => "back",
        other => panic!("{other:?} with {}", world.said()),
    };
    word.to_owned()
}

fn first_word(said: &str) -> String {
    said.split(':').next().unwrap().to_owned()
}

fn call(mut world: World, restore: bool, holder_ended: bool) -> String {
    let before = world.clone();
    match world.take_over(None, restore, holder_ended) {
        Ok(_) => {
            let fence = world.rollout().fence;
            assert!(fence > before.rollout().fence && fence > before.observed().highest_fence);
            ends_well(world)
        }
        Err(said) => first_word(&said),
    }
}

fn is_over(world: &World) -> bool {
    matches!(world.phase(), Phase::Verified | Phase::Restored)
}

/// As `operate` does it: what has written nothing ends, what has is restored, and a rollback is not aborted.
fn abort(mut world: World) -> String {
    let Some(id) = world
        .environment
        .under_way()
        .and_then(|rollout| rollout.promotion())
    else {
        return "refused".into();
    };
    if is_over(&world) {
        return "refused".into();
    }
    if turn::has_written(&world.environment, id) {
        return call(world, true, false);
    }
    let mut promotion = promotion(id.release.0);
    turn::end(
        &mut promotion,
        &mut world.environment,
        PromotionState::Aborted,
        Event::PromotionAborted,
        "ana",
        "wrong one",
        at(world.now),
    );
    assert!(world.environment.lease.is_none() && world.environment.queue.current.is_none());
    "ends".into()
}

fn paused_by_ana(mut world: World) -> String {
    let said = pause(
        &mut world.environment,
        &world.spec,
        "ana",
        Some("lunch"),
        at(world.now),
    );
    let Some(recorded) = told(said) else {
        return "refused".into();
    };
    assert!(recorded);
    world.accepting = true;
    world.seen.standing = Standing::Accepted;
    world.alarms = Some(Verdict::Passed);
    for pods in world.pods.values_mut() {
        pods.ready = pods.wanted;
    }
    for _ in 0..50 {
        step(&mut world);
    }
    assert_eq!(
        (world.phase(), word(&world.decide())),
        (Phase::Baking, "Sleep".to_owned())
    );
    assert!(
        world
            .traffic()
            .pause
            .as_ref()
            .is_some_and(|pause| pause.by.is_some())
    );
    resume(&mut world.environment, "ana", None, at(world.now)).unwrap();
    assert_eq!(ends_well(world), "forward", "once it is resumed");
    "paused".into()
}

fn resumed(mut world: World) -> String {
    match told(resume(&mut world.environment, "ana", None, at(world.now))) {
        None => "refused".into(),
        Some(false) => "stays".into(),
        Some(true) => ends_well(world),
    }
}

fn hurried(mut world: World) -> String {
    let release = ReleaseNumber(3);
    let said = hurry(
        &mut world.environment,
        &world.spec,
        release,
        "ana",
        "the fix",
        at(world.now),
    );
    match told(said) {
        None => "refused".into(),
        Some(recorded) => {
            assert!(recorded);
            ends_well(world)
        }
    }
}

/// Whether anything was recorded; none where the command is declined, with the next one.
fn told(said: Said) -> Option<bool> {
    match said {
        Ok(record) => Some(record.is_some()),
        Err(declined) => {
            assert!(declined.next.starts_with("sluice "), "{declined:?}");
            None
        }
    }
}

fn retry(mut world: World) -> String {
    match check::ask_again(&mut world.environment, "ana") {
        Ok(_) => {
            world.alarms = Some(Verdict::Passed);
            ends_well(world)
        }
        Err(_) => "refused".into(),
    }
}

/// Its event is lost: what the next look at it does. (Where the event comes, `receive-alarm` calls rollback.)
fn alarm(mut world: World) -> String {
    world.alarms = Some(Verdict::Failed("alarm 5xx went into ALARM".into()));
    ends_well(world)
}

/// A newer release is pushed: it never interrupts, and takes its turn once the lease is given back.
fn newer(mut world: World) -> String {
    world.environment.queue = world.environment.queue.put(queued(4), false).queue;
    let newer: Promotion = promotion(4);
    assert!(turn::not_yet(&newer, &world.environment).is_some());
    ends_well(world.clone());
    let before = world.environment.rollout.clone();
    assert_eq!(world.environment.rollout, before);
    "waits".into()
}

/// Killed after any of its records and before any of its writes, and run again: the same end.
fn killed(world: World) -> String {
    let right = ends_well(world.clone());
    let mut point = world;
    point.accepting = true;
    point.seen.standing = Standing::Accepted;
    for pods in point.pods.values_mut().filter(|pods| !pods.crashes) {
        pods.ready = pods.wanted;
    }
    for _ in 0..2_000 {
        let mut killed = point.clone();
        let decision = killed.decide();
        killed.record(&decision);
        assert_eq!(ends_well(killed), right, "killed at {decision:?}");
        if !step(&mut point) {
            return right;
        }
    }
    panic!("it goes on for ever");
}

/// Another has the environment: the execution that had it finds that out at its next step, and the cluster takes no write of it.
fn taken_over(world: World) -> String {
    let old = world.clone();
    let restore = old.rollout().promotion().is_some();
    let mut new = world;
    if new.take_over(None, restore, true).is_err() {
        // Nothing was written yet: there is nothing to take over.
        return abort(old);
    }
    assert!(!new.environment.is_held_by(&old.rollout().owner));
    assert!(new.rollout().fence > old.rollout().fence);
    ends_well(new)
}

/// Its execution is over and did not say so: what the sweep does.
fn gone(mut world: World) -> String {
    let repairs = repairs(&world.environment, |_| ExecutionStatus::Ended("aborted".into()));
    match repairs.first() {
        None => "nothing".into(),
        Some(Repair::RecordAborted(..)) => abort(world),
        Some(Repair::Restore(_)) => call(world, true, true),
        Some(Repair::RollBackAgain(_)) => call(world, false, true),
        Some(Repair::Complete(_)) => {
            let end = end_of(&world);
            world.complete();
            end
        }
        Some(other) => panic!("{other:?}"),
    }
}

/// The pods of what is being brought are gone, and do not come again.
fn pods_lost(mut world: World) -> String {
    if is_over(&world) {
        // What watches it then is the watch, and its alarms.
        return "stays".into();
    }
    world.prompt = false;
    world.accepting = true;
    if world.seen.standing != Standing::Refused("no Gateway accepts it".into()) {
        world.seen.standing = Standing::Accepted;
    }
    let names: Vec<String> = world
        .wanted()
        .into_iter()
        .flat_map(|wanted| wanted.deployments)
        .map(|one| one.name)
        .collect();
    for name in names {
        if let Some(pods) = world.pods.get_mut(&name) {
            pods.ready = 0;
        }
    }
    ends(&mut world)
}

/// The router's controller never says that it serves what is written from now on.
fn not_routed(mut world: World) -> String {
    for pods in world.pods.values_mut().filter(|pods| !pods.crashes) {
        pods.ready = pods.wanted;
    }
    world.accepting = false;
    ends(&mut world)
}

fn table() -> String {
    let width = STATES.iter().map(|(name, _)| name.len()).max().unwrap();
    let head: Vec<String> = HAPPENINGS.iter().map(|(name, _)| format!("{name:<10}")).collect();
    let mut lines = vec![
        format!("{:<width$} | {}", "", head.join(" | "))
            .trim_end()
            .to_owned(),
    ];
    for (name, state) in STATES {
        let cells: Vec<String> = HAPPENINGS
            .iter()
            .map(|(_, happen)| format!("{:<10}", happen(state())))
            .collect();
        lines.push(
            format!("{name:<width$} | {}", cells.join(" | "))
                .trim_end()
                .to_owned(),
        );
    }
    lines.join("\n")
}

#[test]
fn whatever_comes_in_whatever_state_ends_as_this_table_says() {
    insta::assert_snapshot!(table(), @r"
                          | rollback   | abort      | pause      | resume     | retry      | --full     | alarm      | newer      | killed     | taken over | gone       | pods lost  | not routed
    Starting              | back       | ends       | refused    | refused    | refused    | refused    | back       | waits      | forward    | back       | ends       | back       | stuck
    Rolling, first stage  | back       | back       | paused     | stays      | refused    | forward    | back       | waits      | forward    | back       | back       | back       | stuck
    Rolling, later stage  | back       | back       | paused     | stays      | refused    | forward    | back       | waits      | forward    | back       | back       | back       | stuck
    Shifting, not written | back       | back       | paused     | stays      | refused    | forward    | back       | waits      | forward    | back       | back       | back       | stuck
    Shifting, pending     | back       | back       | paused     | stays      | refused    | forward    | back       | waits      | forward    | back       | back       | back       | stuck
    Shifting, refused     | back       | back       | paused     | stays      | refused    | forward    | back       | waits      | forward    | back       | back       | stuck      | stuck
    Shifting to 100 %     | back       | back       | refused    | stays      | refused    | refused    | forward    | waits      | forward    | back       | back       | back       | stuck
    Check held            | back       | back       | refused    | refused    | forward    | refused    | back       | waits      | back       | back       | back       | back       | stuck
    Baking                | back       | back       | paused     | stays      | refused    | forward    | back       | waits      | forward    | back       | back       | back       | stuck
    Baking, held          | back       | back       | paused     | refused    | forward    | forward    | back       | waits      | back       | back       | back       | back       | stuck
    Baking, paused        | back       | back       | paused     | forward    | refused    | forward    | back       | waits      | back       | back       | back       | back       | stuck
    Restoring, no shift   | back       | back       | refused    | refused    | refused    | refused    | back       | waits      | back       | back       | back       | stuck      | back
    Restoring, not back   | back       | back       | refused    | refused    | refused    | refused    | back       | waits      | back       | back       | back       | stuck      | stuck
    Restoring, shifted    | back       | back       | refused    | refused    | refused    | refused    | back       | waits      | back       | back       | back       | stuck      | stuck
    Verified              | back       | refused    | refused    | refused    | refused    | refused    | forward    | waits      | forward    | back       | forward    | stays      | forward
    Restored              | back       | refused    | refused    | refused    | refused    | refused    | back       | waits      | back       | back       | back       | stays      | back
    Stuck                 | back       | back       | refused    | refused    | refused    | refused    | stuck      | waits      | stuck      | back       | nothing    | stuck      | stuck
    Rollback              | joined     | refused    | refused    | refused    | refused    | refused    | back       | waits      | back       | back       | back       | stuck      | stuck
    Rollback, stuck       | back       | refused    | refused    | refused    | refused    | refused    | stuck      | waits      | stuck      | back       | nothing    | stuck      | stuck
    ");
}

/// Nothing under way: the release is live, in its watch or after it.
#[test]
fn where_nothing_is_under_way_the_live_release_is_what_is_left() {
    let live = || {
        let mut world = verified();
        world.complete();
        world
    };
    assert_eq!(call(live(), false, false), "back");
    assert_eq!(
        first_word(&live().take_over(None, true, false).unwrap_err()),
        "refused"
    );
    assert_eq!(abort(live()), "refused");
    assert_eq!(retry(live()), "refused");
    assert_eq!(repairs(&live().environment, |_| ExecutionStatus::NotFound), []);
    assert_eq!(
        turn::not_yet(&promotion(4), &{
            let mut world = live();
            world.environment.queue.current = Some(queued(4));
            world.environment
        }),
        None,
        "a newer one takes its turn"
    );
    let mut world = live();
    assert_eq!(world.roll_back(None, false), Ok(Some(2)));
    ends(&mut world);
    world.complete();
    assert_eq!(world.roll_back(None, false), Err("already".into()));
    // After a release that had traffic, failed and is gone, a call without a target means that one: the live one stays. Further
    // back needs a name.
    let mut world = restored();
    world.complete();
    assert_eq!(world.roll_back(None, false), Err("already".into()));
    assert_eq!(world.roll_back(Some(1), false), Ok(Some(1)));
    // One that never had any has left no doubt which one is meant.
    let mut world = restoring_unshifted();
    assert_eq!(ends_well_in_place(&mut world), "back");
    world.complete();
    assert_eq!(world.roll_back(None, false), Ok(Some(1)));
}

fn ends_well_in_place(world: &mut World) -> String {
    world.accepting = true;
    ends(world)
}
