#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::samples::{at, digest, environment, hash, id, live, person, place, promotion};
use sluice_domain::pipeline::Seconds;
use sluice_domain::promotion::{Approval, Evidence};
use sluice_domain::queue::Queued;

fn spec(quorum: u32) -> ApprovalSpec {
    let approvers = vec![person("ana"), person("ben"), person("carl")];
    ApprovalSpec {
        approvers,
        quorum,
        four_eyes: false,
        expires: Seconds(100),
    }
}

fn said(name: &str, approve: bool) -> Vote {
    Vote {
        person: person(name),
        arn: "a".into(),
        at: at(5),
        approve,
        reason: None,
    }
}

fn asked(state: PromotionState, votes: Vec<Vote>) -> Promotion {
    let mut promotion = promotion("production", 42, 1, state);
    let evidence = Evidence {
        digest: digest(42),
        pipeline: hash(1),
        replaces: None,
    };
    promotion.approval = Some(Approval {
        evidence,
        asked_at: at(1),
        expires_at: at(100),
        votes,
    });
    promotion
}

fn ballot(approve: bool) -> Ballot {
    Ballot {
        at: place("production"),
        release: ReleaseNumber(42),
        approve,
        reason: None,
    }
}

fn told(error: OperateError) -> String {
    let OperateError::Refusal(refusal) = error else {
        panic!("{error:?}")
    };
    format!(
        "{} {}\n  next: {}",
        refusal.kind.status(),
        refusal.message,
        refusal.next.unwrap()
    )
}

#[test]
fn what_is_said_of_a_vote() {
    let text = |quorum, votes, approve| {
        let cast = of(
            asked(PromotionState::AwaitingApproval, votes),
            &environment("production"),
            &spec(quorum),
            person("ana"),
            at(6),
        );
        text(&place("production"), &ballot(approve), &cast)
    };
    let texts = [
        text(1, vec![said("ana", true)], true),
        text(2, vec![said("ana", true)], true),
        text(2, vec![said("ben", true), said("ana", false)], false),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn the_same_vote_again_is_fine_as_long_as_it_means_the_same() {
    let before =
        |state, approve, again| said_before(&asked(state, vec![said("ana", approve)]), &person("ana"), again);
    assert!(before(PromotionState::AwaitingApproval, true, true));
    assert!(before(PromotionState::RollingOut, true, true));
    assert!(before(PromotionState::Rejected, false, false));
    assert!(
        !before(PromotionState::AwaitingApproval, true, false),
        "another word is another vote"
    );
    assert!(
        !before(PromotionState::Failed, true, true),
        "a yes that came to nothing"
    );
    assert!(!said_before(
        &asked(PromotionState::AwaitingApproval, vec![said("ana", true)]),
        &person("ben"),
        true
    ));
}

#[test]
fn only_what_waits_and_is_still_what_people_were_asked_about_is_voted_on() {
    let waiting = asked(PromotionState::AwaitingApproval, vec![]);
    assert!(waits(&place("production"), &waiting, &environment("production")).is_ok());
    let mut changed = environment("production");
    changed.live = Some(live(41));
    let mut other = environment("production");
    other.queue.current = Some(Queued {
        id: id(43, 1),
        pushed_at: at(0),
        automatic: true,
    });
    let mut superseded = asked(PromotionState::Superseded, vec![]);
    superseded.reason = Some("#43 took its place".into());
    let lines = [(waiting, &changed), (superseded, &other)].map(|(promotion, environment)| {
        told(waits(&place("production"), &promotion, environment).unwrap_err())
    });
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_fault_of_a_vote_is_told() {
    let faults = [
        VoteFault::NotAsked("#42 in production".into(), "wanted".into()),
        VoteFault::Expired("#42 in production".into(), at(0)),
        VoteFault::NotApprover("zoe".into(), "ana or ben".into()),
        VoteFault::FourEyes(person("ana")),
        VoteFault::AlreadyVoted(person("ana"), "approved"),
    ];
    let lines = faults.map(|fault| told(of_fault(&place("production"), ReleaseNumber(42), fault)));
    insta::assert_snapshot!(lines.join("\n"));
}
