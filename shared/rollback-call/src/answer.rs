//! Reading what came back. A 200 says that Lambda ran the function, and nothing more.

use crate::error::CallError;
use serde::Deserialize;
use sluice_domain::api::RollbackAnswer;
use sluice_domain::service::RollbackRequest;
use sluice_lambda::Failure;

/// The most of an answer that is read, in bytes. A whole one has about 600.
const LARGEST: usize = 64 * 1024;

/// How a function's error looks on the wire (AWS Lambda developer guide, "Invoke function: errors").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raised {
    #[serde(default)]
    error_type: Option<String>,
    #[serde(default)]
    error_message: Option<String>,
}

/// The answer to this request. `error` is Lambda's `FunctionError`: set where the function raised one.
pub(crate) fn read(
    request: &RollbackRequest,
    status: i32,
    error: Option<&str>,
    payload: &[u8],
) -> Result<RollbackAnswer, CallError> {
    if payload.len() > LARGEST {
        return Err(CallError::malformed(format!(
            "it has {} bytes, at most {LARGEST} are right",
            payload.len()
        )));
    }
    if error.is_some() {
        return Err(raised(payload));
    }
    if status != 200 {
        return Err(CallError::malformed(format!(
            "its status is {status}, right would be 200"
        )));
    }
    let answer: RollbackAnswer = serde_json::from_slice(payload).map_err(|source| CallError::Malformed {
        what: source.to_string(),
        source: Some(source),
    })?;
    if (&answer.service, &answer.environment) != (&request.service, &request.environment) {
        let what = format!("it is about {} of {}", answer.environment, answer.service);
        return Err(CallError::malformed(what));
    }
    Ok(answer)
}

/// Our own names mean what they say; any other was raised by Lambda and not by our code.
fn raised(payload: &[u8]) -> CallError {
    let Ok(Raised {
        error_type: Some(kind),
        error_message,
    }) = serde_json::from_slice(payload)
    else {
        return CallError::malformed("it failed without saying how");
    };
    let message = error_message.unwrap_or_else(|| "no more is said".to_owned());
    match Failure::NAMES.into_iter().find(|name| name.as_str() == kind) {
        Some(name) => CallError::Failed { name, message },
        None => CallError::Ended {
            kind: shortened(&kind),
            message: shortened(&message),
        },
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use serde_json::{Value, json};
    use sluice_domain::ids::{EnvironmentName, ServiceName};
    use sluice_lambda::ErrorName;

    fn request() -> RollbackRequest {
        RollbackRequest {
            id: "r1".into(),
            service: ServiceName::parse("mc-api").unwrap(),
            environment: EnvironmentName::parse("production").unwrap(),
            to: None,
            reason: None,
            by: "ana".into(),
            restore: false,
            undoes: None,
            expires: 0,
        }
    }

    fn answer() -> Value {
        json!({
            "service": "mc-api", "environment": "production", "outcome": "started",
            "execution": "mc-api-production-r7", "leaving": 42, "to": 41, "digest": null, "message": "goes back",
        })
    }

    fn failure(status: i32, error: Option<&str>, payload: &[u8]) -> Failure {
        read(&request(), status, error, payload).unwrap_err().into()
    }

    #[test]
    fn a_whole_answer_is_given() {
        let read = read(&request(), 200, None, answer().to_string().as_bytes()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), answer());
    }

    #[test]
    fn a_200_without_a_whole_answer_about_this_environment_is_no_success() {
        let mut other = answer();
        other["environment"] = json!("staging");
        let mut short = answer();
        short.as_object_mut().unwrap().remove("execution");
        for payload in ["", "null", "{}", "\u{1f}", &other.to_string(), &short.to_string()] {
            assert_eq!(
                failure(200, None, payload.as_bytes()).name(),
                ErrorName::Internal,
                "{payload}"
            );
        }
        assert_eq!(
            failure(202, None, answer().to_string().as_bytes()).name(),
            ErrorName::Internal
        );
        assert_eq!(
            failure(200, None, &vec![b' '; LARGEST + 1]).name(),
            ErrorName::Internal
        );
    }

    #[test]
    fn every_one_of_our_names_comes_back_as_itself_with_its_message() {
        for name in Failure::NAMES {
            let payload = json!({"errorType": name.as_str(), "errorMessage": "said so"}).to_string();
            let failure = failure(200, Some("Unhandled"), payload.as_bytes());
            assert_eq!(
                (failure.name(), failure.to_string()),
                (name, "said so".to_owned())
            );
        }
    }

    #[test]
    fn what_lambda_raises_itself_may_be_tried_again() {
        let payload =
            json!({"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 60.00 seconds"});
        let timed_out = failure(200, Some("Unhandled"), payload.to_string().as_bytes());
        assert_eq!(timed_out.name(), ErrorName::Transient);
        insta::assert_snapshot!(timed_out, @"roll-back ended before it answered (Sandbox.Timedout: Task timed out after 60.00 seconds); the same command again joins what it may have begun");
        assert_eq!(failure(200, Some("Unhandled"), b"oh").name(), ErrorName::Internal);
        // an answer that looks whole is none where Lambda says that the function failed
        assert_eq!(
            failure(200, Some("Unhandled"), answer().to_string().as_bytes()).name(),
            ErrorName::Internal
        );
    }
}
