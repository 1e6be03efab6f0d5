//! A vendor that answers webhooks: what it is asked is checked and kept, what it answers a test says.

use crate::World;
use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// What signs a vendor's webhooks.
const KEY: &str = "the key of a webhook, 32 characters or more";

/// What a vendor answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200 with this body.
    Says(Value),
    /// This status, without a body.
    Status(u16),
    /// A redirect to `/elsewhere`.
    Redirect,
    /// 200 with a body that never ends.
    Endless,
    /// Nothing, for ever.
    Silence,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its path.
    pub path: String,
    /// The header `Idempotency-Key`.
    pub key: String,
    /// Its body.
    pub body: Value,
    /// Why its signature is wrong, where it is.
    pub fault: Option<String>,
}

type Answers = dyn Fn(&Value, usize) -> Answer + Send + Sync;

#[derive(Clone)]
struct Shop {
    seen: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Answers>,
}

/// A vendor, which serves until it is dropped.
pub struct Vendor {
    /// Where it is asked.
    pub url: String,
    /// The ARN of what signs its webhooks.
    pub secret: String,
    shop: Shop,
    serving: JoinHandle<std::io::Result<()>>,
}

impl std::fmt::Debug for Vendor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vendor")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Vendor {
    /// Opens one. `answers` is given what is asked, and how often the same was asked before.
    pub async fn open(
        world: &World,
        name: &str,
        answers: impl Fn(&Value, usize) -> Answer + Send + Sync + 'static,
    ) -> Result<Self> {
        let secret = secret(world, &format!("delivery/{name}"), KEY).await?;
        let shop = Shop {
            seen: Arc::default(),
            answers: Arc::new(answers),
        };
        let router = Router::new().fallback(take).with_state(shop.clone());
        let (url, serving) = world.local.vendors.serve(router).await?;
        Ok(Self {
            url: format!("{url}/check?of={name}"),
            secret,
            shop,
            serving,
        })
    }

    /// What it was asked, and that all of it was signed.
    pub fn seen(&self) -> Result<Vec<Seen>> {
        let seen = self
            .shop
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let wrong = seen.iter().find(|one| one.fault.is_some());
        ensure!(wrong.is_none(), "{wrong:?}");
        Ok(seen)
    }
}

/// Makes an entry of Secrets Manager; its ARN.
pub async fn secret(world: &World, name: &str, text: &str) -> Result<String> {
    let client = aws_sdk_secretsmanager::Client::new(&world.config);
    let made = client
        .create_secret()
        .name(name)
        .secret_string(text)
        .send()
        .await
        .context("making a secret")?;
    made.arn.context("a secret without an ARN")
}

async fn take(State(shop): State<Shop>, uri: Uri, headers: HeaderMap, bytes: Bytes) -> Response<Body> {
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let one = Seen {
        path: uri.path().to_owned(),
        key: header(&headers, "idempotency-key"),
        fault: fault(&headers, &bytes),
        body: body.clone(),
    };
    let before = {
        let mut seen = shop.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.iter().filter(|other| other.key == one.key).count();
        seen.push(one);
        before
    };
    let (status, body) = match (shop.answers)(&body, before) {
        Answer::Says(said) => (StatusCode::OK, Body::from(said.to_string())),
        Answer::Status(status) => (StatusCode::from_u16(status).unwrap_or_default(), Body::empty()),
        Answer::Endless => {
            let chunk = || Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 4096]));
            let chunks = futures::stream::repeat_with(chunk);
            (StatusCode::OK, Body::from_stream(chunks))
        }
        Answer::Silence => std::future::pending().await,
        Answer::Redirect => (StatusCode::FOUND, Body::empty()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if status == StatusCode::FOUND {
        let to = axum::http::HeaderValue::from_static("/elsewhere");
        response.headers_mut().insert("location", to);
    }
    response
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// What is wrong with the signature, by docs/pipeline.md.
fn fault(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let (time, signature) = (
        header(headers, "x-sluice-timestamp"),
        header(headers, "x-sluice-signature"),
    );
    let now = jiff::Timestamp::now().as_second();
    if !time.parse().is_ok_and(|time: i64| (now - time).abs() < 300) {
        return Some(format!("it is of {time}, and now is {now}"));
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()) else {
        return Some("no key".to_owned());
    };
    mac.update(format!("v1:{time}:").as_bytes());
    mac.update(body);
    let right = format!("v1={}", hex::encode(mac.finalize().into_bytes()));
    (signature != right).then(|| format!("{signature}, not {right}"))
}

/// The answer of a check that passed.
pub fn passed() -> Answer {
    Answer::Says(json!({"passed": true, "log": "all 40 tests passed"}))
}

/// The answer of a check that failed.
pub fn failed(reason: &str) -> Answer {
    Answer::Says(json!({"passed": false, "reason": reason}))
}
