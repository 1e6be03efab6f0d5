//! How many requests a release had.

use crate::Alarms;
use crate::error::CloudWatchError;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, StatusCode,
};
use jiff::Timestamp;
use sluice_aws::AwsPlace;
use sluice_domain::alarm::Counted;
use sluice_domain::pipeline::Requests;

const ACTION: &str = "GetMetricData";
/// The shortest period that every metric has, in seconds.
const PERIOD: i32 = 60;
/// The name of the only query.
const QUERY: &str = "requests";

impl Alarms {
    /// How many requests there were from `since` to `now`, summed over the metric. `track` is the Service of the track that
    /// has the release: it takes the place of `{track}` in a dimension's value.
    ///
    /// CloudWatch begins at the full minute, so that up to a minute before `since` may be in it. No data is no requests.
    pub async fn count(
        &self,
        at: &AwsPlace,
        requests: &Requests,
        track: &str,
        since: Timestamp,
        now: Timestamp,
    ) -> Counted {
        let counted = async {
            let client = self.client(at).await?;
            counted(&client, requests, track, since, now).await
        };
        match counted.await {
            Ok(count) => Counted::Count(count),
            Err(error) => Counted::Unreadable(error.said()),
        }
    }
}

async fn counted(
    client: &Client,
    requests: &Requests,
    track: &str,
    since: Timestamp,
    now: Timestamp,
) -> Result<u64, CloudWatchError> {
    // The end is exclusive, and what is counted in this very second is in the minute that began.
    let end = now.as_second().saturating_add(1);
    let mut pages = client
        .get_metric_data()
        .metric_data_queries(query(requests, track))
        .start_time(DateTime::from_secs(since.as_second()))
        .end_time(DateTime::from_secs(end))
        .into_paginator()
        .send();
    let mut sum = 0.0;
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| CloudWatchError::new(ACTION, error))?;
        for result in page.metric_data_results() {
            sum += summed(result)?;
        }
    }
    whole(sum)
}

fn query(requests: &Requests, track: &str) -> MetricDataQuery {
    let dimension = |(name, value): (&String, &String)| {
        Dimension::builder()
            .name(name)
            .value(value.replace("{track}", track))
            .build()
    };
    let metric = Metric::builder()
        .namespace(&requests.namespace)
        .metric_name(&requests.metric)
        .set_dimensions(Some(requests.dimensions.iter().map(dimension).collect()))
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(PERIOD)
        .stat("Sum")
        .build();
    MetricDataQuery::builder()
        .id(QUERY)
        .metric_stat(stat)
        .return_data(true)
        .build()
}

/// `PartialData` means that more pages follow, which are read.
fn summed(result: &MetricDataResult) -> Result<f64, CloudWatchError> {
    match result.status_code() {
        None | Some(StatusCode::Complete | StatusCode::PartialData) => Ok(result.values().iter().sum()),
        Some(other) => Err(CloudWatchError::Malformed {
            action: ACTION,
            what: format!("the count is {}", other.as_str()),
        }),
    }
}

/// Requests are whole; a sum that is none is no count.
fn whole(sum: f64) -> Result<u64, CloudWatchError> {
    // Beyond 2^53 not every whole number is one of these, and no release has as many requests.
    const MOST: f64 = 9_007_199_254_740_992.0;
    if sum.is_finite() && (0.0..=MOST).contains(&sum) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        return Ok(sum.floor() as u64);
    }
    Err(CloudWatchError::Malformed {
        action: ACTION,
        what: format!("the count is {sum}"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_track_is_named_where_the_pipeline_says() {
        let requests = Requests {
            namespace: "mc".into(),
            metric: "Requests".into(),
            dimensions: [
                ("Service".to_owned(), "{track}".to_owned()),
                ("Stage".to_owned(), "production".to_owned()),
            ]
            .into(),
            at_least: 100,
        };
        let query = query(&requests, "mc-api-green");
        let stat = query.metric_stat().unwrap();
        let dimensions: Vec<_> = stat
            .metric()
            .unwrap()
            .dimensions()
            .iter()
            .map(|one| (one.name().unwrap(), one.value().unwrap()))
            .collect();
        assert_eq!(dimensions, [("Service", "mc-api-green"), ("Stage", "production")]);
        assert_eq!((stat.stat(), stat.period()), (Some("Sum"), Some(60)));
    }

    #[test]
    fn a_sum_is_a_count_or_nothing() {
        assert_eq!(whole(0.0).unwrap(), 0);
        assert_eq!(whole(99.999).unwrap(), 99);
        for odd in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(whole(odd).is_err(), "{odd}");
        }
        let forbidden = MetricDataResult::builder()
            .status_code(StatusCode::Forbidden)
            .values(1.0)
            .build();
        assert!(summed(&forbidden).is_err());
        let partial = MetricDataResult::builder()
            .status_code(StatusCode::PartialData)
            .values(1.0)
            .values(2.0)
            .build();
        assert!(summed(&partial).is_ok_and(|sum| (sum - 3.0).abs() < f64::EPSILON));
    }
}
