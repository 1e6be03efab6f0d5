//! Reading what came back: an answer, a refusal by Sluice, or a word from what stands before it.

use crate::client::Lost;
use crate::failure::{Exit, Failure};
use reqwest::Response;
use sluice_domain::api::{Answer, Refusal, RefusalKind};

/// More than any answer has (Lambda's own limit is 6 MB), and little enough to hold.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Reads the answer. A status other than 200 whose body is no [`Refusal`] did not come from Sluice.
pub async fn read(response: Response, region: &str) -> Result<Answer, Lost> {
    let status = response.status().as_u16();
    let error_type = header(&response, "x-amzn-errortype");
    let body = read_body(response).await?;
    if status == 200 {
        return serde_json::from_slice(&body).map_err(|error| Lost::Unknown(strange_answer().because(error)));
    }
    match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) if refusal.kind == RefusalKind::Unavailable => Err(Lost::Undone(refusal.into())),
        Ok(refusal) => Err(Lost::Answered(refusal.into())),
        Err(_) => Err(from_before(status, error_type.as_deref(), &body, region)),
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// The body, refused before it is held when it is larger than any answer.
async fn read_body(mut response: Response) -> Result<Vec<u8>, Lost> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await.map_err(|error| {
            Lost::Unknown(Failure::new(Exit::Unavailable, "The answer broke off.").because(error))
        })?;
        match chunk {
            None => return Ok(body),
            Some(chunk) if body.len().saturating_add(chunk.len()) > LARGEST_ANSWER => {
                let message = format!(
                    "The answer is larger than {LARGEST_ANSWER} bytes: this is not Sluice's `operate`."
                );
                return Err(Lost::Answered(
                    Failure::new(Exit::Unexpected, message).next("look at SLUICE_URL"),
                ));
            }
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}

fn strange_answer() -> Failure {
    let message = format!(
        "The answer cannot be understood. `sluice` {} and the deployed functions may be of different versions.",
        env!("CARGO_PKG_VERSION")
    );
    Failure::new(Exit::Unexpected, message).next("sluice --version")
}

/// What the Function URL itself, or something else on the way, said.
fn from_before(status: u16, error_type: Option<&str>, body: &[u8], region: &str) -> Lost {
    let said = said(body);
    match status {
        403 => Lost::Answered(turned_away(error_type, &said, region)),
        429 => Lost::Undone(out_of_order("AWS throttles the calls to Sluice", status, &said)),
        502 | 504 | 500 => Lost::Unknown(out_of_order("Sluice's `operate` function failed", status, &said)),
        503 => Lost::Unknown(out_of_order(
            "Sluice's `operate` function cannot be reached by AWS",
            status,
            &said,
        )),
        _ => {
            let message =
                format!("What answers at this address is not Sluice's `operate` (HTTP {status}{said}).");
            Lost::Answered(Failure::new(Exit::Unexpected, message).next("look at SLUICE_URL"))
        }
    }
}

fn out_of_order(what: &str, status: u16, said: &str) -> Failure {
    let next = "try again; if it stays so: aws logs tail /aws/lambda/sluice-operate --since 10m";
    Failure::new(Exit::Unavailable, format!("{what} (HTTP {status}{said}).")).next(next)
}

/// IAM's refusal at the Function URL. Sluice's own is a [`Refusal`] and says which person and which action.
///
/// AWS Lambda, "Control access to Lambda function URLs": a caller needs both actions since October 2025.
fn turned_away(error_type: Option<&str>, said: &str, region: &str) -> Failure {
    let error_type = error_type.map(|name| name.split(':').next().unwrap_or(name));
    let (why, next) = match error_type {
        Some("InvalidSignatureException" | "SignatureDoesNotMatchException") => (
            format!(
                "the signature is not accepted for region {region}; is that right, and this machine's clock"
            ),
            "sluice status --region <the Function URL's region>",
        ),
        Some("ExpiredTokenException" | "UnrecognizedClientException" | "InvalidClientTokenId") => (
            "the AWS credentials are not valid, or no longer".to_owned(),
            "aws sts get-caller-identity",
        ),
        _ => (
            "these AWS credentials may not call it; lambda:InvokeFunctionUrl and lambda:InvokeFunction on \
             sluice-operate are needed"
                .to_owned(),
            "aws sts get-caller-identity",
        ),
    };
    let message = format!("AWS refused the call before Sluice saw it: {why} (HTTP 403{said}).");
    Failure::new(Exit::Denied, message).next(next)
}

/// What the body says, as the rest of a sentence: `: Forbidden`, or nothing.
fn said(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let message = value
        .get("message")
        .or_else(|| value.get("Message"))
        .and_then(|message| message.as_str());
    message
        .map(|message| format!(": {}", message.chars().take(300).collect::<String>()))
        .unwrap_or_default()
}
