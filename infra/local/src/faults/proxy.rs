//! The reverse proxies. What is not disturbed is passed on as it came: path, query, headers and body byte for byte, as
//! they are signed.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Request, Response, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::engine::{Engine, Release};
use super::peers::{self, Ends, Peer};
use super::rules::{AWS, Action, Call};
use crate::control_plane::Identity;

type Body = BoxBody<Bytes, hyper::Error>;

/// What all proxies of an environment share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The rules.
    pub engine: Engine,
    invocations: PathBuf,
    calls: Arc<Mutex<File>>,
}

impl Shared {
    /// `calls` gets a JSON line per call to AWS.
    pub fn new(invocations: &Path, calls: &Path) -> Result<Self> {
        let calls = File::create(calls).with_context(|| format!("creating {}", calls.display()))?;
        Ok(Self {
            engine: Engine::default(),
            invocations: invocations.into(),
            calls: Arc::new(Mutex::new(calls)),
        })
    }

    fn record(&self, call: &Call, status: Option<u16>, took: Duration) {
        let line = json!({"at": jiff::Timestamp::now().to_string(), "target": call.target, "service": call.service,
            "operation": call.operation, "method": call.method, "path": call.path, "function": call.function,
            "accessKey": call.access_key, "status": status, "milliseconds": took.as_millis() as u64});
        let mut file = self
            .calls
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{line}") {
            tracing::warn!(%error, "a call could not be recorded");
        }
    }
}

/// One proxy.
#[derive(Clone)]
pub struct Proxy {
    shared: Shared,
    target: String,
    upstream: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    tls: Option<TlsAcceptor>,
}

impl Proxy {
    /// In front of the local AWS.
    pub fn aws(shared: Shared, upstream: &str) -> Result<Self> {
        Ok(Self {
            shared,
            target: AWS.into(),
            upstream: upstream.into(),
            client: client(RootCertStore::empty())?,
            tls: None,
        })
    }

    /// In front of an API server: it shows a certificate of the cluster's own authority, and passes the caller's bearer
    /// token on.
    pub fn kubernetes(
        shared: Shared,
        cluster: &str,
        upstream: &str,
        ca: &str,
        front: &Identity,
    ) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
        let certificate = CertificateDer::from_pem_slice(front.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(front.key.as_bytes())?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let tls = Some(TlsAcceptor::from(Arc::new(config)));
        Ok(Self {
            shared,
            target: cluster.into(),
            upstream: upstream.into(),
            client: client(roots)?,
            tls,
        })
    }

    /// Serves until dropped.
    pub async fn serve(self, listener: TcpListener) -> Result<()> {
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let proxy = self.clone();
            tokio::spawn(async move {
                if let Err(error) = proxy.connection(stream, from).await {
                    tracing::debug!(%error, "a connection ended");
                }
            });
        }
    }

    async fn connection(self, stream: TcpStream, from: SocketAddr) -> Result<()> {
        stream.set_nodelay(true)?;
        let ends = Ends {
            from,
            to: stream.local_addr()?,
        };
        match self.tls.clone() {
            Some(tls) => self.http(tls.accept(stream).await?, ends).await,
            None => self.http(stream, ends).await,
        }
    }

    async fn http<S>(self, stream: S, ends: Ends) -> Result<()>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let peer = OnceLock::new();
        let (proxy, peer) = (&self, &peer);
        let service = hyper::service::service_fn(|request| proxy.answer(request, ends, peer));
        // The caller's end of the connection is noticed while it waits: a held call of a killed process is forgotten.
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await?;
        Ok(())
    }

    /// An error closes the connection without an answer.
    async fn answer(
        &self,
        request: Request<Incoming>,
        ends: Ends,
        peer: &OnceLock<Peer>,
    ) -> Result<Response<Body>> {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let call = self.describe(&parts, &body, self.peer(ends, peer));
        let answer = self.disturb(&call, parts, body).await;
        self.shared.record(
            &call,
            answer.as_ref().ok().map(|answer| answer.status().as_u16()),
            started.elapsed(),
        );
        answer
    }

    /// Who calls; a test, or somebody else who is no function, is nobody. One connection serves one request at a time, and
    /// one process: who it was once, it stays.
    fn peer<'a>(&self, ends: Ends, known: &'a OnceLock<Peer>) -> Option<&'a Peer> {
        if known.get().is_none() {
            match peers::find(&self.shared.invocations, ends) {
                Ok(Some(found)) => drop(known.set(found)),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "a caller could not be looked for")
                }
            }
        }
        known.get()
    }

    fn describe(&self, parts: &hyper::http::request::Parts, body: &Bytes, peer: Option<&Peer>) -> Call {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let body = String::from_utf8_lossy(body).into_owned();
        let (access_key, service) = signer(&parts.headers);
        let operation =
            operation(&parts.headers, path, &body).unwrap_or_else(|| format!("{} {path}", parts.method));
        Call {
            target: self.target.clone(),
            service: service.unwrap_or_default(),
            operation,
            method: parts.method.to_string(),
            path: path.into(),
            access_key,
            function: peer.map(|peer| peer.function.clone()),
            pid: peer.map(|peer| peer.pid),
            body,
        }
    }

    async fn disturb(
        &self,
        call: &Call,
        parts: hyper::http::request::Parts,
        body: Bytes,
    ) -> Result<Response<Body>> {
        let action = self.shared.engine.decide(call);
        match &action {
            Some(Action::HoldBefore) => self.hold(call, false, None).await?,
            Some(Action::Delay(milliseconds)) => {
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await
            }
            Some(Action::Error { status, body }) => return error(*status, body),
            Some(Action::HoldAfter) | None => {}
        }
        let answer = match self.pass_on(parts, body).await {
            Ok(answer) => answer,
            Err(failure) => {
                return error(
                    502,
                    &format!("{} could not be reached: {failure:#}", self.upstream),
                );
            }
        };
        if action != Some(Action::HoldAfter) {
            return Ok(answer.map(BodyExt::boxed));
        }
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes(); // it has taken effect once the whole answer is here
        self.hold(call, true, Some(head.status.as_u16())).await?;
        Ok(Response::from_parts(head, whole(body)))
    }

    async fn hold(&self, call: &Call, after: bool, status: Option<u16>) -> Result<()> {
        match self.shared.engine.hold(call, after, status).await {
            Release::Continue => Ok(()),
            Release::Drop => anyhow::bail!("dropped by a rule"),
        }
    }

    async fn pass_on(&self, parts: hyper::http::request::Parts, body: Bytes) -> Result<Response<Incoming>> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("{}{path}", self.upstream).parse()?;
        let mut request = Request::builder()
            .method(parts.method)
            .uri(uri)
            .body(Full::new(body))?;
        // The host stays the caller's: it is part of what is signed.
        *request.headers_mut() = parts.headers;
        for hop in ["connection", "transfer-encoding", "expect"] {
            request.headers_mut().remove(hop);
        }
        Ok(self.client.request(request).await?)
    }
}

fn client(roots: RootCertStore) -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>> {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.enforce_http(false);
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new()).build(https))
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed()
}

fn error(status: u16, body: &str) -> Result<Response<Body>> {
    let kind = if body.starts_with('<') {
        "text/xml"
    } else {
        "application/json"
    };
    Ok(Response::builder()
        .status(status)
        .header("content-type", kind)
        .body(whole(Bytes::from(body.to_owned())))?)
}

/// Access key and service of a request signed with SigV4: `Credential=<key>/<date>/<region>/<service>/aws4_request`.
fn signer(headers: &HeaderMap) -> (Option<String>, Option<String>) {
    let scope = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once("Credential="))
        .map(|(_, rest)| rest.split(',').next().unwrap_or(rest));
    let mut parts = scope
        .into_iter()
        .flat_map(|scope| scope.split('/'))
        .map(str::to_owned);
    (parts.next(), parts.nth(2))
}

/// The operation's name, where the request carries it: `X-Amz-Target`, the form field `Action`, or Smithy RPC's path.
fn operation(headers: &HeaderMap, path: &str, body: &str) -> Option<String> {
    let target = headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok())
        .and_then(|target| target.rsplit('.').next());
    let form = || body.split('&').find_map(|field| field.strip_prefix("Action="));
    let smithy = || path.split_once("/operation/").map(|(_, name)| name);
    target.or_else(form).or_else(smithy).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_signature_names_key_and_service() {
        let mut headers = HeaderMap::new();
        assert_eq!(signer(&headers), (None, None));
        let value =
            "AWS4-HMAC-SHA256 Credential=ASIA1/20261123/us-east-1/dynamodb/aws4_request, SignedHeaders=host";
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        assert_eq!(signer(&headers), (Some("ASIA1".into()), Some("dynamodb".into())));
    }

    #[test]
    fn operations_are_named_in_three_ways() {
        let mut headers = HeaderMap::new();
        assert_eq!(
            operation(&headers, "/", "Version=1&Action=AssumeRole"),
            Some("AssumeRole".into())
        );
        assert_eq!(
            operation(&headers, "/service/X/operation/PutMetricData", ""),
            Some("PutMetricData".into())
        );
        assert_eq!(
            operation(&headers, "/2015-03-31/functions/x/invocations", "{}"),
            None
        );
        headers.insert("x-amz-target", "DynamoDB_20120810.PutItem".parse().unwrap());
        assert_eq!(operation(&headers, "/", "{}"), Some("PutItem".into()));
    }
}
