//! Which release comes back, as a table over states.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::samples::*;

fn call(to: Option<u32>) -> Call {
    Call {
        to: to.map(ReleaseNumber),
        restore: false,
        by: "ana".into(),
        reason: Some("slow".into()),
        undoes: None,
    }
}

fn targets(environment: &Environment, to: Option<u32>) -> (Option<u32>, Vec<Option<u32>>) {
    match decide(environment, &call(to), None, false) {
        Course::BringBack { leaving, candidates } => {
            let numbers = candidates
                .iter()
                .map(|target| target.release.map(|release| release.0))
                .collect();
            (leaving.map(|leaving| leaving.0), numbers)
        }
        other => panic!("{other:?}"),
    }
}

fn begun(environment: &mut Environment, to: Option<u32>) -> Vec<Record> {
    let Course::BringBack { leaving, candidates } = decide(environment, &call(to), None, false) else {
        panic!("refused")
    };
    let beginning = Beginning {
        highest_fence: Fence(3),
        within: Seconds(300),
        pipeline: hash(900),
        traffic: None,
    };
    let mut promotion = environment
        .under_way()
        .and_then(|rollout| rollout.promotion())
        .map(|id| promotion(id.release.0));
    begin(
        environment,
        promotion.as_mut(),
        &call(to),
        &candidates[0],
        leaving,
        beginning,
        at(50),
    )
}

#[test]
fn the_default_target_is_the_newest_that_completed_other_than_the_one_being_left() {
    assert_eq!(
        targets(&with_completed(&[1, 2, 3]), None),
        (Some(3), vec![Some(2), Some(1)])
    );
    // An older one was promoted by hand over a newer one.
    assert_eq!(
        targets(&with_completed(&[1, 3, 2]), None),
        (Some(2), vec![Some(3), Some(1)])
    );
    // What is being rolled out is what is left; what is live comes back.
    assert_eq!(
        targets(&rolling(with_completed(&[1, 2]), 3, Phase::Rolling), None),
        (Some(3), vec![Some(2), Some(1)])
    );
    assert_eq!(
        targets(&with_completed(&[1, 2, 3]), Some(1)),
        (Some(3), vec![Some(1)])
    );
}

#[test]
fn a_release_that_was_rolled_back_is_no_default_target() {
    let mut environment = with_completed(&[1, 2, 3]);
    environment.completed[1].rolled_back_at = Some(at(1));
    assert_eq!(targets(&environment, None), (Some(3), vec![Some(1)]));
    assert_eq!(targets(&environment, Some(2)), (Some(3), vec![Some(2)]));
}

#[test]
fn a_second_call_joins_and_a_call_after_the_end_is_answered_with_it() {
    let mut environment = with_completed(&[1, 2]);
    begun(&mut environment, None);
    let owner = environment.lease.clone().unwrap().owner;
    assert_eq!(owner.as_str(), "mc-api-production-r8");
    for to in [None, Some(1)] {
        assert_eq!(
            decide(&environment, &call(to), None, false),
            Course::Join(owner.clone())
        );
    }
    // To another release it is another rollback; and there is nothing to join once the execution is gone.
    assert_eq!(targets(&environment, Some(2)), (Some(2), vec![Some(2)]));
    assert!(matches!(
        decide(&environment, &call(None), None, true),
        Course::BringBack { .. }
    ));
    environment.lease = None;
    let Course::Already(last) = decide(&environment, &call(None), None, false) else {
        panic!("not already")
    };
    assert_eq!(
        (last.execution, last.leaving, last.to),
        (owner, Some(ReleaseNumber(2)), Some(ReleaseNumber(1)))
    );
}

#[test]
fn a_rollback_takes_over_holds_and_blames() {
    let mut environment = rolling(with_completed(&[1, 2]), 3, Phase::Rolling);
    let records = begun(&mut environment, None);
    let events: Vec<_> = records.iter().map(|record| record.event).collect();
    assert_eq!(
        events,
        [Event::PromotionPreempted, Event::RollbackStarted, Event::Held]
    );
    assert_eq!(environment.fence, Fence(8));
    assert!(environment.hold.as_ref().is_some_and(|hold| hold.after_rollback));
    assert!(environment.queue.current.is_none());
    // #3 never completed, so nothing that completed is blamed.
    assert!(
        environment
            .completed
            .iter()
            .all(|completed| completed.rolled_back_at.is_none())
    );
}

#[test]
fn a_restore_brings_back_what_was_live_and_blames_nothing() {
    let mut environment = rolling(with_completed(&[1, 2]), 3, Phase::Rolling);
    let restore = Call {
        restore: true,
        ..call(None)
    };
    let Course::BringBack { leaving, candidates } = decide(&environment, &restore, None, false) else {
        panic!("refused")
    };
    assert_eq!(
        candidates
            .iter()
            .map(|target| target.bundle.clone())
            .collect::<Vec<_>>(),
        [hash(2)]
    );
    let beginning = Beginning {
        highest_fence: Fence(3),
        within: Seconds(300),
        pipeline: hash(900),
        traffic: None,
    };
    let mut promotion = promotion(3);
    begin(
        &mut environment,
        Some(&mut promotion),
        &restore,
        &candidates[0],
        leaving,
        beginning,
        at(50),
    );
    assert_eq!(promotion.state, PromotionState::Aborted);
    assert!(environment.hold.is_none() && environment.last_rollback.is_none());
}

#[test]
fn a_restore_of_a_first_release_scales_it_to_zero() {
    let environment = rolling(environment(), 1, Phase::Rolling);
    let restore = Call {
        restore: true,
        ..call(None)
    };
    let Course::BringBack { candidates, .. } = decide(&environment, &restore, None, false) else {
        panic!("refused")
    };
    assert!(candidates[0].without_pods);
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let table = [
        (
            with_completed(&[1]),
            None,
            "No release other than #1 completed in production",
        ),
        (environment(), None, "Nothing completed in production"),
        (
            with_completed(&[1, 2]),
            Some(2),
            "#2 is live in production already",
        ),
        (
            with_completed(&[1, 2]),
            Some(9),
            "#9 never completed in production",
        ),
    ];
    for (environment, to, part) in table {
        match decide(&environment, &call(to), None, false) {
            Course::Refuse { reason, next } => {
                assert!(reason.contains(part) && next.is_some(), "{reason} {next:?}")
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_release_that_is_no_longer_at_hand_can_be_named() {
    let environment = with_completed(&[21, 22]);
    let older = completed(1);
    let course = decide(&environment, &call(Some(1)), Some(&older), false);
    assert!(
        matches!(course, Course::BringBack { ref candidates, .. } if candidates[0].bundle == hash(1)),
        "{course:?}"
    );
}

#[test]
fn a_stuck_rollback_is_tried_again_first() {
    let mut environment = with_completed(&[1, 2, 3]);
    begun(&mut environment, Some(1));
    environment.rollout.as_mut().unwrap().phase = Phase::Stuck;
    let (leaving, candidates) = targets(&environment, None);
    assert_eq!((leaving, candidates[0]), (Some(3), Some(1)));
}

mod on_tracks {
    use super::*;
    use crate::pipeline::Strategy;
    use crate::rollout::track_world::{FULL, World, blue_green, canary, word};
    use crate::tracks::{Track, Weights};

    fn live(strategy: Strategy) -> World {
        let mut world = World::new(strategy);
        while world.phase() != Phase::Verified {
            if let crate::rollout::Decision::Sleep(_, seconds) = world.advance() {
                world.now += i64::try_from(seconds).unwrap();
            }
        }
        world.complete();
        world
    }

    fn finished(world: &mut World) -> Phase {
        world.settle();
        let phase = world.phase();
        world.complete();
        phase
    }

    #[test]
    fn a_warm_track_gets_the_traffic_back_with_one_change_of_weights() {
        let mut world = live(canary(&[]));
        assert_eq!(world.roll_back(None, false), Ok(Some(2)));
        assert_eq!(world.traffic().to, Some(Track::Blue));
        assert_eq!(world.at(Some(Track::Blue)).wanted, FULL);
        assert_eq!(word(&world.advance()), "Shift", "nothing is awaited");
        assert_eq!(world.seen.weights, Ok(Weights::split(Track::Blue, 100)));
        assert_eq!(finished(&mut world), Phase::Verified);
        let tracks = world.environment.tracks.as_ref().unwrap();
        assert_eq!(tracks.live, Some(Track::Blue));
        assert_eq!(tracks.held[&Track::Green].release, Some(ReleaseNumber(3)));
    }

    #[test]
    fn what_is_cold_comes_to_the_track_without_traffic() {
        let mut world = live(canary(&[]));
        assert_eq!(world.roll_back(Some(1), false), Ok(Some(1)));
        let traffic = world.traffic();
        assert_eq!(
            (traffic.to, traffic.from),
            (Some(Track::Blue), Some(Track::Green))
        );
        assert_eq!(finished(&mut world), Phase::Verified);
        assert_eq!(world.at(Some(Track::Blue)).release, 1);
        assert_eq!(world.seen.weights, Ok(Weights::split(Track::Blue, 100)));
        let held = &world.environment.tracks.as_ref().unwrap().held;
        assert_eq!(
            held[&Track::Blue].release,
            Some(ReleaseNumber(1)),
            "it is written over"
        );
    }

    /// What a rollout left on a track without completing stays known: else nobody would cool it.
    #[test]
    fn what_was_preempted_is_known_to_be_there() {
        let mut world = World::new(canary(&[]));
        world.settle();
        assert_eq!(world.roll_back(None, true), Ok(Some(2)));
        assert_eq!(world.at(Some(Track::Green)).release, 3);
        assert_eq!(finished(&mut world), Phase::Verified);
        let tracks = world.environment.tracks.as_ref().unwrap();
        assert_eq!(tracks.held[&Track::Green].release, Some(ReleaseNumber(3)));
        assert_eq!(
            (tracks.live, tracks.held[&Track::Blue].release),
            (Some(Track::Blue), Some(ReleaseNumber(2)))
        );
    }

    /// The last rollout ended before it came to a track, and says nothing of them.
    #[test]
    fn a_rollback_knows_the_tracks_also_after_a_rollout_that_never_came_to_them() {
        let mut world = live(canary(&[]));
        let environment = std::mem::replace(&mut world.environment, environment());
        world.environment = rolling(environment, 4, Phase::Starting);
        let mut starting = world.clone();
        assert_eq!(
            starting.roll_back(None, false),
            Ok(Some(3)),
            "before it has written anything"
        );
        assert_eq!(starting.traffic().to, Some(Track::Green), "where it is live");
        world.environment.rollout.as_mut().unwrap().phase = Phase::Restored;
        world.complete();
        assert_eq!(world.roll_back(None, false), Ok(Some(2)));
        assert_eq!(world.traffic().full["mc-api"], FULL);
        assert_eq!(world.traffic().to, Some(Track::Blue));
        assert_eq!(finished(&mut world), Phase::Verified);
        assert_eq!(world.seen.weights, Ok(Weights::split(Track::Blue, 100)));
    }

    #[test]
    fn the_first_release_on_tracks_gives_the_traffic_back_to_what_was_there() {
        for restore in [true, false] {
            let mut world = World::before_tracks(canary(&[]));
            world.settle();
            // What was found then is not what was recorded when it completed.
            let found = Some(Baseline::Bundle { hash: hash(0x1001) });
            world.environment.rollout.as_mut().unwrap().baseline = found;
            assert_eq!(world.roll_back(None, restore), Ok(Some(1)), "restore {restore}");
            assert_eq!(world.rollout().target, Some(hash(0x1001)));
            let traffic = world.traffic();
            assert_eq!((traffic.to, traffic.from), (None, Some(Track::Blue)));
        }
        // And as long as it is kept, also after it.
        let mut world = World::before_tracks(blue_green(vec![]));
        world.advance();
        world.environment.rollout.as_mut().unwrap().baseline = Some(Baseline::Bundle { hash: hash(0x1001) });
        assert_eq!(finished(&mut world), Phase::Verified);
        assert_eq!(world.roll_back(None, false), Ok(Some(1)));
        assert_eq!(world.rollout().target, Some(hash(0x1001)));
        assert_eq!(world.traffic().to, None);
    }

    #[test]
    fn another_release_comes_to_no_track_that_may_have_traffic() {
        // Nothing has been shifted: the idle track is free.
        let mut world = World::new(canary(&[]));
        world.prompt = false;
        world.settle();
        assert_eq!(world.roll_back(Some(1), false), Ok(Some(1)));
        assert_eq!(world.traffic().to, Some(Track::Green));
        // 5 % are: neither is.
        let mut world = World::new(canary(&[]));
        world.settle();
        let said = world.roll_back(Some(1), false).unwrap_err();
        assert!(said.contains("(blue 95 %, green 5 %)"), "{said}");
        // Also not for a rollback that comes after the one that has not given it back yet.
        assert_eq!(world.roll_back(None, false), Ok(Some(2)));
        let said = world.roll_back(Some(1), false).unwrap_err();
        assert!(said.contains("(blue 95 %, green 5 %)"), "{said}");
        // What is being brought back is joined, and brought back again where it got stuck.
        assert_eq!(world.roll_back(Some(2), false), Err("joined".into()));
        world.environment.rollout.as_mut().unwrap().phase = Phase::Stuck;
        assert_eq!(world.roll_back(None, false), Ok(Some(2)));
        assert_eq!(world.traffic().to, Some(Track::Blue));
        assert_eq!(finished(&mut world), Phase::Verified);
    }

    /// Somebody went back further than to the newest, and promotes again: the newest has no place to come to.
    #[test]
    fn a_call_without_a_target_leaves_a_canary_for_what_is_live_also_where_that_is_older() {
        let mut world = World::new(canary(&[]));
        world.settle();
        let live = world
            .environment
            .completed
            .iter()
            .position(|one| one.release.0 == 1);
        let older = world.environment.completed[live.unwrap()].clone();
        world.environment.live.as_mut().unwrap().release = Some(older.release);
        world.environment.live.as_mut().unwrap().bundle = older.bundle.clone();
        let rollout = world.environment.rollout.as_mut().unwrap();
        rollout.baseline = Some(Baseline::Bundle { hash: older.bundle });
        assert_eq!(world.roll_back(None, false), Ok(Some(1)));
        assert_eq!(world.traffic().to, Some(Track::Blue));
    }

    #[test]
    fn a_rollback_that_was_wrong_is_undone_where_the_release_still_is() {
        let mut world = live(canary(&[]));
        world.at(Some(Track::Blue)).ready = 0;
        world.prompt = false;
        assert_eq!(world.roll_back(None, false), Ok(Some(2)));
        assert_eq!(word(&world.settle()), "Await");
        assert_eq!(world.roll_back(Some(3), false), Ok(Some(3)));
        assert_eq!(world.traffic().to, Some(Track::Green));
        assert_eq!(finished(&mut world), Phase::Verified);
        assert_eq!(world.seen.weights, Ok(Weights::split(Track::Green, 100)));
    }

    #[test]
    fn a_first_release_is_brought_back_to_nothing() {
        let mut world = World::first(canary(&[]));
        world.prompt = false;
        world.settle();
        assert_eq!(world.roll_back(None, true), Ok(None));
        assert_eq!(world.phase(), Phase::Restoring);
        assert_eq!(finished(&mut world), Phase::Restored);
        assert_eq!(world.at(Some(Track::Blue)).wanted, 0);
    }
}
