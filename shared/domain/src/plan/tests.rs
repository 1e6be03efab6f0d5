#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::ids::{Digest, Fence, Hash, ReleaseNumber, ServiceName};
use crate::pipeline::ReleasedDeployment;
use crate::workload::ObservedDeployment;
use serde_json::json;

pub(super) fn release(number: u32) -> Release {
    let digest = format!("sha256:{}", format!("{number:02x}").repeat(32));
    let pushed_at = "2026-11-23T08:00:00Z".parse().unwrap();
    Release {
        service: ServiceName::parse("mc-api").unwrap(),
        number: ReleaseNumber(number),
        digest: Digest::parse(&digest).unwrap(),
        children: vec![],
        uri: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mc-api".into(),
        tags: vec![],
        commit: None,
        pushed_at,
        recorded_at: pushed_at,
        pipeline: Hash::parse(&"0".repeat(64)).unwrap(),
        quarantine: None,
        v: 0,
    }
}

pub(super) fn package(manifests: Vec<Value>, released: &[(&str, Option<&str>)]) -> EnvironmentPackage {
    let released = released.iter().map(|(name, container)| ReleasedDeployment {
        name: (*name).into(),
        container: container.map(str::to_owned),
    });
    EnvironmentPackage {
        values: Vec::new(),
        jobs: BTreeMap::new(),
        manifests,
        released: released.collect(),
    }
}

pub(super) fn manifest() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api", "namespace": "dev", "labels": {"team": "mc"}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "api"}},
            "template": {
                "metadata": {"labels": {"app": "api"}},
                "spec": {
                    "initContainers": [{"name": "wait", "image": "busybox:1", "envFrom": [{"configMapRef": {"name": "web"}}]}],
                    "containers": [
                        {"name": "api", "image": "placeholder", "envFrom": [{"secretRef": {"name": "keys"}}, {"configMapRef": {"name": "web"}}]},
                        {"name": "proxy", "image": "envoy:1", "env": [
                            {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "proxy", "key": "level"}}},
                            {"name": "ABSENT", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "x", "optional": true}}},
                        ]},
                    ],
                    "volumes": [
                        {"name": "files", "configMap": {"name": "web"}},
                        {"name": "all", "projected": {"sources": [
                            {"configMap": {"name": "proxy"}}, {"configMap": {"name": "kube-root-ca.crt"}}, {"secret": {"name": "keys"}},
                        ]}},
                    ],
                },
            },
        },
    })
}

fn web_config(port: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"PORT": port}})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "namespace": "dev"}, "spec": {"selector": {"app": "api"}}})
}

pub(super) fn data(key: &str, value: &str) -> ConfigData {
    ConfigData {
        data: [(key.to_owned(), value.to_owned())].into(),
        ..ConfigData::default()
    }
}

fn cluster_config() -> BTreeMap<String, Option<ConfigData>> {
    [
        ("proxy".to_owned(), Some(data("level", "info"))),
        ("absent".to_owned(), None),
    ]
    .into()
}

pub(super) fn observed_of(template: Value) -> ObservedDeployment {
    ObservedDeployment {
        kind: Default::default(),
        name: "api".into(),
        generation: 1,
        observed_generation: 1,
        wanted: 4,
        total: 4,
        updated: 4,
        available: 4,
        fence: Fence(0),
        images: BTreeMap::new(),
        template,
        spec: json!({"selector": {"matchLabels": {"app": "api"}}, "revisionHistoryLimit": 10}),
        labels: [("app".to_owned(), "api".to_owned())].into(),
        failures: vec![],
        autoscaled: false,
        pods: vec![],
    }
}

#[test]
fn a_release_from_manifests() {
    let package = package(
        vec![web_config("8080"), service(), manifest()],
        &[("api", Some("api"))],
    );
    let bundle = plan_bundle(&release(42), &package, &Observation::default(), &cluster_config()).unwrap();
    insta::assert_json_snapshot!(bundle);
}

#[test]
fn a_release_into_an_adopted_deployment() {
    let mut template = manifest()["spec"]["template"].clone();
    template["metadata"]["creationTimestamp"] = Value::Null;
    let observed = Observation {
        deployments: vec![observed_of(template)],
        highest_fence: Fence(0),
    };
    let mut config = cluster_config();
    config.insert("web".into(), Some(data("PORT", "80")));
    let bundle = plan_bundle(
        &release(7),
        &package(vec![], &[("api", Some("api"))]),
        &observed,
        &config,
    )
    .unwrap();
    insta::assert_json_snapshot!(bundle);
}

#[test]
fn what_was_there_before_sluice() {
    let observed = Observation {
        deployments: vec![observed_of(manifest()["spec"]["template"].clone())],
        highest_fence: Fence(0),
    };
    let live = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "api", "namespace": "dev", "uid": "1", "resourceVersion": "9", "managedFields": [],
            "annotations": {"sluice.dev/fence": "8", "kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
        },
        "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "selector": {"app": "api"}},
        "status": {"loadBalancer": {}},
    });
    let bundle = capture_bundle(&observed, &[live], &cluster_config(), None).unwrap();
    insta::assert_json_snapshot!(bundle);
    assert_eq!(
        capture_bundle(&Observation::default(), &[], &cluster_config(), None),
        None
    );
}

#[test]
fn the_package_and_the_cluster_say_whose_config_is_needed() {
    let with_own = package(vec![web_config("8080"), manifest()], &[("api", Some("api"))]);
    let names = |package: &EnvironmentPackage, observed: &Observation| {
        config_wanted(package, observed)
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(&with_own, &Observation::default()), "absent proxy");
    let template =
        json!({"spec": {"containers": [{"name": "api", "envFrom": [{"configMapRef": {"name": "web"}}]}]}});
    let observed = Observation {
        deployments: vec![observed_of(template)],
        highest_fence: Fence(0),
    };
    assert_eq!(names(&with_own, &observed), "absent proxy web");
    assert_eq!(names(&package(vec![], &[("api", None)]), &observed), "web");
}

#[test]
fn replicas_are_those_of_whoever_decides_them() {
    let silent = |replicas: Option<Value>| {
        let mut manifest = manifest();
        match replicas {
            Some(replicas) => manifest["spec"]["replicas"] = replicas,
            None => drop(manifest["spec"].as_object_mut().unwrap().remove("replicas")),
        }
        manifest
    };
    let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "api"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}}});
    let there = |wanted: i32, autoscaled: bool| {
        let deployment = ObservedDeployment {
            wanted,
            autoscaled,
            ..observed_of(json!({}))
        };
        Observation {
            deployments: vec![deployment],
            highest_fence: Fence(0),
        }
    };
    let cases = [
        ("the manifest says", vec![manifest()], there(5, false), Some(3)),
        ("whoever scaled it", vec![silent(None)], there(5, false), Some(5)),
        (
            "nobody: Kubernetes' default",
            vec![silent(None)],
            Observation::default(),
            Some(1),
        ),
        (
            "left at zero by a failed first release",
            vec![silent(None)],
            there(0, false),
            Some(1),
        ),
        (
            "an autoscaler of the cluster",
            vec![manifest()],
            there(5, true),
            None,
        ),
        (
            "an autoscaler of the package",
            vec![manifest(), autoscaler],
            Observation::default(),
            None,
        ),
    ];
    for (who, manifests, observed, wanted) in cases {
        let package = package(manifests, &[("api", Some("api"))]);
        let bundle = plan_bundle(&release(1), &package, &observed, &cluster_config()).unwrap();
        assert_eq!(bundle.deployments[0].replicas, wanted, "{who}");
        assert_eq!(
            bundle.deployments[0].manifest.pointer("/spec/replicas"),
            None,
            "{who}"
        );
    }
}

#[test]
fn only_a_deployment_that_runs_the_release_is_restarted_by_it() {
    let mut other = manifest();
    other["metadata"]["name"] = json!("worker");
    let package = package(vec![manifest(), other], &[("api", Some("api"))]);
    let plan = |number| {
        plan_bundle(
            &release(number),
            &package,
            &Observation::default(),
            &cluster_config(),
        )
        .unwrap()
    };
    let (one, two) = (plan(1), plan(2));
    assert_ne!(one.deployments[0].manifest, two.deployments[0].manifest);
    assert_eq!(one.deployments[1], two.deployments[1]);
    assert_eq!(one.deployments[1].container, None);
}

#[test]
fn every_fault_is_told_at_once() {
    let paused = ObservedDeployment {
        spec: json!({"paused": true}),
        ..observed_of(manifest()["spec"]["template"].clone())
    };
    let observed = Observation {
        deployments: vec![paused],
        highest_fence: Fence(0),
    };
    let plan = |package: EnvironmentPackage, observed: &Observation| {
        plan_bundle(&release(1), &package, observed, &cluster_config())
            .unwrap_err()
            .0
    };
    let texts = |faults: Vec<PlanFault>| {
        faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(texts(plan(package(vec![], &[("api", None), ("gone", None)]), &observed)), @r"
    deployment api is paused, so that no pod would be replaced: kubectl rollout resume deployment/api
    deployment api has the containers api, proxy: say which takes the release with `container`
    deployment gone is not in the cluster, and the pipeline has no manifest for it: create it, or correct `names`
    ");
    let number = json!({"kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"PORT": 80}});
    let secret =
        json!({"kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": "hunter2"}});
    let wrong = package(
        vec![number, secret, manifest()],
        &[("api", Some("web")), ("lost", Some("x"))],
    );
    insta::assert_snapshot!(texts(plan(wrong, &Observation::default())), @r"
    ConfigMap web: data.PORT is no text: put it in quotes
    the package has a Secret, which Sluice does not write: apply it by other means
    deployment api has no container `web`, only api, proxy: correct `container`
    deployment lost is not among the packaged manifests: `sluice apply` the pipeline again
    ");
    let unnamed = json!({"kind": "ConfigMap", "metadata": {"name": "alone"}, "data": {}});
    let faults = plan(
        package(vec![unnamed, manifest()], &[("api", Some("api"))]),
        &Observation::default(),
    );
    assert_eq!(faults, [PlanFault::Unnamed("alone".into())]);
    assert_eq!(plan(package(vec![], &[]), &observed), [PlanFault::NoDeployments]);
}

#[test]
fn a_copy_has_the_name_of_its_content_and_is_its_own_copy() {
    let template = |name: &str| json!({"spec": {"volumes": [{"configMap": {"name": name}}]}});
    let copied = |name: &str, content: &ConfigData| {
        let mut template = template(name);
        let copies = config::repoint(&mut template, |_| Some(content));
        let copy = copies.into_values().next().unwrap();
        assert_eq!(config_names(&template), [copy.name.clone()].into());
        copy
    };
    let first = copied("web", &data("PORT", "80"));
    assert_eq!(first.original, "web");
    assert_eq!(
        copied(&first.name, &data("PORT", "80")),
        first,
        "a copy of a copy is that copy"
    );
    assert_ne!(copied("web", &data("PORT", "81")).name, first.name);
    let moved = ConfigData {
        binary_data: data("PORT", "80").data,
        ..ConfigData::default()
    };
    assert_ne!(
        copied("web", &moved).name,
        first.name,
        "text and binary of the same letters are not the same"
    );
    let changed = copied(&first.name, &data("PORT", "81"));
    assert_eq!(
        changed.original, first.name,
        "a name that does not fit the content is no copy's"
    );
    assert_eq!(copied(&"a".repeat(253), &data("a", "b")).name.len(), 253);
}
