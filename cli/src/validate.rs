//! `sluice validate`: every fault of every pipeline file, offline.

use crate::args::Validate;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::pipeline_file::{PipelineFile, Unusable, all_below, load};
use crate::text::{count, plain};
use serde::Serialize;
use sluice_domain::ids::{Digest, EnvironmentName, Hash, ServiceName};
use sluice_domain::pipeline::{ChartPackage, ChartSource, EnvironmentSpec, Fault, Version, Workload};
use std::collections::BTreeMap;
use std::path::Path;

/// What was found, for programs.
#[derive(Debug, Serialize)]
struct Validated {
    ok: bool,
    files: Vec<ValidatedFile>,
}

/// One file.
#[derive(Debug, Serialize)]
struct ValidatedFile {
    file: String,
    ok: bool,
    service: Option<ServiceName>,
    version: Option<Hash>,
    environments: usize,
    /// Of a helm workload: what helm would be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    helm: Option<Helm>,
    warnings: Vec<Fault>,
    faults: Vec<Fault>,
    /// Why it could not be read at all.
    unreadable: Option<String>,
}

/// What a helm workload delivers.
#[derive(Debug, Serialize)]
struct Helm {
    chart: Chart,
    /// In the pipeline's order.
    environments: Vec<HelmEnvironment>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Chart {
    /// From the repository.
    Packaged(ChartPackage),
    /// From a registry.
    Oci { repository: String, digest: Digest },
}

#[derive(Debug, Serialize)]
struct HelmEnvironment {
    name: EnvironmentName,
    /// The files, a later one wins.
    values: Vec<String>,
    /// Which part of the last environment's replicas, in thousandths.
    scale: Option<u32>,
}

/// Checks each file; all are checked, whatever is wrong with the first.
pub fn run(output: &Output, args: &Validate) -> Result<Exit, Failure> {
    let files = if args.files.is_empty() {
        all_below(&args.root)?
    } else {
        args.files.clone()
    };
    let mut files: Vec<ValidatedFile> = files.iter().map(|file| check(file, &args.root)).collect();
    mark_doubles(&mut files);
    let faulty = files.iter().filter(|file| !file.ok).count() as u64;
    let (checked, text) = (files.len() as u64, text(&files));
    output.answer(
        &text,
        &Validated {
            ok: faulty == 0,
            files,
        },
    )?;
    if faulty == 0 {
        return Ok(Exit::Ok);
    }
    output.remark(&format!(
        "{faulty} of {} with faults.",
        count(checked, "file", "files")
    ));
    Ok(Exit::Invalid)
}

fn check(file: &Path, root: &Path) -> ValidatedFile {
    let empty = |ok| ValidatedFile {
        file: file.display().to_string(),
        ok,
        service: None,
        version: None,
        environments: 0,
        helm: None,
        warnings: Vec::new(),
        faults: Vec::new(),
        unreadable: None,
    };
    match load(file, root) {
        Ok(PipelineFile {
            version, warnings, ..
        }) => ValidatedFile {
            helm: helm(&version),
            service: Some(version.pipeline.service),
            version: Some(version.hash),
            environments: version.pipeline.environments.len(),
            warnings,
            ..empty(true)
        },
        Err(Unusable::Faults(faults)) => ValidatedFile {
            faults: faults.0,
            ..empty(false)
        },
        Err(Unusable::Failure(failure)) => {
            let why = std::iter::once(failure.message.clone())
                .chain(failure.causes())
                .collect::<Vec<_>>();
            ValidatedFile {
                unreadable: Some(why.join(" ")),
                ..empty(false)
            }
        }
    }
}

fn helm(version: &Version) -> Option<Helm> {
    let Workload::Helm(workload) = &version.pipeline.workload else {
        return None;
    };
    let chart = match &workload.chart {
        ChartSource::Path(_) => Chart::Packaged(version.package.chart.clone()?),
        ChartSource::Oci { repository, digest } => Chart::Oci {
            repository: repository.clone(),
            digest: digest.clone(),
        },
    };
    let environment = |spec: &EnvironmentSpec| HelmEnvironment {
        name: spec.name.clone(),
        values: spec.values.clone(),
        scale: spec.scale,
    };
    Some(Helm {
        chart,
        environments: version.pipeline.environments.iter().map(environment).collect(),
    })
}

/// Two files of one service would overwrite each other at `apply`.
fn mark_doubles(files: &mut [ValidatedFile]) {
    let mut first: BTreeMap<ServiceName, String> = BTreeMap::new();
    for file in files {
        let Some(service) = file.service.clone() else {
            continue;
        };
        if let Some(other) = first.get(&service) {
            file.unreadable = Some(format!(
                "{other} is of the service {service} too: one file for each service."
            ));
            file.ok = false;
        } else {
            first.insert(service, file.file.clone());
        }
    }
}

fn text(files: &[ValidatedFile]) -> String {
    let mut text = String::new();
    for file in files {
        for fault in file.warnings.iter().chain(&file.faults) {
            text.push_str(&format!("{}\n", plain(&fault.to_string())));
        }
        match (&file.unreadable, &file.service, &file.version) {
            (Some(why), _, _) => text.push_str(&format!("{}: {}\n", file.file, plain(why))),
            (None, Some(service), Some(version)) => {
                let environments = count(file.environments as u64, "environment", "environments");
                text.push_str(&format!(
                    "{}: {service}, {environments}, version {}\n",
                    file.file,
                    version.short()
                ));
                text.push_str(&file.helm.as_ref().map(helm_text).unwrap_or_default());
            }
            _ => {}
        }
    }
    text
}

/// The chart on a line, and each environment with its values files, each of which is on a line.
fn helm_text(helm: &Helm) -> String {
    let chart = match &helm.chart {
        Chart::Packaged(chart) => format!(
            "{} {}, archive {}",
            chart.name,
            chart.version,
            chart.archive.short()
        ),
        Chart::Oci { repository, digest } => format!("{repository}, digest {}", digest.short()),
    };
    let mut text = format!("  chart {}\n", plain(&chart));
    for HelmEnvironment { name, values, scale } in &helm.environments {
        let values = match values.as_slice() {
            [] => "the chart's own values".to_owned(),
            files => files.join(",\n    "),
        };
        let scale = scale.map(|scale| format!(" (scale {})", f64::from(scale) / 1_000.0));
        text.push_str(&format!(
            "  {name}{}: {}\n",
            scale.unwrap_or_default(),
            plain(&values)
        ));
    }
    text
}
