//! `scale` with Deployments: a part of the last environment's replicas.

use super::super::{Faults, Packaged, package};
use super::{environment, no_chart, pipeline, with};
use proptest::prelude::*;
use serde_json::{Value, json};

fn deployment(name: &str, replicas: Option<u64>) -> String {
    let mut spec = json!({"selector": {"matchLabels": {"app": name}}, "template": {
        "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "api", "image": "x"}]}}});
    if let Some(replicas) = replicas {
        spec["replicas"] = json!(replicas);
    }
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

fn autoscaler(of: &str, least: Option<u64>, most: u64) -> String {
    let mut spec = json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": of}, "maxReplicas": most});
    if let Some(least) = least {
        spec["minReplicas"] = json!(least);
    }
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": of}, "spec": spec})
        .to_string()
}

/// Dev has a part of production's replicas; each environment has the common objects and its own.
fn packaged(
    scale: &str,
    common: &[String],
    dev: &[String],
    production: &[String],
) -> Result<Packaged, Faults> {
    let text = with(
        "namespace = \"dev\"",
        &format!("namespace = \"dev\"\nscale = {scale}\nmanifests = [\"deploy/dev.yaml\"]"),
    );
    let read = |path: &str| {
        Ok(match path {
            "deploy/api.yaml" => common.join("\n---\n"),
            "deploy/dev.yaml" => dev.join("\n---\n"),
            _ => production.join("\n---\n"),
        })
    };
    package(&pipeline(&text), "p.toml", &text, read, no_chart)
}

/// A number of an object of dev.
fn number(packaged: &Packaged, kind: &str, name: &str, key: &str) -> Option<u64> {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let dev = &packaged.package.environments[&environment("dev")];
    dev.manifests.iter().find(is_it)?["spec"].get(key)?.as_u64()
}

#[test]
fn released_and_other_deployments_are_scaled_by_name() {
    let common = [
        deployment("mc-api", Some(3)),
        deployment("worker", Some(10)),
        deployment("unsaid", None),
    ];
    let dev = [deployment("only-in-dev", Some(9)), deployment("fixed", Some(2))];
    let production = [deployment("mc-api", Some(11)), deployment("fixed", Some(4))];
    let found = packaged("0.2", &common, &dev, &production).unwrap_or_else(|faults| panic!("{faults}"));
    let replicas = |name: &str| number(&found, "Deployment", name, "replicas");
    assert_eq!(replicas("mc-api"), Some(3), "of 11, rounded up");
    assert_eq!(replicas("worker"), Some(2));
    assert_eq!(replicas("unsaid"), None, "one is Kubernetes' own default");
    assert_eq!(
        replicas("only-in-dev"),
        Some(9),
        "production has none of this name"
    );
    assert_eq!(replicas("fixed"), Some(1));
    let said = Faults(found.warnings.clone()).to_string();
    assert!(said.contains("is 2 here, and `scale` makes it 1"), "{said}");
    assert_eq!(found.warnings.len(), 1, "{said}");
    let production = &found.package.environments[&environment("production")];
    let of_all: Vec<_> = production
        .manifests
        .iter()
        .map(|object| object["spec"]["replicas"].as_u64())
        .collect();
    assert_eq!(
        of_all,
        [Some(4), Some(11), None, Some(10)],
        "production's own are not touched"
    );
}

#[test]
fn bounds_of_an_autoscaler_are_scaled() {
    let common = [deployment("mc-api", None), autoscaler("mc-api", Some(4), 21)];
    let found = packaged("0.25", &common, &[], &[]).unwrap();
    let bound = |key: &str| number(&found, "HorizontalPodAutoscaler", "mc-api", key);
    assert_eq!((bound("minReplicas"), bound("maxReplicas")), (Some(1), Some(6)));
    assert_eq!(number(&found, "Deployment", "mc-api", "replicas"), None);
    // its own default stays one
    let common = [deployment("mc-api", None), autoscaler("mc-api", None, 3)];
    let found = packaged("0.25", &common, &[], &[]).unwrap();
    let bound = |key: &str| number(&found, "HorizontalPodAutoscaler", "mc-api", key);
    assert_eq!((bound("minReplicas"), bound("maxReplicas")), (None, Some(1)));
}

/// Where only production has an autoscaler, its number of pods is no number that could be divided.
#[test]
fn what_an_autoscaler_sets_in_production_is_left_as_it_is() {
    let production = [deployment("mc-api", None), autoscaler("mc-api", Some(4), 20)];
    let found = packaged("0.25", &[deployment("mc-api", Some(2))], &[], &production).unwrap();
    assert_eq!(number(&found, "Deployment", "mc-api", "replicas"), Some(2));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn never_none_and_never_more_than_production(
        part in 1u32..=1_000, replicas in 1u64..2_000, least in 1u64..100, more in 0u64..100,
    ) {
        let scale = format!("{}.{:03}", part / 1_000, part % 1_000);
        let common = [deployment("mc-api", Some(replicas)), deployment("web", None), autoscaler("web", Some(least), least + more)];
        let found = packaged(&scale, &common, &[], &[]).unwrap();
        let pods = number(&found, "Deployment", "mc-api", "replicas").unwrap();
        prop_assert!((1..=replicas).contains(&pods), "{}", pods);
        let bound = |key: &str| number(&found, "HorizontalPodAutoscaler", "web", key).unwrap();
        let (low, high) = (bound("minReplicas"), bound("maxReplicas"));
        prop_assert!(1 <= low && low <= high && low <= least && high <= least + more, "{} {}", low, high);
    }
}
