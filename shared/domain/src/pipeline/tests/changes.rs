//! Which approvals a new version changes, and who may publish it.

use super::super::{approval_changes, may_apply};
use super::{FULL, HELM, OWN, TRACKS, arn, edited, environment, golden, pipeline, with};

/// Edits of production's protection: each must be seen, and each by Ana or Ben only.
#[test]
fn whatever_protects_an_environment_is_guarded() {
    let old = pipeline(FULL);
    let edits = [
        (
            "approvers = [\"ana\", \"ben\"], quorum = 1",
            "approvers = [\"ana\", \"ben\", \"cara\"], quorum = 1",
        ),
        ("quorum = 1, four_eyes = true", "quorum = 2"),
        ("four_eyes = true", "four_eyes = false"),
        ("expires = \"24h\"", "expires = \"48h\""),
        ("operators = [\"ana\", \"cara\"]", "operators = [\"ana\"]"),
        ("operators = [\"ana\", \"cara\"]\n", ""),
        (
            "approval = { approvers = [\"ana\", \"ben\"], quorum = 1, four_eyes = true, expires = \"24h\" }\n",
            "",
        ),
        (
            "iam = \"arn:aws:iam::123456789012:role/sso-ana\"",
            "iam = \"arn:aws:iam::123456789012:role/sso-dora\"",
        ),
        (
            "iam = \"arn:aws:iam::123456789012:user/ben\"",
            "iam = \"arn:aws:iam::123456789012:user/dora\"",
        ),
        (
            "iam = \"role/sso-dev:cara@example.com\"",
            "iam = \"role/sso-dev:dora@example.com\"",
        ),
        ("name = \"production\"", "name = \"prod\""),
        ("cluster = \"mc-prod-eks\"", "cluster = \"mc-other-eks\""),
        ("namespace = \"production\"", "namespace = \"empty\""),
        ("region = \"us-east-1\"", "region = \"us-east-2\""),
        (
            "role = \"arn:aws:iam::123456789012:role/sluice-production\"\n",
            "",
        ),
    ];
    for (from, to) in edits {
        let new = pipeline(&with(from, to));
        assert_eq!(approval_changes(&old, &new), [environment("production")], "{to}");
        for (name, may) in [("ana", true), ("ben", true), ("cara", false), ("dora", false)] {
            assert_eq!(
                may_apply(&old, &new, &arn(name), OWN).is_ok(),
                may,
                "{name}: {to}"
            );
        }
    }
}

/// As another role helm may have other rights: it is guarded as `role` is.
#[test]
fn the_role_of_helm_is_guarded() {
    let old = pipeline(HELM);
    let new = pipeline(&HELM.replace("role/sluice-production-helm", "role/sluice-other-helm"));
    assert_eq!(approval_changes(&old, &new), [environment("production")]);
    for (name, may) in [("ana", true), ("ben", true), ("cara", false), ("dora", false)] {
        assert_eq!(may_apply(&old, &new, &arn(name), OWN).is_ok(), may, "{name}");
    }
}

const STEPS: &str = "    { weight = 5, bake = \"5m\", pause = \"24h\" },
    { weight = 25, bake = \"5m\" },
    { weight = 50, bake = \"10m\" },
";

/// A pause is a person's decision: who takes it away decides for them.
#[test]
fn a_pause_is_guarded_and_what_measures_is_not() {
    let old = pipeline(TRACKS);
    let weaker = [
        (", pause = \"24h\"", ""),
        ("weight = 5,", "weight = 10,"),
        ("weight = 5,", "weight = 1,"),
    ];
    let rolling = TRACKS.split_once("[environment.strategy.canary]").unwrap();
    let people = rolling.1.split_once("[people.ana]").unwrap().1;
    let rolling = format!("{}[people.ana]{people}", rolling.0);
    let mut texts: Vec<String> = weaker.iter().map(|(from, to)| edited(TRACKS, from, to)).collect();
    texts.push(rolling);
    for text in texts {
        let new = pipeline(&text);
        assert_eq!(
            approval_changes(&old, &new),
            [environment("production")],
            "{text}"
        );
        assert!(may_apply(&old, &new, &arn("ana"), OWN).is_ok());
        let denied = may_apply(&old, &new, &arn("ben"), OWN).unwrap_err();
        assert!(denied.to_string().contains("only ana may change"), "{denied}");
    }
    let same = [
        ("pause = \"24h\"", "pause = \"7d\""),
        (
            "{ weight = 25, bake = \"5m\" }",
            "{ weight = 25, bake = \"10s\", pause = \"1h\" }",
        ),
        ("    { weight = 25, bake = \"5m\" },\n", ""),
        ("alarms = [\"mc-api-production-5xx\", ", "alarms = ["),
        ("watch = \"30m\"", "watch = \"10s\""),
        ("at_least = 100", "at_least = 1"),
        (
            STEPS,
            "{ weight = 1, bake = \"5m\", pause = \"1h\" },\n{ weight = 5, bake = \"5m\", pause = \"1h\" }\n",
        ),
    ];
    for (from, to) in same {
        let new = pipeline(&edited(TRACKS, from, to));
        assert_eq!(approval_changes(&old, &new), [], "{to}");
    }
}

/// Without approvers and operators anybody may answer a pause.
#[test]
fn a_pause_that_nobody_guards_is_for_everybody() {
    let open = edited(TRACKS, "approval = { approvers = [\"ana\"] }\n", "");
    let old = pipeline(&open);
    let new = pipeline(&edited(&open, ", pause = \"24h\"", ""));
    assert_eq!(approval_changes(&old, &new), []);
}

#[test]
fn anything_else_is_for_everybody() {
    let old = pipeline(FULL);
    let edits = [
        ("approvers = [\"ana\", \"ben\"]", "approvers = [\"ben\", \"ana\"]"),
        (
            "operators = [\"ana\", \"cara\"]",
            "operators = [\"cara\", \"ana\"]",
        ),
        ("timeout = \"10m\"", "timeout = \"15m\""),
        ("tags = [\"^[0-9a-f]{7,40}$\"]", "tags = [\"^v[0-9]+$\"]"),
        ("manifests = [\"deploy/production.yaml\"]", "manifests = []"),
        ("namespace = \"dev\"", "namespace = \"dev2\""),
        (
            "namespace = \"dev\"",
            "namespace = \"dev\"\napproval = { approvers = [\"ana\"] }",
        ),
        ("[people.ana]", "[people.dora]\niam = \"user/dora\"\n[people.ana]"),
    ];
    for (from, to) in edits {
        let new = pipeline(&with(from, to));
        assert_eq!(approval_changes(&old, &new), [], "{to}");
        assert_eq!(may_apply(&old, &new, &arn("dora"), OWN), Ok(()), "{to}");
    }
}

/// Another environment in production's place would be a way around its approval.
#[test]
fn a_second_environment_in_the_same_place_is_a_change() {
    let without_role = with(
        "role = \"arn:aws:iam::123456789012:role/sluice-production\"\n",
        "",
    );
    let old = pipeline(&without_role);
    let second = |more: &str| {
        format!(
            "{without_role}\n[[environment]]\nname = \"side\"\ncluster = \"mc-prod-eks\"\nnamespace = \"production\"\n{more}"
        )
    };
    let with_role = pipeline(&second(
        "region = \"us-east-1\"\nrole = \"arn:aws:iam::123456789012:role/x\"\n",
    ));
    assert_eq!(approval_changes(&old, &with_role), [environment("production")]);
    let elsewhere = pipeline(&second("region = \"us-east-2\"\n"));
    assert_eq!(approval_changes(&old, &elsewhere), []);
    assert_eq!(
        approval_changes(&with_role, &with_role),
        [],
        "it was there before"
    );
}

/// Whoever makes themselves an approver in the new version is none in the old one.
#[test]
fn nobody_lets_themselves_in() {
    let old = pipeline(FULL);
    let new = with(
        "approvers = [\"ana\", \"ben\"]",
        "approvers = [\"ana\", \"dora\"]",
    ) + "[people.dora]\niam = \"role/sso-dev:dora@example.com\"\n";
    assert!(may_apply(&old, &pipeline(&new), &arn("dora"), OWN).is_err());
}

#[test]
fn operators_alone_guard_themselves() {
    let text = with(
        "approval = { approvers = [\"ana\", \"ben\"], quorum = 1, four_eyes = true, expires = \"24h\" }\n",
        "",
    );
    let old = pipeline(&text);
    let new = pipeline(&text.replace("operators = [\"ana\", \"cara\"]\n", ""));
    for (name, may) in [("ana", true), ("ben", false), ("cara", true), ("dora", false)] {
        assert_eq!(may_apply(&old, &new, &arn(name), OWN).is_ok(), may, "{name}");
    }
}

#[test]
fn a_refusal_names_each_environment_and_who_may_change_it() {
    let two = with(
        "namespace = \"dev\"",
        "namespace = \"dev\"\napproval = { approvers = [\"cara\"] }",
    );
    let (old, new) = (pipeline(&two), pipeline(&two.replace("approval = ", "#")));
    let told = ["dora", "ana"].map(|name| may_apply(&old, &new, &arn(name), OWN).unwrap_err().to_string());
    golden("refusals_to_apply", &told.join("\n"));
}
