//! Bundles as they are before they are put on a track.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use crate::bundle::{Bundle, WorkloadBundle};
use crate::samples;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) fn deployment_of(name: &str, manifest: Value) -> WorkloadBundle {
    WorkloadBundle {
        kind: Default::default(),
        name: name.to_owned(),
        container: Some("api".into()),
        replicas: Some(4),
        manifest,
        images: BTreeMap::new(),
    }
}

/// One Deployment with everything around it.
pub(crate) fn bundle() -> Bundle {
    let own = json!({"matchLabels": {"app": "mc-api"}});
    let manifest = json!({
        "metadata": {"labels": {"app": "mc-api"}},
        "spec": {
            "selector": own,
            "template": {
                "metadata": {"labels": {"app": "mc-api", "tier": "web", "team": "payments"}},
                "spec": {
                    "containers": [{"name": "api", "image": "mc-api@sha256:1"}],
                    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                        {"topologyKey": "kubernetes.io/hostname", "labelSelector": own},
                        {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchExpressions": [
                            {"key": "app", "operator": "In", "values": ["mc-api", "mc-db"]},
                        ]}},
                        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "mc-db"}}},
                    ]}},
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "topology.kubernetes.io/zone",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": own,
                    }],
                },
            },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "mc-api",
            "labels": {"app": "mc-api"},
            "annotations": {
                "alb.ingress.kubernetes.io/healthcheck-path": "/health",
                "external-dns.alpha.kubernetes.io/hostname": "api.example.com",
            },
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.0.0.7",
            "clusterIPs": ["10.0.0.7"],
            "selector": {"app": "mc-api", "tier": "web"},
            "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}],
            "externalIPs": ["192.0.2.1"],
            "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 30081,
            "loadBalancerClass": "service.k8s.aws/nlb",
            "loadBalancerIP": "192.0.2.2",
            "loadBalancerSourceRanges": ["192.0.2.0/24"],
            "allocateLoadBalancerNodePorts": true,
            "sessionAffinity": "None",
        },
    });
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "mc-api"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "mc-api"},
            "minReplicas": 2, "maxReplicas": 6,
        },
    });
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "mc-api"},
        "spec": {"minAvailable": 1, "selector": own},
    });
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "mc-api"}});
    Bundle {
        deployments: vec![deployment_of("mc-api", manifest)],
        objects: vec![service, autoscaler, budget, account],
        ..samples::bundle(1)
    }
}

/// Two Deployments, each with a Service of its own, and one Service over both.
pub(crate) fn two_deployments() -> Bundle {
    let deployment = |part: &str| {
        let labels = json!({"app": "mc-api", "part": part});
        let spec = json!({"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {}}});
        deployment_of(part, json!({"spec": spec}))
    };
    let service = |name: &str, selector: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": selector}});
    Bundle {
        deployments: vec![deployment("web"), deployment("worker")],
        objects: vec![
            service("web", json!({"app": "mc-api", "part": "web"})),
            service("worker", json!({"app": "mc-api", "part": "worker"})),
            service("all", json!({"app": "mc-api"})),
        ],
        ..samples::bundle(1)
    }
}
