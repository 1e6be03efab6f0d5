//! A namespace of the local cluster, for tests of the cluster adapter against a real API server.
//!
//! Sluice acts as a member of its own group, so that RBAC and the fence policy of `infra/cluster` hold; the test acts as
//! an administrator.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod identity;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use serde_json::{Value, json};
use sluice_cluster::Namespace;
use sluice_domain::bundle::Bundle;
use sluice_domain::ids::{Digest, Fence, Hash, ReleaseNumber, ServiceName};
use sluice_domain::pipeline::{EnvironmentPackage, ReleasedDeployment};
use sluice_domain::plan::{capture_bundle, config_wanted, plan_bundle};
use sluice_domain::release::Release;
use sluice_domain::workload::{Leaving, Observation, Verdict, WorkloadRef, verdict};
use sluice_local::image::{Image, Pusher};
use sluice_local::{Cluster, Environment};
use sluice_tests::alone::{cleaned, unique};
use std::time::Duration;

/// How long a rollout may take here, with room for a busy machine. Not a measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// The Deployment of these tests.
pub const NAME: &str = "api";
const REPOSITORY: &str = "mc-api";
const GROUP: &str = "sluice:deployers";

/// One namespace of its own.
pub struct Place {
    /// Where it is.
    pub local: Environment,
    /// Its cluster.
    pub cluster: Cluster,
    /// Its name.
    pub name: String,
    /// An administrator.
    pub admin: Client,
    /// The same cluster as a member of Sluice's group.
    pub member: Client,
    /// What is tested.
    pub sluice: Namespace,
}

/// Runs a test in a namespace of its own, which is deleted however the test ended.
pub async fn in_namespace<Fut: Future<Output = ()>>(test: impl FnOnce(std::sync::Arc<Place>) -> Fut) {
    let local = Environment::load().unwrap();
    let cluster = local.clusters[0].clone();
    let name = cluster.create_test_namespace(&unique("cluster")).await.unwrap();
    let admin = cluster.admin().await.unwrap();
    let member = member(&cluster).await;
    let sluice = Namespace::with_client(member.clone(), &cluster.name, &name);
    let place = Place {
        local,
        cluster: cluster.clone(),
        name: name.clone(),
        admin,
        member,
        sluice,
    };
    let cleanup = async { cluster.delete_namespace(&name).await.unwrap() };
    cleaned(test(std::sync::Arc::new(place)), cleanup).await;
}

/// A client that the API server takes for a member of Sluice's group.
pub async fn member(cluster: &Cluster) -> Client {
    member_of(cluster, "sluice-test", GROUP).await
}

/// A client that the API server takes for this user in this group.
pub async fn member_of(cluster: &Cluster, user: &str, group: &str) -> Client {
    let kubeconfig = Kubeconfig::read_from(&cluster.kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.auth_info.impersonate = Some(user.into());
    config.auth_info.impersonate_groups = Some(vec![group.into()]);
    Client::try_from(config).unwrap()
}

impl Place {
    /// Pushes an image that behaves as these labels say; release `number` of it.
    pub async fn release(&self, number: u32, labels: &[(&str, &str)]) -> Release {
        let mut image = Image::new(&format!("{} {number}", self.name));
        for (name, value) in labels {
            image = image.label(&format!("sluice.sim/{name}"), value);
        }
        let pushed = Pusher::new(&self.local, REPOSITORY)
            .push(&image, &[])
            .await
            .unwrap();
        self.release_of(number, &pushed.digest)
    }

    /// A release of a digest, whether there is such an image or not.
    pub fn release_of(&self, number: u32, digest: &str) -> Release {
        let at = "2026-11-23T08:00:00Z".parse().unwrap();
        Release {
            service: ServiceName::parse("mc-api").unwrap(),
            number: ReleaseNumber(number),
            digest: Digest::parse(digest).unwrap(),
            children: vec![],
            uri: format!("{}/{REPOSITORY}", self.local.registry_host()),
            tags: vec![],
            commit: None,
            pushed_at: at,
            recorded_at: at,
            pipeline: Hash::parse(&"0".repeat(64)).unwrap(),
            quarantine: None,
            v: 0,
        }
    }

    /// The namespace as a session of helm's role meets it.
    pub async fn helm(&self, session: &str) -> Namespace {
        Namespace::with_client(self.helm_client(session).await, &self.cluster.name, &self.name)
    }

    /// A client of such a session.
    pub async fn helm_client(&self, session: &str) -> Client {
        let user = format!("arn:aws:sts::000000000000:assumed-role/helm/{session}");
        member_of(&self.cluster, &user, "sluice:helm").await
    }

    /// The image of a release, by digest.
    pub async fn image(&self, number: u32, labels: &[(&str, &str)]) -> String {
        let release = self.release(number, labels).await;
        format!("{}@{}", release.uri, release.digest)
    }

    /// What is observed of the Deployment now.
    pub async fn observe(&self) -> Observation {
        self.sluice
            .observe(&[WorkloadRef::deployment(NAME)])
            .await
            .unwrap()
    }

    /// The bundle of a release of these manifests, or of the adopted Deployment where there are none.
    pub async fn plan(&self, release: &Release, manifests: Vec<Value>) -> Bundle {
        let released = vec![ReleasedDeployment {
            name: NAME.into(),
            container: Some(NAME.into()),
        }];
        let package = EnvironmentPackage {
            manifests,
            released,
            ..EnvironmentPackage::default()
        };
        let observed = self.observe().await;
        let config = self
            .sluice
            .config_maps(&config_wanted(&package, &observed))
            .await
            .unwrap();
        plan_bundle(release, &package, &observed, &config).unwrap()
    }

    /// The bundle of what is there now.
    pub async fn capture(&self) -> Bundle {
        let observed = self.observe().await;
        let config = self
            .sluice
            .config_maps(&config_wanted(&EnvironmentPackage::default(), &observed))
            .await
            .unwrap();
        capture_bundle(&observed, &[], &config, None).unwrap()
    }

    /// Applies, and waits until the verdict over it is no longer open.
    pub async fn roll(&self, bundle: &Bundle, fence: u64) -> Verdict {
        self.sluice.apply(bundle, Fence(fence)).await.unwrap();
        self.settle(bundle, fence).await
    }

    /// Waits until the verdict over a bundle is no longer open.
    pub async fn settle(&self, bundle: &Bundle, fence: u64) -> Verdict {
        let judge = |observed: &Observation| verdict(bundle, observed, Leaving::Awaited);
        let settled = |observed: &Observation| !matches!(judge(observed), Verdict::Inconclusive(_));
        match self
            .sluice
            .wait_for(&[WorkloadRef::deployment(NAME)], PATIENCE, Fence(fence), settled)
            .await
            .unwrap()
        {
            sluice_cluster::WaitEnd::Settled(observed) => judge(&observed),
            sluice_cluster::WaitEnd::TimedOut(observed) => panic!("not settled: {:?}", judge(&observed)),
            preempted => panic!("{preempted:?}"),
        }
    }

    /// Everything about the Deployment.
    pub async fn deployment(&self) -> Value {
        serde_json::to_value(self.objects("apps", "v1", "Deployment").get(NAME).await.unwrap()).unwrap()
    }

    /// Its pod template.
    pub async fn template(&self) -> Value {
        self.deployment().await["spec"]["template"].clone()
    }

    /// Objects of a kind, for the administrator.
    pub fn objects(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.admin.clone(), &self.name, &resource)
    }

    /// The administrator makes an object.
    pub async fn create(&self, object: Value) {
        let (version, kind) = (
            object["apiVersion"].as_str().unwrap(),
            object["kind"].as_str().unwrap().to_owned(),
        );
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let api = self.objects(group, version, &kind);
        api.create(
            &PostParams::default(),
            &serde_json::from_value(object.clone()).unwrap(),
        )
        .await
        .unwrap();
    }

    /// Somebody else changes the Deployment, as `kubectl set` would.
    pub async fn meddle(&self, patch: Value) {
        let parameters = PatchParams {
            field_manager: Some("kubectl-set".into()),
            ..PatchParams::default()
        };
        self.objects("apps", "v1", "Deployment")
            .patch(NAME, &parameters, &Patch::Strategic(patch))
            .await
            .unwrap();
    }

    /// ConfigMaps, for the administrator.
    pub fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.admin.clone(), &self.name)
    }

    /// The administrator makes a ConfigMap with one value.
    pub async fn create_config(&self, name: &str, value: &str) {
        self.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"VALUE": value}})).await;
    }

    /// The value in the ConfigMap that the Deployment's first container takes its environment from.
    pub async fn value_of_template(&self) -> String {
        let template = self.template().await;
        let source = &template["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"];
        let map = self.config_maps().get(source.as_str().unwrap()).await.unwrap();
        map.data.unwrap()["VALUE"].clone()
    }
}

/// A Deployment of the package.
pub fn manifest() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": NAME}},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {"containers": [{"name": NAME, "image": "placeholder"}], "terminationGracePeriodSeconds": 1},
            },
        },
    })
}

/// The same, with its environment from a ConfigMap.
pub fn manifest_with_config(name: &str) -> Value {
    let mut manifest = manifest();
    manifest["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": name}}]);
    manifest
}
