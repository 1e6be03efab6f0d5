//! How many requests were made, in whole numbers that keep their proportion over time. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::flows::Flow;

/// What a balancer counts over one interval of one service or one of its backends.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// CloudWatch's namespace.
    pub metrics: String,
    /// The namespace in the cluster.
    pub namespace: String,
    /// The service, or one of its backends.
    pub service: String,
    /// Requests.
    pub requests: u64,
    /// Of these, answered with 5xx by a pod.
    pub errors: u64,
    /// Of these, answered with 503 as there was no pod to ask.
    pub unanswered: u64,
    /// How long those took that pods answered, by how many.
    pub latencies: Vec<(Duration, u64)>,
}

/// What is left over of each flow, and what its service answered when it last had pods.
#[derive(Debug, Default)]
pub struct Counts {
    rest: BTreeMap<(String, String, String), Rest>,
    last: BTreeMap<(String, String), (f64, String)>,
}

#[derive(Debug, Default, Clone)]
struct Rest {
    requests: f64,
    errors: f64,
}

/// The whole part; the rest stays.
fn take(rest: &mut f64) -> u64 {
    // A little more than what is there: ten tenths are one.
    let whole = (*rest + 1e-9).floor().max(0.0);
    *rest -= whole;
    whole as u64
}

impl Counts {
    /// What these flows made in this time: first of each backend, then of each service as a whole.
    pub fn count(&mut self, flows: &[Flow], time: Duration) -> Vec<Counted> {
        let mut parts: Vec<(&str, Counted)> = Vec::new();
        for flow in flows {
            if let Some(counted) = self.flow(flow, time) {
                parts.push((&flow.service, counted));
            }
        }
        self.rest.retain(|(namespace, service, backend), _| {
            flows
                .iter()
                .any(|flow| (&flow.namespace, &flow.service, &flow.backend) == (namespace, service, backend))
        });
        let mut wholes: BTreeMap<(String, String), Counted> = BTreeMap::new();
        for (service, part) in &parts {
            let whole = wholes
                .entry((part.namespace.clone(), (*service).to_owned()))
                .or_insert_with(|| Counted {
                    service: (*service).to_owned(),
                    requests: 0,
                    errors: 0,
                    unanswered: 0,
                    latencies: Vec::new(),
                    ..part.clone()
                });
            whole.requests += part.requests;
            whole.errors += part.errors;
            whole.unanswered += part.unanswered;
            whole.latencies.extend(part.latencies.clone());
        }
        let parts = parts
            .into_iter()
            .filter(|(service, part)| part.service != *service);
        parts.map(|(_, part)| part).chain(wholes.into_values()).collect()
    }

    fn flow(&mut self, flow: &Flow, time: Duration) -> Option<Counted> {
        let key = (flow.namespace.clone(), flow.service.clone());
        if let Some(first) = flow.pods.first() {
            let sum: f64 = flow.pods.iter().map(|pod| pod.requests_per_second).sum();
            let mean = sum / flow.pods.len() as f64;
            self.last.insert(key.clone(), (mean, first.namespace.clone()));
        }
        let (per_second, metrics) = self.last.get(&key)?.clone();
        let rest = self
            .rest
            .entry((flow.namespace.clone(), flow.service.clone(), flow.backend.clone()))
            .or_default();
        rest.requests += per_second * time.as_secs_f64() * flow.percent / 100.0;
        let requests = take(&mut rest.requests);
        let mut counted = Counted {
            metrics,
            namespace: flow.namespace.clone(),
            service: flow.backend.clone(),
            requests,
            errors: 0,
            unanswered: 0,
            latencies: Vec::new(),
        };
        if flow.pods.is_empty() {
            counted.unanswered = requests;
            return Some(counted);
        }
        let rates: f64 = flow.pods.iter().map(|pod| pod.error_rate).sum();
        rest.errors += requests as f64 * rates / flow.pods.len() as f64 / 100.0;
        counted.errors = take(&mut rest.errors).min(requests);
        let slowest = flow.pods.iter().map(|pod| pod.latency).max().unwrap_or_default();
        counted.latencies.push((slowest, requests));
        Some(counted)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::node::load::Load;

    fn flow(backend: &str, percent: f64, error_rates: &[f64]) -> Flow {
        let pod = |&error_rate: &f64| Load {
            requests_per_second: 10.0,
            error_rate,
            latency: Duration::from_millis(20),
            namespace: "X".into(),
        };
        Flow {
            namespace: "dev".into(),
            service: "api".into(),
            backend: backend.into(),
            percent,
            pods: error_rates.iter().map(pod).collect(),
        }
    }

    fn over(counts: &mut Counts, flows: &[Flow], seconds: u32) -> BTreeMap<String, (u64, u64, u64)> {
        let mut sums = BTreeMap::<String, (u64, u64, u64)>::new();
        for counted in (0..seconds).flat_map(|_| counts.count(flows, Duration::from_secs(1))) {
            let sum = sums.entry(counted.service).or_default();
            sum.0 += counted.requests;
            sum.1 += counted.errors;
            sum.2 += counted.unanswered;
        }
        sums
    }

    #[test]
    fn requests_and_errors_keep_their_proportion() {
        let flows = [
            flow("api-blue", 95.0, &[0.0, 0.0]),
            flow("api-green", 5.0, &[50.0]),
        ];
        let sums = over(&mut Counts::default(), &flows, 40);
        assert_eq!(sums["api-blue"], (380, 0, 0));
        assert_eq!(sums["api-green"], (20, 10, 0));
        assert_eq!(sums["api"], (400, 10, 0));
    }

    #[test]
    fn pods_of_two_images_make_the_errors_of_both() {
        let sums = over(
            &mut Counts::default(),
            &[flow("api-blue", 100.0, &[0.0, 100.0])],
            10,
        );
        assert_eq!(sums["api"], (100, 50, 0));
    }

    #[test]
    fn requests_to_nobody_are_answered_by_the_balancer() {
        let mut counts = Counts::default();
        let nobody = [flow("api-green", 100.0, &[])];
        assert!(
            over(&mut counts, &nobody, 5).is_empty(),
            "nothing is known of it yet"
        );
        over(&mut counts, &[flow("api-blue", 100.0, &[0.0])], 1);
        assert_eq!(over(&mut counts, &nobody, 5)["api-green"], (50, 0, 50));
    }

    #[test]
    fn a_service_that_is_its_own_backend_is_counted_once() {
        let counted = Counts::default().count(&[flow("api", 100.0, &[0.0])], Duration::from_secs(1));
        assert_eq!(counted.len(), 1);
        assert_eq!(counted[0].requests, 10);
    }
}
