//! The local AWS: MiniStack with the plugin of `aws/ministack_plugin`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::control_plane::{ControlPlane, free_ports};
use crate::places;
use crate::process::Daemon;

/// The account of every local environment.
pub const ACCOUNT: &str = "000000000000";
/// The region of every local environment.
pub const REGION: &str = "us-east-1";

const READY_WITHIN: Duration = Duration::from_secs(30);

/// MiniStack, running.
#[derive(Debug)]
pub struct Aws {
    daemon: Daemon,
    /// `http://127.0.0.1:<port>`.
    pub endpoint: String,
    clusters: PathBuf,
}

/// Where MiniStack writes what happens in it.
#[derive(Debug, Clone)]
pub struct Records {
    /// Folder of invocations in flight.
    pub invocations: PathBuf,
    /// File of permissions checked.
    pub permissions: PathBuf,
}

impl Records {
    /// In an environment's folder.
    pub fn new(dir: &Path) -> Result<Self> {
        let records = Self {
            invocations: dir.join("invocations"),
            permissions: dir.join("permissions.jsonl"),
        };
        fs::create_dir_all(&records.invocations)?;
        fs::write(&records.permissions, "")?;
        Ok(records)
    }
}

impl Aws {
    /// Starts it on this port. `functions_endpoint` is what the functions are told to be AWS, `authority` the file of the
    /// certificates that they trust elsewhere.
    pub fn start(
        python: &Path,
        dir: &Path,
        port: u16,
        functions_endpoint: &str,
        records: &Records,
        authority: &Path,
    ) -> Result<Self> {
        let clusters = dir.join("eks-clusters.json");
        let temporary = dir.join("tmp");
        fs::create_dir_all(&temporary)?;
        let show = |path: &Path| path.display().to_string();
        // Functions inherit all of this, so it holds nothing of the user's own environment.
        let env = [
            ("GATEWAY_PORT", port.to_string()),
            ("BIND_HOST", "127.0.0.1".into()),
            ("MINISTACK_ACCOUNT_ID", ACCOUNT.into()),
            ("MINISTACK_REGION", REGION.into()),
            ("AWS_ENDPOINT_URL", functions_endpoint.into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AUTH", "true".into()),
            ("SSL_CERT_FILE", show(authority)),
            ("IOT_MTLS_ENABLED", "0".into()),
            ("LAMBDA_ACCOUNT_CONCURRENCY", "1000".into()),
            ("MSP_EKS_CLUSTERS", show(&clusters)),
            ("MSP_INVOCATIONS", show(&records.invocations)),
            ("MSP_PERMISSIONS_LOG", show(&records.permissions)),
            ("PYTHONPATH", show(&places::local("aws"))),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            ("TMPDIR", show(&temporary)),
            ("HOME", show(&temporary)),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let args = ["-m".into(), "ministack_plugin".into()];
        let daemon = Daemon::start("MiniStack", &dir.join("logs/aws.log"), python, &args, &env)?;
        Ok(Self {
            daemon,
            endpoint: format!("http://127.0.0.1:{port}"),
            clusters,
        })
    }

    /// Waits until it answers.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        let url = format!("{}/_ministack/ready", self.endpoint);
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(2))
            .build()?;
        loop {
            self.check()?;
            if client
                .get(&url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            if started.elapsed() > READY_WITHIN {
                bail!(
                    "the local AWS was not ready within {READY_WITHIN:?}:\n{}",
                    self.daemon.tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The webhook that a cluster's API server asks about bearer tokens.
    pub fn token_review(&self, cluster: &str, secret: &str) -> String {
        format!(
            "{}/_ministack/eks-auth/{ACCOUNT}/{REGION}/{cluster}/{secret}",
            self.endpoint
        )
    }

    /// Tells DescribeCluster where the API servers are: `(cluster, endpoint, secret of its webhook)`.
    pub fn publish_clusters(&self, clusters: &[(&ControlPlane, &str, &str)]) -> Result<()> {
        use base64::Engine;
        let entries: serde_json::Map<_, _> = clusters
            .iter()
            .map(|(plane, endpoint, secret)| {
                let ca = base64::engine::general_purpose::STANDARD.encode(&plane.ca);
                (
                    plane.name.clone(),
                    json!({"endpoint": endpoint, "ca": ca, "webhookToken": secret}),
                )
            })
            .collect();
        fs::write(&self.clusters, serde_json::to_vec(&entries)?).context("writing the clusters' addresses")
    }

    /// Fails when it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.daemon.check()
    }

    /// Ends it, and its functions with it.
    pub async fn kill(self) {
        self.daemon.kill().await;
    }
}

/// A port for MiniStack, known before it starts because the fault proxy needs it.
pub fn port() -> Result<u16> {
    let [port] = free_ports()?;
    Ok(port)
}
