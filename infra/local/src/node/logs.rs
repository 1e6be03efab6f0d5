//! The logs of simulated containers, served as a kubelet serves them: the API server asks
//! `https://<node>:<port>/containerLogs/<namespace>/<pod>/<container>` for what `kubectl logs` shows.
//!
//! The certificate is made here and signs itself: an API server that is not told `--kubelet-certificate-authority` does not
//! verify it (Kubernetes, "Communication between Nodes and the Control Plane").

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A container: namespace, pod, name.
type Container = (String, String, String);

/// What every container of a node has printed since it last started.
#[derive(Debug, Clone, Default)]
pub struct Logs(Arc<Mutex<HashMap<Container, String>>>);

impl Logs {
    /// A container starts, and prints this.
    pub fn start(&self, namespace: &str, pod: &str, container: &str, text: String) {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, text);
    }

    /// A pod is gone, and its logs with it.
    pub fn forget(&self, namespace: &str, pod: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(its_namespace, its_pod, _), _| its_namespace != namespace || its_pod != pod);
    }

    fn of(&self, namespace: &str, pod: &str, container: &str) -> Option<String> {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&key).cloned()
    }
}

/// Serves until dropped.
pub async fn serve(logs: Logs, listener: TcpListener) -> Result<()> {
    let tls = acceptor().context("the simulated kubelet's certificate")?;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let (logs, tls) = (logs.clone(), tls.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(logs, tls, stream).await {
                tracing::debug!(%error, "a connection to the simulated kubelet ended");
            }
        });
    }
}

async fn connection(logs: Logs, tls: TlsAcceptor, stream: TcpStream) -> Result<()> {
    let stream = tls.accept(stream).await?;
    let logs = &logs;
    let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(answer(logs, request.uri()))
    });
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

fn acceptor() -> Result<TlsAcceptor> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn answer(logs: &Logs, uri: &hyper::Uri) -> Response<Full<Bytes>> {
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let (status, text) = match parts.as_slice() {
        ["containerLogs", namespace, pod, container] => match logs.of(namespace, pod, container) {
            Some(text) => (StatusCode::OK, limited(&text, uri.query().unwrap_or_default())),
            // A kubelet's own words.
            None => (
                StatusCode::BAD_REQUEST,
                format!("container \"{container}\" in pod \"{pod}\" is waiting to start"),
            ),
        },
        _ => (
            StatusCode::NOT_FOUND,
            "the simulated node serves logs only".to_owned(),
        ),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

/// As `tailLines` and then `limitBytes` say.
fn limited(text: &str, query: &str) -> String {
    let number = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == name);
        values.next().and_then(|(_, value)| value.parse::<usize>().ok())
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let skipped = number("tailLines").map_or(0, |tail| lines.len().saturating_sub(tail));
    let tail: String = lines.into_iter().skip(skipped).collect();
    let bytes = tail.as_bytes();
    let most = number("limitBytes").unwrap_or(bytes.len()).min(bytes.len());
    String::from_utf8_lossy(bytes.get(..most).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(logs: &Logs, uri: &str) -> u16 {
        answer(logs, &uri.parse().unwrap()).status().as_u16()
    }

    #[test]
    fn a_container_has_a_log_from_its_start_to_the_end_of_its_pod() {
        let logs = Logs::default();
        let of_api = "/containerLogs/dev/api-1/api";
        assert_eq!(ask(&logs, of_api), 400);
        logs.start("dev", "api-1", "api", "hello\n".to_owned());
        assert_eq!(
            (ask(&logs, of_api), ask(&logs, "/containerLogs/dev/api-1/other")),
            (200, 400)
        );
        logs.forget("dev", "api-2");
        assert_eq!(ask(&logs, of_api), 200);
        logs.forget("dev", "api-1");
        assert_eq!((ask(&logs, of_api), ask(&logs, "/pods")), (400, 404));
    }

    #[test]
    fn the_end_is_cut_out_and_then_its_beginning() {
        let text = "one\ntwo\nthree\n";
        for (query, wanted) in [
            ("", text),
            ("tailLines=2", "two\nthree\n"),
            ("tailLines=2&limitBytes=5", "two\nt"),
            ("limitBytes=99&follow=false", text),
            ("tailLines=0", ""),
        ] {
            assert_eq!(limited(text, query), wanted, "{query}");
        }
    }
}
