//! A rollout's decisions, as tables over phases.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::ids::ReleaseNumber;
use crate::pipeline::EnvironmentSpec;
use crate::samples::*;
use crate::wire::Caught;
use crate::workload::{Observation, PodProblem};
use proptest::prelude::*;

fn rollout_in(phase: Phase) -> Rollout {
    rolling(with_completed(&[1]), 2, phase).rollout.unwrap()
}

fn decide_at(phase: Phase, observed: &Observation, caught: Option<&Caught>, second: i64) -> Decision {
    let rollout = rollout_in(phase);
    let wanted = match phase {
        Phase::Starting => None,
        Phase::Rolling | Phase::Verified => Some(bundle(2)),
        _ => Some(bundle(1)),
    };
    decide(
        facts(&rollout, wanted.as_ref(), observed, caught, &spec(None)),
        at(second),
    )
}

fn facts<'a>(
    rollout: &'a Rollout,
    wanted: Option<&'a Bundle>,
    observed: &'a Observation,
    caught: Option<&'a Caught>,
    spec: &'a EnvironmentSpec,
) -> Facts<'a> {
    Facts {
        rollout,
        wanted,
        observed,
        spec,
        is_helm: false,
        helm: None,
        caught,
        traffic: None,
        alarms: None,
    }
}

fn crash(number: u32, fence: u64) -> Observation {
    let mut observed = observed(number, fence);
    let problem = PodProblem {
        container: "api".into(),
        reason: "CrashLoopBackOff".into(),
        message: "exit 1".into(),
    };
    observed.deployments[0].pods[0].problem = Some(problem);
    observed
}

fn waiting(number: u32, fence: u64) -> Observation {
    let mut observed = observed(number, fence);
    observed.deployments[0].available = 0;
    observed
}

#[test]
fn what_was_waited_for_is_told_when_its_time_is_over() {
    let why = "the Helm release mc-api is pending-upgrade, and it was not Sluice that began revision 4";
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Starting);
    assert!(await_others(&mut environment, Some(why)));
    assert!(!await_others(&mut environment, Some(why)), "said once");
    let spec = spec(None);
    let observed = observed(1, 6);
    let mut rollout = environment.rollout.clone().unwrap();
    rollout.target = None;
    let decided = |rollout: &Rollout, wanted, observed: &Observation| {
        let of_helm = Facts {
            is_helm: true,
            ..facts(rollout, wanted, observed, None, &spec)
        };
        decide(of_helm, at(600))
    };
    let late = format!("its time was over before it began: {why}");
    assert_eq!(decided(&rollout, None, &observed), Decision::Abandon(late));
    rollout.phase = Phase::Rolling;
    rollout.fence = Fence(rollout.fence.0 + 1);
    let late = format!("the cluster could not be written in time: {why}");
    let came = decided(&rollout, Some(&bundle(2)), &observed);
    assert_eq!(came, Decision::Restore(late));
    // And it is forgotten as soon as there is nothing left to wait for
    assert!(prepared(&mut environment, Baseline::Nothing, hash(2)));
    assert_eq!(environment.rollout.unwrap().waits_for, None);
}

#[test]
fn each_phase_decides_what_comes_next() {
    use Decision::*;
    let pod = "pod mc-api-1, container api: CrashLoopBackOff: exit 1";
    let open = "deployment mc-api: 0 of 1 pods are available";
    let late = format!("not ready in time: {open}");
    let table: [(Phase, Observation, i64, Decision); 13] = [
        (Phase::Starting, observed(1, 7), 0, Begin),
        (
            Phase::Starting,
            observed(1, 7),
            600,
            Abandon("its time was over before it began".into()),
        ),
        (Phase::Rolling, observed(1, 6), 1, Apply),
        (Phase::Rolling, waiting(2, 7), 1, Await(open.into())),
        (Phase::Rolling, waiting(2, 7), 600, Restore(late.clone())),
        (Phase::Rolling, crash(2, 7), 1, Restore(pod.into())),
        (Phase::Rolling, observed(2, 7), 1, Verify),
        (Phase::Restoring, observed(1, 6), 1, Apply),
        (Phase::Restoring, waiting(1, 7), 1, Await(open.into())),
        (Phase::Restoring, waiting(1, 7), 600, Stick(late)),
        (Phase::Restoring, crash(1, 7), 1, Stick(pod.into())),
        (Phase::Restoring, observed(1, 7), 1, Restored),
        (Phase::Verified, crash(2, 7), 700, Over),
    ];
    for (phase, observed, second, right) in table {
        assert_eq!(
            decide_at(phase, &observed, None, second),
            right,
            "{phase:?} at {second}"
        );
    }
}

#[test]
fn an_error_that_trying_again_does_not_mend_goes_back() {
    let error = |name: &str| Caught {
        error: name.into(),
        cause: Some(r#"{"errorType":"x","errorMessage":"deployment mc-api is refused: forbidden"}"#.into()),
    };
    let said = "deployment mc-api is refused: forbidden".to_owned();
    let observed = observed(2, 6);
    for name in ["Refused", "Invalid", "Internal"] {
        let caught = error(name);
        assert_eq!(
            decide_at(Phase::Starting, &observed, Some(&caught), 1),
            Decision::Abandon(said.clone())
        );
        assert_eq!(
            decide_at(Phase::Rolling, &observed, Some(&caught), 1),
            Decision::Restore(said.clone())
        );
        assert_eq!(
            decide_at(Phase::Restoring, &observed, Some(&caught), 1),
            Decision::Stick(said.clone())
        );
    }
    for name in ["Transient", "Conflict", "States.Timeout", "Runtime.ExitError"] {
        assert_eq!(
            decide_at(Phase::Rolling, &observed, Some(&error(name)), 1),
            Decision::Apply,
            "{name}"
        );
    }
}

#[test]
fn a_rollback_that_fails_needs_a_person() {
    let mut rollout = rollout_in(Phase::Rolling);
    rollout.kind = RolloutKind::Rollback {
        leaving: None,
        by: "ana".into(),
        restore: false,
    };
    let decision = decide(
        facts(&rollout, Some(&bundle(2)), &crash(2, 7), None, &spec(None)),
        at(1),
    );
    assert!(matches!(decision, Decision::Stick(_)), "{decision:?}");
}

#[test]
fn from_the_lease_to_the_end_the_row_says_what_happened() {
    let mut environment = with_completed(&[1]);
    environment.queue.current = Some(queued(2));
    let mut promotion = promotion(2);
    take_lease(&mut environment, &mut promotion, Seconds(600), at(0));
    let owner = promotion.execution();
    assert!(environment.is_held_by(&owner));
    let early = complete(
        &mut environment,
        &owner,
        Some(&mut promotion),
        Some(&release(2)),
        at(1),
    );
    assert_eq!(
        early,
        Err(CompletionFault::NotOver(owner.clone(), Phase::Starting))
    );
    let beginning = Beginning {
        baseline: Baseline::Bundle { hash: hash(1) },
        target: hash(2),
        highest_fence: Fence(40),
        timeout: Seconds(600),
    };
    let record = begin(&mut environment, 0, beginning, at(2)).unwrap();
    assert_eq!(
        (record.event, record.fence),
        (Event::RolloutStarted, Some(Fence(41)))
    );
    reach(&mut environment, 1, Phase::Verified, Some(hash(22)), None).unwrap();
    let done = complete(
        &mut environment,
        &owner,
        Some(&mut promotion),
        Some(&release(2)),
        at(3),
    )
    .unwrap();
    assert!(done.verified && environment.lease.is_none() && environment.queue.current.is_none());
    assert_eq!(
        environment
            .live
            .as_ref()
            .map(|live| (live.release, live.bundle.clone())),
        Some((Some(ReleaseNumber(2)), hash(22)))
    );
    assert_eq!(environment.completed[0].release, ReleaseNumber(2));
    assert_eq!(
        (promotion.state, promotion.bundle),
        (PromotionState::Verified, Some(hash(22)))
    );
    let again = complete(&mut environment, &owner, None, None, at(4));
    assert_eq!(again, Err(CompletionFault::NotHeld(owner)));
}

#[test]
fn a_failed_promotion_leaves_what_was_live() {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    let mut promotion = promotion(2);
    restore(&mut environment, 3, "pod crashed", Fence(9), Seconds(300), at(5)).unwrap();
    assert_eq!(
        environment.rollout.as_ref().and_then(|rollout| rollout.wanted()),
        Some(Wanted::Bundle(&hash(1)))
    );
    assert_eq!(environment.fence, Fence(10));
    reach(&mut environment, 4, Phase::Restored, None, None).unwrap();
    let owner = promotion.execution();
    let done = complete(
        &mut environment,
        &owner,
        Some(&mut promotion),
        Some(&release(2)),
        at(6),
    )
    .unwrap();
    assert!(!done.verified);
    assert_eq!(
        (promotion.state, promotion.reason.as_deref()),
        (PromotionState::Failed, Some("pod crashed"))
    );
    assert_eq!(
        environment.live.and_then(|live| live.release),
        Some(ReleaseNumber(1))
    );
    assert_eq!(environment.completed.len(), 1);
}

#[test]
fn a_failed_first_release_is_scaled_to_zero() {
    let mut environment = rolling(environment(), 1, Phase::Rolling);
    restore(&mut environment, 1, "pod crashed", Fence(0), Seconds(300), at(5)).unwrap();
    let rollout = environment.rollout.unwrap();
    let wanted = rollout.wanted().unwrap();
    assert_eq!(wanted, Wanted::NoPods(&hash(1)));
    assert_eq!(bundle_of(wanted, bundle(1)).deployments[0].replicas, Some(0));
}

#[test]
fn what_ran_before_sluice_is_kept_as_a_target_of_last_resort() {
    let mut environment = rolling(environment(), 1, Phase::Verified);
    environment.rollout.as_mut().unwrap().baseline = Some(Baseline::Bundle { hash: hash(77) });
    let mut promotion = promotion(1);
    let owner = promotion.execution();
    complete(
        &mut environment,
        &owner,
        Some(&mut promotion),
        Some(&release(1)),
        at(6),
    )
    .unwrap();
    assert_eq!(environment.adopted.map(|adopted| adopted.bundle), Some(hash(77)));
}

proptest! {
    #[test]
    fn an_observation_without_all_pods_never_verifies(available in 0i32..1, fence in 0u64..20, second in 0i64..1200) {
        let mut there = observed(2, fence);
        there.deployments[0].available = available;
        let decision = decide_at(Phase::Rolling, &there, None, second);
        prop_assert!(decision != Decision::Verify);
    }

    #[test]
    fn a_phase_that_is_over_stays_over(number in 1u32..3, fence in 0u64..20, second in 0i64..1200) {
        for phase in [Phase::Verified, Phase::Restored, Phase::Stuck] {
            prop_assert_eq!(decide_at(phase, &observed(number, fence), None, second), Decision::Over);
        }
    }

    #[test]
    fn every_decision_that_writes_raises_the_fence(cluster in 0u64..50, steps in prop::collection::vec(any::<bool>(), 1..6)) {
        let mut environment = rolling(with_completed(&[1]), 2, Phase::Starting);
        for (step, forward) in steps.into_iter().enumerate() {
            let before = environment.fence;
            let step = step as u32;
            if forward {
                let beginning = Beginning { baseline: Baseline::Nothing, target: hash(2), highest_fence: Fence(cluster), timeout: Seconds(60) };
                begin(&mut environment, step, beginning, at(1)).unwrap();
            } else {
                restore(&mut environment, step, "no", Fence(cluster), Seconds(60), at(1)).unwrap();
            }
            prop_assert!(environment.fence > before && environment.fence > Fence(cluster));
            prop_assert_eq!(environment.rollout.as_ref().unwrap().fence, environment.fence);
        }
    }
}
