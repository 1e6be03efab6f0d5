//! The event that CloudWatch sends when an alarm changes its state, as far as it is believed: a hint which alarm to read again.
//!
//! Shape: CloudWatch user guide, "Alarm events and EventBridge". What an event says beside that differs between alarms of a
//! metric, of an expression and composite ones, and grows over time; so nothing but what names the alarm is looked at.

use super::{AlarmHome, AlarmId, AlarmState};
use serde_json::Value;

/// Why an event is none of an alarm that went into ALARM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAlarmEvent {
    /// A field is not there.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field is no text.
    #[error("field `{0}` is no text")]
    NoText(&'static str),
    /// A field says that it is about something else.
    #[error("field `{field}` is `{found}`, not {right}")]
    Other {
        /// Its name.
        field: &'static str,
        /// What it is, the first characters.
        found: String,
        /// What would be right.
        right: &'static str,
    },
}

/// Which alarm went into ALARM, as an event says, whatever it is.
pub fn event(event: &Value) -> Result<AlarmId, NoAlarmEvent> {
    is(event, "source", "/source", "aws.cloudwatch", "`aws.cloudwatch`")?;
    let kind = "CloudWatch Alarm State Change";
    is(
        event,
        "detail-type",
        "/detail-type",
        kind,
        "`CloudWatch Alarm State Change`",
    )?;
    let alarm = AlarmState::Alarm.as_str();
    is(
        event,
        "detail.state.value",
        "/detail/state/value",
        alarm,
        "`ALARM`",
    )?;
    let name = text(event, "detail.alarmName", "/detail/alarmName")?;
    Ok(AlarmId {
        home: AlarmHome {
            account: account(text(event, "account", "/account")?)?,
            region: some(text(event, "region", "/region")?, "region", "a region")?,
        },
        name: some(name, "detail.alarmName", "a name")?,
    })
}

fn account(text: &str) -> Result<String, NoAlarmEvent> {
    match text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err(other("account", text, "12 digits")),
    }
}

fn some(text: &str, field: &'static str, right: &'static str) -> Result<String, NoAlarmEvent> {
    match text.is_empty() {
        false => Ok(text.to_owned()),
        true => Err(other(field, text, right)),
    }
}

fn is(
    event: &Value,
    field: &'static str,
    at: &str,
    wanted: &str,
    right: &'static str,
) -> Result<(), NoAlarmEvent> {
    match text(event, field, at)? {
        found if found == wanted => Ok(()),
        found => Err(other(field, found, right)),
    }
}

fn text<'e>(event: &'e Value, field: &'static str, at: &str) -> Result<&'e str, NoAlarmEvent> {
    match event.pointer(at) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(NoAlarmEvent::NoText(field)),
        None => Err(NoAlarmEvent::Missing(field)),
    }
}

fn other(field: &'static str, found: &str, right: &'static str) -> NoAlarmEvent {
    NoAlarmEvent::Other {
        field,
        found: found.chars().take(80).collect(),
        right,
    }
}
