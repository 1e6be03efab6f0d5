//! A double of `operate`, on loopback: it checks that a request is signed and is one of the protocol's, remembers it,
//! and answers what the test says. It decides nothing; what `operate` does is tested where `operate` is.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sluice_domain::api::{Answer, Refusal, RefusalKind, Request};
use sluice_domain::canonical::sha256_hex;
use std::sync::{Arc, Mutex};

pub const REGION: &str = "eu-west-1";
/// The path that the local AWS gives a Function URL.
const PATH: &str = "/_aws/lambda-url/abcdefgh/";

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    Answer(Box<Answer>),
    Refusal(Refusal),
    /// A status, its headers, and a body: what stands before Sluice says so.
    Raw(u16, Vec<(&'static str, &'static str)>, Vec<u8>),
    /// Nothing, for as long as the test lasts.
    Silence,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Answer(Box::new(answer))
    }
}

impl Reply {
    pub fn refusal(kind: RefusalKind, message: &str, next: Option<&str>) -> Self {
        Self::Refusal(Refusal::new(kind, message, next.map(str::to_owned)))
    }

    pub fn raw(status: u16, body: &str) -> Self {
        Self::Raw(status, Vec::new(), body.into())
    }
}

type Script = dyn Fn(usize, &Request) -> Reply + Send + Sync;

struct Inside {
    script: Box<Script>,
    requests: Mutex<Vec<Request>>,
    wrong: Mutex<Vec<String>>,
}

/// The double. It ends with the test, and fails it where a request was not as it must be.
pub struct Operate {
    pub url: String,
    inside: Arc<Inside>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Operate {
    /// Answers the n-th request (from 0) as the script says.
    pub fn new(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let inside = Arc::new(Inside {
            script: Box::new(script),
            requests: Mutex::default(),
            wrong: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}{PATH}", listener.local_addr().unwrap());
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inside));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            url,
            inside,
            runtime: Some(runtime),
        }
    }

    /// Answers every request alike.
    pub fn always(reply: impl Into<Reply>) -> Self {
        let reply = reply.into();
        Self::new(move |_, _| reply.clone())
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.inside.requests.lock().unwrap().clone()
    }

    /// The command, with its address and credentials, and nothing of this machine's.
    pub fn sluice(&self, line: &str) -> assert_cmd::Command {
        let mut command = sluice(line);
        command.envs(self.settings());
        command
    }

    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let own = [
            ("SLUICE_URL", self.url.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "token"),
        ];
        own.map(|(name, value)| (name, value.to_owned())).into()
    }
}

impl Drop for Operate {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let wrong = self.inside.wrong.lock().unwrap();
        assert!(std::thread::panicking() || wrong.is_empty(), "{wrong:#?}");
    }
}

/// The command without any setting.
pub fn sluice(line: &str) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("sluice"));
    command
        .env_clear()
        .envs(nothing_of_this_machine())
        .args(words(line));
    command.timeout(std::time::Duration::from_secs(60));
    command
}

pub fn nothing_of_this_machine() -> [(&'static str, &'static str); 4] {
    [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("HOME", "/nonexistent"),
    ]
}

/// Words divided by spaces; `_` in a word is a space.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| word.replace('_', " "))
        .collect()
}

async fn answer(State(inside): State<Arc<Inside>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    match check(&parts, &body) {
        Err(wrong) => {
            inside.wrong.lock().unwrap().push(wrong);
            StatusCode::IM_A_TEAPOT.into_response()
        }
        Ok(request) => {
            let reply = {
                let mut requests = inside.requests.lock().unwrap();
                requests.push(request.clone());
                (inside.script)(requests.len() - 1, &request)
            };
            say(reply).await
        }
    }
}

fn check(parts: &axum::http::request::Parts, body: &Bytes) -> Result<Request, String> {
    if (parts.method.as_str(), parts.uri.path()) != ("POST", PATH) {
        return Err(format!("{} {}", parts.method, parts.uri));
    }
    signed(&parts.headers, body)?;
    serde_json::from_slice(body).map_err(|error| format!("no request of the protocol: {error}"))
}

/// Signature Version 4: present, for this region and the service `lambda`, over these headers and this body.
fn signed(headers: &HeaderMap, body: &Bytes) -> Result<(), String> {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let authorization = header("authorization");
    let date = header("x-amz-date");
    let scope = format!(
        "AKIDEXAMPLE/{}/{REGION}/lambda/aws4_request",
        date.get(..8).unwrap_or("-")
    );
    let expected = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=");
    let rest = authorization
        .strip_prefix(&expected)
        .ok_or(format!("authorization: {authorization}"))?;
    let (names, signature) = rest
        .split_once(", Signature=")
        .ok_or(format!("authorization: {authorization}"))?;
    let names: Vec<&str> = names.split(';').collect();
    for name in [
        "content-type",
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    ] {
        if !names.contains(&name) {
            return Err(format!("{name} is not signed: {authorization}"));
        }
    }
    let right = signature.len() == 64 && header("x-amz-content-sha256") == sha256_hex(body);
    let right =
        right && header("x-amz-security-token") == "token" && header("content-type") == "application/json";
    if right {
        Ok(())
    } else {
        Err(format!("{headers:?}"))
    }
}

async fn say(reply: Reply) -> Response {
    match reply {
        Reply::Answer(answer) => axum::Json(*answer).into_response(),
        Reply::Refusal(refusal) => {
            let status = StatusCode::from_u16(refusal.kind.status()).unwrap();
            (status, axum::Json(refusal)).into_response()
        }
        Reply::Raw(status, headers, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Reply::Silence => std::future::pending().await,
    }
}

/// What a command wrote, and how it ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn run(command: &mut assert_cmd::Command) -> Run {
    let output = command.output().unwrap();
    Run {
        code: output.status.code().expect("ended by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.out)?;
        if !self.err.is_empty() {
            write!(f, "-- standard error\n{}", self.err)?;
        }
        write!(f, "-- exit code {}", self.code)
    }
}

/// Nothing that people read is wider than 80 columns where the output is no terminal, but for commands to copy.
pub fn fits(run: &Run) {
    for line in run
        .out
        .lines()
        .filter(|line| !line.starts_with("next:") && !line.starts_with("  sluice "))
    {
        assert!(
            line.chars().count() <= 80,
            "{} columns: {line}",
            line.chars().count()
        );
    }
}
