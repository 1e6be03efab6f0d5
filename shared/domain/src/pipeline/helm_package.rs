//! What the package of a helm workload has: the chart, and the values of each environment.

use super::chart::{self, Chart, values};
use super::files::{Files, PipelineFile, VALUES_FILE};
use super::scale::scaled;
use super::workload::repository_path;
use super::{
    ChartPackage, ChartSource, EnvironmentPackage, EnvironmentSpec, Fault, FaultKind, HelmWorkload, Pipeline,
    yaml,
};
use crate::canonical::{canonical_json, sha256_hex};
use crate::ids::{EnvironmentName, Hash};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The value that a chart of `helm create` says its number of pods with.
const REPLICA_COUNT: &str = "replicaCount";

/// What could be made of the files of a workload, and every fault and warning.
#[derive(Default)]
pub(super) struct Made {
    pub chart: Option<ChartPackage>,
    pub archives: BTreeMap<Hash, Vec<u8>>,
    pub environments: BTreeMap<EnvironmentName, EnvironmentPackage>,
    pub faults: Vec<Fault>,
}

/// An environment's values files: their texts, and what they say together.
struct Values {
    texts: Vec<String>,
    merged: Value,
}

pub(super) fn make<R: FnMut(&str) -> Result<String, String>>(
    pipeline: &Pipeline,
    workload: &HelmWorkload,
    pipeline_file: &PipelineFile<'_>,
    files: &mut Files<R>,
    read_chart: impl FnMut(&str) -> Result<Vec<u8>, String>,
) -> Made {
    let mut package = Made::default();
    let chart = match &workload.chart {
        ChartSource::Path(path) => package.add_chart(path, read_chart),
        ChartSource::Oci { .. } => None,
    };
    // of a chart that could not be read nothing can be said; of one in a registry, only what the files say
    let known = chart.is_some() || matches!(workload.chart, ChartSource::Oci { .. });
    if let Some(chart) = &chart {
        package
            .faults
            .extend(without_effect(workload, chart, pipeline_file));
    }
    let read: Vec<Option<Values>> = pipeline
        .environments
        .iter()
        .map(|spec| package.values_of(files, spec))
        .collect();
    let own = chart.map_or_else(|| Value::Object(Map::new()), |chart| chart.values);
    let last = pipeline.environments.last();
    let measure = match (last, read.last()) {
        (Some(spec), Some(Some(values))) if known => {
            let mut merged = own;
            values::merge(&mut merged, values.merged.clone());
            Some((spec, merged))
        }
        _ => None,
    };
    for (spec, values) in pipeline.environments.iter().zip(read) {
        let mut texts = values.map(|values| values.texts).unwrap_or_default();
        if let (Some(thousandths), Some((last, merged))) = (spec.scale, &measure) {
            let scale = Scale {
                workload,
                pipeline_file,
                spec,
                last,
                merged,
            };
            match scale.text(thousandths) {
                Ok(text) => texts.push(text),
                Err(faults) => package.faults.extend(faults),
            }
        }
        let environment = EnvironmentPackage {
            values: texts,
            ..EnvironmentPackage::default()
        };
        package.environments.insert(spec.name.clone(), environment);
    }
    package
}

impl Made {
    fn add_chart(
        &mut self,
        path: &str,
        mut read_chart: impl FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Option<Chart> {
        // A stored pipeline's paths are checked again: they are about to be opened.
        let archive = repository_path(path)
            .map_err(str::to_owned)
            .and_then(|path| read_chart(&path));
        let archive = match archive {
            Ok(archive) => archive,
            Err(problem) => {
                self.faults.push(unreadable(path, &problem));
                return None;
            }
        };
        let (chart, mut faults) = chart::open(path, &archive);
        self.faults.append(&mut faults);
        let chart = chart?;
        let hash = Hash::parse(&sha256_hex(&archive)).ok()?;
        self.chart = Some(ChartPackage {
            name: chart.name.clone(),
            version: chart.version.clone(),
            archive: hash.clone(),
        });
        self.archives.insert(hash, archive);
        Some(chart)
    }

    /// None after a fault.
    fn values_of<R: FnMut(&str) -> Result<String, String>>(
        &mut self,
        files: &mut Files<R>,
        spec: &EnvironmentSpec,
    ) -> Option<Values> {
        let mut values = Values {
            texts: Vec::new(),
            merged: Value::Object(Map::new()),
        };
        let mut whole = true;
        for path in &spec.values {
            let Some(text) = files.text(path, VALUES_FILE) else {
                whole = false;
                continue;
            };
            match yaml::of_values(path, &text) {
                Ok(map) => values::merge(&mut values.merged, map),
                Err(fault) => {
                    self.faults.push(*fault);
                    whole = false;
                }
            }
            values.texts.push(text);
        }
        whole.then_some(values)
    }
}

fn unreadable(path: &str, problem: &str) -> Fault {
    Fault {
        file: path.to_owned(),
        line: 1,
        column: 1,
        key: String::new(),
        kind: FaultKind::Value,
        found: None,
        problem: format!("the chart cannot be read: {problem}"),
        right: "a folder below the repository's root with a Chart.yaml and plain files".to_owned(),
    }
}

/// A value that the chart does not know is likely not used by its templates: the image would not be the release's.
fn without_effect(workload: &HelmWorkload, chart: &Chart, pipeline_file: &PipelineFile<'_>) -> Vec<Fault> {
    let warning = |path: &str| {
        let problem = format!(
            "`{path}` is not in the values.yaml of the chart {}: setting it likely has no effect",
            chart.name
        );
        let right = "values that its templates use. A chart that joins repository and tag with a colon takes \
                     image = { repository = \"image.repository\", tag = \"image.tag\" }";
        Fault {
            kind: FaultKind::Warning,
            ..pipeline_file.fault(&["workload", "helm", "image"], problem, right.to_owned())
        }
    };
    let unknown = workload
        .image
        .paths()
        .filter(|path| !values::names(&chart.values, path));
    unknown.map(warning).collect()
}

/// An environment that runs a part of the last one's pods.
struct Scale<'p> {
    workload: &'p HelmWorkload,
    pipeline_file: &'p PipelineFile<'p>,
    spec: &'p EnvironmentSpec,
    last: &'p EnvironmentSpec,
    /// What the last environment's values say, the chart's own included.
    merged: &'p Value,
}

impl Scale<'_> {
    /// The text of values that sets each of the paths, to be read after all others.
    fn text(&self, thousandths: u32) -> Result<String, Vec<Fault>> {
        let default = [REPLICA_COUNT.to_owned()];
        let paths = match self.workload.replicas.as_slice() {
            [] if values::at(self.merged, REPLICA_COUNT).is_some() => default.as_slice(),
            [] => return Err(vec![self.fault_of_none()]),
            said => said,
        };
        let (mut all, mut faults) = (Value::Object(Map::new()), Vec::new());
        for path in paths {
            let found = values::at(self.merged, path);
            match found.and_then(Value::as_u64).filter(|count| *count > 0) {
                Some(count) => {
                    let count = Value::from(scaled(thousandths, count));
                    values::merge(&mut all, values::only(path, count));
                }
                None => faults.push(self.fault(path, found)),
            }
        }
        // values of text and numbers always have a JSON form, and JSON is YAML
        let json = canonical_json(&all).unwrap_or_default();
        let json = String::from_utf8(json).unwrap_or_default();
        let text = format!(
            "# set by Sluice: the part of {} that `scale` of {} says\n{json}\n",
            self.last.name, self.spec.name
        );
        if faults.is_empty() { Ok(text) } else { Err(faults) }
    }

    fn fault_of_none(&self) -> Fault {
        let problem = format!(
            "nothing says which values of {} are its number of pods: there is no {REPLICA_COUNT}",
            self.last.name
        );
        let right = "replicas = [\"...\"] in [workload.helm]: the paths of those values".to_owned();
        self.pipeline_file
            .environment_fault(&self.spec.name, "scale", problem, right)
    }

    fn fault(&self, path: &str, found: Option<&Value>) -> Fault {
        let last = &self.last.name;
        let problem = match found {
            None => format!("the values of {last} do not say `{path}`, of which this is a part"),
            Some(found) => {
                let found = super::text::cut(&found.to_string());
                format!("`{path}` of {last}, of which this is a part, is {found}, which is no number of pods")
            }
        };
        let right =
            format!("a whole number from 1 as `{path}` in a values file of {last}, or other `replicas`");
        self.pipeline_file
            .environment_fault(&self.spec.name, "scale", problem, right)
    }
}
