//! A vendor's HTTPS endpoint on loopback, whose certificate Sluice's functions trust. What it answers, a test says.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::serve::Listener;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::control_plane::{Authority, Identity};

const HANDSHAKE: Duration = Duration::from_secs(5);

/// What vendors on this machine show, and what functions trust; made anew at each start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vendors {
    /// PEM file of the only authority that functions trust (their `SSL_CERT_FILE`).
    pub authority: PathBuf,
    /// PEM file of a certificate for localhost and 127.0.0.1.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Vendors {
    /// Where they are in an environment's folder.
    pub fn of(dir: &Path) -> Self {
        Self {
            authority: dir.join("vendors-ca.pem"),
            certificate: dir.join("vendors.pem"),
            key: dir.join("vendors-key.pem"),
        }
    }

    /// Makes them.
    pub fn make(&self) -> Result<()> {
        let authority = Authority::new("vendors")?;
        let Identity { certificate, key } = authority.server("vendors")?;
        for (path, text) in [
            (&self.authority, authority.certificate()),
            (&self.certificate, certificate),
            (&self.key, key),
        ] {
            fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    /// Serves on a port of its own until the task is aborted; its URL is `https://localhost:<port>`.
    pub async fn serve(&self, router: Router) -> Result<(String, JoinHandle<std::io::Result<()>>)> {
        let certificate = CertificateDer::from_pem_file(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let tls = TlsAcceptor::from(Arc::new(config));
        let serving = tokio::spawn(async move { axum::serve(Tls { listener, tls }, router).await });
        Ok((url, serving))
    }
}

struct Tls {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = Listener::accept(&mut self.listener).await;
            match tokio::time::timeout(HANDSHAKE, self.tls.accept(stream)).await {
                Ok(Ok(stream)) => return (stream, from),
                Ok(Err(error)) => tracing::warn!(%error, "a handshake with a vendor failed"),
                Err(_) => tracing::warn!("a handshake with a vendor did not end"),
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
