//! What the sweep mends, as a table over states.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::environment::Lease;
use crate::samples::*;

fn mended(environment: &Environment, status: &ExecutionStatus) -> Vec<Repair> {
    repairs(environment, |_| status.clone())
}

fn ended() -> ExecutionStatus {
    ExecutionStatus::Ended("aborted".into())
}

#[test]
fn a_wanted_promotion_is_started_woken_or_recorded() {
    let mut environment = environment();
    environment.queue.current = Some(queued(1));
    environment.queue.next = Some(queued(2));
    let both = |repair: fn(PromotionId) -> Repair| vec![repair(id(1)), repair(id(2))];
    assert_eq!(
        mended(&environment, &ExecutionStatus::NotFound),
        both(Repair::StartPromotion)
    );
    assert_eq!(
        mended(&environment, &ExecutionStatus::Running),
        both(Repair::Wake)
    );
    assert_eq!(
        mended(&environment, &ended()),
        both(|id| Repair::RecordAborted(id, "aborted".into()))
    );
}

#[test]
fn who_lost_its_place_is_woken_whatever_else_there_is() {
    let mut environment = environment();
    environment.queue.current = Some(queued(3));
    environment.to_wake = vec![id(1), id(2)];
    assert_eq!(
        mended(&environment, &ExecutionStatus::Running),
        [Repair::Wake(id(3)), Repair::WakeEnded(vec![id(1), id(2)])]
    );
}

#[test]
fn a_holder_whose_execution_is_gone_is_mended_by_how_far_it_was() {
    let why = "the execution mc-api-2-production-1 ended without finishing: aborted".to_owned();
    let owner = id(2).execution(&service(), &environment().name);
    let table = [
        (Phase::Starting, vec![Repair::RecordAborted(id(2), why.clone())]),
        (Phase::Rolling, vec![Repair::Restore(why.clone())]),
        (Phase::Restoring, vec![Repair::Restore(why)]),
        (Phase::Verified, vec![Repair::Complete(owner.clone())]),
        (Phase::Restored, vec![Repair::Complete(owner)]),
        (Phase::Stuck, vec![]),
    ];
    for (phase, right) in table {
        let environment = rolling(with_completed(&[1]), 2, phase);
        assert_eq!(mended(&environment, &ended()), right, "{phase:?}");
        assert_eq!(
            mended(&environment, &ExecutionStatus::Running),
            [],
            "{phase:?} runs"
        );
    }
}

#[test]
fn a_rollback_is_started_or_called_again() {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    let owner = ExecutionName::parse("mc-api-production-r8").unwrap();
    environment.queue.current = None;
    environment.lease = Some(Lease {
        owner: owner.clone(),
        since: at(0),
    });
    let rollout = environment.rollout.as_mut().unwrap();
    rollout.owner = owner.clone();
    rollout.kind = RolloutKind::Rollback {
        leaving: None,
        by: "ana".into(),
        restore: false,
    };
    assert_eq!(
        mended(&environment, &ExecutionStatus::NotFound),
        [Repair::StartRollback(owner)]
    );
    assert!(matches!(
        mended(&environment, &ended()).as_slice(),
        [Repair::RollBackAgain(_)]
    ));
}
