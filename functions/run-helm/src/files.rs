//! What helm is given: a folder of its own with kubeconfig, chart and values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sluice_cluster::ClusterAccess;
use sluice_domain::bundle::HelmBundle;
use sluice_lambda::Failure;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder that only this process can read, and that is gone with it.
#[derive(Debug)]
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    /// A folder with a kubeconfig for this namespace.
    pub(crate) async fn new(access: &ClusterAccess, namespace: &str) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("helm-")
            .tempdir()
            .map_err(|error| Failure::internal(format!("no folder for helm: {error}")))?;
        let files = Self { folder };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "sluice",
            "clusters": [{"name": "sluice", "cluster": {
                "server": access.endpoint, "certificate-authority-data": STANDARD.encode(&access.certificate)}}],
            "users": [{"name": "sluice", "user": {"token": access.token}}],
            "contexts": [{"name": "sluice",
                          "context": {"cluster": "sluice", "user": "sluice", "namespace": namespace}}],
        });
        files.write("kubeconfig", config.to_string().as_bytes()).await?;
        Ok(files)
    }

    /// The folder.
    pub(crate) fn home(&self) -> &Path {
        self.folder.path()
    }

    /// The chart and the values of a bundle, as arguments: the chart, then its values files, a later one winning.
    pub(crate) async fn chart(
        &self,
        archive: &[u8],
        bundle: &HelmBundle,
        secrets: &Value,
    ) -> Result<Vec<String>, Failure> {
        // Definitions (`crds/`) are the whole cluster's, which helm has no right to change here: people apply them once.
        let mut arguments = vec![
            said(&self.write("chart.tgz", archive).await?),
            "--skip-crds".to_owned(),
        ];
        for (index, values) in bundle.values.iter().enumerate() {
            let file = self
                .write(&format!("values-{index}.yaml"), values.as_bytes())
                .await?;
            arguments.extend(["--values".to_owned(), said(&file)]);
        }
        if !secrets.is_null() {
            let file = self
                .write("values-secret.json", secrets.to_string().as_bytes())
                .await?;
            arguments.extend(["--values".to_owned(), said(&file)]);
        }
        Ok(arguments)
    }

    async fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.home().join(name);
        let failed = |error| Failure::transient(format!("{name} for helm was not written: {error}"));
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&path).await.map_err(failed)?;
        tokio::io::AsyncWriteExt::write_all(&mut file, content)
            .await
            .map_err(failed)?;
        tokio::io::AsyncWriteExt::flush(&mut file).await.map_err(failed)?;
        Ok(path)
    }
}

fn said(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
