//! What a promotion does next, as a table over states.
#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::approval::{VoteFault, ask, vote};
use crate::environment::{Hold, Live};
use crate::gates::{Evidence as Looked, RollbackTarget, check};
use crate::ids::PersonName;
use crate::pipeline::{ApprovalSpec, Seconds};
use crate::promotion::{Asker, Vote};
use crate::samples::*;

fn person(name: &str) -> PersonName {
    PersonName::parse(name).unwrap()
}

fn two_of_three() -> ApprovalSpec {
    let approvers = vec![person("ana"), person("ben"), person("carl")];
    ApprovalSpec {
        approvers,
        quorum: 2,
        four_eyes: true,
        expires: Seconds(100),
    }
}

fn says(name: &str, approve: bool, second: i64) -> Vote {
    Vote {
        person: person(name),
        arn: format!("arn:{name}"),
        at: at(second),
        approve,
        reason: None,
    }
}

fn first_in_line() -> (Promotion, Environment) {
    let mut environment = with_completed(&[1]);
    environment.queue.current = Some(queued(2));
    (promotion(2), environment)
}

fn turn(
    promotion: &Promotion,
    environment: &Environment,
    approval: Option<ApprovalSpec>,
    second: i64,
) -> Turn {
    decide(promotion, environment, &spec(approval), &[], at(second))
}

#[test]
fn it_waits_for_its_place_the_hold_and_the_lease() {
    let (promotion, environment) = first_in_line();
    assert!(matches!(
        turn(&promotion, &environment, None, 0),
        Turn::Proceed { .. }
    ));
    let mut behind = environment.clone();
    behind.queue.current = Some(queued(9));
    let mut held = environment.clone();
    held.hold = Some(Hold {
        by: "ana".into(),
        at: at(0),
        reason: "launch day".into(),
        after_rollback: false,
    });
    let busy = rolling(environment, 9, Phase::Rolling);
    let busy = Environment {
        queue: held.queue.clone(),
        ..busy
    };
    for (environment, part) in [
        (&behind, "waits behind #9"),
        (&held, "launch day"),
        (&busy, "changes the environment now"),
    ] {
        match turn(&promotion, environment, None, 0) {
            Turn::Wait { reason, .. } => assert!(reason.contains(part), "{reason}"),
            other => panic!("{part}: {other:?}"),
        }
    }
    // A person's own wish is not stopped by a hold.
    let wish = Promotion {
        asked_by: Asker::Person {
            person: None,
            arn: "arn:x".into(),
        },
        ..promotion
    };
    assert!(matches!(turn(&wish, &held, None, 0), Turn::Proceed { .. }));
}

#[test]
fn a_gate_that_fails_ends_it() {
    let (promotion, environment) = first_in_line();
    let release = release(2);
    let dev = EnvironmentNameOf::dev();
    let gates = check(&Looked {
        release: &release,
        image: None,
        before: Some((&dev, false)),
        rollback: RollbackTarget::NoneYet,
        budget: None,
    });
    let turn = decide(&promotion, &environment, &spec(None), &gates, at(0));
    match turn {
        Turn::End {
            state: PromotionState::Refused,
            reason,
            ..
        } => assert!(reason.contains("no longer in ECR"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

struct EnvironmentNameOf;
impl EnvironmentNameOf {
    fn dev() -> crate::ids::EnvironmentName {
        crate::ids::EnvironmentName::parse("dev").unwrap()
    }
}

#[test]
fn enough_people_must_say_yes_in_time() {
    let (mut promotion, environment) = first_in_line();
    let asked = two_of_three();
    let state = |promotion: &Promotion, second| turn(promotion, &environment, Some(two_of_three()), second);
    assert!(matches!(state(&promotion, 0), Turn::Ask { seconds: 100, .. }));
    let about = evidence(&promotion, &environment);
    ask(&mut promotion, &asked, about, at(0));
    vote(&mut promotion, &asked, says("ana", true, 1)).unwrap();
    vote(&mut promotion, &asked, says("ana", true, 2)).unwrap();
    assert!(
        matches!(state(&promotion, 3), Turn::Ask { seconds: 97, .. }),
        "one person counts once"
    );
    let expired = promotion.clone();
    assert!(matches!(
        state(&expired, 100),
        Turn::End {
            state: PromotionState::Expired,
            ..
        }
    ));
    let mut rejected = promotion.clone();
    vote(&mut rejected, &asked, says("ben", false, 4)).unwrap();
    assert!(matches!(
        state(&rejected, 5),
        Turn::End {
            state: PromotionState::Rejected,
            ..
        }
    ));
    vote(&mut promotion, &asked, says("ben", true, 4)).unwrap();
    assert!(matches!(state(&promotion, 5), Turn::Proceed { .. }));
    assert!(
        matches!(state(&promotion, 500), Turn::Proceed { .. }),
        "approved in time stays approved"
    );
    // Something else is live than what they were told would be replaced: they are asked again.
    let mut other = environment.clone();
    other.live = Some(Live {
        bundle: hash(5),
        ..other.live.unwrap()
    });
    assert!(matches!(
        turn(&promotion, &other, Some(two_of_three()), 5),
        Turn::Ask { .. }
    ));
}

#[test]
fn a_vote_that_does_not_count_says_why() {
    let asked = two_of_three();
    let (mut promotion, environment) = first_in_line();
    let early = vote(&mut promotion, &asked, says("ana", true, 1));
    assert!(matches!(early, Err(VoteFault::NotAsked(..))), "{early:?}");
    let about = evidence(&promotion, &environment);
    ask(&mut promotion, &asked, about, at(0));
    promotion.asked_by = Asker::Person {
        person: Some(person("ana")),
        arn: "arn:ana".into(),
    };
    let mut cast = |vote_: Vote| vote(&mut promotion, &asked, vote_);
    assert!(matches!(
        cast(says("dora", true, 1)),
        Err(VoteFault::NotApprover(..))
    ));
    assert_eq!(
        cast(says("ana", true, 1)),
        Err(VoteFault::FourEyes(person("ana")))
    );
    assert!(matches!(
        cast(says("ben", true, 100)),
        Err(VoteFault::Expired(..))
    ));
    cast(says("ben", true, 1)).unwrap();
    assert!(matches!(
        cast(says("ben", false, 2)),
        Err(VoteFault::AlreadyVoted(..))
    ));
    // Whoever asked for it may still stop it.
    assert_eq!(cast(says("ana", false, 3)), Ok(()));
}

#[test]
fn what_is_over_stays_over() {
    let (mut promotion, environment) = first_in_line();
    for state in [
        PromotionState::Superseded,
        PromotionState::Aborted,
        PromotionState::Rejected,
        PromotionState::Verified,
    ] {
        promotion.end(state, "because", at(1));
        let ok = matches!(state, PromotionState::Superseded | PromotionState::Verified);
        assert_eq!(
            turn(&promotion, &environment, None, 9),
            Turn::Over {
                ok,
                reason: "because".into()
            }
        );
    }
}

#[test]
fn a_promotion_that_ends_gives_up_its_place_and_an_unused_lease() {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Starting);
    environment.queue.next = Some(queued(3));
    assert!(!has_written(&environment, id(2)));
    let mut promotion = promotion(2);
    end(
        &mut promotion,
        &mut environment,
        PromotionState::Aborted,
        Event::PromotionAborted,
        "ana",
        "stop",
        at(1),
    );
    assert!(environment.lease.is_none() && environment.queue.is_turn_of(id(3)));
    assert!(has_written(
        &rolling(with_completed(&[1]), 2, Phase::Rolling),
        id(2)
    ));
}
