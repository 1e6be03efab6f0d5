//! Which bundle a release is in an environment, and which bundle is there now. Pure: what the cluster holds is passed in.
//!
//! A bundle's templates are whole, and applied whole: a field that somebody else added to a template is in a captured
//! bundle, and is gone after another bundle is written. That is what makes a restored environment the one that was.

mod config;
mod deployment;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use config::{ConfigData, config_names};
pub use deployment::images_of;
pub(crate) use deployment::set_text;

use crate::bundle::{Bundle, ConfigCopy, WorkloadBundle};
use crate::pipeline::EnvironmentPackage;
use crate::release::Release;
use crate::workload::Observation;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Marks what Sluice writes, as `app.kubernetes.io/managed-by` (Kubernetes, recommended labels).
pub const MANAGED_BY: &str = "sluice";
/// The label that holds it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The annotation of pod templates that names the release: `mc-api#42`.
pub const RELEASE_ANNOTATION: &str = "sluice.dev/release";
/// The annotation of every object that Sluice writes: the fence of the decision that wrote it.
pub const FENCE_ANNOTATION: &str = "sluice.dev/fence";

/// Every reason why a release cannot be turned into a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct PlanFaults(pub Vec<PlanFault>);

/// A reason why a release cannot be turned into a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// The pipeline names no Deployment that runs the release.
    #[error(
        "the pipeline names no Deployment: add `manifests` or `names` to [workload.deployment] and `sluice apply`"
    )]
    NoDeployments,
    /// A Deployment that the pipeline adopts is not in the cluster.
    #[error(
        "deployment {0} is not in the cluster, and the pipeline has no manifest for it: create it, or correct `names`"
    )]
    NotThere(String),
    /// A Deployment that runs the release has no manifest, although the package has manifests.
    #[error("deployment {0} is not among the packaged manifests: `sluice apply` the pipeline again")]
    NotPackaged(String),
    /// The Deployment is paused: no pod would be replaced.
    #[error(
        "deployment {0} is paused, so that no pod would be replaced: kubectl rollout resume deployment/{0}"
    )]
    Paused(String),
    /// The container that takes the release is not there.
    #[error("deployment {deployment} has no container `{container}`, only {found}: correct `container`")]
    NoContainer {
        /// The Deployment.
        deployment: String,
        /// The container that the pipeline names.
        container: String,
        /// Those that it has.
        found: String,
    },
    /// Several containers, and none is named.
    #[error("deployment {deployment} has {found}: say which takes the release with `container`")]
    WhichContainer {
        /// The Deployment.
        deployment: String,
        /// Those that it has.
        found: String,
    },
    /// A manifest of a kind that Sluice does not write.
    #[error("the package has a {0}, which Sluice does not write: apply it by other means")]
    Kind(String),
    /// A ConfigMap of the package that no template names.
    #[error(
        "ConfigMap {0} is in the package, and no Deployment of it refers to it: refer to it, or apply it by other means"
    )]
    Unnamed(String),
    /// A value of a ConfigMap is no text.
    #[error("ConfigMap {name}: {field} is no text: put it in quotes")]
    NotText {
        /// The ConfigMap.
        name: String,
        /// The value's place: `data.PORT`.
        field: String,
    },
}

/// The ConfigMaps whose content is needed to plan and to capture: those that templates in the cluster and in the package
/// name, without those that the package itself brings.
pub fn config_wanted(package: &EnvironmentPackage, observed: &Observation) -> BTreeSet<String> {
    let of_kind = |kind| {
        package
            .manifests
            .iter()
            .filter(move |manifest| text_at(manifest, "/kind") == kind)
    };
    let packaged = of_kind("Deployment").filter_map(|manifest| manifest.pointer("/spec/template"));
    let templates = packaged.chain(observed.deployments.iter().map(|deployment| &deployment.template));
    // One that is in the package may be in a template of the cluster too, with other content: it is asked for.
    let own: BTreeSet<&str> = of_kind("ConfigMap")
        .map(|manifest| text_at(manifest, "/metadata/name"))
        .collect();
    let in_cluster: BTreeSet<String> = observed
        .deployments
        .iter()
        .flat_map(|d| config_names(&d.template))
        .collect();
    templates
        .flat_map(config_names)
        .filter(|name| in_cluster.contains(name) || !own.contains(name.as_str()))
        .collect()
}

/// The bundle that this release is in an environment.
///
/// Where the package has manifests, they are the truth; else the Deployments are adopted: their present templates, with
/// the image replaced. `config` is the content of what `config_wanted` names; one that is missing stays named as it is.
pub fn plan_bundle(
    release: &Release,
    package: &EnvironmentPackage,
    observed: &Observation,
    config: &BTreeMap<String, Option<ConfigData>>,
) -> Result<Bundle, PlanFaults> {
    let mut plan = Plan {
        release,
        observed,
        config,
        own: BTreeMap::new(),
        copies: BTreeMap::new(),
        faults: vec![],
    };
    let (deployments, objects) = match package.manifests.as_slice() {
        [] => (plan.adopt(package), Vec::new()),
        manifests => plan.unpack(package, manifests),
    };
    if package.released.is_empty() {
        plan.faults.push(PlanFault::NoDeployments);
    }
    if !plan.faults.is_empty() {
        return Err(PlanFaults(plan.faults));
    }
    Ok(Bundle {
        release: Some(release.number),
        digest: Some(release.digest.clone()),
        children: release.children.clone(),
        deployments,
        objects,
        config_maps: plan.copies.into_values().collect(),
        helm: None,
    })
}

/// The bundle that this release is where an adopted workload runs on tracks: the live release's, with the image replaced.
/// What the package adopted is no longer what runs.
pub fn plan_on_bundle(
    release: &Release,
    package: &EnvironmentPackage,
    live: &Bundle,
) -> Result<Bundle, PlanFaults> {
    let mut bundle = live.clone();
    let mut faults = Vec::new();
    for released in &package.released {
        let found = bundle
            .deployments
            .iter_mut()
            .find(|one| one.name == released.name);
        let Some(found) = found else {
            faults.push(PlanFault::NotThere(released.name.clone()));
            continue;
        };
        let Some(template) = found.manifest.pointer_mut("/spec/template") else {
            faults.push(PlanFault::NotThere(released.name.clone()));
            continue;
        };
        match deployment::put_release(template, released, release) {
            Ok(container) => {
                found.images = images_of(Some(template));
                found.container = Some(container);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(PlanFaults(faults));
    }
    bundle.release = Some(release.number);
    bundle.digest = Some(release.digest.clone());
    bundle.children.clone_from(&release.children);
    Ok(bundle)
}

/// The bundle of what is in the environment now; none where none of the service's Deployments is there.
///
/// `objects` is the package's other objects as they are in the cluster (Service, ...). `release` is what is believed to
/// run: a Deployment with its image is captured as one of that release.
pub fn capture_bundle(
    observed: &Observation,
    objects: &[Value],
    config: &BTreeMap<String, Option<ConfigData>>,
    release: Option<&Release>,
) -> Option<Bundle> {
    if observed.deployments.is_empty() {
        return None;
    }
    let image = release.map(Release::image);
    let mut copies = BTreeMap::new();
    let capture = |found| {
        deployment::captured(found, image.as_deref(), |t| {
            copies.append(&mut from_cluster(t, config))
        })
    };
    let deployments: Vec<WorkloadBundle> = observed.deployments.iter().map(capture).collect();
    let runs = release.filter(|_| {
        deployments
            .iter()
            .any(|deployment| deployment.container.is_some())
    });
    Some(Bundle {
        release: runs.map(|release| release.number),
        digest: runs.map(|release| release.digest.clone()),
        children: runs.map(|release| release.children.clone()).unwrap_or_default(),
        deployments,
        objects: objects.iter().map(without_server_fields).collect(),
        config_maps: copies.into_values().collect(),
        helm: None,
    })
}

fn from_cluster(
    template: &mut Value,
    config: &BTreeMap<String, Option<ConfigData>>,
) -> BTreeMap<String, ConfigCopy> {
    config::repoint(template, |name| config.get(name).and_then(Option::as_ref))
}

struct Plan<'p> {
    release: &'p Release,
    observed: &'p Observation,
    config: &'p BTreeMap<String, Option<ConfigData>>,
    /// The ConfigMaps of the package.
    own: BTreeMap<String, ConfigData>,
    copies: BTreeMap<String, ConfigCopy>,
    faults: Vec<PlanFault>,
}

impl Plan<'_> {
    fn adopt(&mut self, package: &EnvironmentPackage) -> Vec<WorkloadBundle> {
        let mut bundles = Vec::new();
        for released in &package.released {
            let Some(found) = self
                .observed
                .deployments
                .iter()
                .find(|found| found.name == released.name)
            else {
                self.faults.push(PlanFault::NotThere(released.name.clone()));
                continue;
            };
            if found.spec.get("paused") == Some(&Value::Bool(true)) {
                self.faults.push(PlanFault::Paused(found.name.clone()));
            }
            let mut template = found.template.clone();
            self.copies.append(&mut from_cluster(&mut template, self.config));
            match deployment::put_release(&mut template, released, self.release) {
                Ok(container) => bundles.push(deployment::adopted(found, template, container)),
                Err(fault) => self.faults.push(fault),
            }
        }
        bundles
    }

    fn unpack(
        &mut self,
        package: &EnvironmentPackage,
        manifests: &[Value],
    ) -> (Vec<WorkloadBundle>, Vec<Value>) {
        self.read_config(manifests);
        let autoscaled: BTreeSet<&str> = manifests.iter().filter_map(autoscaler_target).collect();
        let mut bundles = Vec::new();
        let mut objects = Vec::new();
        for manifest in manifests {
            match text_at(manifest, "/kind") {
                "Deployment" => bundles.extend(self.unpack_deployment(package, manifest, &autoscaled)),
                // Its content is in a copy.
                "ConfigMap" => {}
                "ServiceAccount" | "Service" | "HorizontalPodAutoscaler" | "PodDisruptionBudget" => {
                    objects.push(managed(without_server_fields(manifest)));
                }
                other => self.faults.push(PlanFault::Kind(other.to_owned())),
            }
        }
        self.check_all_packaged(package, &bundles);
        // One that a refused Deployment names is not among the copies.
        if self.faults.is_empty() {
            self.check_all_named();
        }
        (bundles, objects)
    }

    fn read_config(&mut self, manifests: &[Value]) {
        for manifest in manifests
            .iter()
            .filter(|manifest| text_at(manifest, "/kind") == "ConfigMap")
        {
            let name = text_at(manifest, "/metadata/name").to_owned();
            match ConfigData::of_manifest(manifest) {
                Ok(data) => {
                    self.own.insert(name, data);
                }
                Err(field) => self.faults.push(PlanFault::NotText { name, field }),
            }
        }
    }

    fn unpack_deployment(
        &mut self,
        package: &EnvironmentPackage,
        manifest: &Value,
        autoscaled: &BTreeSet<&str>,
    ) -> Option<WorkloadBundle> {
        let name = text_at(manifest, "/metadata/name");
        let found = self.observed.deployments.iter().find(|found| found.name == name);
        if found.is_some_and(|found| found.spec.get("paused") == Some(&Value::Bool(true))) {
            self.faults.push(PlanFault::Paused(name.to_owned()));
        }
        let mut manifest = managed(without_server_fields(manifest));
        let template = manifest.pointer_mut("/spec/template")?;
        let (own, config) = (&self.own, self.config);
        let content = |name: &str| {
            own.get(name)
                .or_else(|| config.get(name).and_then(Option::as_ref))
        };
        self.copies.append(&mut config::repoint(template, content));
        let released = package.released.iter().find(|released| released.name == name);
        let container =
            match released.map(|released| deployment::put_release(template, released, self.release)) {
                Some(Err(fault)) => {
                    self.faults.push(fault);
                    return None;
                }
                Some(Ok(container)) => Some(container),
                None => None,
            };
        let autoscaled = autoscaled.contains(name) || found.is_some_and(|found| found.autoscaled);
        Some(deployment::packaged(name, manifest, container, found, autoscaled))
    }

    /// Sluice makes copies and writes no original, so that nothing would come of a ConfigMap that no template names.
    fn check_all_named(&mut self) {
        let named: BTreeSet<&str> = self.copies.values().map(|copy| copy.original.as_str()).collect();
        let unnamed = self.own.keys().filter(|name| !named.contains(name.as_str()));
        let faults: Vec<_> = unnamed.map(|name| PlanFault::Unnamed(name.clone())).collect();
        self.faults.extend(faults);
    }

    fn check_all_packaged(&mut self, package: &EnvironmentPackage, bundles: &[WorkloadBundle]) {
        let refused = |name: &str| self.faults.iter().any(|fault| deployment_of(fault) == Some(name));
        let there = |name: &str| bundles.iter().any(|bundle| bundle.name == name);
        let missing = package
            .released
            .iter()
            .filter(|released| !there(&released.name) && !refused(&released.name));
        let faults: Vec<_> = missing
            .map(|released| PlanFault::NotPackaged(released.name.clone()))
            .collect();
        self.faults.extend(faults);
    }
}

fn deployment_of(fault: &PlanFault) -> Option<&str> {
    match fault {
        PlanFault::NoContainer { deployment, .. } | PlanFault::WhichContainer { deployment, .. } => {
            Some(deployment)
        }
        _ => None,
    }
}

/// The Deployment that this object scales, if it is an autoscaler of one.
fn autoscaler_target(manifest: &Value) -> Option<&str> {
    let is_one = text_at(manifest, "/kind") == "HorizontalPodAutoscaler"
        && text_at(manifest, "/spec/scaleTargetRef/kind") == "Deployment";
    is_one.then(|| text_at(manifest, "/spec/scaleTargetRef/name"))
}

/// The text at a JSON pointer; empty where there is none.
fn text_at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn managed(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        let metadata = object
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        deployment::set_text(metadata, "labels", MANAGED_BY_LABEL, MANAGED_BY);
    }
    object
}

/// The object without what the cluster writes, and without its namespace: a bundle is applied in its environment's.
pub fn without_server_fields(object: &Value) -> Value {
    const OF_OTHERS: [&str; 3] = [
        FENCE_ANNOTATION,
        "kubectl.kubernetes.io/last-applied-configuration",
        "deployment.kubernetes.io/revision",
    ];
    let mut clean = object.clone();
    let metadata = clean.get("metadata").and_then(Value::as_object);
    let mut kept: Map<String, Value> = metadata
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    kept.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
    if let Some(annotations) = kept.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !OF_OTHERS.contains(&key.as_str()));
    }
    if let Some(object) = clean.as_object_mut() {
        object.remove("status");
        object.insert("metadata".to_owned(), Value::Object(kept));
    }
    // The cluster chose the address; asking for it again fails where a new Service got another.
    if text_at(&clean, "/kind") == "Service"
        && text_at(&clean, "/spec/clusterIP") != "None"
        && let Some(spec) = clean.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.retain(|key, _| key != "clusterIP" && key != "clusterIPs");
    }
    clean
}
