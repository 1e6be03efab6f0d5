//! What a started environment is: written by the supervisor, read by everybody else.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::https::Vendors;
use crate::places;

/// The file in an environment's folder.
pub const FILE: &str = "environment.json";

const PROFILES: &str = "aws-profiles";

/// Everything that tests, the demo and people need to reach a started environment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// The local AWS itself: `http://127.0.0.1:<port>`. Nothing between it and the caller.
    pub endpoint: String,
    /// The local AWS as Sluice's functions see it, through the fault proxy.
    pub functions_endpoint: String,
    /// Where rules are posted to the fault proxy; [`crate::faults::Faults`] speaks to it.
    pub faults: String,
    /// Account id, 12 digits.
    pub account: String,
    /// Region.
    pub region: String,
    /// Clusters by order of promotion.
    pub clusters: Vec<Cluster>,
    /// `http://127.0.0.1:<port>` of the etcd that holds all clusters; [`crate::etcd::Etcd`] reads it.
    pub etcd: String,
    /// The environment's folder.
    pub dir: PathBuf,
    /// Holds `<request id>.json` = {pid, function, event} for each invocation in flight.
    pub invocations: PathBuf,
    /// JSON lines {at, principal, action, resource, allowed}: every permission checked of a role.
    pub permissions_log: PathBuf,
    /// JSON lines {at, target, service, operation, method, path, function, accessKey, status, milliseconds}: every call
    /// that a function made, to AWS or to a cluster.
    pub calls_log: PathBuf,
    /// `bin` of the virtual environment with sam, aws, cfn-lint, cargo-lambda and a python with boto3.
    pub sam_bin: PathBuf,
    /// The helm that Sluice's functions run, for tests and the bench to run themselves.
    pub helm: PathBuf,
    /// Folder of charts that others wrote, each in a folder of its name (`infra/local/charts.json`).
    pub charts: PathBuf,
    /// What functions trust outside AWS and the clusters.
    pub vendors: Vendors,
    /// Sluice itself, once deployed.
    pub sluice: Option<Sluice>,
}

/// One EKS cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name in EKS.
    pub name: String,
    /// The API server itself.
    pub endpoint: String,
    /// The endpoint that DescribeCluster answers: the fault proxy in front of the API server.
    pub proxy: String,
    /// Kubeconfig of an administrator, straight to the API server.
    pub kubeconfig: PathBuf,
    /// Namespaces that Sluice delivers to.
    pub namespaces: Vec<String>,
}

/// Sluice as it was deployed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sluice {
    /// CloudFormation stack.
    pub stack: String,
    /// `operate`'s Function URL, to be signed with service `lambda`.
    pub operate_url: String,
    /// DynamoDB table.
    pub table: String,
    /// ARN of each state machine: `promotion`, `rollback`.
    pub state_machines: BTreeMap<String, String>,
    /// ARN of each function's role, by crate name.
    pub function_roles: BTreeMap<String, String>,
    /// ARN of each function, by crate name.
    pub functions: BTreeMap<String, String>,
    /// ARN of the role of each person (`ana`, `ben`, `carl`) and of `pusher`.
    pub people: BTreeMap<String, String>,
    /// The stack's outputs as they are.
    pub outputs: BTreeMap<String, String>,
}

impl Environment {
    /// The environment that `SLUICE_LOCAL_ENVIRONMENT` names (a file), else the one that `up` left in `target/local`.
    pub fn load() -> Result<Self> {
        let path = env::var_os("SLUICE_LOCAL_ENVIRONMENT")
            .map_or_else(|| places::environment().join(FILE), PathBuf::from);
        Self::read(&path)
    }

    /// The environment that this file describes.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!(
                "reading {}: is an environment up? `sluice-local up` starts one",
                path.display()
            )
        })?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not an environment's description", path.display()))
    }

    /// Writes the description and the file to `source`.
    pub fn write(&self) -> Result<()> {
        let whole = serde_json::to_string_pretty(self)?;
        let unfinished = self.dir.join("environment.json.new");
        fs::write(&unfinished, whole).context("writing environment.json")?;
        fs::rename(&unfinished, self.dir.join(FILE)).context("writing environment.json")?;
        fs::write(self.dir.join(PROFILES), self.profiles()).context("writing the AWS profiles")?;
        fs::write(self.dir.join("env.sh"), self.exports()).context("writing env.sh")
    }

    /// For a person's shell. The keys are in a file of profiles and not in variables, as those would win over AWS_PROFILE.
    fn exports(&self) -> String {
        let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        let mut variables = self.variables();
        variables.retain(|(name, _)| !keys.contains(&name.as_str()));
        variables.push((
            "AWS_CONFIG_FILE".into(),
            self.dir.join(PROFILES).display().to_string(),
        ));
        variables.push(("AWS_SHARED_CREDENTIALS_FILE".into(), "/dev/null".into()));
        let exports = variables
            .iter()
            .map(|(name, value)| format!("export {name}='{value}'\n"));
        let path = format!("export PATH=\"$PATH:{}\"\n", self.sam_bin.display());
        std::iter::once(format!("unset {} AWS_SESSION_TOKEN\n", keys.join(" ")))
            .chain(exports)
            .chain([path])
            .collect()
    }

    /// `default` is root; every person is a profile of their own, which assumes their role.
    fn profiles(&self) -> String {
        let people = self.sluice.iter().flat_map(|sluice| &sluice.people).map(|(name, role)| {
            format!(
                "\n[profile {name}]\nrole_arn = {role}\nrole_session_name = {name}\nsource_profile = default\nregion = {}\n",
                self.region
            )
        });
        let root = format!(
            "[default]\naws_access_key_id = test\naws_secret_access_key = test\nregion = {}\n",
            self.region
        );
        std::iter::once(root).chain(people).collect()
    }

    /// The variables that tools of AWS, kubectl and `sluice` read. The keys are root's: people's commands assume a
    /// role first.
    pub fn variables(&self) -> Vec<(String, String)> {
        let kubeconfigs: Vec<String> = self
            .clusters
            .iter()
            .map(|cluster| cluster.kubeconfig.display().to_string())
            .collect();
        let mut pairs = vec![
            (
                "SLUICE_LOCAL_ENVIRONMENT",
                self.dir.join(FILE).display().to_string(),
            ),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_PAGER", String::new()),
            ("SAM_CLI_TELEMETRY", "0".into()),
            ("KUBECONFIG", kubeconfigs.join(":")),
        ];
        if let Some(sluice) = &self.sluice {
            pairs.push(("SLUICE_URL", sluice.operate_url.clone()));
        }
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> Result<&Cluster> {
        self.clusters
            .iter()
            .find(|cluster| cluster.name == name)
            .with_context(|| {
                let names: Vec<&str> = self
                    .clusters
                    .iter()
                    .map(|cluster| cluster.name.as_str())
                    .collect();
                format!("there is no cluster {name} here, only {}", names.join(", "))
            })
    }

    /// Sluice as deployed; an error when the environment was started without it.
    pub fn sluice(&self) -> Result<&Sluice> {
        self.sluice
            .as_ref()
            .context("this environment was started without Sluice: start one without --without-sluice")
    }

    /// Host name of the account's ECR registry, as pod specs name it.
    pub fn registry_host(&self) -> String {
        format!("{}.dkr.ecr.{}.amazonaws.com", self.account, self.region)
    }
}
