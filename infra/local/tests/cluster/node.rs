//! What pods do on the simulated node.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_local::image::Image;

use crate::here::{Here, LIMIT};

impl Here {
    /// A pod with this image alone.
    async fn run(&self, image: &str) -> Pod {
        self.pod(json!({"containers": [{"name": "api", "image": image}]}))
            .await
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

    async fn ready(&self) -> Value {
        self.status("ready", |status| status["containerStatuses"][0]["ready"] == true)
            .await
    }
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
    let image = here.image(&pushed.digest);
    here.deployment("api", json!({"app": "api"}), 3, &image).await;
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
    here.run(&here.image(&pushed.digest)).await;
    let status = here.ready().await;
    assert_eq!(
        status["containerStatuses"][0]["imageID"],
        here.image(&pushed.digest)
    );
    here.done().await;
}

#[tokio::test]
async fn a_missing_image_backs_off_and_recovers_once_it_is_pushed() {
    let here = Here::new("missing").await;
    let later = format!("{}/mc-api:later", here.environment.registry_host());
    here.run(&later).await;
    let message = here.waiting("ImagePullBackOff").await;
    assert!(message.contains("mc-api/manifests/later: not found"), "{message}");
    here.pusher.push(&Image::new("later"), &["later"]).await.unwrap();
    here.ready().await;
    here.done().await;
}

#[tokio::test]
async fn a_crash_at_start_loops_and_says_how_it_ended() {
    let here = Here::new("crash").await;
    let image = Image::new("crash")
        .label("sluice.sim/crash-at-start", "no database")
        .label("sluice.sim/exit-code", "3");
    here.run(&here.push(&image).await).await;
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
    let image = Image::new("n").label("sluice.sim/never-ready", "true");
    here.run(&here.push(&image).await).await;
    let status = here
        .status("running", |status| status["phase"] == "Running")
        .await;
    assert_eq!(status["containerStatuses"][0]["ready"], false);
    let conditions = status["conditions"].as_array().unwrap();
    for (kind, wanted) in [("Ready", "False"), ("PodScheduled", "True")] {
        let is_it = |one: &Value| one["type"] == kind && one["status"] == wanted;
        assert!(
            conditions.iter().any(is_it),
            "{kind} is not {wanted}: {conditions:?}"
        );
    }
    here.done().await;
}

#[tokio::test]
async fn a_container_without_its_configmap_waits_for_it() {
    let here = Here::new("config").await;
    let image = here.push(&Image::new("config")).await;
    let settings = json!([{"configMapRef": {"name": "settings"}}]);
    here.pod(json!({"containers": [{"name": "api", "image": image, "envFrom": settings}]}))
        .await;
    assert_eq!(
        here.waiting("CreateContainerConfigError").await,
        "configmap \"settings\" not found"
    );
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}});
    here.apply::<ConfigMap>("settings", settings).await;
    here.ready().await;
    here.done().await;
}

#[tokio::test]
async fn jobs_complete_or_fail_by_the_exit_code() {
    let here = Here::new("jobs").await;
    for (name, code, condition) in [("good", "0", "Complete"), ("bad", "7", "Failed")] {
        let image = Image::new(name).label("sluice.sim/exit-code", code);
        let image = here.push(&image).await;
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "job", "image": image}]}}}});
        here.apply::<Job>(name, job).await;
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
    let first = here.push(&Image::new("init")).await;
    let main = here.push(&Image::new("main")).await;
    here.pod(json!({"initContainers": [{"name": "init", "image": first}],
        "containers": [{"name": "api", "image": main}]}))
        .await;
    let status = here.ready().await;
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
    let pod = here.run(&here.push(&image).await).await;
    let uid = pod.uid().unwrap();
    here.ready().await;
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
