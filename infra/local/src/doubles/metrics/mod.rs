//! A SIMULATION of what a load balancer's metrics say: for images whose labels give a number of requests ([`load`]), counts
//! in proportion to the weight that is served now, every second, in CloudWatch.
//!
//! Metrics are named as an Application Load Balancer's are
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html>), and are
//! reported only when they are not zero, as those: RequestCount, HTTPCode_Target_5XX_Count, HTTPCode_ELB_5XX_Count,
//! TargetResponseTime. Each has the dimensions Namespace and Service, once for the service as a whole and once for each of
//! its backends.
//!
//! [`load`]: crate::node::load

mod counts;
mod flows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::aws::{Form, Query};
use super::programmed::Programmed;
use super::seen::Seen;
use crate::node::image::Registry;
use crate::node::load::Load;
use counts::{Counted, Counts};
use flows::{Known, Services, flows};

const EVERY: Duration = Duration::from_secs(1);
const TRACK: &str = "sluice.dev/track";
/// PutMetricData takes 1,000 at most.
const AT_ONCE: usize = 500;

/// The metrics of one cluster's traffic.
pub struct Metrics {
    seen: Seen,
    programmed: Programmed,
    registry: Registry,
    cloudwatch: Query,
    /// What each image answers, once its labels are known.
    loads: BTreeMap<String, Option<Load>>,
    counts: Counts,
}

/// One value of a metric; `times` of it.
struct Datum {
    name: &'static str,
    unit: &'static str,
    value: f64,
    times: u64,
    namespace: String,
    service: String,
}

impl Metrics {
    /// Published to the local AWS at this endpoint.
    pub fn new(seen: Seen, programmed: Programmed, endpoint: &str) -> Result<Self> {
        Ok(Self {
            seen,
            programmed,
            registry: Registry::new(endpoint)?,
            cloudwatch: Query::new(endpoint, "monitoring", "2010-08-01")?,
            loads: BTreeMap::new(),
            counts: Counts::default(),
        })
    }

    /// Publishes until dropped.
    pub async fn run(mut self) -> Result<()> {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            every.tick().await;
            let time = last.elapsed();
            last = Instant::now();
            if let Err(error) = self.publish(time).await {
                tracing::warn!(%error, "publishing the metrics of traffic failed");
            }
        }
    }

    async fn publish(&mut self, time: Duration) -> Result<()> {
        self.learn().await;
        if self.loads.values().all(Option::is_none) {
            return Ok(());
        }
        let flows = flows(&self.programmed.all(), &self.services());
        let mut by_namespace: BTreeMap<String, Vec<Datum>> = BTreeMap::new();
        for counted in self.counts.count(&flows, time) {
            let namespace = counted.metrics.clone();
            by_namespace.entry(namespace).or_default().extend(data(counted));
        }
        for (namespace, data) in by_namespace {
            for data in data.chunks(AT_ONCE) {
                self.cloudwatch
                    .call("PutMetricData", form(&namespace, data))
                    .await?;
            }
        }
        Ok(())
    }

    /// Reads the labels of images that are new here. One that cannot be read is tried again.
    async fn learn(&mut self) {
        for pod in self.seen.pods.state() {
            for image in images(&pod) {
                if self.loads.contains_key(image) {
                    continue;
                }
                if let Ok(labels) = self.registry.labels(image).await {
                    let load = Load::read(&labels).unwrap_or_default();
                    self.loads.insert(image.to_owned(), load);
                }
            }
        }
    }

    fn services(&self) -> Services {
        let mut services = Services::new();
        for service in self.seen.services.state() {
            let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
            let pods = self.seen.endpoints(&namespace, &name);
            let known = Known {
                pods: pods.iter().filter_map(|pod| self.answers(pod)).collect(),
            };
            services.insert((namespace, name), known);
        }
        services
    }

    /// A pod's track and what it answers: its first container that answers anything.
    fn answers(&self, pod: &Arc<Pod>) -> Option<(Option<String>, Load)> {
        let load = images(pod).find_map(|image| self.loads.get(image)?.clone())?;
        Some((pod.labels().get(TRACK).cloned(), load))
    }
}

fn images(pod: &Pod) -> impl Iterator<Item = &str> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.filter_map(|container| container.image.as_deref())
}

fn data(counted: Counted) -> Vec<Datum> {
    let datum = |name, unit, value, times| Datum {
        name,
        unit,
        value,
        times,
        namespace: counted.namespace.clone(),
        service: counted.service.clone(),
    };
    let count = |name, value: u64| datum(name, "Count", value as f64, 1);
    let latencies = counted
        .latencies
        .iter()
        .map(|(time, times)| datum("TargetResponseTime", "Seconds", time.as_secs_f64(), *times));
    let counts = [
        count("RequestCount", counted.requests),
        count("HTTPCode_Target_5XX_Count", counted.errors),
        count("HTTPCode_ELB_5XX_Count", counted.unanswered),
    ];
    let all = counts.into_iter().chain(latencies);
    all.filter(|datum| datum.value > 0.0 && datum.times > 0).collect()
}

fn form(namespace: &str, data: &[Datum]) -> Form {
    let at = format!("{:.3}", Timestamp::now());
    let mut form = Form::default().with("Namespace", namespace);
    for (number, datum) in data.iter().enumerate() {
        let at_number = format!("MetricData.member.{}", number + 1);
        form.push(format!("{at_number}.MetricName"), datum.name);
        form.push(format!("{at_number}.Unit"), datum.unit);
        form.push(format!("{at_number}.Timestamp"), &at);
        form.push(format!("{at_number}.StorageResolution"), 1);
        form.push(format!("{at_number}.Values.member.1"), datum.value);
        form.push(format!("{at_number}.Counts.member.1"), datum.times);
        let dimensions = [("Namespace", &datum.namespace), ("Service", &datum.service)];
        for (number, (name, value)) in dimensions.into_iter().enumerate() {
            let at_number = format!("{at_number}.Dimensions.member.{}", number + 1);
            form.push(format!("{at_number}.Name"), name);
            form.push(format!("{at_number}.Value"), value);
        }
    }
    form
}
