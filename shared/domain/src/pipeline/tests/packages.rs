//! Manifests: what is packaged, what is refused, and what changes a version's name.

use super::super::{Faults, Packaged, Version, VersionError, package};
use super::{FULL, environment, golden, no_chart, pipeline, with};
use serde_json::json;
use std::cell::Cell;

const API: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: mc-api}
spec:
  replicas: 3
  selector: {matchLabels: {app: x}}
  template:
    metadata: {labels: {app: x, tier: web}}
    spec:
      containers: [{name: api}, {name: proxy, image: envoy}]
";
const CONFIG: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {LEVEL: debug}
binaryData: {blob: AAEC}
";

/// [`API`] with the content of [`CONFIG`] in its environment.
fn configured() -> String {
    API.replace(
        "{name: api}",
        "{name: api, envFrom: [{configMapRef: {name: config}}]}",
    )
}

/// Packages the full file's pipeline with these texts as `deploy/api.yaml` and `deploy/production.yaml`.
fn packaged(api: &str, production: &str) -> Result<Packaged, Faults> {
    packaged_as(FULL, api, production)
}

fn packaged_as(text: &str, api: &str, production: &str) -> Result<Packaged, Faults> {
    let read = |path: &str| match path {
        "deploy/api.yaml" => Ok(api.to_owned()),
        "deploy/production.yaml" => Ok(production.to_owned()),
        _ => Err("no such file".to_owned()),
    };
    package(&pipeline(text), "p.toml", text, read, no_chart)
}

fn told(result: Result<Packaged, Faults>) -> String {
    match result {
        Ok(packaged) => format!("ok, with warnings:\n{}", Faults(packaged.warnings)),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn each_environment_has_its_objects_in_order_with_its_namespace() {
    let production = CONFIG.replace("debug", "info");
    let packaged = packaged(
        &format!("{}---\n---\n# nothing\n---\n{CONFIG}", configured()),
        &production,
    )
    .unwrap();
    assert_eq!(packaged.warnings, []);
    golden(
        "package",
        &serde_json::to_string_pretty(&packaged.package).unwrap(),
    );
}

#[test]
fn json_is_yaml_too() {
    let api = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "mc-api"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {
            "metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "api"}]}}}});
    assert!(packaged(&api.to_string(), "").is_ok());
}

#[test]
fn a_mode_with_a_leading_zero_is_octal_as_kubectl_reads_it() {
    let volumes = "      volumes: [{name: c, configMap: {name: config, defaultMode: 0644}}]\n";
    let packaged = packaged(&format!("{API}{volumes}"), "").unwrap();
    let api = &packaged.package.environments[&environment("dev")].manifests[0];
    assert_eq!(
        api.pointer("/spec/template/spec/volumes/0/configMap/defaultMode"),
        Some(&json!(0o644))
    );
}

#[test]
fn objects_that_are_not_packaged() {
    let cases = [
        (
            "secret",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: aHVudGVyMg==}\n",
        ),
        (
            "ingress",
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: s}\n",
        ),
        (
            "old api",
            "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: s}\n",
        ),
        ("list", "apiVersion: v1\nkind: List\nitems: []\n"),
        ("no kind", "name: x\n"),
        ("not an object", "- 1\n- 2\n"),
        (
            "no name",
            "apiVersion: v1\nkind: Service\nmetadata: {generateName: x-}\n",
        ),
        (
            "bad name",
            "apiVersion: v1\nkind: Service\nmetadata: {name: Bad_Name}\n",
        ),
        (
            "namespace",
            "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: dev}\n",
        ),
        (
            "copied",
            "apiVersion: v1\nkind: Service\nmetadata: {name: x, resourceVersion: '1', managedFields: []}\nstatus: {}\n",
        ),
        (
            "our own marks",
            "apiVersion: v1\nkind: Service\nmetadata: {name: x, annotations: {sluice.dev/fence: '9', n: 1}, labels: [a]}\n",
        ),
        (
            "no text",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {PORT: 8080, ON: yes, EMPTY: }\n",
        ),
    ];
    let said: Vec<_> = cases
        .map(|(name, text)| format!("# {name}\n{}", told(packaged(&format!("{API}---\n{text}"), ""))))
        .to_vec();
    assert!(!said.join("").contains("hunter2") && !said.join("").contains("aHVudGVyMg"));
    golden("objects_that_are_not_packaged", &said.join("\n\n"));
}

#[test]
fn deployments_that_cannot_be_released() {
    let edit = |from: &str, to: &str| {
        assert!(API.contains(from), "{from}");
        API.replace(from, to)
    };
    let cases = [
        ("no container of the name", edit("name: api}", "name: web}")),
        (
            "no containers",
            edit("[{name: api}, {name: proxy, image: envoy}]", "[]"),
        ),
        ("another name", edit("{name: mc-api}", "{name: other}")),
        ("twice", format!("{API}---\n{API}")),
        (
            "paused, none, recreated",
            edit(
                "replicas: 3",
                "replicas: 0\n  paused: true\n  strategy: {type: Recreate}",
            ),
        ),
        (
            "slow",
            edit("replicas: 3", "replicas: 30\n  minReadySeconds: 400"),
        ),
        (
            "slow to stop",
            edit(
                "      containers:",
                "      terminationGracePeriodSeconds: 3600\n      containers:",
            ),
        ),
        (
            "selects others",
            edit("matchLabels: {app: x}", "matchLabels: {app: y}"),
        ),
        ("no image", edit(", image: envoy", "")),
        (
            "number in env",
            edit("[{name: api}", "[{name: api, env: [{name: PORT, value: 80}]}"),
        ),
        (
            "autoscaled",
            format!(
                "{API}---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: a}}\n\
                 spec: {{scaleTargetRef: {{kind: Deployment, name: mc-api}}}}\n"
            ),
        ),
    ];
    let said: Vec<_> = cases
        .iter()
        .map(|(name, text)| format!("# {name}\n{}", told(packaged(text, ""))))
        .collect();
    let none = with("container = \"api\"\n", "");
    let all = with("names = [\"mc-api\"]\n", "");
    let said = [
        said,
        vec![
            format!("# container not said\n{}", told(packaged_as(&none, API, ""))),
            format!("# no names, and one Deployment without the container\n{}", {
                let redis = API
                    .replace("mc-api", "redis")
                    .replace("name: api}", "name: redis}");
                told(packaged_as(&all, &format!("{API}---\n{redis}"), ""))
            }),
            format!(
                "# no names and no Deployment\n{}",
                told(packaged_as(&all, CONFIG, ""))
            ),
        ],
    ];
    golden("deployments_that_cannot_be_released", &said.concat().join("\n\n"));
}

#[test]
fn files_that_cannot_be_read() {
    let missing = with("deploy/production.yaml", "deploy/prodution.yaml");
    let said = [
        told(packaged_as(&missing, API, "")),
        told(packaged("kind: [", "")),
        told(packaged("a: 1\na: 2\n", "")),
        told(packaged("a: !!python/object:os.system x\n", "")),
        told(packaged("\tx: 1\n", "")),
        told(packaged(&" ".repeat((1 << 20) + 1), "")),
    ];
    golden("files_that_cannot_be_read", &said.join("\n\n"));
}

/// Each level repeats the one before ten times: 10^9 texts, if it were expanded.
#[test]
fn an_anchor_bomb_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let faults = packaged(&bomb, "").unwrap_err();
    assert!(
        faults
            .0
            .iter()
            .any(|fault| fault.kind == super::super::FaultKind::Syntax),
        "{faults}"
    );
    let deep = "[".repeat(100_000);
    assert!(packaged(&deep, "").is_err());
}

#[test]
fn a_file_is_read_once_and_never_outside_of_the_repository() {
    let reads = Cell::new(0);
    let read = |path: &str| {
        reads.set(reads.get() + 1);
        if path == "deploy/api.yaml" {
            Ok(API.to_owned())
        } else {
            Ok(String::new())
        }
    };
    let result = package(&pipeline(FULL), "p.toml", FULL, read, no_chart);
    assert!(result.is_ok());
    assert_eq!(reads.get(), 2, "two environments share deploy/api.yaml");
    let mut stored = serde_json::to_value(pipeline(FULL)).unwrap();
    stored["workload"]["deployment"]["manifests"] = json!(["../../etc/shadow.yaml"]);
    let stored = serde_json::from_value(stored).unwrap();
    let read = |path: &str| {
        assert!(!path.contains(".."), "{path}");
        Ok(API.to_owned())
    };
    let faults = package(&stored, "p.toml", "", read, no_chart);
    assert!(
        faults
            .unwrap_err()
            .to_string()
            .contains("leads out of the repository")
    );
}

#[test]
fn adopted_deployments_need_no_manifest() {
    let adopted = with("manifests = [\"deploy/api.yaml\"]\n", "")
        .replace("manifests = [\"deploy/production.yaml\"]\n", "");
    let packaged = packaged_as(&adopted, "", "").unwrap();
    let dev = &packaged.package.environments[&environment("dev")];
    assert_eq!((dev.manifests.len(), dev.released.len()), (0, 1));
}

#[test]
fn a_version_is_named_by_what_it_says_not_by_how_it_is_written() {
    let version = |text: &str, api: &str, production: &str| {
        let packaged = packaged_as(text, api, production).unwrap_or_else(|faults| panic!("{faults}"));
        Version::of(pipeline(text), packaged.package).unwrap()
    };
    let first = version(FULL, &format!("{}---\n{CONFIG}", configured()), "");
    let comments = FULL
        .replace("[source]", "# a comment\n[source] # another")
        .replace("\"10m\"", "\"600s\"");
    let reordered = format!("{CONFIG}---\n# first\n{}", configured());
    assert_eq!(version(&comments, &reordered, "---\n").hash, first.hash);
    let quoted = version(
        FULL,
        &format!("{}---\n{CONFIG}", configured().replace("envoy", "'envoy'")),
        "",
    );
    assert_eq!(quoted.hash, first.hash);
    let changed = version(
        FULL,
        &format!("{}---\n{}", configured(), CONFIG.replace("debug", "info")),
        "",
    );
    assert_ne!(changed.hash, first.hash);
    assert_ne!(
        version(
            &with("\"10m\"", "\"11m\""),
            &format!("{}---\n{CONFIG}", configured()),
            ""
        )
        .hash,
        first.hash
    );
}

#[test]
fn a_stored_version_that_was_changed_is_seen() {
    let packaged = packaged(API, "").unwrap();
    let version = Version::of(pipeline(FULL), packaged.package).unwrap();
    let stored = serde_json::to_value(&version).unwrap();
    let read: Version = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(read.verified().unwrap(), version);
    let mut weaker = stored;
    weaker["pipeline"]["environments"][1]["approval"]["quorum"] = json!(0);
    let read: Version = serde_json::from_value(weaker).unwrap();
    assert!(matches!(read.verified(), Err(VersionError::Changed { .. })));
}
