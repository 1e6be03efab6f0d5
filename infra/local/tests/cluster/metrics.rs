//! Metrics in proportion to traffic, and the alarms that they raise, seen through the real `aws` command.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use sluice_local::image::Image;

use crate::here::{Here, until_is};

impl Here {
    /// A track with one pod of an image with 100 requests per second of the whole and this percent of errors.
    async fn answering(&self, track: &str, error_rate: &str) {
        let image = Image::new(track)
            .label("sluice.sim/requests-per-second", "100")
            .label("sluice.sim/error-rate", error_rate);
        self.track(track, 1, &self.push(&image).await).await;
    }

    async fn shift(&self, blue: u32, green: u32) {
        self.route("public", blue, green).await;
    }

    fn cloudwatch(&self, arguments: &[&str]) -> Value {
        self.aws("cloudwatch", arguments)
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

    async fn until_state(&self, alarm: &str, wanted: &str) {
        until_is(alarm, async || self.state(alarm), wanted.to_owned()).await;
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
    here.answering("blue", "0").await;
    here.answering("green", "40").await;
    let (blue, green, whole) = (here.alarm("api-blue"), here.alarm("api-green"), here.alarm("api"));
    let any = format!("{}-any", here.namespace);
    let rule = format!("ALARM(\"{blue}\") OR ALARM(\"{green}\")");
    here.cloudwatch(&["put-composite-alarm", "--alarm-name", &any, "--alarm-rule", &rule]);
    here.shift(100, 0).await;
    here.until_state(&green, "OK").await;
    let shifted = next_second().await;
    here.shift(90, 10).await;
    for alarm in [&green, &whole, &any] {
        here.until_state(alarm, "ALARM").await;
    }
    assert_eq!(here.state(&blue), "OK", "blue answers well");
    here.shift(100, 0).await;
    for alarm in [&green, &whole, &any] {
        here.until_state(alarm, "OK").await;
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
    here.done().await;
}
