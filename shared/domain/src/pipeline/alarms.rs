//! `alarms`, `watch` and `requests`: what says that a release is ill, and for how long it is listened to.

use super::reading::Reading;
use super::section::{Section, Text};
use super::text::quote;
use super::{FaultKind, Requests, Seconds, keys};
use std::collections::BTreeMap;

/// Limits of `watch`. CloudWatch keeps an alarm's history for 30 days (DescribeAlarmHistory); a week is long for pods that
/// are kept only to go back to.
pub(super) const WATCH: (Seconds, Seconds) = (Seconds(10), Seconds(7 * 86_400));
/// DescribeAlarms takes at most 100 names: all states are then of one reading.
const MOST: usize = 100;
/// CloudWatch, PutMetricAlarm, `AlarmName`: 1 to 255.
const LONGEST_NAME: usize = 255;
/// CloudWatch API reference, MetricDatum and Dimension.
const LONGEST_METRIC: usize = 255;
const MOST_DIMENSIONS: usize = 30;
const LONGEST_VALUE: usize = 1_024;

const ALARM: &str = "an alarm's name as CloudWatch shows it, such as \"mc-api-production-5xx\"";
const METRIC: &str = "namespace, a space and the metric's name, such as \"AWS/ApplicationELB RequestCount\"";
const REQUESTS: (u32, u32) = (1, 1_000_000_000);

/// What could be read.
pub(super) struct Alarms {
    pub names: Vec<String>,
    pub watch: Option<Seconds>,
    /// The file lists some, whether they can be read or not.
    pub some: bool,
}

pub(super) fn read(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Alarms {
    let texts = reading.texts(section, "alarms").unwrap_or_default();
    if let Some(first_too_many) = texts.get(MOST) {
        let problem = format!("is one of {} alarms", texts.len());
        let right = format!("at most {MOST}; a composite alarm stands for several");
        let found = first_too_many.quoted();
        reading.fault(FaultKind::Value, &first_too_many.place, found, problem, right);
    }
    let names: Vec<String> = texts
        .iter()
        .filter_map(|text| reading.parsed(text, ALARM, name))
        .collect();
    let some = section.lists("alarms");
    let watch = reading.optional_duration(section, "watch", WATCH);
    if section.has("watch") && !some {
        check_watch(reading, section);
    }
    Alarms { names, watch, some }
}

/// Tracks are kept warm through a watch, also where only a person could go back to them.
fn check_watch(reading: &mut Reading<'_>, section: &Section<'_, '_>) {
    let tracks = section.value("strategy").is_some_and(|value| value.is_table());
    let problem = if tracks {
        "there are no alarms to watch: the old track is kept warm, and only a person could go back to it"
    } else {
        "there are no alarms to watch"
    };
    let right = "alarms = [\"...\"], or no watch";
    let place = section.place_of("watch");
    reading.fault(FaultKind::Warning, &place, None, problem, right);
}

fn name(text: &str) -> Result<String, &'static str> {
    if text.starts_with("arn:") {
        return Err("is an ARN; an alarm is named, and is of the environment's account and region");
    }
    if !(1..=LONGEST_NAME).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        return Err("is no name of an alarm: 1 to 255 characters without control characters");
    }
    Ok(text.to_owned())
}

/// `requests` of a canary.
pub(super) fn requests(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    alarms: &Alarms,
) -> Option<Requests> {
    let requests = reading.section(section, "requests")?;
    reading.keys(&requests, &keys::REQUESTS);
    if !alarms.some {
        let problem = "says when alarms count, and there are none";
        let right = "alarms = [\"...\"] of the environment, or no requests";
        reading.fault(FaultKind::Conflict, &requests.place(), None, problem, right);
    }
    let metric = reading.required_text(&requests, "metric", METRIC);
    let metric = metric.and_then(|text| reading.parsed(&text, METRIC, metric_name));
    let dimensions = dimensions(reading, &requests);
    if let Some((namespace, _)) = &metric {
        check_dimensions(reading, &requests, namespace);
    }
    let right = "a whole number from 1 up, summed over the bake, such as 100";
    let at_least = reading.required_number(&requests, "at_least", REQUESTS, right);
    let (namespace, metric) = metric?;
    Some(Requests {
        namespace,
        metric,
        dimensions,
        at_least: at_least?,
    })
}

/// A metric's name may have spaces (`LoadedModels Count`); the namespaces that are published have none.
fn metric_name(text: &str) -> Result<(String, String), &'static str> {
    let (namespace, metric) = text
        .split_once(' ')
        .ok_or("is not a namespace and a metric's name with a space between")?;
    let fits = |part: &str| {
        (1..=LONGEST_METRIC).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
    };
    if !fits(namespace) || !fits(metric) || metric.starts_with(' ') || metric.ends_with(' ') {
        return Err("is no namespace and metric of CloudWatch: each 1 to 255 characters of ASCII");
    }
    if namespace.starts_with(':') {
        return Err("has a namespace that starts with a colon, which CloudWatch does not take");
    }
    Ok((namespace.to_owned(), metric.to_owned()))
}

fn dimensions(reading: &mut Reading<'_>, requests: &Section<'_, '_>) -> BTreeMap<String, String> {
    let Some(table) = reading.section(requests, "dimensions") else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for key in table.names() {
        if !is_dimension(key.text, LONGEST_METRIC) || key.text.starts_with(':') {
            let problem = "is no name of a dimension";
            let right = "1 to 255 characters of ASCII, not all spaces, without a colon at the start";
            reading.fault(FaultKind::Value, &key.place, key.quoted(), problem, right);
        }
        let right =
            "1 to 1024 characters of ASCII, in which `{track}` stands for the Service of the release's track";
        let value: Option<Text<'_>> = reading.text(&table, key.text);
        let value = value.and_then(|text| reading.parsed(&text, right, dimension));
        if let Some(value) = value {
            found.insert(key.text.to_owned(), value);
        }
    }
    if found.len() > MOST_DIMENSIONS {
        let problem = format!("has {} dimensions", found.len());
        let right = format!("at most {MOST_DIMENSIONS}");
        reading.fault(FaultKind::Value, &table.place(), None, problem, right);
    }
    found
}

fn is_dimension(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        && !text.trim().is_empty()
}

/// A value with another placeholder than `{track}` would name a metric that nobody publishes.
fn dimension(text: &str) -> Result<String, String> {
    if !is_dimension(text, LONGEST_VALUE) {
        return Err("is no value of a dimension".to_owned());
    }
    let rest = text.replace("{track}", "");
    match rest.split_once('{') {
        Some((_, after)) if after.contains('}') => {
            let name = after.split('}').next().unwrap_or_default();
            Err(format!(
                "has {}, which stands for nothing",
                quote(&format!("{{{name}}}"))
            ))
        }
        _ => Ok(text.to_owned()),
    }
}

/// AWS's own services publish with dimensions only: without them there are no data, and no step would ever have enough
/// requests.
fn check_dimensions(reading: &mut Reading<'_>, requests: &Section<'_, '_>, namespace: &str) {
    let none = requests
        .table("dimensions")
        .is_none_or(|table| table.names().next().is_none());
    if none && namespace.starts_with("AWS/") {
        let problem =
            format!("{namespace} publishes its metrics with dimensions: this one likely has no data");
        let right = "dimensions = { LoadBalancer = \"app/...\", TargetGroup = \"targetgroup/...\" } or those of the \
                     metric as CloudWatch shows it";
        reading.fault(
            FaultKind::Warning,
            &requests.place_of("metric"),
            None,
            problem,
            right,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_a_namespace_and_a_name() {
        let table = [
            (
                "AWS/ApplicationELB RequestCount",
                Some(("AWS/ApplicationELB", "RequestCount")),
            ),
            ("Shop Loaded Models", Some(("Shop", "Loaded Models"))),
            ("RequestCount", None),
            (" RequestCount", None),
            ("AWS/ApplicationELB ", None),
            ("AWS/ApplicationELB  RequestCount", None),
            (":x y", None),
            ("x y\n", None),
            ("x \u{e9}", None),
        ];
        for (text, wanted) in table {
            let found = metric_name(text).ok();
            let found = found.as_ref().map(|(one, two)| (one.as_str(), two.as_str()));
            assert_eq!(found, wanted, "{text:?}");
        }
        assert!(metric_name(&format!("x {}", "y".repeat(256))).is_err());
    }

    #[test]
    fn a_dimension_has_no_placeholder_but_the_track() {
        for (text, right) in [
            ("app/mc/1", true),
            ("{track}", true),
            ("x-{track}-{track}", true),
            ("{trak}", false),
            ("{track}{other}", false),
            ("{", true),
            ("", false),
            ("  ", false),
            ("\u{e9}", false),
        ] {
            assert_eq!(dimension(text).is_ok(), right, "{text}");
        }
        assert!(dimension(&"x".repeat(1_025)).is_err());
    }

    #[test]
    fn an_alarm_is_named() {
        for (text, right) in [
            ("mc-api 5xx \u{e9}", true),
            ("", false),
            ("a\tb", false),
            ("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:x", false),
        ] {
            assert_eq!(name(text).is_ok(), right, "{text}");
        }
        assert!(name(&"\u{e9}".repeat(255)).is_ok() && name(&"a".repeat(256)).is_err());
    }
}
