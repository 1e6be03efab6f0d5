//! Metrics in CloudWatch's embedded format: a line of JSON on standard output, from which CloudWatch makes the metric.
//!
//! Format: CloudWatch user guide, "Specification: Embedded metric format". Each metric is made twice: over everything,
//! which is what the template's alarms watch, and by service and environment; weights only by track. The template's
//! dashboard shows them.

use jiff::Timestamp;
use serde_json::{Value, json};
use sluice_domain::ids::{EnvironmentName, ReleaseNumber, ServiceName};
use sluice_domain::tracks::{Track, Weights};
use std::io::Write;

/// The namespace of all our metrics.
pub const NAMESPACE: &str = "Sluice";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Releases recorded.
    Releases,
    /// Promotions completed.
    Promotions,
    /// Promotions that failed.
    PromotionsFailed,
    /// Rollbacks completed.
    Rollbacks,
    /// From wanted to completed, in seconds.
    PromotionSeconds,
    /// From the call to verified, in seconds.
    RollbackSeconds,
    /// Environments that need a person.
    Stuck,
    /// A track's part of the traffic, in percent, each time that it is decided.
    TrackWeight,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 8] = [
        Metric::Releases,
        Metric::Promotions,
        Metric::PromotionsFailed,
        Metric::Rollbacks,
        Metric::PromotionSeconds,
        Metric::RollbackSeconds,
        Metric::Stuck,
        Metric::TrackWeight,
    ];

    /// Its name in CloudWatch.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Releases => "Releases",
            Self::Promotions => "Promotions",
            Self::PromotionsFailed => "PromotionsFailed",
            Self::Rollbacks => "Rollbacks",
            Self::PromotionSeconds => "PromotionSeconds",
            Self::RollbackSeconds => "RollbackSeconds",
            Self::Stuck => "Stuck",
            Self::TrackWeight => "TrackWeight",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::PromotionSeconds | Self::RollbackSeconds => "Seconds",
            Self::TrackWeight => "Percent",
            _ => "Count",
        }
    }
}

/// Where metrics go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metrics {
    /// To standard output, which Lambda sends to CloudWatch Logs.
    StandardOutput,
    /// Nowhere: for tests and for what runs outside Lambda.
    Nowhere,
}

impl Metrics {
    /// One more of it. `environment` is none where the metric is of a service as a whole.
    pub fn count(
        self,
        metric: Metric,
        service: &ServiceName,
        environment: Option<&EnvironmentName>,
        now: Timestamp,
    ) {
        self.write(&document(metric, 1.0, service, environment, now));
    }

    /// One more of it, with what the dashboard's log queries show beside it: which release, and why.
    pub fn count_of(
        self,
        metric: Metric,
        service: &ServiceName,
        environment: &EnvironmentName,
        about: About<'_>,
        now: Timestamp,
    ) {
        let document = document(metric, 1.0, service, Some(environment), now);
        self.write(&with(document, about.fields()));
    }

    /// How the traffic is shared out from now on. `adopted`: what was there before there were tracks is a part of it.
    pub fn weights(
        self,
        service: &ServiceName,
        environment: &EnvironmentName,
        weights: Weights,
        adopted: bool,
        now: Timestamp,
    ) {
        let before = adopted.then_some(("before", weights.original));
        let tracks = [Track::Blue, Track::Green].map(|track| (track.as_str(), weights.of(track)));
        for (track, weight) in tracks.into_iter().chain(before) {
            self.write(&weight_document(service, environment, track, weight, now));
        }
    }

    /// How long it took. A clock that went backwards counts as no time.
    pub fn took(
        self,
        metric: Metric,
        service: &ServiceName,
        environment: &EnvironmentName,
        since: Timestamp,
        now: Timestamp,
    ) {
        let seconds = now.duration_since(since).as_secs_f64().max(0.0);
        self.write(&document(metric, seconds, service, Some(environment), now));
    }

    /// One line, written at once, so that lines of other writers cannot come in between. A metric that cannot be
    /// written is no reason to fail the work that it counts.
    fn write(self, document: &Value) {
        if self == Self::StandardOutput
            && let Err(error) = std::io::stdout()
                .lock()
                .write_all(format!("{document}\n").as_bytes())
        {
            tracing::warn!(%error, "a metric could not be written");
        }
    }
}

/// What a count is about. Neither is a dimension: each value of one would be a metric of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct About<'a> {
    /// The release.
    pub release: Option<ReleaseNumber>,
    /// Why it was counted, in a sentence.
    pub reason: Option<&'a str>,
}

impl About<'_> {
    fn fields(self) -> Vec<(&'static str, Value)> {
        let release = self.release.map(|release| ("Release", json!(release.0)));
        let reason = self.reason.map(|reason| ("Reason", json!(reason)));
        release.into_iter().chain(reason).collect()
    }
}

fn with(mut document: Value, fields: Vec<(&'static str, Value)>) -> Value {
    if let Some(document) = document.as_object_mut() {
        document.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    document
}

/// Only by track: a sum over tracks would be 100 for ever.
fn weight_document(
    service: &ServiceName,
    environment: &EnvironmentName,
    track: &str,
    weight: u32,
    now: Timestamp,
) -> Value {
    let mut document = document(
        Metric::TrackWeight,
        f64::from(weight),
        service,
        Some(environment),
        now,
    );
    if let Some(dimensions) = document.pointer_mut("/_aws/CloudWatchMetrics/0/Dimensions") {
        *dimensions = json!([["Service", "Environment", "Track"]]);
    }
    with(document, vec![("Track", json!(track))])
}

fn document(
    metric: Metric,
    value: f64,
    service: &ServiceName,
    environment: Option<&EnvironmentName>,
    now: Timestamp,
) -> Value {
    let (named, dimensions) = match environment {
        Some(environment) => (
            json!({"Service": service, "Environment": environment}),
            json!([[], ["Service", "Environment"]]),
        ),
        None => (json!({"Service": service}), json!([[], ["Service"]])),
    };
    let mut document = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": dimensions,
                "Metrics": [{"Name": metric.as_str(), "Unit": metric.unit()}],
            }],
        },
    });
    if let (Some(document), Value::Object(named)) = (document.as_object_mut(), named) {
        document.extend(named);
        document.insert(metric.as_str().to_owned(), value.into());
    }
    document
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_document_is_what_cloudwatch_reads() {
        let service = ServiceName::parse("mc-api").unwrap();
        let environment = EnvironmentName::parse("production").unwrap();
        let now = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let written = document(Metric::RollbackSeconds, 4.5, &service, Some(&environment), now);
        assert_eq!(
            written,
            json!({
                "_aws": {
                    "Timestamp": 1_700_000_000_123_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Sluice",
                        "Dimensions": [[], ["Service", "Environment"]],
                        "Metrics": [{"Name": "RollbackSeconds", "Unit": "Seconds"}],
                    }],
                },
                "Service": "mc-api",
                "Environment": "production",
                "RollbackSeconds": 4.5,
            })
        );
        let written = document(Metric::Releases, 1.0, &service, None, now);
        assert_eq!(
            written["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([[], ["Service"]])
        );
        assert_eq!(
            (&written["Releases"], written.get("Environment")),
            (&json!(1.0), None)
        );
        assert!(!written.to_string().contains('\n'), "one document is one line");
        let about = About {
            release: Some(ReleaseNumber(42)),
            reason: Some("pod mc-api-1\nsays no"),
        };
        let failed = document(Metric::PromotionsFailed, 1.0, &service, Some(&environment), now);
        let failed = with(failed, about.fields());
        assert_eq!(
            (&failed["Release"], &failed["Reason"]),
            (&json!(42), &json!("pod mc-api-1\nsays no"))
        );
        assert!(!failed.to_string().contains('\n'), "one document is one line");
    }

    #[test]
    fn a_weight_is_of_one_track_and_of_no_sum() {
        let service = ServiceName::parse("mc-api").unwrap();
        let environment = EnvironmentName::parse("production").unwrap();
        let written = weight_document(&service, &environment, "green", 25, Timestamp::UNIX_EPOCH);
        let metric = &written["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metric["Dimensions"], json!([["Service", "Environment", "Track"]]));
        assert_eq!(
            metric["Metrics"],
            json!([{"Name": "TrackWeight", "Unit": "Percent"}])
        );
        assert_eq!(
            (&written["Track"], &written["TrackWeight"]),
            (&json!("green"), &json!(25.0))
        );
    }
}
