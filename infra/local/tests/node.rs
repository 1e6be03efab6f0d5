//! What pods do on the simulated node, on real API servers: `sluice-local run --without-sluice -- cargo test -p
//! sluice-local`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_local::image::{Image, Pusher};
use sluice_local::{Cluster, Environment};

const LIMIT: Duration = Duration::from_secs(30);

/// A namespace of one test, which goes when the test ends well; a failed one stays to be looked at.
struct Here {
    cluster: Cluster,
    client: Client,
    namespace: String,
    pusher: Pusher,
    host: String,
}

impl Here {
    async fn new(name: &str) -> Self {
        let environment = Environment::load().unwrap();
        let cluster = environment.clusters[0].clone();
        let client = cluster.admin().await.unwrap();
        let namespace = cluster.create_test_namespace(name).await.unwrap();
        let pusher = Pusher::new(&environment, "mc-api");
        Self {
            cluster,
            client,
            namespace,
            pusher,
            host: environment.registry_host(),
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn image(&self, digest: &str) -> String {
        format!("{}/mc-api@{digest}", self.host)
    }

    async fn pod(&self, spec: Value) -> Pod {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "api"}, "spec": spec});
        self.api()
            .create(&PostParams::default(), &serde_json::from_value(pod).unwrap())
            .await
            .unwrap()
    }

    /// The pod `api` once its status, as JSON, satisfies the condition.
    async fn status(&self, what: &str, accepts: impl Fn(&Value) -> bool) -> Value {
        let seen = await_condition(self.api::<Pod>(), "api", |pod: Option<&Pod>| {
            pod.is_some_and(|pod| accepts(&serde_json::to_value(&pod.status).unwrap()))
        });
        match tokio::time::timeout(LIMIT, seen).await {
            Ok(pod) => serde_json::to_value(pod.unwrap().unwrap().status).unwrap(),
            Err(_) => {
                let now = self.api::<Pod>().get("api").await.unwrap();
                panic!(
                    "{what}: not within {LIMIT:?}; the pod is {}",
                    serde_json::to_string_pretty(&now.status).unwrap()
                )
            }
        }
    }

    async fn waiting(&self, reason: &str) -> String {
        let at = "/containerStatuses/0/state/waiting";
        let status = self.status(reason, |status| {
            status
                .pointer(&format!("{at}/reason"))
                .is_some_and(|found| found == reason)
        });
        status
            .await
            .pointer(&format!("{at}/message"))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    async fn done(self) {
        self.cluster.delete_namespace(&self.namespace).await.unwrap();
    }
}

fn deployment(image: &str, replicas: i32) -> Deployment {
    let labels = json!({"app": "api"});
    serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "api", "image": image}]}}}}))
    .unwrap()
}

#[tokio::test]
async fn a_deployment_becomes_available_on_the_very_bytes_that_were_pushed() {
    let here = Here::new("deployment").await;
    let pushed = here
        .pusher
        .push(&Image::new("deployment"), &["d1"])
        .await
        .unwrap();
    assert_eq!(
        pushed.digest,
        format!("sha256:{}", hex::encode(Sha256::digest(&pushed.manifest)))
    );
    here.api()
        .create(
            &PostParams::default(),
            &deployment(&here.image(&pushed.digest), 3),
        )
        .await
        .unwrap();
    let available = |deployment: Option<&Deployment>| {
        deployment
            .and_then(|d| d.status.as_ref())
            .and_then(|status| status.available_replicas)
            == Some(3)
    };
    tokio::time::timeout(LIMIT, await_condition(here.api(), "api", available))
        .await
        .expect("available")
        .unwrap();
    for pod in here.api::<Pod>().list(&ListParams::default()).await.unwrap() {
        let status = pod.status.as_ref().unwrap();
        assert_eq!(
            status.container_statuses.as_ref().unwrap()[0].image_id,
            here.image(&pushed.digest)
        );
        assert!(
            status.pod_ip.as_ref().unwrap().starts_with("10.244."),
            "{status:?}"
        );
    }
    here.done().await;
}

#[tokio::test]
async fn an_index_is_reported_as_what_was_asked_for() {
    let here = Here::new("index").await;
    let children = [Image::new("index").architecture("arm64"), Image::new("index")];
    let pushed = here.pusher.push_index(&children, &["i1"]).await.unwrap();
    here.pod(json!({"containers": [{"name": "api", "image": here.image(&pushed.digest)}]}))
        .await;
    let status = here
        .status("ready", |status| status["containerStatuses"][0]["ready"] == true)
        .await;
    assert_eq!(
        status["containerStatuses"][0]["imageID"],
        here.image(&pushed.digest)
    );
    here.done().await;
}

#[tokio::test]
async fn a_missing_image_backs_off_and_recovers_once_it_is_pushed() {
    let here = Here::new("missing").await;
    here.pod(json!({"containers": [{"name": "api", "image": format!("{}/mc-api:later", here.host)}]}))
        .await;
    let message = here.waiting("ImagePullBackOff").await;
    assert!(message.contains("mc-api/manifests/later: not found"), "{message}");
    here.pusher.push(&Image::new("later"), &["later"]).await.unwrap();
    here.status("ready", |status| status["containerStatuses"][0]["ready"] == true)
        .await;
    here.done().await;
}

#[tokio::test]
async fn a_crash_at_start_loops_and_says_how_it_ended() {
    let here = Here::new("crash").await;
    let image = Image::new("crash")
        .label("sluice.sim/crash-at-start", "no database")
        .label("sluice.sim/exit-code", "3");
    let pushed = here.pusher.push(&image, &[]).await.unwrap();
    here.pod(json!({"containers": [{"name": "api", "image": here.image(&pushed.digest)}]}))
        .await;
    here.waiting("CrashLoopBackOff").await;
    let status = here
        .status("two restarts", |status| {
            status["containerStatuses"][0]["restartCount"].as_i64() >= Some(2)
        })
        .await;
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["message"], &last["reason"]),
        (&json!(3), &json!("no database"), &json!("Error"))
    );
    here.done().await;
}

#[tokio::test]
async fn never_ready_runs_and_is_not_ready() {
    let here = Here::new("never-ready").await;
    let pushed = here
        .pusher
        .push(&Image::new("n").label("sluice.sim/never-ready", "true"), &[])
        .await
        .unwrap();
    here.pod(json!({"containers": [{"name": "api", "image": here.image(&pushed.digest)}]}))
        .await;
    let status = here
        .status("running", |status| status["phase"] == "Running")
        .await;
    assert_eq!(status["containerStatuses"][0]["ready"], false);
    assert!(
        status["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "False")
    );
    assert!(
        status["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["type"] == "PodScheduled" && c["status"] == "True")
    );
    here.done().await;
}

#[tokio::test]
async fn a_container_without_its_configmap_waits_for_it() {
    let here = Here::new("config").await;
    let pushed = here.pusher.push(&Image::new("config"), &[]).await.unwrap();
    here.pod(
        json!({"containers": [{"name": "api", "image": here.image(&pushed.digest),
        "envFrom": [{"configMapRef": {"name": "settings"}}]}]}),
    )
    .await;
    assert_eq!(
        here.waiting("CreateContainerConfigError").await,
        "configmap \"settings\" not found"
    );
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}});
    let settings: ConfigMap = serde_json::from_value(settings).unwrap();
    here.api()
        .create(&PostParams::default(), &settings)
        .await
        .unwrap();
    here.status("ready", |status| status["containerStatuses"][0]["ready"] == true)
        .await;
    here.done().await;
}

#[tokio::test]
async fn jobs_complete_or_fail_by_the_exit_code() {
    let here = Here::new("jobs").await;
    for (name, code, condition) in [("good", "0", "Complete"), ("bad", "7", "Failed")] {
        let pushed = here
            .pusher
            .push(&Image::new(name).label("sluice.sim/exit-code", code), &[])
            .await
            .unwrap();
        let job: Job = serde_json::from_value(
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "job", "image": here.image(&pushed.digest)}]}}}}),
        )
        .unwrap();
        here.api().create(&PostParams::default(), &job).await.unwrap();
        let over = |job: Option<&Job>| {
            job.and_then(|job| job.status.as_ref())
                .and_then(|status| status.conditions.as_ref())
                .is_some_and(|all| {
                    all.iter()
                        .any(|one| one.type_ == condition && one.status == "True")
                })
        };
        tokio::time::timeout(LIMIT, await_condition(here.api::<Job>(), name, over))
            .await
            .expect(condition)
            .unwrap();
    }
    here.done().await;
}

#[tokio::test]
async fn init_containers_run_first_and_in_order() {
    let here = Here::new("init").await;
    let first = here.pusher.push(&Image::new("init"), &[]).await.unwrap();
    let main = here.pusher.push(&Image::new("main"), &[]).await.unwrap();
    here.pod(
        json!({"initContainers": [{"name": "init", "image": here.image(&first.digest)}],
        "containers": [{"name": "api", "image": here.image(&main.digest)}]}),
    )
    .await;
    let status = here
        .status("ready", |status| status["containerStatuses"][0]["ready"] == true)
        .await;
    let finished = status["initContainerStatuses"][0]["state"]["terminated"]["finishedAt"]
        .as_str()
        .unwrap();
    let started = status["containerStatuses"][0]["state"]["running"]["startedAt"]
        .as_str()
        .unwrap();
    assert!(finished <= started, "{finished} {started}");
    here.done().await;
}

#[tokio::test]
async fn a_deleted_pod_goes() {
    let here = Here::new("delete").await;
    let image = Image::new("delete").label("sluice.sim/terminate-after", "300ms");
    let pushed = here.pusher.push(&image, &[]).await.unwrap();
    let uid = here
        .pod(json!({"containers": [{"name": "api", "image": here.image(&pushed.digest)}]}))
        .await
        .uid()
        .unwrap();
    here.status("ready", |status| status["containerStatuses"][0]["ready"] == true)
        .await;
    here.api::<Pod>()
        .delete("api", &DeleteParams::default())
        .await
        .unwrap();
    assert!(
        here.api::<Pod>().get("api").await.is_ok(),
        "it ends only after its own time"
    );
    tokio::time::timeout(
        LIMIT,
        await_condition(here.api::<Pod>(), "api", conditions::is_deleted(&uid)),
    )
    .await
    .expect("gone")
    .unwrap();
    here.done().await;
}
