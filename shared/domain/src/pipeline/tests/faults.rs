//! A table of bad files. The snapshots are what a person reads.

use super::super::{FaultKind, Faults, read};
use super::{FULL, golden, with};
use std::fmt::Write;

/// Each case with everything that is said of it. Every fault must fit 80 columns, but for words that do not break.
pub(super) fn told(cases: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (name, text) in cases {
        let said = match read("p.toml", text) {
            Ok(checked) => format!("ok, with warnings:\n{}", Faults(checked.warnings)),
            Err(faults) => faults.to_string(),
        };
        let wide = said
            .lines()
            .find(|line| line.chars().count() > 80 && line.trim().contains(' '));
        assert_eq!(wide, None, "{name}");
        writeln!(out, "# {name}\n{said}\n").unwrap();
    }
    out
}

fn replaced(cases: &[(&str, &str)]) -> String {
    let cases: Vec<_> = cases.iter().map(|(from, to)| (*to, with(from, to))).collect();
    told(&cases)
}

#[test]
fn an_empty_file_misses_everything() {
    golden(
        "an_empty_file_misses_everything",
        &told(&[
            ("empty", String::new()),
            ("only a comment", "# hello\n".to_owned()),
        ]),
    );
}

#[test]
fn service_and_source() {
    golden(
        "service_and_source",
        &replaced(&[
            ("service = \"mc-api\"", "service = \"MC_API\""),
            ("service = \"mc-api\"", "service = 7"),
            ("service = \"mc-api\"", "servce = \"mc-api\""),
            (
                "repository = \"team/mc-api\"",
                "repository = \"123456789012.dkr.ecr.eu-west-1.amazonaws.com/mc-api:latest\"",
            ),
            ("repository = \"team/mc-api\"", ""),
            ("tags = [\"^[0-9a-f]{7,40}$\"]", "tags = []"),
            ("tags = [\"^[0-9a-f]{7,40}$\"]", "tags = \"^v\""),
            (
                "tags = [\"^[0-9a-f]{7,40}$\"]",
                "tags = [\"^(v\", 1, \"^a$\", \"^a$\"]",
            ),
            ("tags = [\"^[0-9a-f]{7,40}$\"]", "tags = [\"main|release\"]"),
            (
                "tags = [\"^[0-9a-f]{7,40}$\"]",
                "tags = [\"^v$\"]\ngithub = \"maxiscomputers/mc-api\"",
            ),
            (
                "tags = [\"^[0-9a-f]{7,40}$\"]",
                "tags = [\"^v$\"]\ngithub = \"https://github.com/a/b\"",
            ),
            ("[source]", "[sources]"),
        ]),
    );
}

#[test]
fn workload() {
    golden(
        "workload",
        &replaced(&[
            (
                "[workload.deployment]",
                "[workload.helm]\nchart = \"charts/api\"\n[workload.deployments]",
            ),
            (
                "[workload.deployment]",
                "[workload.argo_cd]\n[workload.deployment]",
            ),
            ("[workload.deployment]", "[workload.deploymnt]"),
            (
                "manifests = [\"deploy/api.yaml\"]\nnames = [\"mc-api\"]",
                "manifests = []",
            ),
            (
                "manifests = [\"deploy/api.yaml\"]",
                "manifests = [\"/etc/passwd.yaml\", \"a/../../b.yaml\", \"deploy/*.yaml\", \"C:\\\\x.yaml\", \"a//b.yaml\", \"deploy/api\"]",
            ),
            (
                "names = [\"mc-api\"]",
                "names = [\"Mc_Api\", \"mc-api\", \"mc-api\"]",
            ),
            ("container = \"api\"", "container = \"\""),
            ("container = \"api\"", "containers = [\"api\"]"),
            ("container = \"api\"", "timeout = \"5m\""),
        ]),
    );
}

#[test]
fn environments() {
    golden(
        "environments",
        &replaced(&[
            ("name = \"production\"", "name = \"pre-prod\""),
            ("name = \"production\"", "name = \"dev\""),
            ("name = \"production\"", ""),
            (
                "cluster = \"mc-prod-eks\"",
                "cluster = \"arn:aws:eks:us-east-1:123456789012:cluster/prod\"",
            ),
            ("namespace = \"production\"", "namespace = \"Production\""),
            (
                "cluster = \"mc-prod-eks\"\nnamespace = \"production\"\nregion = \"us-east-1\"\nrole = \"arn:aws:iam::123456789012:role/sluice-production\"",
                "cluster = \"mc-dev-eks\"\nnamespace = \"dev\"\nregion = \"us-east-1\"",
            ),
            ("region = \"us-east-1\"", "region = \"us-east-1a\""),
            ("region = \"us-east-1\"", "region = \"cn-north-1\""),
            (
                "role = \"arn:aws:iam::123456789012:role/sluice-production\"",
                "role = \"sluice-production\"",
            ),
            (
                "role = \"arn:aws:iam::123456789012:role/sluice-production\"",
                "role = \"arn:aws:iam::123456789012:user/x\"",
            ),
            ("strategy = \"rolling\"", "strategy = \"canary\""),
            ("strategy = \"rolling\"", "strategy = \"recreate\""),
            ("strategy = \"rolling\"", "strategy = { canary = { steps = [] } }"),
            (
                "strategy = \"rolling\"",
                "tiemout = \"5m\"\nmanifest = []\nfoo = 1\napprovers = [\"ana\"]\nwatchs = 1",
            ),
            ("operators = [\"ana\", \"cara\"]", "operators = []"),
            (
                "operators = [\"ana\", \"cara\"]",
                "operators = [\"anna\", \"zoe\", \"Ana\"]",
            ),
        ]),
    );
}

#[test]
fn environment_must_be_an_array_of_tables() {
    let single = with(
        "[[environment]]\nname = \"production\"",
        "[environmen]\nname = \"production\"",
    );
    let text = single.replace("[[environment]]", "[environment]");
    golden(
        "environment_must_be_an_array_of_tables",
        &told(&[("single brackets", text)]),
    );
}

#[test]
fn durations() {
    let timeouts = [
        "10", "\"10\"", "\"0s\"", "\"-5m\"", "\"1.5h\"", "\"5min\"", "\"9s\"", "\"7h\"", "\"\"", "true",
    ];
    let cases: Vec<_> = timeouts
        .iter()
        .map(|t| (*t, with("timeout = \"10m\"", &format!("timeout = {t}"))))
        .collect();
    golden("durations", &told(&cases));
}

#[test]
fn impossible_or_odd_time_budgets() {
    golden(
        "impossible_or_odd_time_budgets",
        &replaced(&[
            ("rollback_within = \"5m\"", "rollback_within = \"10s\""),
            ("rollback_within = \"5m\"", "rollback_within = \"2h\""),
            ("rollback_within = \"5m\"", "rollback_within = \"20m\""),
            ("timeout = \"10m\"", "timeout = \"1h\""),
            ("expires = \"24h\"", "expires = \"366d\""),
            ("expires = \"24h\"", "expires = \"30s\""),
        ]),
    );
}

#[test]
fn approvals() {
    golden(
        "approvals",
        &replaced(&[
            ("quorum = 1", "quorum = 3"),
            ("quorum = 1", "quorum = 0"),
            ("quorum = 1", "quorum = -1"),
            ("quorum = 1", "quorum = \"1\""),
            ("quorum = 1", "quorum = 2"),
            ("four_eyes = true", "four_eyes = \"yes\""),
            ("approvers = [\"ana\", \"ben\"]", "approvers = [\"ana\"]"),
            ("approvers = [\"ana\", \"ben\"]", "approvers = [\"ana\", \"ana\"]"),
            ("approvers = [\"ana\", \"ben\"]", "approvers = []"),
            ("approvers = [\"ana\", \"ben\"]", "approver = [\"ana\", \"ben\"]"),
            ("approvers = [\"ana\", \"ben\"]", "approvers = [\"ana\", \"bne\"]"),
            ("approvers = [\"ana\", \"ben\"]", "approvers = \"ana\""),
            ("expires = \"24h\"", "on_newer = \"replace\""),
            ("approval = {", "approval = true # {"),
        ]),
    );
}

#[test]
fn four_eyes_are_enough_where_no_approver_may_ask() {
    let one = with("approvers = [\"ana\", \"ben\"]", "approvers = [\"ben\"]");
    assert!(read("p.toml", &one).is_ok(), "operators are ana and cara");
    let anyone = one.replace("operators = [\"ana\", \"cara\"]\n", "");
    let faults = read("p.toml", &anyone).unwrap_err().0;
    assert_eq!(
        faults
            .iter()
            .map(|fault| (fault.kind, fault.line))
            .collect::<Vec<_>>(),
        [(FaultKind::Conflict, 25)]
    );
}

#[test]
fn people() {
    golden(
        "people",
        &replaced(&[
            (
                "iam = \"arn:aws:iam::123456789012:role/sso-ana\"",
                "iam = \"ana\"",
            ),
            (
                "iam = \"arn:aws:iam::123456789012:role/sso-ana\"",
                "iam = \"arn:aws:sts::123456789012:assumed-role/sso-ana/x\"",
            ),
            (
                "iam = \"arn:aws:iam::123456789012:role/sso-ana\"",
                "iam = \"arn:aws:iam::123456789012:root\"",
            ),
            (
                "iam = \"arn:aws:iam::123456789012:role/sso-ana\"",
                "iam = \"arn:aws:iam::1234:role/sso-ana\"",
            ),
            ("iam = \"arn:aws:iam::123456789012:role/sso-ana\"", ""),
            (
                "iam = \"arn:aws:iam::123456789012:role/sso-ana\"",
                "iam = \"arn:aws:iam::123456789012:user/ben\"",
            ),
            (
                "iam = \"arn:aws:iam::123456789012:role/sso-ana\"",
                "iam = \"arn:aws:iam::123456789012:role/team/sso-dev\"",
            ),
            (
                "iam = \"arn:aws:iam::123456789012:role/sso-ana\"",
                "iam = \"role/sso-ana\"\nslack = \"U02ANA\"\nmail = \"ana@example.com\"",
            ),
            ("[people.ana]", "[people.Ana]"),
            (
                "[people.ana]\n",
                "[people]\nana = \"ana@example.com\"\n[people.dan]\n",
            ),
        ]),
    );
}

#[test]
fn keys_of_later_versions() {
    let later = [
        "gates = { scan = \"no-high\", soak = \"2h\" }",
        "on_newer = \"replace\"",
        "waves = []",
        "flags = []",
    ];
    let text = with("strategy = \"rolling\"", &later.join("\n")) + "\n[flags]\n";
    let faults = read("p.toml", &text).unwrap_err();
    assert!(
        faults.0.iter().all(|fault| fault.kind == FaultKind::NotYet),
        "{faults}"
    );
    assert_eq!(faults.0.len(), later.len() + 1);
    golden("keys_of_later_versions", &told(&[("later", text)]));
}

#[test]
fn syntax() {
    golden(
        "syntax",
        &told(&[
            (
                "no quotes, and a fault elsewhere",
                with("cluster = \"mc-dev-eks\"", "cluster = mc-dev-eks").replace("\"5m\"", "5"),
            ),
            ("open text", with("container = \"api\"", "container = \"api")),
            (
                "a key twice",
                with("container = \"api\"", "container = \"api\"\ncontainer = \"web\""),
            ),
            (
                "a broken header hides what follows from it",
                with("[people.ben]", "[people.ben"),
            ),
            ("no equals sign", with("container = \"api\"", "container \"api\"")),
            ("two faults", "service = \n[source]\ntags = [\n".to_owned()),
            ("a table twice", format!("{FULL}\n[source]\n")),
            ("not text at all", "\u{0}\u{1}\u{feff}[[[".to_owned()),
        ]),
    );
}

#[test]
fn every_fault_is_told_at_once() {
    let text = FULL
        .replace("service = \"mc-api\"", "service = \"MC\"")
        .replace("team/mc-api", "Team")
        .replace("namespace = \"dev\"", "namespce = \"dev\"")
        .replace("\"us-east-1\"", "\"virginia\"")
        .replace("quorum = 1", "quorum = 9")
        .replace("\"10m\"", "10")
        .replace(":user/ben", ":group/ben");
    golden("every_fault_is_told_at_once", &told(&[("seven places", text)]));
}

#[test]
fn faults_are_read_by_programs_too() {
    let faults = read("pipelines/x.toml", &with("timeout = \"10m\"", "timeout = 10")).unwrap_err();
    golden("faults_as_json", &serde_json::to_string_pretty(&faults).unwrap());
}

#[test]
fn a_file_too_large_is_not_parsed() {
    let text = "#".repeat(256 * 1024 + 1);
    golden("a_file_too_large_is_not_parsed", &told(&[("large", text)]));
    let one = |n: usize| format!("[[environment]]\nname = \"e{n}\"\ncluster = \"c{n}\"\nnamespace = \"n\"\n");
    let many = FULL.to_owned() + &(0..20).map(one).collect::<String>();
    golden("too_many_environments", &told(&[("22 environments", many)]));
}
