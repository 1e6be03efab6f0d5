//! The manifests that a pipeline names, checked and packaged: for each environment, what is applied there.

use super::deployment::{all_containers, container_names};
use super::files::{Files, PipelineFile};
use super::manifest::{Document, Identity, check, finding, label, text_at};
use super::text::cut;
use super::{DeploymentWorkload, EnvironmentSpec, Fault, FaultKind, Faults, Pipeline, Workload};
use crate::ids::{EnvironmentName, Hash};
use crate::plan::config_names;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most that all environments' objects may have in canonical JSON, in bytes: a request to a Lambda takes 6 MB.
const LARGEST_PACKAGE: usize = 4 << 20;

/// What is applied in each environment of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// By environment; each has an entry.
    pub environments: BTreeMap<EnvironmentName, EnvironmentPackage>,
    /// The chart of a helm workload that lies in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<ChartPackage>,
}

/// A packaged chart. Its archive is stored by its hash, beside the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChartPackage {
    /// Its name, by `Chart.yaml`.
    pub name: String,
    /// Its version, by `Chart.yaml`.
    pub version: String,
    /// SHA-256 of its archive, a gzipped tar as `helm package` makes one.
    pub archive: Hash,
}

/// What is applied in one environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentPackage {
    /// The objects in the order of application, each with the environment's namespace. Empty where the Deployments are
    /// adopted from the cluster.
    pub manifests: Vec<Value>,
    /// The Deployments that run the release. With adopted ones, those of `names`, whose container may not be known yet.
    pub released: Vec<ReleasedDeployment>,
    /// The texts of the values files of a helm workload, in their order; a later one wins. The last may be Sluice's own,
    /// for `scale`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// The Jobs of `before` and `verify`, by the file that the pipeline names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, Value>,
}

impl EnvironmentPackage {
    /// Whether it applies an object of the same kind and name.
    pub fn has(&self, object: &Value) -> bool {
        let same = |manifest: &&Value| {
            ["/kind", "/metadata/name"]
                .iter()
                .all(|at| manifest.pointer(at) == object.pointer(at))
        };
        self.manifests.iter().any(|manifest| same(&manifest))
    }
}

/// A Deployment that runs the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedDeployment {
    /// Its name.
    pub name: String,
    /// The container whose image is the release. None: the only one of a Deployment that is in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// A package without faults, and what is odd about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Packaged {
    /// The package.
    pub package: Package,
    /// What is allowed but likely not meant.
    pub warnings: Vec<Fault>,
}

/// Reads and checks every manifest that the pipeline names. `read_file` is given a path relative to the repository's root
/// and answers with the file's text or why it cannot be read. The pipeline file's name and text are for the faults only.
pub fn package(
    pipeline: &Pipeline,
    file_name: &str,
    text: &str,
    read_file: impl FnMut(&str) -> Result<String, String>,
) -> Result<Packaged, Faults> {
    let nothing = DeploymentWorkload::default();
    let workload = match &pipeline.workload {
        Workload::Deployment(workload) => workload,
        Workload::Helm(_) => &nothing,
    };
    let pipeline_file = &PipelineFile {
        name: file_name,
        text,
    };
    let mut files = Files::new(read_file);
    let mut faults = Vec::new();
    let mut environments = BTreeMap::new();
    for spec in &pipeline.environments {
        let mut objects = Objects {
            spec,
            workload,
            pipeline_file,
            merged: BTreeMap::new(),
            incomplete: false,
            faults: Vec::new(),
        };
        objects.add(&mut files, &workload.manifests);
        objects.add(&mut files, &spec.manifests);
        let released = objects.released();
        objects.check_images(&released);
        objects.check_together();
        faults.append(&mut objects.faults);
        let manifests = objects
            .merged
            .into_values()
            .map(|document| document.value)
            .collect();
        environments.insert(
            spec.name.clone(),
            EnvironmentPackage {
                manifests,
                released,
                ..EnvironmentPackage::default()
            },
        );
    }
    faults.append(&mut files.faults);
    let package = Package {
        environments,
        ..Package::default()
    };
    faults.extend(too_large(&package, pipeline_file));
    finish(package, faults)
}

/// One document is checked for each environment; what is wrong with it in all of them is told once.
fn finish(package: Package, mut faults: Vec<Fault>) -> Result<Packaged, Faults> {
    faults.sort();
    faults.dedup();
    let (warnings, faults): (Vec<_>, Vec<_>) = faults.into_iter().partition(|f| f.kind == FaultKind::Warning);
    if faults.is_empty() {
        Ok(Packaged { package, warnings })
    } else {
        Err(Faults(faults))
    }
}

fn too_large(package: &Package, pipeline_file: &PipelineFile<'_>) -> Option<Fault> {
    let size = crate::canonical::canonical_json(package).map_or(usize::MAX, |json| json.len());
    let problem = format!("all environments' objects together have {size} bytes");
    let right = format!("at most {LARGEST_PACKAGE} bytes; put large content into images");
    (size > LARGEST_PACKAGE)
        .then(|| pipeline_file.fault(&["workload", "deployment", "manifests"], problem, right))
}

/// The objects of one environment.
struct Objects<'p> {
    spec: &'p EnvironmentSpec,
    workload: &'p DeploymentWorkload,
    pipeline_file: &'p PipelineFile<'p>,
    merged: BTreeMap<Identity, Document>,
    /// Something could not be read: what is missing may be there.
    incomplete: bool,
    faults: Vec<Fault>,
}

impl Objects<'_> {
    /// Adds the files' objects over those already there: the same kind and name replaces one of an earlier layer, and is
    /// a fault within a layer.
    fn add<R: FnMut(&str) -> Result<String, String>>(&mut self, files: &mut Files<R>, paths: &[String]) {
        let mut layer: BTreeMap<Identity, Document> = BTreeMap::new();
        let read: Vec<_> = paths.iter().map(|path| files.documents(path)).collect();
        self.incomplete |= read.iter().any(Option::is_none);
        for mut document in read.into_iter().flatten().flatten() {
            let (identity, mut faults) = check(&mut document, &self.spec.namespace);
            self.faults.append(&mut faults);
            let Some(identity) = identity else {
                self.incomplete = true;
                continue;
            };
            if let Some(first) = layer.get(&identity) {
                let problem = format!("is in {} (line {}), too", first.file, first.line);
                let right =
                    "each object once; an environment's own `manifests` replace the workload's".to_owned();
                self.faults.push(finding(
                    &document,
                    FaultKind::Conflict,
                    &label(&document.value),
                    problem,
                    right,
                ));
            }
            layer.insert(identity, document);
        }
        self.merged.append(&mut layer);
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Document> {
        self.merged
            .values()
            .filter(move |document| text_at(&document.value, "/kind") == Some(kind))
    }

    fn deployment(&self, name: &str) -> Option<&Document> {
        self.of_kind("Deployment")
            .find(|document| text_at(&document.value, "/metadata/name") == Some(name))
    }

    /// The Deployments that run the release, each with its container.
    fn released(&mut self) -> Vec<ReleasedDeployment> {
        if self.merged.is_empty() && self.spec.manifests.is_empty() && self.workload.manifests.is_empty() {
            let container = &self.workload.container;
            let adopted = |name: &String| ReleasedDeployment {
                name: name.clone(),
                container: container.clone(),
            };
            return self.workload.names.iter().map(adopted).collect();
        }
        let all = || {
            self.of_kind("Deployment")
                .filter_map(|d| Some(text_at(&d.value, "/metadata/name")?.to_owned()))
        };
        let mut names = self.workload.names.clone();
        if names.is_empty() {
            names = all().collect();
        }
        if names.is_empty() {
            let problem = format!("the manifests of {} have no Deployment", self.spec.name);
            self.pipeline_fault("manifests", problem, "at least one Deployment".to_owned());
        }
        names.sort();
        names
            .into_iter()
            .filter_map(|name| self.released_one(name))
            .collect()
    }

    fn released_one(&mut self, name: String) -> Option<ReleasedDeployment> {
        let Some(document) = self.deployment(&name) else {
            let problem = format!(
                "\"{name}\" is no Deployment of the manifests of {}",
                self.spec.name
            );
            let there: Vec<&str> = self
                .of_kind("Deployment")
                .filter_map(|d| text_at(&d.value, "/metadata/name"))
                .collect();
            let right = if there.is_empty() {
                "a Deployment of the manifests".to_owned()
            } else {
                format!("one of {}", cut(&there.join(", ")))
            };
            self.pipeline_fault("names", problem, right);
            return None;
        };
        let containers = container_names(&document.value);
        let (problem, right) = match (&self.workload.container, containers.as_slice()) {
            (_, []) => return None,
            (Some(wanted), found) if found.contains(&wanted.as_str()) => {
                return Some(ReleasedDeployment {
                    name,
                    container: Some(wanted.clone()),
                });
            }
            (Some(wanted), found) => (
                format!("has no container \"{wanted}\""),
                format!(
                    "one of its containers as `container` ({}), or in `names` only Deployments that have it",
                    found.join(", ")
                ),
            ),
            (None, [only]) => {
                return Some(ReleasedDeployment {
                    name,
                    container: Some((*only).to_owned()),
                });
            }
            (None, found) => (
                format!(
                    "has {} containers, and the pipeline does not say which runs the release",
                    found.len()
                ),
                format!("container = one of {} in [workload.deployment]", found.join(", ")),
            ),
        };
        let key = format!("{} spec.template.spec.containers", label(&document.value));
        let fault = finding(document, FaultKind::Conflict, &key, problem, right);
        self.faults.push(fault);
        None
    }

    fn pipeline_fault(&mut self, key: &str, problem: String, right: String) {
        if !self.incomplete {
            self.faults.push(
                self.pipeline_file
                    .fault(&["workload", "deployment", key], problem, right),
            );
        }
    }

    /// Sluice sets the image of the release's container; every other has its own.
    fn check_images(&mut self, released: &[ReleasedDeployment]) {
        let mut found = Vec::new();
        for document in self.of_kind("Deployment") {
            let name = text_at(&document.value, "/metadata/name");
            let release = released.iter().find(|one| Some(one.name.as_str()) == name);
            let release = release.and_then(|one| one.container.as_deref());
            for container in all_containers(&document.value) {
                let own = container.get("name").and_then(Value::as_str);
                if container.get("image").and_then(Value::as_str).is_none()
                    && (own.is_none() || own != release)
                {
                    let key = format!(
                        "{} container {}",
                        label(&document.value),
                        own.map_or("?".to_owned(), cut)
                    );
                    let problem = "has no image, and is not the one that runs the release".to_owned();
                    found.push(finding(
                        document,
                        FaultKind::Missing,
                        &key,
                        problem,
                        "image: ...".to_owned(),
                    ));
                }
            }
        }
        // What runs the release is not known after a fault about it.
        if self.faults.is_empty() {
            self.faults.append(&mut found);
        }
    }

    /// What one object does to another, and to the environment's time budget.
    fn check_together(&mut self) {
        let autoscaled: Vec<&str> = self
            .of_kind("HorizontalPodAutoscaler")
            .filter(|document| text_at(&document.value, "/spec/scaleTargetRef/kind") == Some("Deployment"))
            .filter_map(|document| text_at(&document.value, "/spec/scaleTargetRef/name"))
            .collect();
        let mut found = Vec::new();
        for document in self.of_kind("Deployment") {
            let name = text_at(&document.value, "/metadata/name").unwrap_or_default();
            if autoscaled.contains(&name) && document.value.pointer("/spec/replicas").is_some() {
                let problem =
                    "an autoscaler sets the replicas, and each rollout would set them back".to_owned();
                let key = format!("Deployment {name} spec.replicas");
                found.push(finding(
                    document,
                    FaultKind::Warning,
                    &key,
                    problem,
                    "leave it out".to_owned(),
                ));
            }
            found.extend(super::budget::check(document, self.spec));
        }
        let named: BTreeSet<String> = self
            .of_kind("Deployment")
            .filter_map(|document| document.value.pointer("/spec/template"))
            .flat_map(config_names)
            .collect();
        for document in self.of_kind("ConfigMap").filter(|_| !self.incomplete) {
            let name = text_at(&document.value, "/metadata/name").unwrap_or_default();
            if !named.contains(name) {
                // Releases run with copies of what their templates name: this one would never reach a cluster.
                let problem = "is named by no pod template of the manifests".to_owned();
                let right = format!(
                    "a template with configMapRef, configMapKeyRef or a volume of {}, or no such ConfigMap",
                    cut(name)
                );
                found.push(finding(
                    document,
                    FaultKind::Conflict,
                    &label(&document.value),
                    problem,
                    right,
                ));
            }
        }
        self.faults.append(&mut found);
    }
}
