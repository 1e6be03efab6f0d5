//! Sluice itself into the local AWS: packaged from what cargo built, deployed by the real `sam deploy`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::process::Command;

use crate::aws::{ACCOUNT, REGION};
use crate::environment::{Environment, Sluice};
use crate::{places, process};

/// As samplconfig.toml names it for `local`.
const STACK: &str = "sluice";

/// Where and with what to deploy.
#[derive(Debug, Clone)]
pub struct Deployer {
    /// `bin` of sam's virtual environment.
    pub sam: PathBuf,
    /// The environment's folder.
    pub dir: PathBuf,
    /// The local AWS.
    pub endpoint: String,
    /// Names of the clusters.
    pub clusters: Vec<String>,
    /// Where cargo put the functions' binaries.
    pub binaries: PathBuf,
    /// helm, which `run-helm` has from a layer in an account and from here on this machine.
    pub helm: PathBuf,
}

/// Whether there is a template to deploy.
pub fn possible() -> bool {
    places::project().join("infra/template.yaml").is_file()
}

impl Environment {
    /// Deploys into this environment what cargo put here.
    pub fn deployer(&self, binaries: PathBuf) -> Deployer {
        Deployer {
            sam: self.sam_bin.clone(),
            dir: self.dir.clone(),
            endpoint: self.endpoint.clone(),
            clusters: self.clusters.iter().map(|cluster| cluster.name.clone()).collect(),
            binaries,
            helm: self.helm.clone(),
        }
    }
}

impl Deployer {
    /// Archives and template; needs no AWS.
    pub async fn package(&self) -> Result<()> {
        self.package_as(None).await
    }

    async fn package_as(&self, build: Option<&str>) -> Result<()> {
        let mut python = self.python("package.py");
        python
            .arg(places::project())
            .arg(&self.dir)
            .arg(&self.binaries)
            .arg(&self.helm);
        python.args(build);
        output(python, "packaging the functions").await.map(drop)
    }

    /// Deploys Sluice over itself, as a newer build: every function gets a new version, which the state machines name from
    /// now on. What people and clusters were given stays.
    pub async fn redeploy(&self, build: &str) -> Result<()> {
        self.package_as(Some(build)).await?;
        self.sam_deploy().await
    }

    /// Repository, bucket and clusters.
    pub async fn prepare(&self) -> Result<()> {
        let mut python = self.python("provision.py");
        python.arg("before").arg(self.settings());
        output(python, "preparing the account").await.map(drop)
    }

    /// `sam deploy`, then access entries and people's roles.
    pub async fn deploy(&self) -> Result<Sluice> {
        self.sam_deploy().await?;
        let mut python = self.python("provision.py");
        python.args(["after", STACK]).arg(self.settings());
        let described = output(python, "entering roles and people").await?;
        serde_json::from_slice(&described).context("reading what was deployed")
    }

    async fn sam_deploy(&self) -> Result<()> {
        let mut sam = self.program(&self.sam.join("sam"));
        sam.args([
            "deploy",
            "--config-env",
            "local",
            "--no-progressbar",
            "--template-file",
        ])
        .arg(self.dir.join("template.yaml"))
        .arg("--config-file")
        .arg(places::project().join("samplconfig.toml"));
        output(sam, "sam deploy").await.map(drop)
    }

    fn settings(&self) -> String {
        json!({"clusters": self.clusters, "account": ACCOUNT, "region": REGION, "endpoint": self.endpoint})
            .to_string()
    }

    fn python(&self, script: &str) -> Command {
        let mut command = self.program(&self.sam.join("python"));
        command
            .arg(places::local("aws").join(script))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// With the account's root keys, which only deployment uses, and nothing of the user's own AWS configuration.
    fn program(&self, path: &Path) -> Command {
        let mut command = process::guarded(path);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .envs([
                ("AWS_REGION", REGION),
                ("AWS_DEFAULT_REGION", REGION),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ])
            .envs([
                ("SAM_CLI_TELEMETRY", "0"),
                ("AWS_CONFIG_FILE", "/dev/null"),
                ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ])
            .current_dir(places::project())
            .process_group(0);
        command
    }
}

/// The standard output of a command that must succeed; its own words when it does not.
async fn output(mut command: Command, what: &str) -> Result<Vec<u8>> {
    let done = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("{what}: starting it"))?;
    if !done.status.success() {
        let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        bail!("{what} ended with {}:\n{}", done.status, said.join("\n"));
    }
    Ok(done.stdout)
}
