//! A check that is an HTTPS endpoint: signed, retried, and answered at once or later.

use crate::handler::Asked;
use crate::reply::{read, shortened};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use reqwest::{Client, Response, StatusCode, redirect};
use sha2::Sha256;
use sluice_domain::workload::Verdict;
use sluice_lambda::Failure;
use std::time::Duration;
use tokio::time::Instant;

/// How long one try may take.
const TRY: Duration = Duration::from_secs(30);
/// The most of an answer that is read.
const MOST_BODY: usize = 64 << 10;
/// The wait after the first try that failed; twice as long after each.
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// What an endpoint said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A verdict, and what it printed.
    Verdict(Verdict, Option<String>),
    /// It has taken the question, and answers later.
    Later,
    /// Nothing, in all tries; the last reason.
    Nothing(String),
}

/// The signature of a body at a time: HMAC-SHA256 over `v1:{seconds}:{body}`, in hexadecimal.
pub(crate) fn signature(key: &[u8], seconds: i64, body: &[u8]) -> Result<String, Failure> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|_| Failure::refused("the webhook's secret cannot be used as a key"))?;
    mac.update(format!("v1:{seconds}:").as_bytes());
    mac.update(body);
    Ok(format!("v1={}", hex::encode(mac.finalize().into_bytes())))
}

/// Asks until something is said, or `limit` is over. The same question has the same `Idempotency-Key`.
pub(crate) async fn ask(url: &str, key: &[u8], asked: &Asked<'_>, limit: Duration) -> Result<Said, Failure> {
    let until = Instant::now() + limit;
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .user_agent("sluice")
        .build()
        .map_err(|error| Failure::internal(format!("no HTTPS client: {error}")))?;
    let body = serde_json::to_vec(asked).map_err(|error| Failure::internal(error.to_string()))?;
    let mut delay = FIRST_DELAY;
    loop {
        let left = TRY.min(until.saturating_duration_since(Instant::now()));
        let last = match post(&client, url, key, asked, &body, left).await? {
            Tried::Said(said) => return Ok(said),
            Tried::Again(reason) => reason,
        };
        if Instant::now() + delay >= until {
            return Ok(Said::Nothing(last));
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}

enum Tried {
    Said(Said),
    Again(String),
}

async fn post(
    client: &Client,
    url: &str,
    key: &[u8],
    asked: &Asked<'_>,
    body: &[u8],
    limit: Duration,
) -> Result<Tried, Failure> {
    let seconds = Timestamp::now().as_second();
    let request = client
        .post(url)
        .timeout(limit)
        .header("content-type", "application/json")
        .header("idempotency-key", asked.id.as_str())
        .header("x-sluice-timestamp", seconds.to_string())
        .header("x-sluice-signature", signature(key, seconds, body)?)
        .body(body.to_vec());
    let response = match request.send().await {
        Ok(response) => response,
        // Without its URL, which may hold a token.
        Err(error) => return Ok(Tried::Again(chain(&error.without_url()))),
    };
    let status = response.status();
    if status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
    {
        return Ok(Tried::Again(format!("it answered {status}")));
    }
    if status == StatusCode::ACCEPTED {
        return Ok(Tried::Said(Said::Later));
    }
    let body = match bounded(response).await {
        Ok(body) => body,
        Err(reason) => return Ok(Tried::Again(reason)),
    };
    if status == StatusCode::OK {
        let (verdict, log) = read(&body);
        return Ok(Tried::Said(Said::Verdict(verdict, log)));
    }
    let said = shortened(&String::from_utf8_lossy(&body));
    let why = format!("it answered {status}, which is no verdict: {said}");
    Ok(Tried::Said(Said::Verdict(Verdict::Inconclusive(why), None)))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| chain(&error.without_url()))?
    {
        if body.len() + chunk.len() > MOST_BODY {
            return Err(format!("its answer has more than {MOST_BODY} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    shortened(&text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_signature_is_over_time_and_body() {
        // printf 'v1:1700000000:{"a":1}' | openssl dgst -sha256 -hmac key
        let right = "v1=d9557872749208eb6fd1b4949933064d21edc4f53ab77a187f5569f605c14ec1";
        let made = signature(b"key", 1_700_000_000, br#"{"a":1}"#).unwrap();
        assert_eq!(made, right);
        for (key, seconds, body) in [
            ("kez", 1_700_000_000, r#"{"a":1}"#),
            ("key", 1_700_000_001, r#"{"a":1}"#),
            ("key", 1_700_000_000, r#"{"a":2}"#),
        ] {
            assert_ne!(
                signature(key.as_bytes(), seconds, body.as_bytes()).unwrap(),
                right
            );
        }
    }
}
