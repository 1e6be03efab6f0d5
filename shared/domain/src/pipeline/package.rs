//! The files that a pipeline names, checked and packaged: for each environment, what is applied there.

use super::files::{Files, PipelineFile};
use super::helm_package::{self, Made};
use super::objects::Objects;
use super::scale::Measure;
use super::{DeploymentWorkload, Fault, FaultKind, Faults, Pipeline, Workload, jobs};
use crate::ids::{EnvironmentName, Hash};
use crate::workload::WorkloadRef;
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
    /// The Jobs of `before`, `verify` and `preview`, by the file that the pipeline names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, Value>,
}

impl EnvironmentPackage {
    /// The Deployments that run the release, and the others that it applies.
    pub fn deployments(&self) -> BTreeSet<WorkloadRef> {
        let released = self.released.iter().map(|released| released.name.as_str());
        let applied = self
            .manifests
            .iter()
            .filter(|manifest| manifest.get("kind").is_some_and(|kind| kind == "Deployment"))
            .filter_map(|manifest| manifest.pointer("/metadata/name")?.as_str());
        released.chain(applied).map(WorkloadRef::deployment).collect()
    }

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
    /// The archives of the charts that it names, by their hash.
    #[serde(skip)]
    pub archives: BTreeMap<Hash, Vec<u8>>,
    /// What is allowed but likely not meant.
    pub warnings: Vec<Fault>,
}

/// Reads and checks every file that the pipeline names. `read_file` is given a path relative to the repository's root
/// and answers with the file's text or why it cannot be read; `read_chart` is given a chart's folder, and answers with
/// its archive as [`super::pack_chart`] makes it. The pipeline file's name and text are for the faults only.
pub fn package(
    pipeline: &Pipeline,
    file_name: &str,
    text: &str,
    read_file: impl FnMut(&str) -> Result<String, String>,
    read_chart: impl FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<Packaged, Faults> {
    let pipeline_file = &PipelineFile {
        name: file_name,
        text,
    };
    let mut files = Files::new(read_file);
    let mut made = match &pipeline.workload {
        Workload::Deployment(workload) => objects(pipeline, workload, pipeline_file, &mut files),
        Workload::Helm(workload) => {
            helm_package::make(pipeline, workload, pipeline_file, &mut files, read_chart)
        }
    };
    for spec in &pipeline.environments {
        let (jobs, mut faults) = jobs::read(&mut files, spec);
        made.faults.append(&mut faults);
        if let Some(environment) = made.environments.get_mut(&spec.name) {
            environment.jobs = jobs;
        }
    }
    made.faults.append(&mut files.faults);
    let package = Package {
        environments: made.environments,
        chart: made.chart,
    };
    made.faults.extend(too_large(&package, pipeline, pipeline_file));
    finish(package, made.archives, made.faults)
}

/// The objects of each environment.
fn objects<R: FnMut(&str) -> Result<String, String>>(
    pipeline: &Pipeline,
    workload: &DeploymentWorkload,
    pipeline_file: &PipelineFile<'_>,
    files: &mut Files<R>,
) -> Made {
    let mut read: Vec<Objects<'_>> = pipeline
        .environments
        .iter()
        .map(|spec| Objects::read(files, spec, workload, pipeline_file))
        .collect();
    if let Some(measure) = read.last().map(Measure::of) {
        read.iter_mut().for_each(|objects| objects.scale(&measure));
    }
    let mut made = Made::default();
    for objects in read {
        let name = objects.spec.name.clone();
        let (environment, mut faults) = objects.finish();
        made.faults.append(&mut faults);
        made.environments.insert(name, environment);
    }
    made
}

/// One document is checked for each environment; what is wrong with it in all of them is told once.
fn finish(
    package: Package,
    archives: BTreeMap<Hash, Vec<u8>>,
    mut faults: Vec<Fault>,
) -> Result<Packaged, Faults> {
    faults.sort();
    faults.dedup();
    let (warnings, faults): (Vec<_>, Vec<_>) = faults.into_iter().partition(|f| f.kind == FaultKind::Warning);
    if faults.is_empty() {
        Ok(Packaged {
            package,
            archives,
            warnings,
        })
    } else {
        Err(Faults(faults))
    }
}

fn too_large(package: &Package, pipeline: &Pipeline, pipeline_file: &PipelineFile<'_>) -> Option<Fault> {
    let size = crate::canonical::canonical_json(package).map_or(usize::MAX, |json| json.len());
    let (path, what): (&[&str], _) = match &pipeline.workload {
        Workload::Deployment(_) => (&["workload", "deployment", "manifests"], "objects"),
        Workload::Helm(_) => (&["workload", "helm"], "values and Jobs"),
    };
    let problem = format!("all environments' {what} together have {size} bytes");
    let right = format!("at most {LARGEST_PACKAGE} bytes; put large content into images");
    (size > LARGEST_PACKAGE).then(|| pipeline_file.fault(path, problem, right))
}
