//! Decisions, records and writes under every order of events, explored to the end: invariants 2 and 4 to 8 of the design.
//!
//! What is explored is Sluice's own code: `decide` and what records a decision, `rollback::decide`, `place` and `begin`, `repairs`
//! and the cooling of tracks. Around it is a small world: a row that is written on condition, a cluster that takes a write by its
//! fence, functions that are killed, run twice or come late, executions that are ended, calls, alarms and people at any time.
//! A wake-up needs no step of its own: an execution may look again at any time, and never has to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod calls;
mod cluster;
mod explorer;
mod looks;
mod plain;
mod rows;
mod running;
mod samples;
mod seeing;
mod trouble;

use cluster::{Alarms, Cluster, FENCED, FULL, Place, SAFE, Standing};
use explorer::{Explored, explore};
use rows::{Broken, Row, Rows};
use running::{Budget, ENDS, HELD, Main, POSSIBLE, SOUND, Sluice, State, TOLD};
use std::time::Instant;

/// Beyond this nothing is explored to its end in a test's time.
const MOST: usize = 2_000_000;

fn place(release: u8) -> Place {
    Place {
        release,
        want: FULL,
        asked: FULL,
        ready: FULL,
        fence: 1,
        ..Place::default()
    }
}

/// `#2` is live on blue, `#1` still runs on green, `#3` has the lease.
fn on_tracks(broken: Broken, budget: Budget, pause: bool) -> Sluice {
    let rows = Rows::new(broken, pause);
    let row = rows.on_tracks(&[1, 2]);
    let places = [Place::default(), place(2), place(1)];
    begun(rows, broken, row, places, 1, budget)
}

/// `#2` runs as it did before there were tracks, and `#3` is the first to come to one.
fn before_tracks(broken: Broken, budget: Budget) -> Sluice {
    let rows = Rows::new(broken, false);
    let row = rows.without_tracks(&[1, 2]);
    let places = [place(2), Place::default(), Place::default()];
    begun(rows, broken, row, places, 0, budget)
}

/// Nothing runs.
fn first(broken: Broken, budget: Budget) -> Sluice {
    let rows = Rows::new(broken, false);
    let row = rows.without_tracks(&[]);
    begun(rows, broken, row, [Place::default(); 3], 0, budget)
}

fn begun(rows: Rows, broken: Broken, row: Row, places: [Place; 3], live: u8, budget: Budget) -> Sluice {
    let row = rows.promote(row).unwrap();
    let mut weights = [0; 3];
    weights[usize::from(live)] = 100;
    let cluster = Cluster {
        places,
        weights,
        router_fence: 1,
        standing: Standing::Accepted,
        root: live,
        root_fence: 1,
        alarms: Alarms::Quiet,
    };
    let has_target = places[usize::from(live)].release > 0;
    Sluice {
        rows,
        broken,
        init: State {
            row,
            cluster,
            main: Main::Idle,
            others: [None; 2],
            budget,
        },
        has_target,
    }
}

fn explored(name: &str, sluice: &Sluice, until: Option<&str>) -> Explored {
    let started = Instant::now();
    let explored = explore(sluice, MOST, until);
    println!(
        "{name}: {} states, {} transitions, {} rows, depth {}, {:.1} s",
        explored.states,
        explored.transitions,
        sluice.rows.count(),
        explored.depth,
        started.elapsed().as_secs_f32()
    );
    explored
}

fn holds(name: &str, sluice: &Sluice) {
    let explored = explored(name, sluice, None);
    for (property, way) in &explored.violated {
        println!("{name}: {property} does not hold:\n  {}", way.join("\n  "));
    }
    assert!(explored.violated.is_empty(), "{name}: see above");
}

/// What is broken on purpose is found.
fn finds(name: &str, property: &str, sluice: &Sluice) {
    let explored = explored(name, sluice, Some(property));
    let way = explored.violated.get(property);
    let way = way.unwrap_or_else(|| panic!("{name}: not found; found {:?}", explored.violated));
    println!("{name}: found after {} steps", way.len());
}

const QUIET: Budget = Budget {
    doubled: 0,
    lost: 0,
    shrunk: 0,
    crashed: 0,
    refused: 0,
    alarm: 0,
    unknown: 0,
    calls: 0,
    ended: 0,
    cooled: 0,
    promoted: 0,
    wishes: 0,
};

#[test]
fn functions_are_killed_run_twice_and_come_late() {
    let budget = Budget {
        doubled: 2,
        ended: 1,
        lost: 1,
        ..QUIET
    };
    holds("functions fail", &on_tracks(Broken::Nothing, budget, false));
}

#[test]
fn rollbacks_are_called_at_any_time() {
    let budget = Budget {
        calls: 2,
        doubled: 1,
        ..QUIET
    };
    holds("rollbacks", &on_tracks(Broken::Nothing, budget, false));
}

#[test]
fn executions_of_rollbacks_are_ended_from_outside() {
    let budget = Budget {
        calls: 1,
        ended: 1,
        ..QUIET
    };
    holds("ended", &on_tracks(Broken::Nothing, budget, false));
}

#[test]
fn pods_and_routers_fail() {
    let budget = Budget {
        lost: 1,
        shrunk: 1,
        crashed: 1,
        refused: 1,
        ..QUIET
    };
    holds("pods and routers", &on_tracks(Broken::Nothing, budget, false));
    let budget = Budget {
        shrunk: 1,
        crashed: 1,
        calls: 1,
        ..QUIET
    };
    holds("pods and rollbacks", &on_tracks(Broken::Nothing, budget, false));
}

#[test]
fn alarms_blame_fall_silent_and_are_heard_late() {
    let budget = Budget {
        alarm: 1,
        unknown: 1,
        calls: 1,
        ..QUIET
    };
    holds("alarms", &on_tracks(Broken::Nothing, budget, false));
}

#[test]
fn people_pause_resume_and_hurry() {
    let budget = Budget {
        wishes: 2,
        doubled: 1,
        unknown: 1,
        ..QUIET
    };
    holds("people", &on_tracks(Broken::Nothing, budget, true));
}

#[test]
fn the_next_release_comes_while_a_place_is_cooled() {
    let budget = Budget {
        promoted: 1,
        cooled: 2,
        doubled: 1,
        ..QUIET
    };
    holds(
        "cooling, next release",
        &on_tracks(Broken::Nothing, budget, false),
    );
    let budget = Budget {
        cooled: 1,
        calls: 2,
        ..QUIET
    };
    holds("cooling, rollbacks", &on_tracks(Broken::Nothing, budget, false));
}

#[test]
fn a_release_comes_after_a_rollback_to_an_older_one() {
    let budget = Budget {
        promoted: 1,
        calls: 2,
        ..QUIET
    };
    holds("after a rollback", &on_tracks(Broken::Nothing, budget, false));
}

#[test]
fn the_first_release_on_a_track_over_what_was_there_before() {
    let budget = Budget {
        calls: 1,
        doubled: 1,
        cooled: 1,
        ..QUIET
    };
    holds("before tracks", &before_tracks(Broken::Nothing, budget));
}

#[test]
fn the_first_release_of_all() {
    let budget = Budget {
        calls: 1,
        doubled: 1,
        ended: 1,
        crashed: 1,
        ..QUIET
    };
    holds("first release", &first(Broken::Nothing, budget));
}

/// More of everything at once: some minutes. `cargo test -p sluice-domain --test model -- --ignored --nocapture`
#[test]
#[ignore = "some minutes"]
fn more_of_everything() {
    let rollbacks = Budget {
        calls: 2,
        doubled: 1,
        ended: 1,
        ..QUIET
    };
    holds("rollbacks, deep", &on_tracks(Broken::Nothing, rollbacks, false));
    let ended = Budget {
        calls: 1,
        ended: 2,
        lost: 1,
        ..QUIET
    };
    holds("ended, deep", &on_tracks(Broken::Nothing, ended, false));
    let failing = Budget {
        lost: 1,
        shrunk: 1,
        crashed: 1,
        refused: 1,
        calls: 1,
        ..QUIET
    };
    holds(
        "pods and routers, deep",
        &on_tracks(Broken::Nothing, failing, false),
    );
    let cooling = Budget {
        promoted: 1,
        cooled: 2,
        calls: 1,
        doubled: 1,
        ..QUIET
    };
    holds("cooling, deep", &on_tracks(Broken::Nothing, cooling, false));
    let before = Budget {
        calls: 1,
        doubled: 1,
        ended: 1,
        lost: 1,
        cooled: 1,
        ..QUIET
    };
    holds("before tracks, deep", &before_tracks(Broken::Nothing, before));
}

#[test]
fn traffic_before_pods_are_ready_is_found() {
    finds("broken order", SAFE, &on_tracks(Broken::Order, QUIET, false));
}

#[test]
fn writes_without_a_fence_are_found() {
    let budget = Budget { calls: 1, ..QUIET };
    finds("no fence", FENCED, &on_tracks(Broken::Fence, budget, false));
}

#[test]
fn records_without_a_condition_are_found() {
    let budget = Budget { doubled: 1, ..QUIET };
    finds("no condition", HELD, &on_tracks(Broken::Condition, budget, false));
}

#[test]
fn alarms_that_say_nothing_and_pass_are_found() {
    let budget = Budget { unknown: 1, ..QUIET };
    finds(
        "inconclusive passes",
        SOUND,
        &on_tracks(Broken::Inconclusive, budget, false),
    );
}

#[test]
fn executions_that_nobody_looks_after_are_found() {
    let budget = Budget { ended: 1, ..QUIET };
    finds("no sweep", ENDS, &on_tracks(Broken::Sweep, budget, false));
}

#[test]
fn a_rollback_that_waits_for_its_turn_is_found() {
    finds(
        "rollback waits",
        POSSIBLE,
        &on_tracks(Broken::Exempt, QUIET, false),
    );
}

/// A Service that points where it should is not enough, where a late step of before may still point it elsewhere.
#[test]
fn a_service_that_is_left_to_late_writes_is_found() {
    let budget = Budget { doubled: 1, ..QUIET };
    finds(
        "Service not stamped",
        TOLD,
        &on_tracks(Broken::Stamp, budget, false),
    );
}
