//! CloudWatch alarms: what was seen of them, and what they say of a release that has traffic.
//!
//! Only what turned after the shift of traffic blames the release, and it does so also where the alarm is OK again: that is
//! why the history of an alarm's states is read beside its state. Whatever is not known never passes.

mod event;
mod home;
mod judging;
mod noted;
mod warnings;

pub use event::{NoAlarmEvent, event};
pub use home::{AlarmHome, AlarmId, alarms_of};
pub use judging::{judge, standing_before};
pub use noted::{Noted, note};
pub use warnings::warnings;

use crate::workload::Verdict;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What an alarm is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// One metric.
    Metric,
    /// An expression over metrics.
    Math,
    /// A rule over other alarms.
    Composite,
}

/// An alarm's state, under CloudWatch's own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// What it measures is within its threshold.
    Ok,
    /// What it measures is beyond its threshold.
    Alarm,
    /// It cannot tell.
    InsufficientData,
}

impl AlarmState {
    /// The state of this name (CloudWatch API reference, `StateValue`); none where CloudWatch has no such state.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "OK" => Some(Self::Ok),
            "ALARM" => Some(Self::Alarm),
            "INSUFFICIENT_DATA" => Some(Self::InsufficientData),
            _ => None,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

impl fmt::Display for AlarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an alarm makes of a period without data (CloudWatch user guide, "Configuring how CloudWatch alarms treat missing
/// data").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingData {
    /// As if the threshold were crossed.
    Breaching,
    /// As if it were not.
    NotBreaching,
    /// The state stays as it is.
    Ignore,
    /// The alarm cannot tell: INSUFFICIENT_DATA. CloudWatch's default.
    Missing,
}

impl MissingData {
    /// The treatment of this name; none where CloudWatch has no such treatment.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "breaching" => Some(Self::Breaching),
            "notBreaching" => Some(Self::NotBreaching),
            "ignore" => Some(Self::Ignore),
            "missing" => Some(Self::Missing),
            _ => None,
        }
    }
}

/// The metric of an alarm that has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmMetric {
    /// Its namespace: `AWS/ApplicationELB`.
    pub namespace: String,
    /// Its name: `HTTPCode_Target_5XX_Count`.
    pub name: String,
}

/// A change of an alarm's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateChange {
    /// When.
    pub at: Timestamp,
    /// From which state; none where the history does not say.
    pub from: Option<AlarmState>,
    /// To which.
    pub to: AlarmState,
    /// Why, in CloudWatch's words.
    pub reason: String,
}

/// An alarm that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenAlarm {
    /// What it is made of.
    pub kind: AlarmKind,
    /// Its state.
    pub state: AlarmState,
    /// Since when it has that state.
    pub since: Timestamp,
    /// Why, in CloudWatch's words.
    pub reason: String,
    /// What kept its last evaluation from being whole: `PARTIAL_DATA`, `EVALUATION_FAILURE`, `EVALUATION_ERROR`
    /// (CloudWatch API reference, `MetricAlarm`, `EvaluationState`), or what a later CloudWatch may say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<String>,
    /// What it makes of missing data; none of a composite alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_data: Option<MissingData>,
    /// Its metric, where it is made of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<AlarmMetric>,
    /// The changes of its state since the time that was asked for, in no order; an entry may be there twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<StateChange>,
    /// Why there may be more changes than these: what was read blames, but its silence says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_incomplete: Option<String>,
}

/// What came back for an alarm that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// It did.
    Seen(SeenAlarm),
    /// CloudWatch has no alarm of this name there.
    Missing,
    /// CloudWatch did not answer, or nothing that could be understood: why.
    Unreadable(String),
}

/// What came back for each alarm that was asked for, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmsSeen(pub BTreeMap<String, Sight>);

impl AlarmsSeen {
    /// What came back for this one. One that is not here was not answered, which is as good as missing.
    pub fn of(&self, alarm: &str) -> &Sight {
        self.0.get(alarm).unwrap_or(&Sight::Missing)
    }

    /// None of them could be read, for this reason.
    pub fn unreadable(wanted: &[String], why: &str) -> Self {
        let unreadable = |name: &String| (name.clone(), Sight::Unreadable(why.to_owned()));
        Self(wanted.iter().map(unreadable).collect())
    }
}

/// How many requests there were since the shift, and how many must be for the alarms to say something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestsSeen {
    /// How many there were.
    pub counted: Counted,
    /// How many are enough.
    pub at_least: u32,
}

/// A count, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// So many. No data at all is none.
    Count(u64),
    /// CloudWatch did not answer, or nothing that could be understood: why.
    Unreadable(String),
}

/// The time that is judged: since the shift of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When the release got its part of the traffic.
    pub shifted_at: Timestamp,
    /// The time of the judgement.
    pub now: Timestamp,
}

/// What the alarms say of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Failed where an alarm blames it, Inconclusive where one of them cannot be told.
    pub verdict: Verdict,
    /// The alarm that blames it, the earliest one; none unless Failed.
    pub blame: Option<Blame>,
}

/// An alarm that blames a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blame {
    /// Its name.
    pub alarm: String,
    /// When it went into ALARM.
    pub at: Timestamp,
    /// Why, in CloudWatch's words.
    pub reason: String,
}

/// `alarm mc-api-production-5xx went into ALARM at 2026-11-01 10:00:00 UTC (Threshold Crossed: ...)`
impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = moment(self.at);
        write!(
            f,
            "alarm {} went into ALARM at {at}{}",
            self.alarm,
            told(&self.reason)
        )
    }
}

/// A moment, as messages name it.
fn moment(at: Timestamp) -> impl fmt::Display {
    at.strftime("%Y-%m-%d %H:%M:%S UTC")
}

/// The most of CloudWatch's words that a message repeats, in characters. CloudWatch has up to 1023.
const LONGEST_REASON: usize = 300;

/// CloudWatch's words behind a sentence.
fn told(reason: &str) -> String {
    let reason = reason.trim().trim_end_matches('.');
    if reason.is_empty() {
        return String::new();
    }
    let short: String = reason.chars().take(LONGEST_REASON).collect();
    let more = if short.len() < reason.len() { "..." } else { "" };
    format!(" ({short}{more})")
}

#[cfg(test)]
#[path = "alarm/tests.rs"]
mod tests;
