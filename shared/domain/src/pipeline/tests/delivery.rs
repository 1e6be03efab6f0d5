//! `[workload.helm]` and the keys of delivery: what is refused, and with which words.

use super::super::{ChartSource, CheckAction, Workload, read};
use super::faults::told;
use super::{FULL, HELM, edited, golden, pipeline, with};

/// The faults of each edit of the full helm file.
fn replaced(cases: &[(&str, &str)]) -> String {
    let cases: Vec<_> = cases
        .iter()
        .map(|(from, to)| (*to, edited(HELM, from, to)))
        .collect();
    told(&cases)
}

/// Where a secret's name should be, people put the secret: no message repeats it.
#[test]
fn what_may_be_a_secret_is_not_repeated() {
    let edits = [
        (
            "\"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf\"",
            "\"hunter2\"",
        ),
        (
            "\"arn:aws:secretsmanager:eu-west-1:123456789012:secret:webhook-AbCdEf\"",
            "\"hunter2\"",
        ),
        (
            "https://checks.example.com/mc-api",
            "https://me:hunter2@checks.example.com/",
        ),
    ];
    for (from, to) in edits {
        let faults = read("p.toml", &edited(HELM, from, to)).unwrap_err();
        assert_eq!(faults.0.len(), 1, "{faults}");
        assert!(!faults.to_string().contains("hunter2"), "{faults}");
    }
}

const CHART: &str = "chart = \"charts/api\"";
const IMAGE: &str = "image = \"image\"";
const REPLICAS: &str = "replicas = [\"replicaCount\", \"worker.replicas\"]";

#[test]
fn charts() {
    let digest = "1a2b3c4d".repeat(8);
    let registry = "oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let cases = [
        "chart = 1".to_owned(),
        String::new(),
        "chart = \"/charts/api\"".to_owned(),
        "chart = \"../charts/api\"".to_owned(),
        "chart = \"https://charts.example.com/api-1.0.0.tgz\"".to_owned(),
        format!("chart = \"{registry}/charts/api\""),
        format!("chart = \"{registry}/charts/api:1.2.3\""),
        format!("chart = \"{registry}/charts/api:1.2.3@sha256:{digest}\""),
        format!("chart = \"{registry}/charts/api@sha256:1234\""),
        format!("chart = \"{registry}/Charts@sha256:{digest}\""),
        format!("chart = \"{registry}\""),
        format!("chart = \"oci://ghcr.io/charts/api@sha256:{digest}\""),
    ];
    let cases: Vec<_> = cases.iter().map(|to| (CHART, to.as_str())).collect();
    golden("charts", &replaced(&cases));
    let oci = edited(
        HELM,
        CHART,
        &format!("chart = \"{registry}/charts/api@sha256:{digest}\""),
    );
    let Workload::Helm(helm) = pipeline(&oci).workload else {
        panic!()
    };
    let ChartSource::Oci { repository, .. } = helm.chart else {
        panic!()
    };
    assert_eq!(
        repository,
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/charts/api"
    );
}

#[test]
fn images_and_replicas() {
    golden(
        "images_and_replicas",
        &replaced(&[
            (IMAGE, ""),
            (IMAGE, "image = 5"),
            (IMAGE, "image = \"image[0]\""),
            (IMAGE, "image = { repository = \"image.repository\" }"),
            (IMAGE, "image = { tag = \"image.tag\", tagg = \"x\" }"),
            (
                IMAGE,
                "image = { tag = \"image\", repository = \"image.repository\" }",
            ),
            (
                IMAGE,
                "image = { repository = \"image.repository\", tag = \"image.tag\" }",
            ),
            (REPLICAS, "replicas = [\"image.digest\", \"worker..replicas\"]"),
            (REPLICAS, "replicas = [\"worker\", \"worker.replicas\"]"),
            (REPLICAS, "replicas = \"replicaCount\""),
            ("release = \"mc-api-web\"", "release = \"MC_API\""),
            (
                "release = \"mc-api-web\"",
                "release = \"a23456789-123456789-123456789-123456789-123456789-1234\"",
            ),
            ("history_limit = 20", "history_limit = 1"),
            ("history_limit = 20", "history_limit = 101"),
            ("history_limit = 20", "history_limit = \"10\""),
            (
                "history_limit = 20",
                "manifests = [\"a.yaml\"]\nnames = [\"api\"]",
            ),
            (
                "[workload.helm]",
                "[workload.deployment]\nnames = [\"api\"]\n[workload.helm]",
            ),
        ]),
    );
}

#[test]
fn what_is_for_the_other_workload() {
    let scaled = with("namespace = \"dev\"", "namespace = \"dev\"\nscale = 0.5");
    let adopted = edited(&scaled, "manifests = [\"deploy/api.yaml\"]\n", "");
    let cases = [
        (
            "helm's keys with a deployment",
            with(
                "strategy = \"rolling\"",
                "values = [\"v.yaml\"]\nsecret_values = {}\nhelm_role = \"arn:aws:iam::123456789012:role/h\"\n\
                 verify = [{ helm_test = true }]",
            ),
        ),
        (
            "manifests with helm",
            edited(HELM, "hold_for = \"10m\"", "manifests = [\"deploy/api.yaml\"]"),
        ),
        ("scale of adopted Deployments", adopted),
    ];
    golden("what_is_for_the_other_workload", &told(&cases));
    assert!(read("p.toml", &scaled).is_ok());
    assert!(read("p.toml", FULL).is_ok());
}

#[test]
fn values_roles_and_scale() {
    let role = "helm_role = \"arn:aws:iam::123456789012:role/sluice-production-helm\"";
    let secret = "\"database.password\" = \"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf\"";
    let arn = "\"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf\"";
    let both = format!("\"a.b\" = {arn}, \"a\" = {arn}");
    let image = format!("\"image\" = {arn}, \"worker.replicas\" = {arn}");
    let nested = format!("database.password = {arn}");
    golden(
        "values_roles_and_scale",
        &replaced(&[
            (
                "values = [\"charts/api/values.staging.yaml\"]",
                "values = \"v.yaml\"",
            ),
            (
                "values = [\"charts/api/values.staging.yaml\"]",
                "values = [\"../v.yaml\", \"values.toml\"]",
            ),
            (role, ""),
            (role, "helm_role = \"arn:aws:iam::999999999999:role/sluice-helm\""),
            (
                role,
                "helm_role = \"arn:aws:iam::123456789012:role/sluice-production\"",
            ),
            (role, "helm_role = \"sluice-helm\""),
            (secret, "\"database.password\" = \"hunter2\""),
            (secret, "\"database password\" = 5"),
            (secret, &nested),
            (secret, &both),
            (secret, &image),
            ("scale = 0.2", "scale = 0"),
            ("scale = 0.2", "scale = 1.5"),
            ("scale = 0.2", "scale = 0.1234"),
            ("scale = 0.2", "scale = -0.2"),
            ("scale = 0.2", "scale = nan"),
            ("scale = 0.2", "scale = 2e-1"),
            ("scale = 0.2", "scale = \"20%\""),
            (
                "namespace = \"production\"",
                "namespace = \"production\"\nscale = 0.5",
            ),
            ("hold_for = \"10m\"", "hold_for = \"5s\""),
            ("hold_for = \"10m\"", "hold_for = \"25h\""),
            ("on_drift = \"overwrite\"", "on_drift = \"ignore\""),
            ("on_drift = \"overwrite\"", "on_drift = true"),
        ]),
    );
}

#[test]
fn a_scale_is_kept_in_thousandths() {
    for (text, wanted) in [
        ("0.2", 200),
        ("0.125", 125),
        ("0.1250", 125),
        ("1", 1_000),
        ("1.0", 1_000),
        ("0.001", 1),
    ] {
        let text = edited(HELM, "scale = 0.2", &format!("scale = {text}"));
        assert_eq!(pipeline(&text).environments[0].scale, Some(wanted), "{text}");
    }
}

#[test]
fn checks() {
    let before = "before = [{ job = \"jobs/migrate.yaml\", timeout = \"10m\" }]";
    let lambda = "lambda = \"arn:aws:lambda:eu-west-1:123456789012:function:Smoke_Test:live\"";
    let webhook = "webhook = \"https://checks.example.com/mc-api\"";
    let secret = "secret = \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:webhook-AbCdEf\"\n";
    let people = "answered_by = [\"ben\"]";
    let many: Vec<_> = (0..21).map(|n| format!("{{ job = \"{n}.yaml\" }}")).collect();
    let many = format!("before = [{}]", many.join(", "));
    golden(
        "checks",
        &replaced(&[
            (before, "before = { job = \"jobs/migrate.yaml\" }"),
            (before, "before = [\"jobs/migrate.yaml\"]"),
            (before, "before = [{ timeout = \"5m\" }]"),
            (
                before,
                "before = [{ job = \"jobs/migrate\" }, { jobs = \"a.yaml\" }]",
            ),
            (
                before,
                "before = [{ job = \"a.yaml\", lambda = \"smoke\", secret = 5 }]",
            ),
            (before, "before = [{ helm_test = true }]"),
            (
                before,
                "before = [{ job = \"a/x.yaml\" }, { job = \"b/x.yaml\" }]",
            ),
            (before, "before = [{ job = \"a/_.yaml\" }]"),
            (
                before,
                "before = [{ job = \"a.yaml\", name = \"A b\", timeout = \"5s\" }]",
            ),
            (before, "before = [{ job = \"a.yaml\", timeout = \"2h\" }]"),
            (before, &many),
            (
                lambda,
                "lambda = \"arn:aws:lambda:eu-west-1:123456789012:layer:x:1\"",
            ),
            (webhook, "webhook = \"http://checks.example.com\""),
            (webhook, "webhook = \"https://user:hunter2@checks.example.com\""),
            (secret, ""),
            (secret, "secret = \"hunter2\"\n"),
            (people, "answered_by = [\"dora\"]"),
            (people, "answered_by = []"),
            ("helm_test = true", "helm_test = false"),
            ("helm_test = true", "helm_test = \"yes\""),
            ("name = \"integration\"", "name = \"helm-test\""),
        ]),
    );
}

/// Whoever may answer must be known by a principal.
#[test]
fn who_may_answer_is_known() {
    let text = edited(HELM, "answered_by = [\"ben\"]", "answered_by = [\"dora\"]");
    let faults = read("p.toml", &format!("{text}[people.dora]\n")).unwrap_err();
    assert!(
        faults
            .to_string()
            .contains("dora decides in staging, but has no iam"),
        "{faults}"
    );
}

#[test]
fn a_check_has_a_name_and_a_time() {
    let staging = pipeline(HELM).environments.remove(0);
    let said: Vec<_> = staging
        .before
        .iter()
        .chain(&staging.verify)
        .map(|check| (check.name.as_str(), check.timeout.get()))
        .collect();
    assert_eq!(
        said,
        [
            ("migrate", 600),
            ("integration", 300),
            ("smoke-test", 300),
            ("checks-example-com", 300),
            ("helm-test", 300)
        ]
    );
    assert_eq!(staging.verify.last().unwrap().run, CheckAction::HelmTest);
}

#[test]
fn values_of_tracks() {
    let with =
        |tracks: &str| format!("[workload.helm.tracks]\n{tracks}\n\n[[environment]]\nname = \"staging\"");
    let cases = [
        "",
        "fullnameOverride = \"mc-api\"",
        "image.digest = \"{track}\"",
        "worker = \"{track}\"",
        "name = \"{track}\"\ncount = 99999999999999999999",
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|case| {
            (
                *case,
                edited(HELM, "[[environment]]\nname = \"staging\"", &with(case)),
            )
        })
        .collect();
    golden("values_of_tracks", &told(&cases));
    let whole =
        "name = \"mc-{track}\"\npodLabels.\"sluice.dev/track\" = \"{track}\"\nlist = [1, 0x10, true, 0.5]";
    let read = pipeline(&edited(HELM, "[[environment]]\nname = \"staging\"", &with(whole)));
    let Workload::Helm(helm) = read.workload else {
        unreachable!("a helm workload")
    };
    let right = serde_json::json!({"name": "mc-{track}", "podLabels": {"sluice.dev/track": "{track}"},
                                   "list": [1, 16, true, 0.5]});
    assert_eq!(helm.tracks.map(serde_json::Value::Object), Some(right));
}
