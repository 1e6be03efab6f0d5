//! What can be said of alarms before they are needed: which of them could never let a release pass.

use super::{AlarmKind, AlarmMetric, AlarmState, AlarmsSeen, MissingData, SeenAlarm, Sight};

/// Namespaces of load balancers: they report only while requests flow, and a counter of errors only while it is not zero
/// (Elastic Load Balancing user guides, "CloudWatch metrics", "Reporting criteria").
const LOAD_BALANCERS: [&str; 3] = ["AWS/ApplicationELB", "AWS/ELB", "AWS/NetworkELB"];

/// Parts of names of metrics that count what should not happen.
const ERRORS: [&str; 5] = ["4XX", "5XX", "Error", "Rejected", "Reset"];

/// What is worth knowing of the alarms that a pipeline names, a sentence each; nothing where all can let a release pass.
pub fn warnings(wanted: &[String], seen: &AlarmsSeen) -> Vec<String> {
    let mut found: Vec<String> = wanted
        .iter()
        .filter_map(|alarm| {
            let why = match seen.of(alarm) {
                Sight::Missing => {
                    "does not exist in the environment's account and region: nothing could pass it".to_owned()
                }
                Sight::Unreadable(why) => format!("could not be read: {why}"),
                Sight::Seen(seen) => of_seen(seen)?,
            };
            Some(format!("alarm {alarm} {why}"))
        })
        .collect();
    found.dedup();
    found
}

fn of_seen(alarm: &SeenAlarm) -> Option<String> {
    if let Some(evaluation) = &alarm.evaluation {
        return Some(format!(
            "was not evaluated in full ({evaluation}): while that is so, nothing passes it"
        ));
    }
    if alarm.kind == AlarmKind::Composite {
        return None;
    }
    let missing = alarm.missing_data.unwrap_or(MissingData::Missing);
    match (&alarm.metric, missing) {
        (Some(metric), MissingData::Missing | MissingData::Ignore) if comes_with_errors(metric) => {
            Some(format!(
                "watches {}, which is reported only while it is not zero, and treats missing data as `{}`: without errors it may \
             never be OK, and nothing passes it; set treatMissingData to `notBreaching`",
                metric.name,
                name(missing)
            ))
        }
        (Some(metric), MissingData::Missing) if comes_with_traffic(metric) => Some(format!(
            "watches {}, which is reported only while requests flow, and treats missing data as `missing`: without traffic it \
             has INSUFFICIENT_DATA, and nothing passes it; set treatMissingData to `notBreaching`, and `requests` for a canary",
            metric.name
        )),
        (Some(metric), MissingData::Breaching) if comes_with_traffic(metric) => Some(format!(
            "watches {}, which is reported only while requests flow, and treats missing data as `breaching`: a release without \
             traffic is rolled back",
            metric.name
        )),
        (_, MissingData::Missing | MissingData::Ignore) if alarm.state == AlarmState::InsufficientData => {
            Some(format!(
                "has INSUFFICIENT_DATA now and treats missing data as `{}`: until there is data, nothing passes it",
                name(missing)
            ))
        }
        _ => None,
    }
}

fn name(missing: MissingData) -> &'static str {
    match missing {
        MissingData::Breaching => "breaching",
        MissingData::NotBreaching => "notBreaching",
        MissingData::Ignore => "ignore",
        MissingData::Missing => "missing",
    }
}

fn comes_with_traffic(metric: &AlarmMetric) -> bool {
    let hosts = metric.name.ends_with("HostCount");
    LOAD_BALANCERS.contains(&metric.namespace.as_str()) && !hosts
}

fn comes_with_errors(metric: &AlarmMetric) -> bool {
    comes_with_traffic(metric) && ERRORS.iter().any(|part| metric.name.contains(part))
}
