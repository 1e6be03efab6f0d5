//! Contract: what is heard in the events that EventBridge delivers for CloudWatch alarms, as recorded in fixtures/alarm-events.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use sluice_domain::alarm::{AlarmHome, AlarmId, NoAlarmEvent, event};
use std::collections::BTreeMap;
use std::path::Path;

type Heard = Result<AlarmId, NoAlarmEvent>;

fn alarm(region: &str, account: &str, name: &str) -> Heard {
    Ok(AlarmId {
        home: AlarmHome {
            account: account.to_owned(),
            region: region.to_owned(),
        },
        name: name.to_owned(),
    })
}

fn home(name: &str) -> Heard {
    alarm("eu-west-1", "123456789012", name)
}

fn other(field: &'static str, found: &str, right: &'static str) -> Heard {
    Err(NoAlarmEvent::Other {
        field,
        found: found.to_owned(),
        right,
    })
}

fn type_is(found: &str) -> Heard {
    other("detail-type", found, "`CloudWatch Alarm State Change`")
}

fn expected() -> BTreeMap<&'static str, Heard> {
    let state = |found| other("detail.state.value", found, "`ALARM`");
    [
        ("anomaly", home("mc-api production latency band")),
        ("back-to-ok", state("OK")),
        ("bad-account", other("account", "1234-5678-9012", "12 digits")),
        ("composite", home("mc-api-production")),
        ("configuration", type_is("CloudWatch Alarm Configuration Change")),
        (
            "contributor",
            type_is("CloudWatch Alarm Contributor State Change"),
        ),
        ("detail-is-text", Err(NoAlarmEvent::Missing("detail.state.value"))),
        ("insufficient-data", state("INSUFFICIENT_DATA")),
        ("math", home("mc-api-production-error-rate")),
        ("metric", home("mc-api-production-5xx")),
        ("name-is-a-number", Err(NoAlarmEvent::NoText("detail.alarmName"))),
        (
            "other-account",
            alarm("us-east-1", "210987654321", "mc-api-production-5xx"),
        ),
        ("other-source", other("source", "my.own", "`aws.cloudwatch`")),
        ("series", home("mc-api-throttles")),
        ("without-account", Err(NoAlarmEvent::Missing("account"))),
    ]
    .into()
}

#[test]
fn every_recorded_event_is_heard_for_what_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/alarm-events");
    let recorded: BTreeMap<String, Value> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    let expected = expected();
    let names: Vec<&str> = recorded.keys().map(String::as_str).collect();
    assert_eq!(names, expected.keys().copied().collect::<Vec<_>>());
    for (name, json) in &recorded {
        assert_eq!(Some(&event(json)), expected.get(name.as_str()), "{name}");
    }
}
