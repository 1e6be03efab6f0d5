//! The pipeline file as a person meets it: what is right, what is refused and with which words.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod changes;
mod charts;
mod decisions;
mod delivery;
mod faults;
mod helm_packages;
mod jobs;
mod packages;
mod properties;
mod scaled;
mod strategies;
mod tracked;

use super::{Checked, Pipeline, read};
use crate::ids::{EnvironmentName, PersonName};

/// Every key that this version knows.
pub(crate) const FULL: &str = r#"service = "mc-api"

[source]
repository = "team/mc-api"
tags = ["^[0-9a-f]{7,40}$"]

[workload.deployment]
manifests = ["deploy/api.yaml"]
names = ["mc-api"]
container = "api"

[[environment]]
name = "dev"
cluster = "mc-dev-eks"
namespace = "dev"

[[environment]]
name = "production"
cluster = "mc-prod-eks"
namespace = "production"
region = "us-east-1"
role = "arn:aws:iam::123456789012:role/sluice-production"
manifests = ["deploy/production.yaml"]
strategy = "rolling"
operators = ["ana", "cara"]
approval = { approvers = ["ana", "ben"], quorum = 1, four_eyes = true, expires = "24h" }
timeout = "10m"
rollback_within = "5m"

[people.ana]
iam = "arn:aws:iam::123456789012:role/sso-ana"

[people.ben]
iam = "arn:aws:iam::123456789012:user/ben"

[people.cara]
iam = "role/sso-dev:cara@example.com"
"#;

/// Every key of a helm workload and of checks.
pub(crate) const HELM: &str = r#"service = "mc-api"

[source]
repository = "team/mc-api"
tags = ["^[0-9a-f]{7,40}$"]

[workload.helm]
chart = "charts/api"
image = "image"
replicas = ["replicaCount", "worker.replicas"]
release = "mc-api-web"
history_limit = 20

[[environment]]
name = "staging"
cluster = "mc-staging-eks"
namespace = "staging"
values = ["charts/api/values.staging.yaml"]
scale = 0.2
before = [{ job = "jobs/migrate.yaml", timeout = "10m" }]
hold_for = "10m"
on_drift = "overwrite"
[[environment.verify]]
job = "jobs/test.yaml"
name = "integration"
[[environment.verify]]
lambda = "arn:aws:lambda:eu-west-1:123456789012:function:Smoke_Test:live"
[[environment.verify]]
webhook = "https://checks.example.com/mc-api"
secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:webhook-AbCdEf"
answered_by = ["ben"]
[[environment.verify]]
helm_test = true

[[environment]]
name = "production"
cluster = "mc-prod-eks"
namespace = "production"
region = "us-east-1"
role = "arn:aws:iam::123456789012:role/sluice-production"
helm_role = "arn:aws:iam::123456789012:role/sluice-production-helm"
values = ["charts/api/values.production.yaml", "deploy/more.json"]
secret_values = { "database.password" = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf" }
operators = ["ana", "cara"]
approval = { approvers = ["ana", "ben"], four_eyes = true }

[people.ana]
iam = "arn:aws:iam::123456789012:role/sso-ana"

[people.ben]
iam = "arn:aws:iam::123456789012:user/ben"

[people.cara]
iam = "role/sso-dev:cara@example.com"
"#;

/// Every key of strategies with tracks, of alarms and of the watch.
pub(crate) const TRACKS: &str = r#"service = "mc-api"

[source]
repository = "team/mc-api"
tags = ["^[0-9a-f]{7,40}$"]

[workload.deployment]
manifests = ["deploy/api.yaml"]

[[environment]]
name = "staging"
cluster = "mc-staging-eks"
namespace = "staging"
operators = ["ben"]
[environment.strategy.blue_green]
router = "service"
preview = [{ job = "tests/smoke.yaml", timeout = "10m" }]

[[environment]]
name = "production"
cluster = "mc-prod-eks"
namespace = "production"
approval = { approvers = ["ana"] }
alarms = ["mc-api-production-5xx", "mc-api-production-p99"]
watch = "30m"
hold_for = "10m"

[environment.strategy.canary]
router = { alb_ingress = "mc-web", action = "api" }
service = "mc-api"
steps = [
    { weight = 5, bake = "5m", pause = "24h" },
    { weight = 25, bake = "5m" },
    { weight = 50, bake = "10m" },
]

[environment.strategy.canary.requests]
metric = "AWS/ApplicationELB RequestCount"
dimensions = { LoadBalancer = "app/mc/0123", TargetGroup = "{track}" }
at_least = 100

[people.ana]
iam = "arn:aws:iam::123456789012:role/sso-ana"

[people.ben]
iam = "arn:aws:iam::123456789012:user/ben"
"#;

/// The account that Sluice runs in.
pub(crate) const OWN: &str = "123456789012";

/// For pipelines without a chart.
pub(crate) fn no_chart(path: &str) -> Result<Vec<u8>, String> {
    panic!("{path} is no chart of this pipeline")
}

pub(crate) fn pipeline(text: &str) -> Pipeline {
    let Checked { pipeline, warnings } = read("p.toml", text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(warnings, []);
    pipeline
}

/// Compares with the stored text, which is what a person reads.
pub(crate) fn golden(name: &str, text: &str) {
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, text) });
}

/// The full file with one thing changed.
pub(crate) fn with(from: &str, to: &str) -> String {
    edited(FULL, from, to)
}

/// A file with one thing changed.
pub(crate) fn edited(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from} must be there once");
    text.replace(from, to)
}

pub(crate) fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::parse(name).unwrap()
}

pub(crate) fn person(name: &str) -> PersonName {
    PersonName::parse(name).unwrap()
}

/// The ARN of a caller who is this person in the full file.
pub(crate) fn arn(name: &str) -> String {
    match name {
        "ana" => format!("arn:aws:sts::{OWN}:assumed-role/sso-ana/session"),
        "ben" => format!("arn:aws:iam::{OWN}:user/ben"),
        "cara" => format!("arn:aws:sts::{OWN}:assumed-role/sso-dev/cara@example.com"),
        other => format!("arn:aws:sts::{OWN}:assumed-role/sso-dev/{other}@example.com"),
    }
}

#[test]
fn a_full_file_is_read() {
    golden(
        "a_full_file",
        &serde_json::to_string_pretty(&pipeline(FULL)).unwrap(),
    );
}

#[test]
fn a_full_file_of_a_helm_workload_is_read() {
    golden(
        "a_full_file_of_a_helm_workload",
        &serde_json::to_string_pretty(&pipeline(HELM)).unwrap(),
    );
}

#[test]
fn a_full_file_of_tracks_is_read() {
    golden(
        "a_full_file_of_tracks",
        &serde_json::to_string_pretty(&pipeline(TRACKS)).unwrap(),
    );
}

/// What was stored before there was helm, as it was stored.
#[test]
fn an_older_stored_pipeline_is_read_and_keeps_its_name() {
    let snapshot = include_str!("snapshots/sluice_domain__pipeline__tests__a_full_file.snap");
    let (_, stored) = snapshot.rsplit_once("---\n").unwrap();
    let stored: Pipeline = serde_json::from_str(stored).unwrap();
    assert_eq!(stored, pipeline(FULL));
    let package: super::Package = serde_json::from_str(
        r#"{"environments": {"dev": {"manifests": [], "released": [{"name": "api"}]}}}"#,
    )
    .unwrap();
    let version = super::Version::of(stored, package).unwrap();
    assert_eq!(
        version.hash.as_str(),
        "09603abbc30d203e52c28806410984da477654fa38c4314915f900801f516810",
        "published versions would get other names"
    );
}

#[test]
fn what_is_left_out_has_its_default() {
    let dev = pipeline(FULL).environments.remove(0);
    assert_eq!((dev.timeout.get(), dev.rollback_within.get()), (600, 300));
    assert_eq!(
        (dev.strategy, dev.approval, dev.operators),
        (super::Strategy::Rolling, None, None)
    );
    let short = with("quorum = 1, four_eyes = true, expires = \"24h\"", "").replace(", }", " }");
    let approval = pipeline(&short).environments.remove(1).approval.unwrap();
    assert_eq!(
        (approval.quorum, approval.four_eyes, approval.expires.get()),
        (1, false, 86_400)
    );
}

#[test]
fn the_example_of_the_repository_has_no_fault() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = "examples/mc-api/pipelines/deployment.toml";
    let text = std::fs::read_to_string(root.join(file)).unwrap();
    let pipeline = pipeline(&text);
    let read = |path: &str| std::fs::read_to_string(root.join(path)).map_err(|error| error.to_string());
    let packaged =
        super::package(&pipeline, file, &text, read, no_chart).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(packaged.warnings, []);
    for name in ["dev", "staging", "production"] {
        let there = &packaged.package.environments[&environment(name)];
        assert_eq!((there.manifests.len(), there.released.len()), (3, 1), "{name}");
    }
}

#[test]
fn neighbours_are_found_by_name() {
    let pipeline = pipeline(FULL);
    let name = |spec: Option<&super::EnvironmentSpec>| spec.map(|spec| spec.name.to_string());
    assert_eq!(name(pipeline.first()).as_deref(), Some("dev"));
    assert_eq!(
        name(pipeline.after(&environment("dev"))).as_deref(),
        Some("production")
    );
    assert_eq!(name(pipeline.after(&environment("production"))), None);
    assert_eq!(
        name(pipeline.before(&environment("production"))).as_deref(),
        Some("dev")
    );
    assert_eq!(name(pipeline.before(&environment("dev"))), None);
    assert_eq!(name(pipeline.after(&environment("nowhere"))), None);
    assert_eq!(name(pipeline.before(&environment("nowhere"))), None);
}

/// The reference page is read by people who then write a file: its example works and it names every key.
#[test]
fn the_reference_page_is_complete() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/pipeline.md")).unwrap();
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, rest) = rest.split_once("```").unwrap();
    pipeline(example);
    let more: Vec<_> = rest.split("```toml\n[[environment]]").skip(1).collect();
    assert_eq!(more.len(), 2, "a canary and a blue-green environment");
    for environment in more {
        let (environment, _) = environment.split_once("```").unwrap();
        pipeline(&format!("{example}\n[[environment]]{environment}"));
    }
    for table in super::keys::ALL {
        for key in table.known.iter().chain(table.later.iter().map(|(key, _)| key)) {
            let named = [
                format!("`{key}`"),
                format!("[{key}]"),
                format!(".{key}]"),
                format!("[{key}."),
            ];
            assert!(
                named.iter().any(|form| page.contains(form)),
                "{key} of {} is not in docs/pipeline.md",
                table.table
            );
        }
    }
}
