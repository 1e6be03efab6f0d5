//! What an image's labels say of the requests that its containers answer, for the metrics of traffic.
//!
//! | label | meaning | default |
//! |---|---|---|
//! | `sluice.sim/requests-per-second` | requests of the whole service; without it an image makes no metrics | |
//! | `sluice.sim/error-rate` | percent of its requests that it answers with 5xx | `0` |
//! | `sluice.sim/latency` | how long an answer takes | `20ms` |
//! | `sluice.sim/metric-namespace` | CloudWatch's namespace for them | `Simulated/Traffic` |

use std::collections::BTreeMap;
use std::time::Duration;

use super::behaviour::{duration, get};

/// The requests that an image's containers answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Of the whole service, however many pods and tracks it has.
    pub requests_per_second: f64,
    /// Percent answered with 5xx, 0 to 100.
    pub error_rate: f64,
    /// From request to answer.
    pub latency: Duration,
    /// CloudWatch's namespace.
    pub namespace: String,
}

const LATENCY: Duration = Duration::from_millis(20);
const NAMESPACE: &str = "Simulated/Traffic";

impl Load {
    /// The load that these labels describe, none where they describe none, or every fault in them.
    pub fn read(labels: &BTreeMap<String, String>) -> Result<Option<Self>, String> {
        let mut faults = Vec::new();
        let mut number = |name: &str, most: f64| match get(labels, name).map(str::parse::<f64>) {
            None => None,
            Some(Ok(number)) if (0.0..=most).contains(&number) => Some(number),
            Some(_) => {
                faults.push(format!(
                    "label sluice.sim/{name} is {:?}: a number from 0 to {most} is wanted",
                    get(labels, name).unwrap_or_default()
                ));
                None
            }
        };
        let requests_per_second = number("requests-per-second", 1_000_000.0);
        let error_rate = number("error-rate", 100.0).unwrap_or(0.0);
        let latency = duration(labels, "latency").unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        Ok(requests_per_second.map(|requests_per_second| Self {
            requests_per_second,
            error_rate,
            latency: latency.unwrap_or(LATENCY),
            namespace: get(labels, "metric-namespace").unwrap_or(NAMESPACE).to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Load>, String> {
        let pair = |&(name, value): &(&str, &str)| (format!("sluice.sim/{name}"), value.to_owned());
        Load::read(&pairs.iter().map(pair).collect())
    }

    #[test]
    fn labels_say_what_an_image_answers() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[("error-rate", "5")]).unwrap(), None);
        let load = read(&[("requests-per-second", "200"), ("error-rate", "2.5")])
            .unwrap()
            .unwrap();
        assert_eq!((load.requests_per_second, load.error_rate), (200.0, 2.5));
        assert_eq!((load.latency, load.namespace.as_str()), (LATENCY, NAMESPACE));
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let fault = read(&[
            ("requests-per-second", "many"),
            ("error-rate", "101"),
            ("latency", "slow"),
        ])
        .unwrap_err();
        assert_eq!(fault.matches("is wanted").count(), 3, "{fault}");
        assert!(read(&[("requests-per-second", "NaN")]).is_err());
    }
}
