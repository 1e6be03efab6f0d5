//! The objects of one environment, from its manifest files.

use super::deployment::{all_containers, container_names};
use super::files::{Files, MANIFEST_FILE, PipelineFile};
use super::manifest::{Identity, check, finding, label, text_at};
use super::scale::{Measure, autoscaled};
use super::text::cut;
use super::track_objects;
use super::yaml::Document;
use super::{DeploymentWorkload, EnvironmentPackage, EnvironmentSpec, Fault, FaultKind, ReleasedDeployment};
use crate::plan::config_names;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The objects of one environment.
pub(super) struct Objects<'p> {
    pub spec: &'p EnvironmentSpec,
    workload: &'p DeploymentWorkload,
    pipeline_file: &'p PipelineFile<'p>,
    pub merged: BTreeMap<Identity, Document>,
    /// Something could not be read: what is missing may be there.
    incomplete: bool,
    pub faults: Vec<Fault>,
}

impl<'p> Objects<'p> {
    /// What the files of the workload and of the environment say.
    pub(super) fn read<R: FnMut(&str) -> Result<String, String>>(
        files: &mut Files<R>,
        spec: &'p EnvironmentSpec,
        workload: &'p DeploymentWorkload,
        pipeline_file: &'p PipelineFile<'p>,
    ) -> Self {
        let mut objects = Self {
            spec,
            workload,
            pipeline_file,
            merged: BTreeMap::new(),
            incomplete: false,
            faults: Vec::new(),
        };
        objects.add(files, &workload.manifests);
        objects.add(files, &spec.manifests);
        objects
    }

    /// Sets the replicas to the part of the last environment's that `scale` says.
    pub(super) fn scale(&mut self, measure: &Measure) {
        let Some(thousandths) = self.spec.scale else {
            return;
        };
        for document in self.merged.values_mut() {
            let own = self.spec.manifests.contains(&document.file);
            self.faults.append(&mut measure.apply(document, thousandths, own));
        }
    }

    /// What is applied, checked together.
    pub(super) fn finish(mut self) -> (EnvironmentPackage, Vec<Fault>) {
        let told = self.faults.len();
        let released = self.released();
        let known = !self.incomplete && self.faults.len() == told;
        self.check_images(&released);
        self.check_together();
        if known {
            let mut found = track_objects::check(&self, &released, self.pipeline_file);
            self.faults.append(&mut found);
        }
        let manifests = self.merged.into_values().map(|document| document.value).collect();
        let package = EnvironmentPackage {
            manifests,
            released,
            ..EnvironmentPackage::default()
        };
        (package, self.faults)
    }

    /// Adds the files' objects over those already there: the same kind and name replaces one of an earlier layer, and is
    /// a fault within a layer.
    fn add<R: FnMut(&str) -> Result<String, String>>(&mut self, files: &mut Files<R>, paths: &[String]) {
        let mut layer: BTreeMap<Identity, Document> = BTreeMap::new();
        let read: Vec<_> = paths
            .iter()
            .map(|path| files.documents(path, MANIFEST_FILE))
            .collect();
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

    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Document> {
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
        let autoscaled = autoscaled(self.of_kind("HorizontalPodAutoscaler"));
        let mut found = Vec::new();
        for document in self.of_kind("Deployment") {
            let name = text_at(&document.value, "/metadata/name").unwrap_or_default();
            if autoscaled.contains(name) && document.value.pointer("/spec/replicas").is_some() {
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
            if text_at(&document.value, "/spec/strategy/type") == Some("Recreate")
                && !self.spec.strategy.has_tracks()
            {
                let problem =
                    "Recreate stops every pod before a new one starts: each rollout and rollback is an outage".to_owned();
                let key = format!("Deployment {name} spec.strategy.type");
                let right = "RollingUpdate, which is the default".to_owned();
                found.push(finding(document, FaultKind::Warning, &key, problem, right));
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
