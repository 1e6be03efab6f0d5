//! The Jobs of `before` and `verify`.

use super::super::{Faults, Packaged, package};
use super::{environment, golden, no_chart, pipeline, with};
use serde_json::json;

const JOB: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: SLUICE_IMAGE}, {name: proxy, image: envoy}, {name: own}]
";

const API: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: mc-api}
spec:
  selector: {matchLabels: {app: x}}
  template:
    metadata: {labels: {app: x}}
    spec: {containers: [{name: api}]}
";

fn packaged(job: &str) -> Result<Packaged, Faults> {
    let text = with(
        "namespace = \"dev\"",
        "namespace = \"dev\"\nbefore = [{ job = \"jobs/migrate.yaml\" }]\n\
         verify = [{ job = \"jobs/migrate.yaml\", name = \"again\" }]",
    );
    let read = |path: &str| match path {
        "deploy/api.yaml" => Ok(API.to_owned()),
        "deploy/production.yaml" => Ok(String::new()),
        "jobs/migrate.yaml" if job == "none" => Err("no such file".to_owned()),
        "jobs/migrate.yaml" => Ok(job.to_owned()),
        _ => Err("no such file".to_owned()),
    };
    package(&pipeline(&text), "p.toml", &text, read, no_chart)
}

fn told(result: Result<Packaged, Faults>) -> String {
    match result {
        Ok(packaged) => format!("ok, with warnings:\n{}", Faults(packaged.warnings)),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn a_job_is_kept_as_it_is_in_its_environment() {
    let packaged = packaged(&format!("---\n{JOB}")).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(packaged.warnings, []);
    let dev = &packaged.package.environments[&environment("dev")];
    let jobs: Vec<_> = dev.jobs.keys().collect();
    assert_eq!(jobs, ["jobs/migrate.yaml"]);
    let job = &dev.jobs["jobs/migrate.yaml"];
    assert_eq!(job.pointer("/metadata/namespace"), Some(&json!("dev")));
    let images: Vec<_> = (0..3)
        .map(|n| job.pointer(&format!("/spec/template/spec/containers/{n}/image")))
        .collect();
    assert_eq!(
        images,
        [Some(&json!("SLUICE_IMAGE")), Some(&json!("envoy")), None]
    );
    assert!(
        packaged.package.environments[&environment("production")]
            .jobs
            .is_empty()
    );
}

#[test]
fn jobs_that_are_refused() {
    let edit = |from: &str, to: &str| {
        assert!(JOB.contains(from), "{from}");
        JOB.replace(from, to)
    };
    let cases = [
        ("missing", "none".to_owned()),
        ("empty", String::new()),
        ("two", format!("{JOB}---\n{JOB}")),
        ("no YAML", "kind: [".to_owned()),
        ("a Pod", edit("batch/v1\nkind: Job", "v1\nkind: Pod")),
        ("an old one", edit("batch/v1", "batch/v1beta1")),
        ("no name", edit("{name: migrate}\n", "{generateName: x-}\n")),
        ("a name with dots", edit("{name: migrate}\n", "{name: a.b}\n")),
        (
            "elsewhere",
            edit("{name: migrate}\n", "{name: migrate, namespace: production}\n"),
        ),
        (
            "our own marks",
            edit(
                "{name: migrate}\n",
                "{name: migrate, labels: {sluice.dev/x: y, n: 1}}\n",
            ),
        ),
        ("for ever", edit("      restartPolicy: Never\n", "")),
        ("always", edit("Never", "Always")),
        (
            "copied",
            edit(
                "spec:\n  template",
                "status: {}\nspec:\n  suspend: true\n  selector: {}\n  template",
            ),
        ),
        (
            "nothing",
            edit(
                "[{name: migrate, image: SLUICE_IMAGE}, {name: proxy, image: envoy}, {name: own}]",
                "[]",
            ),
        ),
        (
            "no image, no name",
            edit("{name: own}", "{image: 5}, {name: own, image: ''}"),
        ),
        (
            "our own variables",
            edit(
                "{name: own}",
                "{name: own, env: [{name: SLUICE_RELEASE, value: '1'}, {name: A, value: 1}]}",
            ),
        ),
        (
            "gone soon",
            edit(
                "spec:\n  template",
                "spec:\n  ttlSecondsAfterFinished: 60\n  template",
            ),
        ),
    ];
    let said: Vec<_> = cases
        .iter()
        .map(|(name, text)| format!("# {name}\n{}", told(packaged(text))))
        .collect();
    golden("jobs_that_are_refused", &said.join("\n\n"));
}
