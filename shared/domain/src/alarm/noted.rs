//! What is kept of alarms in the environment's row, so that `status` can show them without asking CloudWatch.

use super::{AlarmState, AlarmsSeen, Sight};
use crate::environment::Environment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest reason that is kept, in characters: the row holds it for each alarm.
const LONGEST: usize = 200;

/// An alarm as it was last looked at. All none: it was not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Its state; none where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AlarmState>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why, in CloudWatch's words, or why it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Notes what came back for the alarms that were asked for; others are forgotten. True where that is news: then the row is
/// worth a write of its own. CloudWatch's reason of an OK is none, or it would be news with each evaluation.
pub fn note(environment: &mut Environment, wanted: &[String], seen: &AlarmsSeen) -> bool {
    let noted = wanted
        .iter()
        .map(|name| (name.clone(), noted(seen.of(name))))
        .collect();
    let is_news = environment.alarms != noted;
    environment.alarms = noted;
    is_news
}

fn noted(sight: &Sight) -> Noted {
    match sight {
        Sight::Seen(seen) => Noted {
            state: Some(seen.state),
            since: Some(seen.since),
            reason: (seen.state != AlarmState::Ok)
                .then(|| short(&seen.reason))
                .filter(|reason| !reason.is_empty()),
        },
        Sight::Missing => Noted {
            reason: Some("CloudWatch has no alarm of this name there".to_owned()),
            ..Noted::default()
        },
        Sight::Unreadable(why) => Noted {
            reason: Some(short(&format!("it could not be read: {why}"))),
            ..Noted::default()
        },
    }
}

fn short(text: &str) -> String {
    text.trim().trim_end_matches('.').chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::alarm::{AlarmKind, SeenAlarm};
    use crate::samples::{at, environment};

    fn seen(state: AlarmState, second: i64, reason: &str) -> Sight {
        Sight::Seen(SeenAlarm {
            kind: AlarmKind::Metric,
            state,
            since: at(second),
            reason: reason.into(),
            evaluation: None,
            missing_data: None,
            metric: None,
            changes: Vec::new(),
            changes_incomplete: None,
        })
    }

    #[test]
    fn only_another_state_is_news() {
        let wanted = ["5xx".to_owned(), "p99".to_owned(), "gone".to_owned()];
        let look =
            |five: Sight| AlarmsSeen([("5xx".to_owned(), five), ("p99".to_owned(), Sight::Missing)].into());
        let mut row = environment();
        assert!(note(
            &mut row,
            &wanted,
            &look(seen(AlarmState::Ok, 1, "1 datapoint 0.0"))
        ));
        assert!(!note(
            &mut row,
            &wanted,
            &look(seen(AlarmState::Ok, 1, "1 datapoint 0.1"))
        ));
        assert!(note(
            &mut row,
            &wanted,
            &look(seen(AlarmState::Alarm, 9, "Threshold Crossed."))
        ));
        let reason = |name: &str| row.alarms.get(name).unwrap().reason.clone().unwrap();
        assert_eq!(reason("5xx"), "Threshold Crossed");
        assert_eq!(reason("gone"), "CloudWatch has no alarm of this name there");
        assert!(note(&mut row, &wanted, &look(Sight::Unreadable("x".repeat(900)))));
        assert!(row.alarms.get("5xx").unwrap().reason.as_ref().unwrap().len() <= LONGEST);
        assert!(note(&mut row, &[], &AlarmsSeen::default()) && row.alarms.is_empty());
    }
}
