//! What a request may hold beyond its types. The command checks the same; another client may not.

use crate::error::{OperateError, invalid};
use sluice_domain::api::Request;
use sluice_domain::ids::ReleaseNumber;

/// The longest reason, in characters: it is shown on one line, and kept in each ledger entry it leads to.
const LONGEST_REASON: usize = 500;
/// The longest file name, in characters: it is repeated in each fault.
const LONGEST_FILE_NAME: usize = 300;
/// The longest name of a check, in characters: a DNS label.
const LONGEST_CHECK: usize = 63;
/// The longest name of an alarm, in characters (CloudWatch API reference, PutMetricAlarm, `AlarmName`).
const LONGEST_ALARM: usize = 255;
/// The most alarms that one command names: as many as an environment may have.
const MOST_ALARMS: u32 = 100;
/// The most rows of `history`.
const MOST_RELEASES: u32 = 100;
/// The most entries of a page of the ledger.
const MOST_ENTRIES: u32 = 500;

/// Refuses what is too long, too many, or not printable.
pub fn check(request: &Request) -> Result<(), OperateError> {
    match request {
        Request::Apply { file, .. } => line("file", file, LONGEST_FILE_NAME, "sluice apply --help"),
        Request::History { limit, .. } => count("limit", *limit, MOST_RELEASES, "sluice history --help"),
        Request::Ledger { limit, .. } => count("limit", *limit, MOST_ENTRIES, "sluice ledger --help"),
        Request::Hold { reason, .. } => line("reason", reason, LONGEST_REASON, "sluice hold --help"),
        Request::Quarantine { reason, .. } => {
            line("reason", reason, LONGEST_REASON, "sluice quarantine --help")
        }
        Request::Approve {
            reason: Some(reason), ..
        } => line("reason", reason, LONGEST_REASON, "sluice approve --help"),
        Request::Reject {
            reason: Some(reason), ..
        } => line("reason", reason, LONGEST_REASON, "sluice reject --help"),
        Request::Abort {
            reason: Some(reason), ..
        } => line("reason", reason, LONGEST_REASON, "sluice abort --help"),
        Request::Rollback {
            reason: Some(reason), ..
        } => line("reason", reason, LONGEST_REASON, "sluice rollback --help"),
        Request::Pause {
            reason: Some(reason), ..
        } => line("reason", reason, LONGEST_REASON, "sluice pause --help"),
        Request::Resume {
            reason: Some(reason), ..
        } => line("reason", reason, LONGEST_REASON, "sluice resume --help"),
        Request::Promote {
            release,
            full,
            despite,
            reason,
            ..
        } => promotion(*release, *full, despite, reason.as_deref()),
        Request::Retry {
            reason: Some(reason), ..
        } => line("reason", reason, LONGEST_REASON, "sluice retry --help"),
        Request::Answer { check, reason, .. } => {
            line("check", check, LONGEST_CHECK, "sluice answer --help")?;
            match reason {
                Some(reason) => line("reason", reason, LONGEST_REASON, "sluice answer --help"),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// All traffic at once, and going forward in spite of an alarm, are decisions that somebody will ask about.
fn promotion(
    release: Option<ReleaseNumber>,
    full: bool,
    despite: &[String],
    reason: Option<&str>,
) -> Result<(), OperateError> {
    let help = "sluice promote --help";
    if let Some(reason) = reason {
        line("reason", reason, LONGEST_REASON, help)?;
    }
    for alarm in despite {
        line("despite", alarm, LONGEST_ALARM, help)?;
    }
    let alarms = u32::try_from(despite.len()).unwrap_or(u32::MAX);
    let wrong = match (full, alarms, release, reason) {
        (true, 1.., _, _) => "`full` and `despite` are two wishes: right would be one after the other.",
        (true, 0, None, _) => {
            "`full` is without `release`: right would be the release that is being rolled out."
        }
        (true, 0, _, None) => {
            "`full` is without `reason`: right would be why the rest of its steps is left out."
        }
        (false, 1.., _, None) => {
            "`despite` is without `reason`: right would be why it goes forward all the same."
        }
        (false, 1.., _, _) => return count("despite", alarms, MOST_ALARMS, help),
        _ => return Ok(()),
    };
    Err(invalid(format!("Field {wrong}"), help))
}

fn line(field: &str, text: &str, most: usize, next: &str) -> Result<(), OperateError> {
    let length = text.chars().count();
    let found = if text.trim().is_empty() {
        "is empty".to_owned()
    } else if length > most {
        format!("has {length} characters")
    } else if text.chars().any(char::is_control) {
        "has a line break or another control character".to_owned()
    } else {
        return Ok(());
    };
    Err(invalid(
        format!("Field `{field}` {found}; right would be 1 to {most} characters on one line."),
        next,
    ))
}

fn count(field: &str, found: u32, most: u32, next: &str) -> Result<(), OperateError> {
    if (1..=most).contains(&found) {
        return Ok(());
    }
    Err(invalid(
        format!("Field `{field}` is {found}; right would be 1 to {most}."),
        next,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn message(request: serde_json::Value) -> Option<String> {
        match check(&serde_json::from_value(request).unwrap()) {
            Ok(()) => None,
            Err(OperateError::Refusal(refusal)) => Some(refusal.message),
            Err(OperateError::Failure(failure)) => panic!("{failure}"),
        }
    }

    #[test]
    fn what_is_beyond_a_limit_is_named() {
        let hold = |reason: &str| json!({"command": "hold", "service": "mc-api", "environment": "dev", "reason": reason});
        let history = |limit: u32| json!({"command": "history", "service": "mc-api", "limit": limit});
        assert_eq!(message(hold("sale")), None);
        assert_eq!(message(hold(&"x".repeat(500))), None);
        assert_eq!(message(history(1)), None);
        assert_eq!(message(history(100)), None);
        let told: Vec<_> = [
            hold(" "),
            hold(&"x".repeat(501)),
            hold("a\u{1b}[2J"),
            history(0),
            history(101),
            json!({"command": "promote", "service": "mc-api", "environment": "dev", "full": true, "reason": "x"}),
            json!({"command": "promote", "service": "mc-api", "environment": "dev", "release": 1, "full": true}),
            json!({"command": "promote", "service": "mc-api", "environment": "dev", "despite": ["x"]}),
            json!({"command": "promote", "service": "mc-api", "environment": "dev", "despite": [""], "reason": "x"}),
            json!({"command": "promote", "service": "mc-api", "environment": "dev", "release": 1, "despite": ["x"], "full": true, "reason": "x"}),
            json!({"command": "pause", "service": "mc-api", "environment": "dev", "reason": ""}),
        ]
        .into_iter()
        .map(|request| message(request).unwrap())
        .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        Field `reason` is empty; right would be 1 to 500 characters on one line.
        Field `reason` has 501 characters; right would be 1 to 500 characters on one line.
        Field `reason` has a line break or another control character; right would be 1 to 500 characters on one line.
        Field `limit` is 0; right would be 1 to 100.
        Field `limit` is 101; right would be 1 to 100.
        Field `full` is without `release`: right would be the release that is being rolled out.
        Field `full` is without `reason`: right would be why the rest of its steps is left out.
        Field `despite` is without `reason`: right would be why it goes forward all the same.
        Field `despite` is empty; right would be 1 to 255 characters on one line.
        Field `full` and `despite` are two wishes: right would be one after the other.
        Field `reason` is empty; right would be 1 to 500 characters on one line.
        ");
    }
}
