//! The history of traffic, read from a real cluster: `sluice-local run --without-sluice -- cargo test -p sluice-tests
//! --test traffic`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use anyhow::Result;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, ComparisonOperator, Dimension, HistoryItemType, Metric, MetricDataQuery, MetricStat,
    StateValue, Statistic,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluice_local::image::{Image, Pusher};
use sluice_local::routing::http_route;
use sluice_local::{Cluster, Environment};
use sluice_tests::traffic::{self, RouterKind};
use sluice_tests::wait::until;
use std::time::{Duration, SystemTime};

const LIMIT: Duration = Duration::from_secs(60);
const CLUSTER: &str = "mc-staging-eks";

struct Scene {
    here: Environment,
    cluster: Cluster,
    client: Client,
    namespace: String,
}

impl Scene {
    async fn new(name: &str) -> Result<Self> {
        let here = Environment::load()?;
        let cluster = here.cluster(CLUSTER)?.clone();
        let client = cluster.admin().await?;
        let namespace = cluster.create_test_namespace(name).await?;
        let scene = Self {
            here,
            cluster,
            client,
            namespace,
        };
        for track in ["blue", "green"] {
            scene.service(&format!("api-{track}"), track).await?;
        }
        Ok(scene)
    }

    async fn push(&self, content: &str) -> Result<String> {
        self.push_image(&Image::new(content)).await
    }

    async fn push_image(&self, image: &Image) -> Result<String> {
        let pushed = Pusher::new(&self.here, "mc-api").push(image, &[]).await?;
        Ok(pushed.digest)
    }

    async fn service(&self, name: &str, track: &str) -> Result<()> {
        let api: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": "api", "sluice.dev/track": track}, "ports": [{"port": 80}]}});
        api.patch(
            name,
            &PatchParams::apply("cutover").force(),
            &Patch::Apply(service),
        )
        .await?;
        Ok(())
    }

    async fn track(&self, track: &str, digest: &str, replicas: usize) -> Result<()> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let labels = json!({"app": "api", "sluice.dev/track": track});
        let image = format!("{}/mc-api@{digest}", self.here.registry_host());
        let name = format!("api-{track}");
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels},
                             "spec": {"containers": [{"name": "api", "image": image}]}}}});
        api.patch(
            &name,
            &PatchParams::apply("cutover").force(),
            &Patch::Apply(deployment),
        )
        .await?;
        Ok(())
    }

    /// Until so many endpoints of a Service are ready.
    async fn endpoints(&self, service: &str, wanted: usize) -> Result<()> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.namespace);
        let own = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        until(&format!("{wanted} endpoints of {service}"), LIMIT, || async {
            let slices = api.list(&own).await?;
            let ready = slices
                .items
                .iter()
                .flat_map(|slice| slice.endpoints.iter().flatten());
            let ready =
                ready.filter(|one| one.conditions.as_ref().is_some_and(|all| all.ready == Some(true)));
            let found = ready.count();
            Ok(if found == wanted {
                Ok(())
            } else {
                Err(found.to_string())
            })
        })
        .await
    }

    /// Writes the weights and waits until they are accepted.
    async fn shift(&self, blue: u32, green: u32) -> Result<()> {
        let resource = http_route::resource("HTTPRoute", "httproutes");
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let backend =
            |track: &str, weight: u32| json!({"name": format!("api-{track}"), "port": 80, "weight": weight});
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "api"}, "spec": {"parentRefs": [{"name": "public", "namespace": "gateways"}],
                "rules": [{"backendRefs": [backend("blue", blue), backend("green", green)]}]}});
        let written = api
            .patch(
                "api",
                &PatchParams::apply("cutover").force(),
                &Patch::Apply(route),
            )
            .await?;
        until("the weights' acceptance", LIMIT, || async {
            let now: Value = serde_json::to_value(api.get("api").await?)?;
            let accepted = http_route::accepted(&http_route::parents(&now));
            Ok(if accepted == written.metadata.generation {
                Ok(())
            } else {
                Err(format!("{accepted:?}"))
            })
        })
        .await
    }

    async fn done(self) -> Result<()> {
        self.cluster.delete_namespace(&self.namespace).await
    }
}

#[tokio::test]
async fn a_cutover_is_told_revision_by_revision() -> Result<()> {
    let scene = Scene::new("traffic").await?;
    let (old, new) = (scene.push("traffic old").await?, scene.push("traffic new").await?);
    scene.track("blue", &old, 2).await?;
    scene.endpoints("api-blue", 2).await?;
    scene.service("api", "blue").await?;
    scene.endpoints("api", 2).await?;
    let begun = traffic::now(&scene.here, CLUSTER).await?;
    scene.shift(100, 0).await?;
    scene.track("green", &new, 2).await?;
    scene.endpoints("api-green", 2).await?;
    for (blue, green) in [(95, 5), (50, 50), (0, 100)] {
        scene.shift(blue, green).await?;
    }
    scene.service("api", "green").await?;
    scene.endpoints("api", 2).await?;
    scene.track("blue", &old, 0).await?;
    scene.endpoints("api-blue", 0).await?;

    let history = traffic::history(&scene.here, CLUSTER, &scene.namespace).await?;
    let route = history.of(RouterKind::HttpRoute, "api")?;
    assert_eq!(route.walk("api-green"), [0.0, 5.0, 50.0, 100.0]);
    route.assert_weights_within("api-green", &[0.0, 5.0, 50.0, 100.0])?;
    route.assert_no_dead_weight(|_| 2)?;
    route.assert_only(&[&old, &new])?;
    assert_eq!(route.digests(), [old.clone(), new.clone()].into());
    assert_eq!(route.end().unwrap().served, route.end().unwrap().asked);
    let since = history.between(begun, u64::MAX);
    let root = since.of(RouterKind::Service, "api")?;
    assert_eq!(root.walk("api-green"), [0.0, 100.0]);
    root.assert_no_dead_weight(|_| 2)?;
    root.assert_only(&[&old, &new])?;
    assert_eq!(since.moments.last().unwrap().replicas["api-blue"], 0);
    scene.done().await
}

#[tokio::test]
async fn a_cutover_in_the_wrong_order_is_found() -> Result<()> {
    let scene = Scene::new("traffic-wrong").await?;
    let (old, new) = (scene.push("wrong old").await?, scene.push("wrong new").await?);
    scene.track("blue", &old, 2).await?;
    scene.endpoints("api-blue", 2).await?;
    scene.shift(100, 0).await?;
    scene.shift(75, 25).await?; // before anything runs there
    scene.track("green", &new, 2).await?;
    scene.endpoints("api-green", 2).await?;
    let history = traffic::history(&scene.here, CLUSTER, &scene.namespace).await?;
    let route = history.of(RouterKind::HttpRoute, "api")?;
    let fault = route.assert_no_dead_shift(|_| 1).unwrap_err().to_string();
    assert!(
        fault.contains("api-green was raised from 0 to 25 %") && fault.contains("cutover"),
        "{fault}"
    );
    assert!(route.assert_no_dead_weight(|_| 1).is_err());
    assert!(route.assert_only(&[&old]).is_err());
    scene.done().await
}

/// As root, as this environment may have been started without Sluice.
async fn cloudwatch(here: &Environment) -> aws_sdk_cloudwatch::Client {
    let root = aws_credential_types::Credentials::new("test", "test", None, None, "root");
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .endpoint_url(&here.endpoint)
        .region(aws_config::Region::new(here.region.clone()))
        .credentials_provider(root)
        .load()
        .await;
    aws_sdk_cloudwatch::Client::new(&config)
}

/// An alarm on the errors of one Service of a namespace, by the real SDK.
async fn alarm(cloudwatch: &aws_sdk_cloudwatch::Client, namespace: &str, service: &str) -> Result<String> {
    let name = format!("{namespace}-{service}-5xx");
    let put = cloudwatch
        .put_metric_alarm()
        .alarm_name(&name)
        .namespace("Simulated/Traffic")
        .metric_name("HTTPCode_Target_5XX_Count")
        .set_dimensions(Some(dimensions(namespace, service)))
        .statistic(Statistic::Sum)
        .period(10)
        .evaluation_periods(1)
        .threshold(3.0)
        .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
        .treat_missing_data("notBreaching");
    put.send().await?;
    Ok(name)
}

fn dimensions(namespace: &str, service: &str) -> Vec<Dimension> {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    vec![dimension("Namespace", namespace), dimension("Service", service)]
}

async fn state(cloudwatch: &aws_sdk_cloudwatch::Client, name: &str) -> Result<Option<StateValue>> {
    let found = cloudwatch
        .describe_alarms()
        .alarm_names(name)
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .send()
        .await?;
    let composite = found
        .composite_alarms()
        .first()
        .and_then(|one| one.state_value().cloned());
    Ok(found
        .metric_alarms()
        .first()
        .and_then(|one| one.state_value().cloned())
        .or(composite))
}

async fn until_alarm(cloudwatch: &aws_sdk_cloudwatch::Client, name: &str, wanted: StateValue) -> Result<()> {
    until(&format!("{name} {wanted}"), LIMIT, || async {
        let found = state(cloudwatch, name).await?;
        Ok(if found.as_ref() == Some(&wanted) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        })
    })
    .await
}

#[tokio::test]
async fn a_bad_canary_raises_an_alarm_of_its_own() -> Result<()> {
    let scene = Scene::new("bad-canary").await?;
    let cloudwatch = cloudwatch(&scene.here).await;
    let image = |content: &str, errors: &str| {
        Image::new(content)
            .label("sluice.sim/requests-per-second", "100")
            .label("sluice.sim/error-rate", errors)
    };
    let good = scene.push_image(&image("good", "0")).await?;
    let bad = scene.push_image(&image("bad", "40")).await?;
    let on_blue = alarm(&cloudwatch, &scene.namespace, "api-blue").await?;
    let on_green = alarm(&cloudwatch, &scene.namespace, "api-green").await?;
    let any = format!("{}-any", scene.namespace);
    cloudwatch
        .put_composite_alarm()
        .alarm_name(&any)
        .alarm_rule(format!("ALARM({on_blue}) OR ALARM({on_green})"))
        .send()
        .await?;
    scene.track("blue", &good, 2).await?;
    scene.track("green", &bad, 2).await?;
    scene.endpoints("api-blue", 2).await?;
    scene.endpoints("api-green", 2).await?;
    scene.shift(100, 0).await?;
    until_alarm(&cloudwatch, &on_green, StateValue::Ok).await?;
    let shifted = SystemTime::now();
    scene.shift(90, 10).await?;
    until_alarm(&cloudwatch, &on_green, StateValue::Alarm).await?;
    until_alarm(&cloudwatch, &any, StateValue::Alarm).await?;
    assert_ne!(state(&cloudwatch, &on_blue).await?, Some(StateValue::Alarm));

    scene.shift(100, 0).await?;
    until_alarm(&cloudwatch, &on_green, StateValue::Ok).await?;
    until_alarm(&cloudwatch, &any, StateValue::Ok).await?;
    let history = cloudwatch
        .describe_alarm_history()
        .alarm_name(&on_green)
        .history_item_type(HistoryItemType::StateUpdate)
        .start_date(DateTime::from(shifted))
        .send()
        .await?;
    let told: Vec<&str> = history
        .alarm_history_items()
        .iter()
        .filter_map(|one| one.history_summary())
        .collect();
    assert_eq!(
        told,
        ["Alarm updated from ALARM to OK", "Alarm updated from OK to ALARM"],
        "the newest first"
    );

    let requests = |service: &str| {
        let metric = Metric::builder()
            .namespace("Simulated/Traffic")
            .metric_name("RequestCount")
            .set_dimensions(Some(dimensions(&scene.namespace, service)))
            .build();
        let stat = MetricStat::builder().metric(metric).period(1).stat("Sum").build();
        MetricDataQuery::builder()
            .id(service.replace("api-", ""))
            .metric_stat(stat)
            .build()
    };
    let ratio = MetricDataQuery::builder()
        .id("ratio")
        .expression("green / (green + blue)")
        .build();
    let found = cloudwatch
        .get_metric_data()
        .set_metric_data_queries(Some(vec![requests("api-blue"), requests("api-green"), ratio]))
        .start_time(DateTime::from(shifted))
        .end_time(DateTime::from(SystemTime::now() + Duration::from_secs(1)))
        .send()
        .await?;
    let ratios = found
        .metric_data_results()
        .iter()
        .find(|one| one.id() == Some("ratio"))
        .unwrap()
        .values();
    // Whole requests: a tenth of a second's hundred is ten, give or take one.
    assert!(
        ratios.iter().any(|ratio| (0.05..0.15).contains(ratio)),
        "{ratios:?}"
    );
    for name in [&any, &on_blue, &on_green] {
        cloudwatch.delete_alarms().alarm_names(name).send().await?;
    }
    scene.done().await
}
