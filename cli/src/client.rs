//! Asking `operate`: one signed POST, one answer.

use crate::args::Global;
use crate::endpoint;
use crate::failure::{Exit, Failure};
use crate::reply;
use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::Url;
use sluice_domain::api::{Answer, Request};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// How long a connection may take to be made. A Function URL in reach takes a tenth of a second.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may take where nothing else is said.
pub const USUALLY: Duration = Duration::from_secs(60);
/// How long to look for credentials: the last place is the network (a container's or an instance's role).
const CREDENTIALS_WITHIN: Duration = Duration::from_secs(20);
/// Credentials are read again this long before they expire.
const BEFORE_EXPIRY: Duration = Duration::from_secs(300);
/// What `operate` takes: Lambda's 6 MB (AWS Lambda, "Quotas") are of the event that the request is quoted in.
const LARGEST_REQUEST: usize = 4 << 20;
/// Waits before the second and third try of a read.
const BACKOFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// A way to ask `operate`.
pub struct Client {
    http: reqwest::Client,
    url: Url,
    region: String,
    provider: SharedCredentialsProvider,
    credentials: Mutex<Option<Credentials>>,
}

/// Why a request had no usable answer.
pub enum Lost {
    /// It was never sent, or Sluice says that it did nothing: it may be asked again.
    Undone(Failure),
    /// It was sent, and what became of it is not known; or the far side was out of order.
    Unknown(Failure),
    /// It was answered: asking again is no use.
    Answered(Failure),
}

impl Client {
    /// Finds address, region and credentials. Asks nothing yet, but for credentials.
    pub async fn open(global: &Global) -> Result<Self, Failure> {
        Self::open_for(global, USUALLY).await
    }

    /// Likewise, with another time for an answer where the command line does not say one.
    pub async fn open_for(global: &Global, answer_within: Duration) -> Result<Self, Failure> {
        let url = endpoint::parse_url(global.url.as_deref())?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(profile) = &global.profile {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        let region = endpoint::region(global.region.as_deref(), &url, config.region())?;
        let provider = config
            .credentials_provider()
            .ok_or_else(|| no_credentials(global.profile.as_deref()))?;
        let http = http_client(&url, global.timeout.map_or(answer_within, |timeout| timeout.0))?;
        let client = Self {
            http,
            url,
            region,
            provider,
            credentials: Mutex::new(None),
        };
        let found = client.credentials().await;
        found.map_err(|cause| Failure {
            source: cause.source,
            ..no_credentials(global.profile.as_deref())
        })?;
        Ok(client)
    }

    /// Asks. A read is tried three times, but for a plan, which takes long; a change is asked for once, since it may have
    /// happened.
    pub async fn ask(&self, request: &Request) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(request).map_err(|error| {
            Failure::new(Exit::Unexpected, "The request cannot be written as JSON.").because(error)
        })?;
        if body.len() > LARGEST_REQUEST {
            return Err(too_large(body.len()));
        }
        let again = is_read(request) && !matches!(request, Request::Plan { .. });
        let mut waits = if again { BACKOFF.as_slice() } else { &[] }.iter();
        loop {
            match (self.ask_once(body.clone()).await, waits.next()) {
                (Ok(answer), _) => return Ok(answer),
                (Err(Lost::Undone(_) | Lost::Unknown(_)), Some(wait)) => tokio::time::sleep(*wait).await,
                (Err(Lost::Undone(failure) | Lost::Answered(failure)), _) => return Err(failure),
                (Err(Lost::Unknown(failure)), _) if is_read(request) => return Err(failure),
                (Err(Lost::Unknown(failure)), _) => return Err(perhaps_done(failure)),
            }
        }
    }

    async fn ask_once(&self, body: Vec<u8>) -> Result<Answer, Lost> {
        let credentials = self.credentials().await.map_err(Lost::Undone)?;
        let signed = self.sign(credentials, body).map_err(Lost::Undone)?;
        let response = self
            .http
            .execute(signed)
            .await
            .map_err(|error| self.unreachable(error))?;
        reply::read(response, &self.region).await
    }

    /// SigV4 for service `lambda`, with the body's hash, as a Function URL with IAM authentication demands.
    fn sign(&self, credentials: Credentials, body: Vec<u8>) -> Result<reqwest::Request, Failure> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Failure::new(Exit::Unexpected, "The request cannot be signed.").because(error)
        };
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("lambda");
        let params = params
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|e| failed(e.into()))?;
        let headers = [("content-type", "application/json")];
        let signable = SignableRequest::new(
            "POST",
            self.url.as_str(),
            headers.into_iter(),
            SignableBody::Bytes(&body),
        );
        let output = signable
            .and_then(|signable| sign(signable, &params.into()))
            .map_err(|e| failed(e.into()))?;
        let (instructions, _) = output.into_parts();
        let request = http::Request::post(self.url.as_str()).header("content-type", "application/json");
        let mut request = request.body(body).map_err(|e| failed(e.into()))?;
        instructions.apply_to_request_http1x(&mut request);
        reqwest::Request::try_from(request).map_err(|e| failed(e.into()))
    }

    /// Kept until shortly before they expire: following asks once a second, for hours.
    async fn credentials(&self) -> Result<Credentials, Failure> {
        let mut kept = self.credentials.lock().await;
        let fresh_until = SystemTime::now() + BEFORE_EXPIRY;
        if let Some(credentials) = kept
            .as_ref()
            .filter(|kept| kept.expiry().is_none_or(|at| at > fresh_until))
        {
            return Ok(credentials.clone());
        }
        let failed = || Failure::new(Exit::Denied, "AWS credentials could not be read again.");
        let provided = tokio::time::timeout(CREDENTIALS_WITHIN, self.provider.provide_credentials()).await;
        let found = provided
            .map_err(|late| failed().because(late))?
            .map_err(|error| failed().because(error))?;
        Ok(kept.insert(found).clone())
    }

    fn unreachable(&self, error: reqwest::Error) -> Lost {
        let host = self.url.host_str().unwrap_or_default();
        if error.is_connect() || error.is_builder() {
            let message = format!("Nothing answers at {host}. Nothing was changed.");
            let failure = Failure::new(Exit::Unavailable, message).because(error);
            return Lost::Undone(failure.next("look at the address in SLUICE_URL, and at the network"));
        }
        let what = if error.is_timeout() {
            "did not answer in time"
        } else {
            "broke the connection off"
        };
        Lost::Unknown(Failure::new(Exit::Unavailable, format!("Sluice at {host} {what}.")).because(error))
    }
}

/// A redirect is not followed: the signature is for this address. A proxy is not used to reach this machine.
fn http_client(url: &Url, timeout: Duration) -> Result<reqwest::Client, Failure> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_WITHIN.min(timeout))
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")));
    let builder = if endpoint::is_loopback(url) {
        builder.no_proxy()
    } else {
        builder
    };
    builder
        .build()
        .map_err(|error| Failure::new(Exit::Unexpected, "HTTPS cannot be set up.").because(error))
}

/// Whether asking twice is the same as asking once, whatever becomes of the first.
fn is_read(request: &Request) -> bool {
    matches!(
        request,
        Request::Status { .. } | Request::History { .. } | Request::Plan { .. } | Request::Ledger { .. }
    )
}

fn perhaps_done(failure: Failure) -> Failure {
    let message = format!(
        "{} Whether the command was carried out is not known.",
        failure.message
    );
    Failure {
        message,
        next: Some("sluice status".into()),
        ..failure
    }
}

fn too_large(bytes: usize) -> Failure {
    let message = format!("The request has {bytes} bytes; Sluice takes at most {LARGEST_REQUEST}.");
    Failure::new(Exit::Invalid, message).next("make the manifests that the pipeline file names smaller")
}

fn no_credentials(profile: Option<&str>) -> Failure {
    let (message, next) = match profile {
        Some(profile) => (
            format!("There are no usable AWS credentials in the profile `{profile}`."),
            format!("aws sso login --profile {profile}"),
        ),
        None => (
            "There are no usable AWS credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, \
             nor a role of this machine."
                .to_owned(),
            "export AWS_PROFILE=<profile>, or `aws configure`; `aws sts get-caller-identity` shows what works".to_owned(),
        ),
    };
    Failure::new(Exit::Denied, message).next(next)
}
