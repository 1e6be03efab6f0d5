//! In and out: a Function URL's event to a request, an answer to HTTP.
//!
//! Only what is needed is read of the event. `lambda_http` would build a URL of the caller's own headers first, and
//! panics where that is none.

use crate::door::{Door, handle, reads};
use crate::error::{OperateError, told};
use crate::request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_domain::api::{Answer, LARGEST_REQUEST, Refusal, RefusalKind, Request};
use sluice_lambda::{ErrorName, Failure, Invocation};

/// The largest answer, in bytes, so that it fits Lambda's 6 MB also when its quotes are escaped.
const LARGEST_ANSWER: usize = 4 << 20;

/// A Function URL's event (AWS Lambda developer guide, "Invoking Lambda function URLs", payload format 2.0).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    request_context: RequestContext,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct RequestContext {
    http: Http,
    #[serde(default)]
    authorizer: Option<Authorizer>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

#[derive(Deserialize)]
struct Authorizer {
    #[serde(default)]
    iam: Option<Iam>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Iam {
    #[serde(default)]
    user_arn: Option<String>,
}

/// Answers a call of the Function URL. A refusal is an answer, too.
pub async fn serve(door: &Door, event: Invocation<Event>) -> Result<Value, Failure> {
    let (event, context) = event.into_parts();
    let answer = match asked(&event) {
        Ok((caller, request)) => carry_out(door, caller, request, &context.request_id).await,
        Err(refusal) => Err(refusal),
    };
    Ok(response(answer))
}

async fn carry_out(door: &Door, caller: &str, request: Request, request_id: &str) -> Result<Answer, Refusal> {
    let reads = reads(&request);
    match handle(door, caller, request, sluice_lambda::now()).await {
        Ok(answer) => Ok(answer),
        Err(OperateError::Refusal(refusal)) => Err(refusal),
        Err(OperateError::Failure(failure)) => {
            log(&failure);
            Err(told(&failure, reads, request_id))
        }
    }
}

/// What a caller can do nothing about is ours to look into.
fn log(failure: &Failure) {
    match failure.name() {
        ErrorName::Internal => tracing::error!(name = %failure.name(), "{}", failure.in_full()),
        _ => tracing::warn!(name = %failure.name(), "{}", failure.in_full()),
    }
}

/// Who asks for what.
fn asked(event: &Event) -> Result<(&str, Request), Refusal> {
    let context = &event.request_context;
    let invalid =
        |message: String| Refusal::new(RefusalKind::Invalid, message, Some("sluice --help".to_owned()));
    let iam = context
        .authorizer
        .as_ref()
        .and_then(|authorizer| authorizer.iam.as_ref());
    let caller = iam
        .and_then(|iam| iam.user_arn.as_deref())
        .filter(|arn| !arn.is_empty());
    let caller = caller.ok_or_else(nobody)?;
    if context.http.method != "POST" {
        let method: String = context.http.method.chars().take(20).collect();
        return Err(invalid(format!("A command is a POST; this was {method}.")));
    }
    let body = body(event).map_err(invalid)?;
    Ok((caller, request::read(&body).map_err(invalid)?))
}

/// The URL without IAM authentication would let anyone be nobody.
fn nobody() -> Refusal {
    let message = "Nobody signed this request: the Function URL of `operate` must have AuthType AWS_IAM.";
    Refusal::new(
        RefusalKind::Denied,
        message,
        Some("aws sts get-caller-identity".to_owned()),
    )
}

fn body(event: &Event) -> Result<Vec<u8>, String> {
    let text = event.body.as_deref().unwrap_or_default();
    let most = if event.is_base64_encoded {
        LARGEST_REQUEST.div_ceil(3) * 4
    } else {
        LARGEST_REQUEST
    };
    if text.len() > most {
        return Err(format!(
            "The request is too large: right would be at most {LARGEST_REQUEST} bytes. Make the files smaller."
        ));
    }
    if event.is_base64_encoded {
        return STANDARD
            .decode(text)
            .map_err(|error| format!("The body's base64 cannot be read: {error}"));
    }
    Ok(text.as_bytes().to_vec())
}

fn response(answer: Result<Answer, Refusal>) -> Value {
    let (status, body) = match &answer {
        Ok(answer) => (200, serde_json::to_string(answer)),
        Err(refusal) => (refusal.kind.status(), serde_json::to_string(refusal)),
    };
    match body {
        Ok(body) if body.len() <= LARGEST_ANSWER => http(status, &body),
        Ok(body) => {
            let message = format!(
                "The answer has {} bytes, more than Lambda carries. Ask for less at once.",
                body.len()
            );
            let next = Some("sluice status <service>".to_owned());
            refusal_response(&Refusal::new(RefusalKind::Refused, message, next))
        }
        Err(error) => {
            tracing::error!(%error, "an answer has no JSON");
            let message = "This is a defect of Sluice: the answer has no JSON.";
            refusal_response(&Refusal::new(
                RefusalKind::Unavailable,
                message,
                Some("sluice status".to_owned()),
            ))
        }
    }
}

fn refusal_response(refusal: &Refusal) -> Value {
    http(refusal.kind.status(), &json!(refusal).to_string())
}

fn http(status: u16, body: &str) -> Value {
    json!({
        "statusCode": status,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": body,
        "isBase64Encoded": false,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn event() -> Value {
        // the developer guide's example, with what is read filled in
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "",
            "headers": {"content-type": "application/json", "x-forwarded-proto": "no scheme ä", "host": "]["},
            "requestContext": {
                "accountId": "123456789012", "apiId": "x", "timeEpoch": 1583348638390_i64,
                "authorizer": {"iam": {
                    "accessKey": "AKIA", "accountId": "123456789012", "callerId": "AIDA", "cognitoIdentity": null,
                    "principalOrgId": null, "userArn": "arn:aws:sts::123456789012:assumed-role/sso-ana/ana", "userId": "A",
                }},
                "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "1.2.3.4", "userAgent": "x"},
            },
            "body": r#"{"command": "status"}"#,
            "isBase64Encoded": false,
        })
    }

    fn asked_of(event: Value) -> Result<(String, Request), Refusal> {
        let event: Event = serde_json::from_value(event).unwrap();
        asked(&event).map(|(caller, request)| (caller.to_owned(), request))
    }

    #[test]
    fn the_caller_and_the_request_are_read() {
        let ana = "arn:aws:sts::123456789012:assumed-role/sso-ana/ana".to_owned();
        assert_eq!(
            asked_of(event()).unwrap(),
            (ana.clone(), Request::Status { service: None })
        );
        let mut encoded = event();
        encoded["body"] = json!(STANDARD.encode(r#"{"command": "status"}"#));
        encoded["isBase64Encoded"] = json!(true);
        assert_eq!(asked_of(encoded).unwrap().0, ana);
    }

    #[test]
    fn a_caller_that_iam_does_not_name_is_denied_before_the_body_is_looked_at() {
        let without = |change: fn(&mut Value)| {
            let mut event = event();
            event["body"] = json!("{");
            change(&mut event["requestContext"]);
            asked_of(event).unwrap_err().kind
        };
        assert_eq!(
            without(|context| context["authorizer"] = json!(null)),
            RefusalKind::Denied
        );
        assert_eq!(
            without(|context| context["authorizer"]["iam"] = json!(null)),
            RefusalKind::Denied
        );
        assert_eq!(
            without(|context| context["authorizer"]["iam"]["userArn"] = json!("")),
            RefusalKind::Denied
        );
        assert_eq!(
            without(|context| drop(context.as_object_mut().unwrap().remove("authorizer"))),
            RefusalKind::Denied
        );
    }

    #[test]
    fn only_a_small_whole_post_is_read() {
        let with = |field: &str, value: Value| {
            let mut event = event();
            *event.pointer_mut(field).unwrap() = value;
            let refusal = asked_of(event).unwrap_err();
            assert_eq!(refusal.kind, RefusalKind::Invalid);
            refusal.message
        };
        let told = [
            with("/requestContext/http/method", json!("GET")),
            with("/isBase64Encoded", json!(true)),
            with("/body", json!("x".repeat(LARGEST_REQUEST + 1))),
            with("/body", json!(null)),
        ];
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn an_answer_is_200_and_a_refusal_has_its_status() {
        let answer = response(Ok(Answer::Status { services: Vec::new() }));
        assert_eq!(
            (&answer["statusCode"], &answer["body"]),
            (&json!(200), &json!(r#"{"answer":"status","services":[]}"#))
        );
        let refusal = Refusal::new(RefusalKind::NotFound, "no", None);
        let answer = response(Err(refusal.clone()));
        assert_eq!(answer["statusCode"], json!(404));
        assert_eq!(
            serde_json::from_str::<Refusal>(answer["body"].as_str().unwrap()).unwrap(),
            refusal
        );
        let warnings = vec!["x".repeat(LARGEST_ANSWER)];
        let large = Answer::Applied {
            service: sluice_domain::ids::ServiceName::parse("mc-api").unwrap(),
            version: sluice_domain::ids::Hash::parse(&"0".repeat(64)).unwrap(),
            changed: true,
            approval_changed: Vec::new(),
            warnings,
        };
        assert_eq!(response(Ok(large))["statusCode"], json!(409));
    }
}
