//! Manifests of a workload with tracks: what can be there once for each track, and what cannot.

use super::super::{Faults, Packaged, package};
use super::{TRACKS, edited, environment, golden, no_chart, pipeline};

/// What a service with tracks has.
pub(crate) const OBJECTS: &str = "apiVersion: v1
kind: Service
metadata: {name: mc-api}
spec:
  selector: {app: api}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: mc-api-metrics}
spec: {clusterIP: None, selector: {app: api}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: mc-api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api, tier: web}}
    spec:
      containers: [{name: api, ports: [{containerPort: 8080}]}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: mc-api}
spec:
  minReplicas: 2
  maxReplicas: 20
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: mc-api}
  metrics: [{type: Resource}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: mc-api}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: api}}}
";

const WORKER: &str = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker, tier: web}}
    spec: {containers: [{name: worker, image: worker}]}
";

fn packaged(pipeline_text: &str, objects: &str) -> Result<Packaged, Faults> {
    let read = |path: &str| {
        match path {
        "deploy/api.yaml" => Ok(objects.to_owned()),
        "tests/smoke.yaml" => Ok(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: smoke}\nspec: {template: {spec: {restartPolicy: Never, \
             containers: [{name: smoke}]}}}\n"
                .to_owned(),
        ),
        _ => Err("no such file".to_owned()),
    }
    };
    package(&pipeline(pipeline_text), "p.toml", pipeline_text, read, no_chart)
}

fn told(cases: &[(&str, String)]) -> String {
    let one = |(name, objects): &(&str, String)| {
        let said = match packaged(TRACKS, objects) {
            Ok(packaged) => format!("ok, with warnings:\n{}", Faults(packaged.warnings)),
            Err(faults) => faults.to_string(),
        };
        format!("# {name}\n{said}")
    };
    cases.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn with(from: &str, to: &str) -> String {
    edited(OBJECTS, from, to)
}

/// A rollout renders some of them once for each track; the package has them as they are written.
#[test]
fn what_a_service_with_tracks_has_is_packaged_as_it_is() {
    let packaged = packaged(TRACKS, OBJECTS).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(packaged.warnings, []);
    let staging = &packaged.package.environments[&environment("staging")];
    let names = |at: &str| -> Vec<_> {
        let text = |object: &serde_json::Value| object.pointer(at).unwrap().as_str().unwrap().to_owned();
        staging.manifests.iter().map(text).collect()
    };
    assert_eq!(
        names("/kind"),
        [
            "Service",
            "Service",
            "Deployment",
            "HorizontalPodAutoscaler",
            "PodDisruptionBudget"
        ]
    );
    assert_eq!(names("/metadata/name")[1], "mc-api-metrics");
    let jobs: Vec<_> = staging.jobs.keys().collect();
    assert_eq!(jobs, ["tests/smoke.yaml"], "the Job of the preview");
}

#[test]
fn services_that_cannot_be_the_root() {
    let second =
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: second}\nspec: {selector: {tier: web}}\n";
    golden(
        "services_that_cannot_be_the_root",
        &told(&[
            (
                "none",
                with("selector: {app: api}\n  ports", "selector: {app: x}\n  ports"),
            ),
            (
                "headless",
                with(
                    "selector: {app: api}\n  ports",
                    "clusterIP: None\n  selector: {app: api}\n  ports",
                ),
            ),
            (
                "a name in the DNS",
                with(
                    "selector: {app: api}\n  ports",
                    "type: ExternalName\n  selector: {app: api}\n  ports",
                ),
            ),
            (
                "another name",
                with(
                    "metadata: {name: mc-api}\nspec:\n  selector: {app",
                    "metadata: {name: api}\nspec:\n  selector: {app",
                ),
            ),
            ("two", format!("{OBJECTS}{second}")),
            (
                "a selector of our own",
                with(
                    "selector: {app: api}\n  ports",
                    "selector: {app: api, sluice.dev/track: blue, n: 5}\n  ports",
                ),
            ),
        ]),
    );
}

/// A worker that is released with it would work whatever its weight.
#[test]
fn a_worker_beside_is_fine_where_it_does_not_run_the_release() {
    let both = format!("{OBJECTS}{WORKER}");
    let api = edited(
        TRACKS,
        "manifests = [\"deploy/api.yaml\"]",
        "manifests = [\"deploy/api.yaml\"]\nnames = [\"mc-api\"]",
    );
    let packaged = packaged(&api, &both).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(packaged.warnings, []);
    golden("a_worker_that_runs_the_release", &told(&[("worker", both)]));
}

#[test]
fn what_cannot_be_there_twice() {
    let budget = "maxUnavailable: 1, selector: {matchLabels: {app: api}}";
    let containers = "containers: [{name: api, ports: [{containerPort: 8080}]}]";
    let named = |kind: &str, version: &str, name: &str| {
        format!("{OBJECTS}---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{}}\n")
    };
    let api = |text: String| {
        let pipeline_text = edited(
            TRACKS,
            "manifests = [\"deploy/api.yaml\"]",
            "manifests = [\"deploy/api.yaml\"]\nnames = [\"mc-api\"]",
        );
        packaged(&pipeline_text, &text).unwrap_err().to_string()
    };
    let shared = api(edited(
        &format!("{OBJECTS}{WORKER}"),
        "matchLabels: {app: api}}}\n---",
        "matchLabels: {tier: web}}}\n---",
    ));
    let volumes = |list: &str| with(containers, &format!("volumes: [{list}]\n      {containers}"));
    let cases = told(&[
        (
            "a budget of everything",
            with(budget, "minAvailable: 2, selector: {}"),
        ),
        (
            "a budget of others",
            with(budget, "maxUnavailable: 1, selector: {matchLabels: {app: x}}"),
        ),
        (
            "an autoscaler of the whole",
            with("[{type: Resource}]", "[{type: Resource}, {type: External}]"),
        ),
        (
            "ports of the node",
            with(
                containers,
                "containers: [{name: api, ports: [{containerPort: 8080, hostPort: 80}]}]",
            ),
        ),
        (
            "the node's network",
            with(containers, &format!("hostNetwork: true\n      {containers}")),
        ),
        (
            "claims",
            volumes(
                "{name: a, persistentVolumeClaim: {claimName: data}}, {name: b, persistentVolumeClaim: {claimName: assets, \
                 readOnly: true}}, {name: c, ephemeral: {}}",
            ),
        ),
        (
            "a disk",
            volumes("{name: a, awsElasticBlockStore: {volumeID: v}}"),
        ),
        (
            "a budget of a number",
            with(budget, "minAvailable: 2, selector: {matchLabels: {app: api}}"),
        ),
        (
            "the name of a track's Service",
            named("Service", "v1", "mc-api-green"),
        ),
        (
            "the name of the preview",
            named("Service", "v1", "mc-api-preview"),
        ),
        (
            "the name of a track's autoscaler",
            named("HorizontalPodAutoscaler", "autoscaling/v2", "mc-api-blue"),
        ),
        (
            "the router itself",
            named("HTTPRoute", "gateway.networking.k8s.io/v1", "mc-api"),
        ),
        (
            "a Deployment that is recreated, and slow",
            with(
                "  selector: {matchLabels: {app: api}}\n  template",
                "  replicas: 90\n  minReadySeconds: 400\n  strategy: {type: Recreate}\n  selector: {matchLabels: {app: api}}\n  template",
            ),
        ),
    ]);
    golden(
        "what_cannot_be_there_twice",
        &format!("{cases}\n\n# a budget of two\n{shared}"),
    );
}

#[test]
fn deployments_that_are_adopted_are_looked_at_when_they_are_promoted() {
    let adopted = edited(
        TRACKS,
        "manifests = [\"deploy/api.yaml\"]",
        "names = [\"mc-api\"]",
    );
    let packaged = packaged(&adopted, "").unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(packaged.warnings, []);
}
