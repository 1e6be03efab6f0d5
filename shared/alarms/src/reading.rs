//! From CloudWatch's answers to what was seen. What lacks a part that judges is unreadable.

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{AlarmHistoryItem, CompositeAlarm, MetricAlarm, StateValue};
use jiff::Timestamp;
use serde_json::Value;
use sluice_domain::alarm::{AlarmKind, AlarmMetric, AlarmState, MissingData, SeenAlarm, Sight, StateChange};

/// A metric alarm, or one of an expression over metrics, by its name.
pub(crate) fn metric_alarm(alarm: &MetricAlarm) -> Option<(String, Sight)> {
    let name = alarm.alarm_name()?.to_owned();
    let metric = alarm.namespace().zip(alarm.metric_name());
    let metric = metric.filter(|(_, name)| !name.is_empty());
    let stood = stood(
        alarm.state_value(),
        alarm.state_transitioned_timestamp(),
        alarm.state_updated_timestamp(),
    );
    let sight = stood.map(|(state, since)| SeenAlarm {
        kind: match metric {
            Some(_) => AlarmKind::Metric,
            None => AlarmKind::Math,
        },
        state,
        since,
        reason: alarm.state_reason().unwrap_or_default().to_owned(),
        evaluation: alarm.evaluation_state().map(|state| state.as_str().to_owned()),
        missing_data: Some(
            alarm
                .treat_missing_data()
                .and_then(MissingData::parse)
                .unwrap_or(MissingData::Missing),
        ),
        metric: metric.map(|(namespace, name)| AlarmMetric {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }),
        changes: Vec::new(),
        changes_incomplete: None,
    });
    Some((name, sight.map_or_else(Sight::Unreadable, Sight::Seen)))
}

/// A composite alarm, by its name.
pub(crate) fn composite_alarm(alarm: &CompositeAlarm) -> Option<(String, Sight)> {
    let name = alarm.alarm_name()?.to_owned();
    let stood = stood(
        alarm.state_value(),
        alarm.state_transitioned_timestamp(),
        alarm.state_updated_timestamp(),
    );
    let sight = stood.map(|(state, since)| SeenAlarm {
        kind: AlarmKind::Composite,
        state,
        since,
        reason: alarm.state_reason().unwrap_or_default().to_owned(),
        evaluation: None,
        missing_data: None,
        metric: None,
        changes: Vec::new(),
        changes_incomplete: None,
    });
    Some((name, sight.map_or_else(Sight::Unreadable, Sight::Seen)))
}

/// The state, and since when. `StateTransitionedTimestamp` says when the state changed; `StateUpdatedTimestamp` moves also
/// when only the evaluation's own state does (CloudWatch API reference, `MetricAlarm`), so it is the second choice.
fn stood(
    state: Option<&StateValue>,
    turned: Option<&DateTime>,
    updated: Option<&DateTime>,
) -> Result<(AlarmState, Timestamp), String> {
    let state = state.ok_or("its state is missing")?.as_str();
    let known =
        AlarmState::parse(state).ok_or_else(|| format!("its state is `{state}`, which is not known"))?;
    let since = turned.or(updated).ok_or("the time of its state is missing")?;
    let since =
        timestamp(since).ok_or_else(|| format!("the time of its state is out of range: {since:?}"))?;
    Ok((known, since))
}

/// A change of state. What it was and what it is are in `HistoryData`, which CloudWatch cuts at 4095 characters; then the
/// summary says as much.
pub(crate) fn change(item: &AlarmHistoryItem) -> Result<StateChange, String> {
    let at = item
        .timestamp()
        .and_then(timestamp)
        .ok_or("a change has no time")?;
    let data: Value = item
        .history_data()
        .and_then(|data| serde_json::from_str(data).ok())
        .unwrap_or_default();
    let state = |at: &str| {
        data.pointer(at)
            .and_then(Value::as_str)
            .and_then(AlarmState::parse)
    };
    let (from, to) = (state("/oldState/stateValue"), state("/newState/stateValue"));
    let (from, to) = match to {
        Some(to) => (from, to),
        None => summed_up(item.history_summary().unwrap_or_default())
            .ok_or("a change does not say what the alarm turned to")?,
    };
    let reason = data.pointer("/newState/stateReason").and_then(Value::as_str);
    Ok(StateChange {
        at,
        from,
        to,
        reason: reason.unwrap_or_default().to_owned(),
    })
}

/// `Alarm updated from OK to ALARM`.
fn summed_up(summary: &str) -> Option<(Option<AlarmState>, AlarmState)> {
    let words: Vec<&str> = summary.split_whitespace().collect();
    match words.as_slice() {
        [.., "from", from, "to", to] => Some((AlarmState::parse(from), AlarmState::parse(to)?)),
        _ => None,
    }
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(time.subsec_nanos()).ok()?;
    Timestamp::new(time.secs(), nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use aws_sdk_cloudwatch::types::EvaluationState;

    fn time(seconds: f64) -> DateTime {
        DateTime::from_secs_f64(seconds)
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    fn seen(read: Option<(String, Sight)>) -> SeenAlarm {
        match read {
            Some((name, Sight::Seen(found))) if name == "a" => found,
            other => panic!("{other:?}"),
        }
    }

    fn plain() -> aws_sdk_cloudwatch::types::builders::MetricAlarmBuilder {
        MetricAlarm::builder()
            .alarm_name("a")
            .state_value(StateValue::Alarm)
            .state_reason("crossed")
            .state_updated_timestamp(time(20.5))
    }

    #[test]
    fn an_alarm_of_a_metric() {
        let read = plain()
            .namespace("AWS/ApplicationELB")
            .metric_name("RequestCount")
            .state_transitioned_timestamp(time(10.25))
            .treat_missing_data("notBreaching")
            .evaluation_state(EvaluationState::PartialData)
            .build();
        let found = seen(metric_alarm(&read));
        assert_eq!(
            (found.kind, found.state, found.since),
            (AlarmKind::Metric, AlarmState::Alarm, at(10_250))
        );
        assert_eq!(found.evaluation.as_deref(), Some("PARTIAL_DATA"));
        assert_eq!(found.missing_data, Some(MissingData::NotBreaching));
        assert_eq!(
            found.metric.map(|metric| metric.name).as_deref(),
            Some("RequestCount")
        );
    }

    #[test]
    fn without_a_metric_it_is_of_an_expression_and_what_is_not_said_is_the_default() {
        let found = seen(metric_alarm(&plain().build()));
        assert_eq!((found.kind, found.since), (AlarmKind::Math, at(20_500)));
        assert_eq!(
            (found.missing_data, found.metric),
            (Some(MissingData::Missing), None)
        );
    }

    #[test]
    fn a_composite_alarm() {
        let read = CompositeAlarm::builder()
            .alarm_name("a")
            .state_value(StateValue::Ok)
            .state_updated_timestamp(time(20.5))
            .state_transitioned_timestamp(time(10.0))
            .build();
        let found = seen(composite_alarm(&read));
        assert_eq!(
            (found.kind, found.state, found.since),
            (AlarmKind::Composite, AlarmState::Ok, at(10_000))
        );
        assert_eq!(found.missing_data, None);
    }

    #[test]
    fn what_lacks_a_state_or_a_time_is_unreadable() {
        let without = [
            MetricAlarm::builder()
                .alarm_name("a")
                .state_updated_timestamp(time(1.0))
                .build(),
            MetricAlarm::builder()
                .alarm_name("a")
                .state_value(StateValue::Ok)
                .build(),
            plain().state_value(StateValue::from("PENDING")).build(),
        ];
        for alarm in without {
            let read = metric_alarm(&alarm).map(|(_, sight)| sight);
            assert!(matches!(read, Some(Sight::Unreadable(_))), "{read:?}");
        }
        assert_eq!(metric_alarm(&MetricAlarm::builder().build()), None);
    }

    fn item(data: &str, summary: &str) -> AlarmHistoryItem {
        AlarmHistoryItem::builder()
            .timestamp(time(10.5))
            .history_data(data)
            .history_summary(summary)
            .build()
    }

    #[test]
    fn changes_of_state() {
        let data = r#"{"version":"1.0","oldState":{"stateValue":"OK","stateReason":"fine"},"newState":{"stateValue":"ALARM","stateReason":"crossed","stateReasonData":{"version":"1.0"}}}"#;
        let whole = change(&item(data, "Alarm updated from OK to ALARM")).unwrap();
        let right = StateChange {
            at: at(10_500),
            from: Some(AlarmState::Ok),
            to: AlarmState::Alarm,
            reason: "crossed".into(),
        };
        assert_eq!(whole, right);
        // cut short, the summary says it
        let cut = change(&item(&data[..90], "Alarm updated from OK to ALARM")).unwrap();
        assert_eq!(
            cut,
            StateChange {
                reason: String::new(),
                ..right
            }
        );
        for (data, summary) in [
            ("{}", "Alarm created"),
            ("", ""),
            (r#"{"newState":{"stateValue":7}}"#, "from OK to"),
        ] {
            assert!(change(&item(data, summary)).is_err(), "{data} {summary}");
        }
        let timeless = AlarmHistoryItem::builder().history_data(data).build();
        assert!(change(&timeless).is_err());
    }
}
