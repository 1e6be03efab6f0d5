//! Metrics in proportion to traffic, and the alarms that they raise, seen through the real `aws` command: `sluice-local run
//! --without-sluice -- cargo test -p sluice-local --test metrics`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use sluice_local::Environment;
use sluice_local::image::{Image, Pusher};
use sluice_local::routing::http_route;

const LIMIT: Duration = Duration::from_secs(90);

struct Here {
    environment: Environment,
    client: kube::Client,
    namespace: String,
}

impl Here {
    async fn new(name: &str) -> Self {
        let environment = Environment::load().unwrap();
        let cluster = environment.clusters[0].clone();
        let client = cluster.admin().await.unwrap();
        let namespace = cluster.create_test_namespace(name).await.unwrap();
        Self {
            environment,
            client,
            namespace,
        }
    }

    /// A track with one pod of an image with 100 requests per second of the whole and this percent of errors.
    async fn track(&self, track: &str, error_rate: &str) {
        let image = Image::new(track)
            .label("sluice.sim/requests-per-second", "100")
            .label("sluice.sim/error-rate", error_rate);
        let pusher = Pusher::new(&self.environment, "mc-api");
        let pushed = pusher.push(&image, &[]).await.unwrap();
        let image = format!("{}/mc-api@{}", self.environment.registry_host(), pushed.digest);
        let (name, labels) = (
            format!("api-{track}"),
            json!({"app": "api", "sluice.dev/track": track}),
        );
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80}]}});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels},
                             "spec": {"containers": [{"name": "api", "image": image}]}}}});
        let apply = PatchParams::apply("test").force();
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        services
            .patch(&name, &apply, &Patch::Apply(service))
            .await
            .unwrap();
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        deployments
            .patch(&name, &apply, &Patch::Apply(deployment))
            .await
            .unwrap();
    }

    async fn shift(&self, blue: u32, green: u32) {
        let resource = http_route::resource("HTTPRoute", "httproutes");
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "api"}, "spec": {"parentRefs": [{"name": "public", "namespace": "gateways"}],
                "rules": [{"backendRefs": [{"name": "api-blue", "port": 80, "weight": blue},
                                           {"name": "api-green", "port": 80, "weight": green}]}]}});
        api.patch("api", &PatchParams::apply("test").force(), &Patch::Apply(route))
            .await
            .unwrap();
    }

    fn cloudwatch(&self, arguments: &[&str]) -> Value {
        let output = std::process::Command::new(self.environment.sam_bin.join("aws"))
            .args(["cloudwatch", "--output", "json"])
            .args(arguments)
            .envs(self.environment.variables())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn dimensions(&self, service: &str) -> String {
        let namespace = &self.namespace;
        json!([{"Name": "Namespace", "Value": namespace}, {"Name": "Service", "Value": service}]).to_string()
    }

    /// An alarm on the errors of a Service in 10 seconds.
    fn alarm(&self, service: &str) -> String {
        let name = format!("{}-{service}", self.namespace);
        let dimensions = self.dimensions(service);
        self.cloudwatch(&[
            "put-metric-alarm",
            "--alarm-name",
            &name,
            "--namespace",
            "Simulated/Traffic",
            "--metric-name",
            "HTTPCode_Target_5XX_Count",
            "--dimensions",
            &dimensions,
            "--statistic",
            "Sum",
            "--period",
            "10",
            "--evaluation-periods",
            "1",
            "--threshold",
            "3",
            "--comparison-operator",
            "GreaterThanOrEqualToThreshold",
            "--treat-missing-data",
            "notBreaching",
        ]);
        name
    }

    fn state(&self, alarm: &str) -> String {
        let found = self.cloudwatch(&[
            "describe-alarms",
            "--alarm-names",
            alarm,
            "--alarm-types",
            "MetricAlarm",
            "CompositeAlarm",
        ]);
        let all = [&found["MetricAlarms"][0], &found["CompositeAlarms"][0]];
        let state = all.iter().find_map(|one| one["StateValue"].as_str());
        state.unwrap_or("absent").to_owned()
    }

    async fn until(&self, alarm: &str, wanted: &str) {
        let started = Instant::now();
        loop {
            let found = self.state(alarm);
            if found == wanted {
                return;
            }
            assert!(started.elapsed() < LIMIT, "{alarm} is {found}, not {wanted}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How many requests a Service got since then.
    fn requests(&self, service: &str, since: Timestamp) -> f64 {
        let now = Timestamp::now() + Duration::from_secs(1);
        let found = self.cloudwatch(&[
            "get-metric-statistics",
            "--namespace",
            "Simulated/Traffic",
            "--metric-name",
            "RequestCount",
            "--dimensions",
            &self.dimensions(service),
            "--statistics",
            "Sum",
            "--period",
            "1",
            "--start-time",
            &since.to_string(),
            "--end-time",
            &now.to_string(),
        ]);
        let points = found["Datapoints"].as_array().unwrap().iter();
        points.map(|one| one["Sum"].as_f64().unwrap()).sum()
    }
}

/// The AWS CLI cuts times to whole seconds, and the alarm may have turned in the second that has begun.
async fn next_second() -> Timestamp {
    let begun = Timestamp::now().as_second();
    loop {
        let now = Timestamp::now();
        if now.as_second() > begun {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_canary_raises_an_alarm_of_its_own() {
    let here = Here::new("metrics").await;
    here.track("blue", "0").await;
    here.track("green", "40").await;
    let (blue, green, whole) = (here.alarm("api-blue"), here.alarm("api-green"), here.alarm("api"));
    let any = format!("{}-any", here.namespace);
    let rule = format!("ALARM(\"{blue}\") OR ALARM(\"{green}\")");
    here.cloudwatch(&["put-composite-alarm", "--alarm-name", &any, "--alarm-rule", &rule]);
    here.shift(100, 0).await;
    here.until(&green, "OK").await;
    let shifted = next_second().await;
    here.shift(90, 10).await;
    for alarm in [&green, &whole, &any] {
        here.until(alarm, "ALARM").await;
    }
    assert_eq!(here.state(&blue), "OK", "blue answers well");
    here.shift(100, 0).await;
    for alarm in [&green, &whole, &any] {
        here.until(alarm, "OK").await;
    }
    let history = here.cloudwatch(&[
        "describe-alarm-history",
        "--alarm-name",
        &green,
        "--history-item-type",
        "StateUpdate",
        "--start-date",
        &shifted.to_string(),
    ]);
    let told = history["AlarmHistoryItems"].as_array().unwrap().iter();
    let told: Vec<&str> = told.map(|one| one["HistorySummary"].as_str().unwrap()).collect();
    assert_eq!(
        told,
        ["Alarm updated from ALARM to OK", "Alarm updated from OK to ALARM"],
        "the newest first"
    );
    let (all, part) = (here.requests("api", shifted), here.requests("api-green", shifted));
    assert!(
        part > 0.0 && part < all / 5.0,
        "{part} of {all} requests went to green"
    );
    here.cloudwatch(&["delete-alarms", "--alarm-names", &any]);
    here.cloudwatch(&["delete-alarms", "--alarm-names", &blue, &green, &whole]);
    here.environment.clusters[0]
        .delete_namespace(&here.namespace)
        .await
        .unwrap();
}
