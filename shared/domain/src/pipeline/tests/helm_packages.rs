//! The package of a helm workload: chart, values of each environment, and what scale makes of them.

use super::super::{ChartFile, Faults, Packaged, Version, pack_chart, package};
use super::charts::{METADATA, archive, files};
use super::{HELM, edited, environment, golden, pipeline};
use std::collections::BTreeMap;

const VALUES: &str = "image: {repository: x, digest: ''}\nreplicaCount: 1\nworker: {replicas: 1}\n";
const STAGING: &str = "debug: true\nreplicaCount: 7\n";
const PRODUCTION: &str = "replicaCount: 11\nworker: {replicas: 3}\n";
const MORE: &str = "{\"worker\": {\"replicas\": 4}}";
const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec:\n  template:\n    spec:\n      \
    restartPolicy: Never\n      containers: [{name: x}]\n";

/// The files of the full helm pipeline, of which some are others.
fn packaged(text: &str, values: &str, others: &[(&str, &str)]) -> Result<Packaged, Faults> {
    let mut all = BTreeMap::from([
        ("charts/api/values.staging.yaml", STAGING),
        ("charts/api/values.production.yaml", PRODUCTION),
        ("deploy/more.json", MORE),
        ("jobs/migrate.yaml", JOB),
        ("jobs/test.yaml", JOB),
    ]);
    all.extend(others.iter().copied());
    let read = |path: &str| {
        all.get(path)
            .map(|text| (*text).to_owned())
            .ok_or("no such file".to_owned())
    };
    let chart = |path: &str| match path {
        "charts/api" => Ok(archive(&[("Chart.yaml", METADATA), ("values.yaml", values)])),
        _ => Err("no such folder".to_owned()),
    };
    package(&pipeline(text), "p.toml", text, read, chart)
}

fn told(result: Result<Packaged, Faults>) -> String {
    match result {
        Ok(packaged) => format!("ok, with warnings:\n{}", Faults(packaged.warnings)),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn a_chart_and_the_values_of_each_environment() {
    let packaged = packaged(HELM, VALUES, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(packaged.warnings, []);
    let chart = packaged.package.chart.clone().unwrap();
    assert_eq!((chart.name.as_str(), chart.version.as_str()), ("api", "1.2.3"));
    let bytes = &packaged.archives[&chart.archive];
    assert_eq!(crate::canonical::sha256_hex(bytes), chart.archive.as_str());
    assert_eq!(packaged.archives.len(), 1);
    let production = &packaged.package.environments[&environment("production")];
    assert_eq!(
        production.values,
        [PRODUCTION, MORE],
        "texts as they are, in their order"
    );
    // 0.2 of 11 and of 4, the later file's
    let staging = &packaged.package.environments[&environment("staging")];
    let text = serde_json::to_string_pretty(&staging).unwrap();
    golden("values_of_staging", &text);
    assert_eq!(staging.values.len(), 2);
    let stored = serde_json::to_value(&packaged.package).unwrap();
    assert_eq!(
        serde_json::from_value::<super::super::Package>(stored).unwrap(),
        packaged.package
    );
}

#[test]
fn a_version_is_named_by_its_chart_too() {
    let version = |values: &str| {
        let package = packaged(HELM, values, &[]).unwrap().package;
        Version::of(pipeline(HELM), package).unwrap().hash
    };
    assert_eq!(version(VALUES), version(VALUES));
    assert_ne!(
        version(VALUES),
        version(&format!("{VALUES}# a comment is a part of the chart\n"))
    );
}

#[test]
fn files_of_helm_that_are_wrong() {
    let paths = "replicas = [\"replicaCount\", \"worker.replicas\"]\n";
    let cases = [
        (
            "no folder",
            told(packaged(
                &edited(HELM, "charts/api\"\n", "charts/web\"\n"),
                VALUES,
                &[],
            )),
        ),
        (
            "values that are not there",
            told(packaged(
                &edited(HELM, "deploy/more.json", "deploy/none.json"),
                VALUES,
                &[],
            )),
        ),
        (
            "values that are no YAML",
            told(packaged(HELM, VALUES, &[("deploy/more.json", "{")])),
        ),
        (
            "values that are a list",
            told(packaged(HELM, VALUES, &[("deploy/more.json", "\n[1]")])),
        ),
        (
            "values of two documents",
            told(packaged(
                HELM,
                VALUES,
                &[("deploy/more.json", "a: 1\n---\nb: 2\n")],
            )),
        ),
        (
            "a key twice",
            told(packaged(HELM, VALUES, &[("deploy/more.json", "a: 1\na: 2\n")])),
        ),
        (
            "no such image",
            told(packaged(HELM, "replicaCount: 1\nworker: {replicas: 1}\n", &[])),
        ),
        (
            "a number that is none",
            told(packaged(
                HELM,
                VALUES,
                &[("deploy/more.json", "{replicaCount: '3', worker: {replicas: 1.5}}")],
            )),
        ),
        (
            "no number of pods",
            told(packaged(
                HELM,
                VALUES,
                &[("deploy/more.json", "{replicaCount: 0, worker: null}")],
            )),
        ),
        (
            "nothing says what the number of pods is",
            told(packaged(
                &edited(HELM, paths, ""),
                "image: {repository: x, digest: y}\n",
                &[("charts/api/values.production.yaml", "a: 1\n")],
            )),
        ),
    ];
    let said: Vec<_> = cases
        .iter()
        .map(|(name, said)| format!("# {name}\n{said}"))
        .collect();
    golden("files_of_helm_that_are_wrong", &said.join("\n\n"));
}

/// The number that a chart of `helm create` has is found without being named.
#[test]
fn replica_count_needs_no_name() {
    let text = edited(HELM, "replicas = [\"replicaCount\", \"worker.replicas\"]\n", "");
    let packaged = packaged(&text, VALUES, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    let staging = &packaged.package.environments[&environment("staging")];
    assert!(
        staging.values[1].contains("{\"replicaCount\":3}"),
        "{:?}",
        staging.values
    );
}

/// Of a chart in a registry only the values files are known.
#[test]
fn a_chart_in_a_registry_has_no_archive() {
    let digest = "1a2b3c4d".repeat(8);
    let oci = format!("oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/charts/api@sha256:{digest}");
    let text = edited(HELM, "chart = \"charts/api\"", &format!("chart = \"{oci}\""));
    let found = packaged(&text, VALUES, &[]).unwrap();
    assert!(found.package.chart.is_none() && found.archives.is_empty());
    assert_eq!(found.warnings, []);
    let staging = &found.package.environments[&environment("staging")];
    assert!(staging.values[1].contains("{\"replicaCount\":3,\"worker\":{\"replicas\":1}}"));
    let unsaid = packaged(&text, VALUES, &[("charts/api/values.production.yaml", "a: 1\n")]);
    assert!(
        unsaid
            .unwrap_err()
            .to_string()
            .contains("do not say `replicaCount`")
    );
}

#[test]
fn values_too_large_for_a_package_are_refused() {
    let large = format!("a: {}\n", "x".repeat((1 << 20) - 10));
    let more: Vec<String> = (0..4).map(|n| format!("\"large/{n}.yaml\"")).collect();
    let text = edited(HELM, "\"deploy/more.json\"", &more.join(", "));
    let paths: Vec<String> = (0..4).map(|n| format!("large/{n}.yaml")).collect();
    let others: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), large.as_str())).collect();
    let faults = packaged(&text, VALUES, &others).unwrap_err().to_string();
    assert!(faults.contains("p.toml:7:1: workload.helm\n"), "{faults}");
    assert!(faults.contains("at most 4194304 bytes"), "{faults}");
}

/// What a stored pipeline names is about to be opened: it is checked again.
#[test]
fn a_folder_outside_of_the_repository_is_never_asked_for() {
    let mut stored = serde_json::to_value(pipeline(HELM)).unwrap();
    stored["workload"]["helm"]["chart"] = serde_json::json!({"path": "../../charts"});
    let stored = serde_json::from_value(stored).unwrap();
    let chart = |path: &str| panic!("{path} was asked for");
    let faults = package(&stored, "p.toml", "", |_| Ok(String::new()), chart).unwrap_err();
    assert!(
        faults.to_string().contains("leads out of the repository"),
        "{faults}"
    );
}

#[test]
fn a_chart_of_many_files_is_packed_once_for_all_environments() {
    let all = files(&[("Chart.yaml", METADATA), ("values.yaml", VALUES)]);
    let reads = std::cell::Cell::new(0);
    let chart = |_: &str| {
        reads.set(reads.get() + 1);
        pack_chart(&BTreeMap::<String, ChartFile>::clone(&all)).map_err(|error| error.to_string())
    };
    let read = |path: &str| match path {
        "charts/api/values.production.yaml" => Ok(PRODUCTION.to_owned()),
        path if path.starts_with("jobs/") => Ok(JOB.to_owned()),
        _ => Ok(String::new()),
    };
    package(&pipeline(HELM), "p.toml", HELM, read, chart).unwrap();
    assert_eq!(reads.get(), 1);
}
