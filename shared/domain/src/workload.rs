//! What was observed of a workload in a cluster, and the verdict over it.

use crate::bundle::{Bundle, WorkloadBundle, WorkloadKind};
use crate::ids::{Digest, Fence};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

/// A workload of a namespace, by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkloadRef {
    /// What it is.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

impl WorkloadRef {
    /// A Deployment.
    pub fn deployment(name: impl Into<String>) -> Self {
        Self {
            kind: WorkloadKind::Deployment,
            name: name.into(),
        }
    }

    /// Every workload of a bundle.
    pub fn all_of(bundle: &Bundle) -> Vec<Self> {
        bundle.deployments.iter().map(Self::from).collect()
    }
}

impl From<&WorkloadBundle> for WorkloadRef {
    fn from(workload: &WorkloadBundle) -> Self {
        Self {
            kind: workload.kind,
            name: workload.name.clone(),
        }
    }
}

/// `deployment mc-api`
impl Display for WorkloadRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}

/// The service's workloads and their pods, as read from one cluster's namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Each workload that was asked for and is there, whatever its kind.
    pub deployments: Vec<ObservedDeployment>,
    /// The highest fence annotation on any object that Sluice writes there.
    pub highest_fence: Fence,
}

/// A Deployment, StatefulSet or DaemonSet, and its pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedDeployment {
    /// What it is.
    #[serde(default)]
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `status.observedGeneration`; 0 where there is none yet.
    pub observed_generation: i64,
    /// `spec.replicas`; 1 where absent, as Kubernetes defaults it. Of a DaemonSet as many as there are nodes for it.
    pub wanted: i32,
    /// `status.replicas`: all of its pods, old ones included.
    pub total: i32,
    /// `status.updatedReplicas`.
    pub updated: i32,
    /// `status.availableReplicas`.
    pub available: i32,
    /// The fence annotation; 0 where missing or malformed.
    pub fence: Fence,
    /// Images of the pod template's containers and init containers, by name.
    pub images: BTreeMap<String, String>,
    /// The whole pod template, `spec.template`.
    pub template: Value,
    /// The rest of `spec` (selector, strategy, ...), without template and replicas: a bundle that is captured of it can
    /// be written again also where somebody deleted the Deployment.
    #[serde(default)]
    pub spec: Value,
    /// `metadata.labels`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What says that it cannot go on: `ReplicaFailure` (refused by admission or quota) with its message, or an update
    /// strategy that leaves old pods alone.
    pub failures: Vec<String>,
    /// Whether an autoscaler targets it.
    pub autoscaled: bool,
    /// Its pods.
    pub pods: Vec<ObservedPod>,
}

/// A pod of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedPod {
    /// Its name.
    pub name: String,
    /// Whether it is of the newest pod template: of the Deployment's newest ReplicaSet, or of the newest revision of a
    /// StatefulSet or DaemonSet.
    pub current: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it has ended (`Succeeded` or `Failed`), so that it serves nothing.
    pub ended: bool,
    /// Whether its condition `Ready` is true.
    pub ready: bool,
    /// When it was created.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// Since when its condition `Ready` is true; none where it is not.
    #[serde(default)]
    pub ready_at: Option<Timestamp>,
    /// Each container's image in the spec.
    pub images: BTreeMap<String, String>,
    /// Each container's `imageID` in the status.
    pub image_ids: BTreeMap<String, String>,
    /// Why it cannot start, where the kubelet says so.
    pub problem: Option<PodProblem>,
    /// Why it cannot be scheduled, where the scheduler says so: it may pass when a node is added.
    pub unscheduled: Option<String>,
}

/// Why a pod cannot start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodProblem {
    /// The container.
    pub container: String,
    /// The kubelet's word: `ImagePullBackOff`, `CrashLoopBackOff`, ...
    pub reason: String,
    /// The kubelet's sentence.
    pub message: String,
}

/// The outcome of looking. Inconclusive never passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "snake_case")]
pub enum Verdict {
    /// It is so.
    Passed,
    /// It is not so, and waiting does not help.
    Failed(String),
    /// It cannot be said yet.
    Inconclusive(String),
}

impl ObservedDeployment {
    /// What it is and its name.
    pub fn reference(&self) -> WorkloadRef {
        WorkloadRef {
            kind: self.kind,
            name: self.name.clone(),
        }
    }
}

impl ObservedPod {
    /// Why it cannot start, in one line: `pod api-1, container api: ImagePullBackOff: not found`.
    pub fn trouble(&self) -> Option<String> {
        let problem = self.problem.as_ref()?;
        Some(format!(
            "pod {}, container {}: {}: {}",
            self.name, problem.container, problem.reason, problem.message
        ))
    }
}

/// A Job, as its status and its pods say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedJob {
    /// Its name.
    pub name: String,
    /// The fence annotation; 0 where missing or malformed.
    pub fence: Fence,
    /// `status.active`: pods that are not over.
    pub active: i32,
    /// `status.succeeded`: pods that ended well.
    pub succeeded: i32,
    /// `status.failed`: pods that did not.
    pub failed: i32,
    /// Whether its condition `Complete` is true.
    pub complete: bool,
    /// `reason: message` of its condition `Failed`, where that is true.
    pub failure: Option<String>,
    /// Why one of its pods can never start, where the kubelet says so. A container that crashed is not among these:
    /// the Job itself counts its tries.
    pub problem: Option<String>,
}

impl ObservedJob {
    /// Whether waiting for it any longer changes nothing: it is complete, has failed, or can never start.
    pub fn is_over(&self) -> bool {
        self.complete || self.failure.is_some() || self.problem.is_some()
    }
}

/// What to do about old pods that are still ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// They are awaited: nothing of the old release runs any more.
    Awaited,
    /// They are left to their grace period: the time for the rollout is over.
    LeftAlone,
}

/// Whether the bundle runs: observed generation, updated and available replicas, no old pod left, every pod on the
/// release. A pod that cannot start fails it at once.
pub fn verdict(bundle: &Bundle, observed: &Observation, leaving: Leaving) -> Verdict {
    let mut open = Vec::new();
    for wanted in &bundle.deployments {
        match verdict_of(wanted, bundle, observed, leaving) {
            Verdict::Failed(reason) => return Verdict::Failed(reason),
            Verdict::Inconclusive(reason) => open.push(reason),
            Verdict::Passed => {}
        }
    }
    if open.is_empty() {
        Verdict::Passed
    } else {
        Verdict::Inconclusive(open.join("; "))
    }
}

fn verdict_of(wanted: &WorkloadBundle, bundle: &Bundle, observed: &Observation, leaving: Leaving) -> Verdict {
    let what = WorkloadRef::from(wanted);
    let is_it = |found: &&ObservedDeployment| found.kind == what.kind && found.name == what.name;
    let Some(found) = observed.deployments.iter().find(is_it) else {
        return Verdict::Inconclusive(format!("{what} is not there"));
    };
    if found.observed_generation < found.generation {
        return Verdict::Inconclusive(format!("{what}: the cluster has not looked at the change yet"));
    }
    if let Some(foreign) = foreign_image(wanted, found) {
        return Verdict::Failed(foreign);
    }
    if let Some(failure) = found.failures.first() {
        return Verdict::Failed(format!("{what}: {failure}"));
    }
    if let Some(problem) = found
        .pods
        .iter()
        .filter(|pod| pod.current && !pod.terminating)
        .find_map(ObservedPod::trouble)
    {
        return Verdict::Failed(problem);
    }
    if let Some(open) = replicas_open(found).or_else(|| pods_open(bundle, found, leaving)) {
        return Verdict::Inconclusive(open);
    }
    Verdict::Passed
}

/// Somebody else changed an image that this bundle names.
fn foreign_image(wanted: &WorkloadBundle, found: &ObservedDeployment) -> Option<String> {
    wanted
        .images
        .iter()
        .find_map(|(container, image)| match found.images.get(container) {
            Some(there) if there == image => None,
            Some(there) => Some(format!(
                "{}: container {container} has image {there}, not {image}: somebody else changed it",
                found.reference()
            )),
            None => {
                let what = found.reference();
                Some(format!(
                    "{what}: container {container} is gone: somebody else changed it"
                ))
            }
        })
}

fn replicas_open(found: &ObservedDeployment) -> Option<String> {
    let what = found.reference();
    let ObservedDeployment {
        wanted,
        total,
        updated,
        available,
        ..
    } = found;
    if updated < wanted {
        return Some(format!("{what}: {updated} of {wanted} pods are updated"));
    }
    if total > updated {
        return Some(format!("{what}: {} old pods are left", total - updated));
    }
    (available < wanted).then(
        || match found.pods.iter().find_map(|pod| pod.unscheduled.as_deref()) {
            Some(why) => {
                format!("{what}: {available} of {wanted} pods are available; not scheduled: {why}")
            }
            None => format!("{what}: {available} of {wanted} pods are available"),
        },
    )
}

fn pods_open(bundle: &Bundle, found: &ObservedDeployment, leaving: Leaving) -> Option<String> {
    let what = found.reference();
    let present = || found.pods.iter().filter(|pod| !pod.ended);
    let ready = present()
        .filter(|pod| pod.current && !pod.terminating && pod.ready)
        .count();
    if i32::try_from(ready).is_ok_and(|ready| ready < found.wanted) {
        return Some(format!("{what}: {ready} of {} pods are ready", found.wanted));
    }
    present().find_map(|pod| {
        if !pod.current && (!pod.terminating || leaving == Leaving::Awaited) {
            return Some(format!("{what}: old pod {} is still there", pod.name));
        }
        if !pod.current || pod.terminating {
            return None;
        }
        off_release(bundle, pod).map(|why| format!("{what}: {why}"))
    })
}

/// Why a pod is not on the images that its own spec names by digest. A pod is on an image when its spec names the
/// digest and its `imageID` is that digest or, for an index, one of its children: containerd reports the index, other
/// runtimes the child.
fn off_release(bundle: &Bundle, pod: &ObservedPod) -> Option<String> {
    pod.images.iter().find_map(|(container, image)| {
        let asked = digest_of(image)?;
        let Some(found) = pod.image_ids.get(container).and_then(|id| digest_of(id)) else {
            return Some(format!(
                "pod {}: container {container} does not say yet which image it runs",
                pod.name
            ));
        };
        let child = bundle.digest.as_ref() == Some(&asked) && bundle.children.contains(&found);
        (found != asked && !child).then(|| {
            format!(
                "pod {}: container {container} runs {found}, not {asked}",
                pod.name
            )
        })
    })
}

/// The digest at the end of an image reference or an `imageID`.
pub fn digest_of(reference: &str) -> Option<Digest> {
    Digest::parse(reference.rsplit_once('@')?.1).ok()
}

#[cfg(test)]
#[path = "workload_tests.rs"]
mod tests;
