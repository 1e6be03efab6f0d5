//! What a Lambda function or a webhook says of a check.

use serde::Deserialize;
use serde_json::{Map, Value};
use sluice_domain::workload::Verdict;

/// `{"passed": true, "reason": "...", "log": "..."}`; other keys are left alone.
#[derive(Debug, Deserialize)]
struct Reply {
    passed: bool,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    log: Option<String>,
}

/// The verdict in an answer, and what it printed. What is no such answer is no verdict.
pub(crate) fn read(body: &[u8]) -> (Verdict, Option<String>) {
    // An object, and no list: serde would take `[true]` for one that passed.
    let object = serde_json::from_slice::<Map<String, Value>>(body);
    match object.and_then(|object| serde_json::from_value::<Reply>(Value::Object(object))) {
        Ok(reply) if reply.passed => (Verdict::Passed, reply.log),
        Ok(reply) => {
            let reason = reply
                .reason
                .unwrap_or_else(|| "it says no, and not why".to_owned());
            (Verdict::Failed(shortened(&reason)), reply.log)
        }
        Err(error) => {
            let said = shortened(&String::from_utf8_lossy(body));
            let right = "{\"passed\": true} or {\"passed\": false, \"reason\": \"...\"}";
            let why = format!("its answer is no verdict ({error}): {said}; right is {right}");
            (Verdict::Inconclusive(why), None)
        }
    }
}

/// At most 500 characters, without control characters.
pub(crate) fn shortened(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(500)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_passes() {
        let verdict = |body: &str| read(body.as_bytes()).0;
        assert_eq!(verdict(r#"{"passed": true, "more": 1}"#), Verdict::Passed);
        assert_eq!(
            verdict(r#"{"passed": false, "reason": "3 of 40 failed"}"#),
            Verdict::Failed("3 of 40 failed".into())
        );
        assert_eq!(
            verdict(r#"{"passed": false}"#),
            Verdict::Failed("it says no, and not why".into())
        );
        for odd in [
            "",
            "ok",
            "null",
            "{}",
            r#"{"passed": "true"}"#,
            r#"{"passed": 1}"#,
            "[true]",
        ] {
            assert!(matches!(verdict(odd), Verdict::Inconclusive(_)), "{odd}");
        }
    }
}
