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
