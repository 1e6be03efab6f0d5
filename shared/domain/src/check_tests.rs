//! Checks: where they stand, and what is recorded of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::environment::{Environment, Phase};
use crate::pipeline::{CheckAction, Seconds};
use crate::rollout::{Decision, Facts, decide};
use crate::samples::*;
use crate::workload::Observation;

fn check(name: &str) -> CheckSpec {
    CheckSpec {
        name: name.into(),
        timeout: Seconds(300),
        run: CheckAction::HelmTest,
    }
}

fn with_checks() -> EnvironmentSpec {
    let mut spec = spec(None);
    spec.before = vec![check("migrate"), check("seed")];
    spec.verify = vec![check("integration")];
    spec
}

fn starting() -> Environment {
    rolling(with_completed(&[1]), 2, Phase::Starting)
}

fn next(environment: &Environment, observed: &Observation, second: i64) -> Decision {
    let rollout = environment.rollout.as_ref().unwrap();
    let wanted = (rollout.phase == Phase::Rolling).then(|| bundle(2));
    let facts = Facts {
        rollout,
        wanted: wanted.as_ref(),
        observed,
        spec: &with_checks(),
        is_helm: false,
        helm: None,
        caught: None,
        traffic: None,
        alarms: None,
    };
    decide(facts, at(second))
}

fn run(environment: &mut Environment, stage: Stage, name: &str, attempt: u32, second: i64) {
    start(environment, 1, stage, &check(name), attempt, at(second)).unwrap();
}

fn say(environment: &mut Environment, verdict: Verdict, second: i64) -> Option<Record> {
    let of = environment
        .rollout
        .as_ref()
        .unwrap()
        .checks
        .last()
        .unwrap()
        .clone();
    answer(environment, &of, verdict, None, at(second))
}

fn awaits(reason: &str) -> Decision {
    Decision::AwaitCheck {
        reason: reason.into(),
        by_helm: true,
    }
}

fn asks(stage: Stage, name: &str, attempt: u32) -> Decision {
    Decision::Check {
        stage,
        name: name.into(),
        attempt,
    }
}

#[test]
fn nothing_is_written_before_every_check_before_it_has_passed() {
    let mut environment = starting();
    let seen = observed(1, 0);
    assert_eq!(next(&environment, &seen, 0), asks(Stage::Before, "migrate", 1));
    run(&mut environment, Stage::Before, "migrate", 1, 1);
    assert_eq!(next(&environment, &seen, 2), awaits("before migrate runs"));
    say(&mut environment, Verdict::Passed, 3).unwrap();
    assert_eq!(next(&environment, &seen, 4), asks(Stage::Before, "seed", 1));
    run(&mut environment, Stage::Before, "seed", 1, 5);
    say(&mut environment, Verdict::Passed, 6).unwrap();
    assert_eq!(next(&environment, &seen, 7), Decision::Begin);
}

#[test]
fn a_check_before_that_fails_starts_nothing_and_one_after_restores() {
    let failed = || Verdict::Failed("exit 1".into());
    let mut environment = starting();
    run(&mut environment, Stage::Before, "migrate", 1, 1);
    let record = say(&mut environment, failed(), 2).unwrap();
    assert_eq!(
        (record.event, record.reason.as_deref()),
        (Event::CheckFailed, Some("before migrate: exit 1"))
    );
    assert_eq!(
        next(&environment, &observed(1, 0), 3),
        Decision::Abandon("before migrate: exit 1".into())
    );

    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    assert_eq!(
        next(&environment, &observed(2, 7), 1),
        asks(Stage::Verify, "integration", 1)
    );
    run(&mut environment, Stage::Verify, "integration", 1, 1);
    say(&mut environment, failed(), 2).unwrap();
    assert_eq!(
        next(&environment, &observed(2, 7), 3),
        Decision::Restore("verify integration: exit 1".into())
    );
}

#[test]
fn one_that_passes_after_the_pods_verifies() {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    run(&mut environment, Stage::Verify, "integration", 1, 590);
    // The rollout's own time is over meanwhile: the check has its own.
    assert_eq!(
        next(&environment, &observed(2, 7), 700),
        awaits("verify integration runs")
    );
    say(&mut environment, Verdict::Passed, 800).unwrap();
    assert_eq!(next(&environment, &observed(2, 7), 801), Decision::Verify);
}

#[test]
fn one_without_an_answer_holds_until_a_person_decides() {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    let seen = observed(2, 7);
    run(&mut environment, Stage::Verify, "integration", 1, 0);
    assert_eq!(next(&environment, &seen, 359), awaits("verify integration runs"));
    let silent = next(&environment, &seen, 360);
    assert!(matches!(silent, Decision::Silent(_)), "{silent:?}");
    say(&mut environment, Verdict::Inconclusive("no answer".into()), 360).unwrap();
    let why = "verify integration: no answer".to_owned();
    assert_eq!(next(&environment, &seen, 361), Decision::Hold(why.clone()));
    hold(&mut environment, 3, &with_checks(), &why, at(361)).unwrap();
    assert_eq!(
        next(&environment, &seen, 362),
        Decision::AwaitAnswer(why.clone(), 300)
    );
    assert!(waits(environment.rollout.as_ref().unwrap(), at(362)).is_some());
    assert_eq!(
        next(&environment, &seen, 2_100),
        Decision::AwaitAnswer(why.clone(), 61)
    );
    let over = next(&environment, &seen, 2_161);
    assert_eq!(over, Decision::Restore(format!("nobody decided in time: {why}")));

    ask_again(&mut environment, "ana").unwrap();
    assert_eq!(waits(environment.rollout.as_ref().unwrap(), at(400)), None);
    assert_eq!(
        next(&environment, &seen, 400),
        asks(Stage::Verify, "integration", 2)
    );
    run(&mut environment, Stage::Verify, "integration", 2, 401);
    say(&mut environment, Verdict::Passed, 402).unwrap();
    assert_eq!(next(&environment, &seen, 403), Decision::Verify);
}

#[test]
fn a_webhook_that_answers_later_is_slept_for() {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    run(&mut environment, Stage::Verify, "integration", 1, 0);
    environment.rollout.as_mut().unwrap().checks[0].later = true;
    let slept = Decision::AwaitAnswer("verify integration: its answer is awaited".into(), 200);
    assert_eq!(next(&environment, &observed(2, 7), 100), slept);
    let silent = next(&environment, &observed(2, 7), 300);
    assert!(matches!(silent, Decision::Silent(_)), "{silent:?}");
}

#[test]
fn pods_that_fail_meanwhile_end_it() {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    run(&mut environment, Stage::Verify, "integration", 1, 0);
    let mut crash = observed(2, 7);
    crash.deployments[0].failures = vec!["quota".into()];
    let restored = next(&environment, &crash, 1);
    assert!(matches!(restored, Decision::Restore(_)), "{restored:?}");
}

#[test]
fn the_first_answer_counts() {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    run(&mut environment, Stage::Verify, "integration", 1, 0);
    let first = environment.rollout.as_ref().unwrap().checks[0].clone();
    assert!(
        answer(
            &mut environment,
            &first,
            Verdict::Inconclusive("x".into()),
            None,
            at(1)
        )
        .is_some()
    );
    assert!(answer(&mut environment, &first, Verdict::Passed, None, at(2)).is_none());
    hold(&mut environment, 2, &with_checks(), "x", at(2)).unwrap();
    ask_again(&mut environment, "ana").unwrap();
    run(&mut environment, Stage::Verify, "integration", 2, 3);
    // A late answer of the first run is none of the second.
    assert!(answer(&mut environment, &first, Verdict::Passed, None, at(4)).is_none());
}

#[test]
fn running_again_is_for_what_gave_no_answer() {
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    let refused = |environment: &mut Environment| ask_again(environment, "ana").unwrap_err();
    assert!(refused(&mut environment).contains("no check"));
    run(&mut environment, Stage::Verify, "integration", 1, 0);
    assert!(refused(&mut environment).contains("still runs"));
    say(&mut environment, Verdict::Failed("x".into()), 1).unwrap();
    assert!(refused(&mut environment).contains("no check"));
    let mut idle = with_completed(&[1]);
    assert!(refused(&mut idle).contains("nothing is being done"));
}

#[test]
fn a_later_answer_counts_once_and_only_of_a_webhook_that_is_asked() {
    let mut spec = with_checks();
    let (url, secret, answered_by) = ("https://checks.example.com".into(), "arn".into(), Vec::new());
    spec.verify[0].run = CheckAction::Webhook {
        url,
        secret,
        answered_by,
    };
    let say = |environment: &mut Environment, name: &str, verdict: &Verdict, second: i64| {
        answer_later(environment, &spec, name, verdict, "ana", at(second))
    };
    let failed = Verdict::Failed("no".into());
    let mut environment = rolling(with_completed(&[1]), 2, Phase::Rolling);
    let refused = say(&mut environment, "integration", &Verdict::Passed, 0).unwrap_err();
    assert!(refused.contains("was not run"), "{refused}");
    run(&mut environment, Stage::Before, "migrate", 1, 0);
    let refused = say(&mut environment, "migrate", &Verdict::Passed, 1).unwrap_err();
    assert!(refused.contains("no webhook"), "{refused}");
    run(&mut environment, Stage::Verify, "integration", 1, 0);
    let refused = say(&mut environment.clone(), "integration", &failed, 300).unwrap_err();
    assert!(refused.contains("was over at"), "{refused}");
    let Later::Recorded(record) = say(&mut environment, "integration", &failed, 1).unwrap() else {
        panic!()
    };
    assert_eq!((record.event, record.by.as_str()), (Event::CheckFailed, "ana"));
    assert_eq!(
        say(&mut environment, "integration", &failed, 2),
        Ok(Later::Before)
    );
    // Also when all is over.
    environment.lease = None;
    assert_eq!(
        say(&mut environment, "integration", &failed, 900),
        Ok(Later::Before)
    );
    let refused = say(&mut environment, "integration", &Verdict::Passed, 2).unwrap_err();
    assert_eq!(refused, "verify integration was answered before: it failed: no");
}
