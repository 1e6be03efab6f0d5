//! What a pipeline file says, checked. Also what is stored of it.

use super::{Fault, Principal, Seconds, Strategy, TagPattern};
use crate::ids::{Digest, EnvironmentName, PersonName, Repository, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pipeline file that has no fault, and what is odd about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// What is allowed but likely not meant, in the file's order.
    pub warnings: Vec<Fault>,
}

/// A service's way from its repository through its environments.
///
/// Reading a stored one refuses keys that it does not know: they would be ignored otherwise, and one may be a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// What is delivered.
    pub service: ServiceName,
    /// Where its images come from.
    pub source: Source,
    /// What runs in each environment.
    pub workload: Workload,
    /// The environments, in the order in which a release goes through them. At least one.
    pub environments: Vec<EnvironmentSpec>,
    /// Who decides, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<PersonName, Person>,
}

/// Where a service's images come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The ECR repository.
    pub repository: Repository,
    /// A push is a release where one of its tags matches one of these. At least one.
    pub tags: Vec<TagPattern>,
    /// `owner/name` at GitHub. Kept; nothing uses it in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github: Option<String>,
}

impl Source {
    /// Whether a push with this tag is a release.
    pub fn takes(&self, tag: &str) -> bool {
        self.tags.iter().any(|pattern| pattern.matches(tag))
    }
}

/// What runs in each environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Deployments, from manifests or adopted from the cluster.
    Deployment(DeploymentWorkload),
    /// A Helm release, by the real helm.
    Helm(HelmWorkload),
}

/// A chart, and where it takes the release's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelmWorkload {
    /// Where the chart comes from.
    pub chart: ChartSource,
    /// The name of the Helm release. None: the service's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The values that take the image.
    pub image: ImageValues,
    /// The values that say how many pods there are: what an environment's `scale` changes. Dotted paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<String>,
    /// How many revisions Helm keeps.
    pub history_limit: u32,
    /// On tracks: the values by which one track is told from the other, with `{track}` in their texts. None: those that
    /// charts of `helm create` take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracks: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Where a chart comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartSource {
    /// A folder below the repository's root, with a `Chart.yaml`; packaged by `sluice apply`.
    Path(String),
    /// A chart in ECR, by digest.
    Oci {
        /// Registry and repository, without `oci://` and digest.
        repository: String,
        /// The digest of its manifest.
        digest: Digest,
    },
}

/// The values of a chart that take the image, as dotted paths. At least one takes the digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageValues {
    /// Takes the repository with its registry, without tag and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Takes the digest, `sha256:...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Takes a tag that pins the digest, `1a2b3c4@sha256:...`: for charts that join repository and tag with a colon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Takes the whole reference, `repository@sha256:...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl ImageValues {
    /// The paths that take something of the image.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        [&self.repository, &self.digest, &self.tag, &self.reference]
            .into_iter()
            .filter_map(|path| path.as_deref())
    }
}

/// Something that is run before a rollout or after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckSpec {
    /// What people call it: a DNS label, once in its list.
    pub name: String,
    /// How long it may take to answer.
    pub timeout: Seconds,
    /// What is run.
    pub run: CheckAction,
}

/// What a check runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckAction {
    /// A Kubernetes Job, from a file of the repository. It passes when the Job completes.
    Job {
        /// The file, relative to the repository's root.
        file: String,
    },
    /// A Lambda function, invoked and awaited. It passes when it answers `{"passed": true}`.
    Lambda {
        /// Its ARN.
        function: String,
    },
    /// An HTTPS endpoint that answers at once, or later through `sluice answer`.
    Webhook {
        /// Where to.
        url: String,
        /// The ARN of the Secrets Manager entry whose text signs the request.
        secret: String,
        /// Who may answer later. Empty: the environment's operators.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        answered_by: Vec<PersonName>,
    },
    /// `helm test` of the release; `verify` of a helm workload only.
    HelmTest,
}

/// What is done where a release or its objects were changed by others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDrift {
    /// The rollout does not start.
    #[default]
    Stop,
    /// It starts, and writes over the change.
    Overwrite,
}

/// One or several Deployments of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentWorkload {
    /// Manifest files, relative to the repository's root. Empty where the Deployments are adopted from the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
    /// The Deployments that run the release. Empty: every Deployment of the manifests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The container whose image is the release. None: the only container there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// One place where the service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentSpec {
    /// Its name.
    pub name: EnvironmentName,
    /// The EKS cluster.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The cluster's region. None: the one that Sluice runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The role that is assumed to reach the cluster. None: the function's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Manifest files on top of the workload's; one of the same kind and name replaces the workload's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
    /// How a release replaces another.
    pub strategy: Strategy,
    /// How long a rollout may take until every pod is on the release.
    pub timeout: Seconds,
    /// How long a rollback may take until every pod is back.
    pub rollback_within: Seconds,
    /// Who must agree before a rollout. None: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalSpec>,
    /// Who may promote, abort, roll back and hold. None: any caller that IAM lets in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operators: Option<Vec<PersonName>>,
    /// Values files of a helm workload, relative to the repository's root; a later one wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Values of a helm workload that come from Secrets Manager: the ARN of the entry, by the value's dotted path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_values: BTreeMap<String, String>,
    /// The role as which helm reaches the cluster, where `role` says another account. None: Sluice's own helm role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_role: Option<String>,
    /// Which part of the last environment's replicas run here, in thousandths: 200 for `scale = 0.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
    /// What must pass before the cluster is written, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<CheckSpec>,
    /// What must pass after every pod is on the release, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<CheckSpec>,
    /// How long a check that gave no answer holds the rollout before it is given up.
    #[serde(default = "hold_for", skip_serializing_if = "is_hold_for")]
    pub hold_for: Seconds,
    /// What is done where a release or its objects were changed by others.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_drift: OnDrift,
    /// CloudWatch alarms of the environment's account and region that stop a rollout, and roll back a release that is
    /// watched. Names, metric and composite alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// How long after full traffic an alarm still rolls back. None: the rollout is over with full traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Seconds>,
}

/// Half an hour: long enough for a person to look.
pub(super) const HOLD_FOR: Seconds = Seconds(1_800);

fn hold_for() -> Seconds {
    HOLD_FOR
}

// serde wants a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_hold_for(seconds: &Seconds) -> bool {
    *seconds == HOLD_FOR
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Who must agree before a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalSpec {
    /// Who may agree or reject. At least one.
    pub approvers: Vec<PersonName>,
    /// How many must agree.
    pub quorum: u32,
    /// Whether the person who asked for the promotion is left out of the count.
    pub four_eyes: bool,
    /// How long people have to answer.
    pub expires: Seconds,
}

/// A person who decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// As which IAM principal Sluice knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iam: Option<Principal>,
    /// Kept; nothing uses it in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
    /// Kept; nothing uses it in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Kept; nothing uses it in this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github: Option<String>,
}

impl Pipeline {
    /// The environment of this name.
    pub fn environment(&self, name: &EnvironmentName) -> Option<&EnvironmentSpec> {
        self.environments
            .iter()
            .find(|environment| environment.name == *name)
    }

    /// The environment into which a release comes first.
    pub fn first(&self) -> Option<&EnvironmentSpec> {
        self.environments.first()
    }

    /// The environment after this one. None after the last, and for a name that is not in this pipeline.
    pub fn after(&self, name: &EnvironmentName) -> Option<&EnvironmentSpec> {
        let mut rest = self
            .environments
            .iter()
            .skip_while(|environment| environment.name != *name);
        rest.next();
        rest.next()
    }

    /// The environment before this one, in which a release must have been verified. None before the first.
    pub fn before(&self, name: &EnvironmentName) -> Option<&EnvironmentSpec> {
        let place = self
            .environments
            .iter()
            .position(|environment| environment.name == *name)?;
        self.environments.get(place.checked_sub(1)?)
    }

    /// The person whose principal this caller is. `own_account` is the account that Sluice runs in: it completes
    /// principals that are written without one.
    ///
    /// At most one person matches: a file in which two could is refused.
    pub fn person_of(&self, caller_arn: &str, own_account: &str) -> Option<&PersonName> {
        let is_caller = |person: &Person| {
            person
                .iam
                .as_ref()
                .is_some_and(|iam| iam.matches(caller_arn, own_account))
        };
        self.people
            .iter()
            .find(|(_, person)| is_caller(person))
            .map(|(name, _)| name)
    }
}
