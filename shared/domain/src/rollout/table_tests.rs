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
use crate::ids::ReleaseNumber;
use crate::recovery::{ExecutionStatus, repairs};
use crate::samples::{promotion, queued};
use crate::tracks::{Standing, Track};
use crate::turn;
use crate::workload::Verdict;
use happenings::{
    abort, alarm, call, gone, hurried, killed, newer, not_routed, paused_by_ana, pods_lost, resumed, retry,
    taken_over,
};
use states::*;

#[path = "table_happenings.rs"]
mod happenings;
#[path = "table_states.rs"]
mod states;

type State = (&'static str, fn() -> World);

type Happening = (&'static str, fn(World) -> String);

const STATES: [State; 19] = [
    ("Starting", promoting),
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

/// Pods come, but for those that crash, and the router's controller accepts again.
fn recover(world: &mut World) {
    world.accepting = true;
    world.seen.standing = Standing::Accepted;
    fill(world);
}

/// Every pod that is asked for is ready, but for those that crash.
fn fill(world: &mut World) {
    for pods in world.pods.values_mut().filter(|pods| !pods.crashes) {
        pods.ready = pods.wanted;
    }
}

/// With pods that come, alarms that are silent and a router that accepts.
fn ends_well(mut world: World) -> String {
    recover(&mut world);
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
