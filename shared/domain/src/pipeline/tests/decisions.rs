//! Who may do what: every action, every person.

use super::super::{Action, Caller, CheckAction, CheckSpec, DeniedReason, Seconds, authorise, may_answer};
use super::{FULL, OWN, arn, environment, golden, person, pipeline, with};

/// Ana approves and operates production, Ben approves, Cara operates; Dora is nobody.
#[test]
fn each_action_is_for_those_whom_the_environment_names() {
    let pipeline = pipeline(FULL);
    let spec = pipeline.environment(&environment("production")).unwrap();
    let table = [
        (Action::Apply, "ana ben cara dora"),
        (Action::Promote, "ana cara"),
        (Action::Approve, "ana ben"),
        (Action::Reject, "ana ben"),
        (Action::Abort, "ana cara"),
        (Action::RollBack, "ana cara"),
        (Action::Hold, "ana cara"),
        (Action::Unhold, "ana cara"),
        (Action::Quarantine, "ana cara"),
        (Action::Unquarantine, "ana cara"),
        (Action::Answer, "ana cara"),
        (Action::Retry, "ana cara"),
        (Action::Pause, "ana cara"),
        (Action::Resume, "ana cara"),
        (Action::Remove, "ana cara"),
        (Action::Read, "ana ben cara dora"),
    ];
    assert_eq!(table.map(|(action, _)| action), Action::ALL);
    for (action, wanted) in table {
        let may = |name: &&str| {
            authorise(
                &Caller::of(&pipeline, &arn(name), OWN),
                action,
                Some(spec),
                &pipeline,
            )
            .is_ok()
        };
        let allowed: Vec<&str> = ["ana", "ben", "cara", "dora"].into_iter().filter(may).collect();
        assert_eq!(allowed.join(" "), wanted, "{action}");
    }
}

#[test]
fn without_operators_every_caller_operates_but_nobody_approves() {
    let pipeline = pipeline(FULL);
    let dev = pipeline.environment(&environment("dev")).unwrap();
    let dora = Caller::of(&pipeline, &arn("dora"), OWN);
    for action in [
        Action::Promote,
        Action::Abort,
        Action::RollBack,
        Action::Hold,
        Action::Unhold,
        Action::Pause,
        Action::Resume,
    ] {
        assert_eq!(authorise(&dora, action, Some(dev), &pipeline), Ok(()), "{action}");
    }
    for name in ["ana", "dora"] {
        let caller = Caller::of(&pipeline, &arn(name), OWN);
        let denied = authorise(&caller, Action::Approve, Some(dev), &pipeline).unwrap_err();
        assert_eq!(denied.reason, DeniedReason::NoApproval);
    }
}

/// A quarantine is of every environment, also when it is asked for in one; so is an action without an environment.
#[test]
fn what_is_meant_for_all_environments_needs_all_their_operators() {
    let both = with(
        "namespace = \"dev\"",
        "namespace = \"dev\"\noperators = [\"ben\", \"cara\"]",
    );
    let pipeline = pipeline(&both);
    let dev = pipeline.environment(&environment("dev")).unwrap();
    for (action, spec) in [
        (Action::Quarantine, Some(dev)),
        (Action::Unquarantine, None),
        (Action::Remove, Some(dev)),
        (Action::Hold, None),
    ] {
        for (name, wanted) in [("ana", Some("dev")), ("ben", Some("production")), ("cara", None)] {
            let caller = Caller::of(&pipeline, &arn(name), OWN);
            let denied = authorise(&caller, action, spec, &pipeline)
                .err()
                .and_then(|denied| denied.environment);
            assert_eq!(denied, wanted.map(environment), "{action} {name}");
        }
    }
}

#[test]
fn an_approval_is_of_one_environment() {
    let pipeline = pipeline(FULL);
    let ana = Caller::of(&pipeline, &arn("ana"), OWN);
    let denied = authorise(&ana, Action::Approve, None, &pipeline).unwrap_err();
    assert_eq!(denied.reason, DeniedReason::NoEnvironment);
}

/// Whom a check names answers it, and nobody else; an operator where it names nobody.
#[test]
fn a_check_is_answered_by_whom_it_names() {
    let pipeline = pipeline(FULL);
    let production = pipeline.environment(&environment("production")).unwrap();
    let check = |answered_by: Vec<_>| CheckSpec {
        name: "load-test".into(),
        timeout: Seconds(300),
        run: CheckAction::Webhook {
            url: "https://checks.example.com".into(),
            secret: "arn".into(),
            answered_by,
        },
    };
    for (answered_by, wanted) in [(vec![], "ana cara"), (vec![person("ben")], "ben")] {
        let check = check(answered_by);
        let may = |name: &&str| {
            let caller = Caller::of(&pipeline, &arn(name), OWN);
            may_answer(&caller, &check, production, &pipeline).is_ok()
        };
        let allowed: Vec<&str> = ["ana", "ben", "cara", "dora"].into_iter().filter(may).collect();
        assert_eq!(allowed.join(" "), wanted);
    }
    let ana = Caller::of(&pipeline, &arn("ana"), OWN);
    let denied = may_answer(&ana, &check(vec![person("ben")]), production, &pipeline).unwrap_err();
    assert!(denied.to_string().contains("answered by ben"), "{denied}");
}

#[test]
fn a_refusal_names_the_caller_the_rule_and_who_may() {
    let pipeline = pipeline(FULL);
    let spec = pipeline.environment(&environment("production"));
    let refused = |name: &str, action: Action, spec| {
        authorise(&Caller::of(&pipeline, &arn(name), OWN), action, spec, &pipeline)
            .unwrap_err()
            .to_string()
    };
    let told = [
        refused("ben", Action::RollBack, spec),
        refused("dora", Action::Approve, spec),
        refused("ana", Action::Reject, pipeline.environment(&environment("dev"))),
        refused("ana", Action::Approve, None),
        refused("dora", Action::Quarantine, None),
    ];
    golden("refusals", &told.join("\n"));
}

#[test]
fn a_caller_is_a_person_by_their_own_principal_only() {
    let pipeline = pipeline(FULL);
    let known = |arn: &str| pipeline.person_of(arn, OWN).cloned();
    for name in ["ana", "ben", "cara"] {
        assert_eq!(known(&arn(name)), Some(person(name)));
        assert_eq!(
            known(&arn(name).replace(OWN, "210987654321")),
            None,
            "{name} of another account"
        );
        assert_eq!(known(&arn(name).to_uppercase()), None);
    }
    assert_eq!(known(&arn("dora")), None);
    assert_eq!(
        pipeline.person_of(&arn("cara"), "210987654321"),
        None,
        "Sluice is in another account than the caller"
    );
}
