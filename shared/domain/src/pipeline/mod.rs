//! The pipeline file: what a service is, where it runs, and who decides. `docs/pipeline.md` is its reference.
//!
//! `read` checks the file whole and names every fault at once; `package` adds the manifests that it names; the two
//! together are a `Version`, named by the hash of its content. `authorise` and `may_apply` decide by it who may do what.

mod alarms;
mod approval_changes;
mod arn;
mod authorise;
mod budget;
mod chart;
mod checks;
mod delivery;
mod deployment;
mod environment;
mod fault;
mod files;
mod helm;
mod helm_package;
mod jobs;
mod keys;
mod manifest;
mod model;
mod numbers;
mod objects;
mod package;
mod people;
mod principal;
mod reading;
mod root_service;
mod scale;
mod seconds;
mod section;
mod selector;
mod source;
mod strategies;
mod strategy;
mod tag_pattern;
mod target;
mod text;
mod track_objects;
mod track_values;
mod value_path;
mod version;
mod workload;
mod yaml;

#[cfg(test)]
mod tests;

pub use approval_changes::{ApplyDenied, approval_changes, may_apply};
pub use authorise::{Action, Caller, Denied, DeniedReason, authorise, may_answer};
pub use budget::least_time;
pub(crate) use budget::surge_and_unavailable;
pub use chart::{ChartFile, IgnoreError, IgnoreRules, pack_chart};
pub(crate) use environment::LONGEST_ROLLBACK;
pub use fault::{Fault, FaultKind, Faults};
pub use model::{
    ApprovalSpec, ChartSource, CheckAction, CheckSpec, Checked, DeploymentWorkload, EnvironmentSpec,
    HelmWorkload, ImageValues, OnDrift, Person, Pipeline, Source, Workload,
};
pub use package::{ChartPackage, EnvironmentPackage, Package, Packaged, ReleasedDeployment, package};
pub use principal::{Principal, PrincipalError};
pub use root_service::{RootServiceError, root_service};
pub use seconds::{Seconds, SecondsError};
pub(crate) use strategies::is_root_service;
pub use strategy::{BlueGreen, Canary, CanaryStep, Requests, Router, Strategy};
pub use tag_pattern::{TagPattern, TagPatternError};
pub use version::{Version, VersionError};

use crate::ids::ServiceName;
use reading::Reading;
use section::Section;
use std::collections::BTreeSet;

/// The longest file that is read, in bytes. A pipeline of 20 environments is about 10 KiB.
const LONGEST_FILE: usize = 256 * 1024;
/// One transaction of the table carries every environment of a service, and takes at most 100 items.
const MOST_ENVIRONMENTS: usize = 20;

/// Reads and checks a pipeline file. `file_name` is only repeated in the faults.
///
/// Either the pipeline, with what is odd about it but allowed, or every fault that was found; never both.
pub fn read(file_name: &str, text: &str) -> Result<Checked, Faults> {
    if text.len() > LONGEST_FILE {
        return Err(Faults(vec![too_long(file_name, text)]));
    }
    let (document, syntax) = toml::de::DeTable::parse_recoverable(text);
    let mut reading = Reading::new(file_name, text);
    let pipeline = read_pipeline(&mut reading, &Section::root(document.get_ref()));
    let (faults, warnings) = reading.finish(&syntax);
    match pipeline {
        Some(pipeline) if faults.is_empty() => Ok(Checked { pipeline, warnings }),
        _ => Err(Faults(faults)),
    }
}

fn too_long(file: &str, text: &str) -> Fault {
    Fault {
        file: file.to_owned(),
        line: 1,
        column: 1,
        key: String::new(),
        kind: FaultKind::Value,
        found: None,
        problem: format!("the file has {} bytes", text.len()),
        right: format!("at most {LONGEST_FILE} bytes"),
    }
}

fn read_pipeline(reading: &mut Reading<'_>, root: &Section<'_, '_>) -> Option<Pipeline> {
    reading.keys(root, &keys::ROOT);
    let service = service(reading, root);
    let source = source::read(reading, root);
    let (workload, form) = workload::read(reading, root);
    let (people, places) = people::read(reading, root);
    let environments = environments(reading, root, &people, (form, workload.as_ref()));
    check_scale(reading, &environments);
    people::check_used(reading, &places, &environments);
    workload::check_targets(reading, root, &environments);
    let specs: Option<Vec<_>> = environments
        .into_iter()
        .map(|environment| environment.spec)
        .collect();
    Some(Pipeline {
        service: service?,
        source: source?,
        workload: workload?,
        environments: specs.filter(|specs| !specs.is_empty())?,
        people,
    })
}

fn service(reading: &mut Reading<'_>, root: &Section<'_, '_>) -> Option<ServiceName> {
    let text = reading.required_text(
        root,
        "service",
        "the service's name, such as service = \"mc-api\"",
    )?;
    match ServiceName::parse(text.text) {
        Ok(name) => Some(name),
        Err(error) => {
            reading.fault(
                FaultKind::Value,
                &text.place,
                text.quoted(),
                "is no name of a service",
                error.right,
            );
            None
        }
    }
}

fn environments(
    reading: &mut Reading<'_>,
    root: &Section<'_, '_>,
    people: &people::People,
    (form, workload): (Option<workload::Form>, Option<&Workload>),
) -> Vec<environment::Read> {
    let sections = reading.sections(root, "environment");
    if !root.lists("environment") {
        reading.missing(
            root,
            "environment",
            "at least one [[environment]] with name, cluster and namespace",
        );
    }
    if let Some(first_too_many) = sections.get(MOST_ENVIRONMENTS) {
        let problem = format!("there are {} environments", sections.len());
        let right = format!("at most {MOST_ENVIRONMENTS}");
        reading.fault(FaultKind::Value, &first_too_many.place(), None, problem, right);
    }
    let environments: Vec<_> = sections
        .iter()
        .map(|section| environment::read(reading, section, people, form))
        .collect();
    check_unique(reading, &environments);
    if let Some(Workload::Helm(helm)) = workload {
        for section in &sections {
            delivery::check_secret_values(reading, section, &helm.image, &helm.replicas);
        }
    }
    environments
}

/// The last environment's replicas are what the others have a part of.
fn check_scale(reading: &mut Reading<'_>, environments: &[environment::Read]) {
    if let Some(place) = environments.last().and_then(|last| last.scale.as_ref()) {
        let problem = "is on the last environment, and says a part of the last environment's replicas";
        let right = "leave it out there; set the replicas themselves";
        reading.fault(FaultKind::Conflict, place, None, problem, right);
    }
}

fn check_unique(reading: &mut Reading<'_>, environments: &[environment::Read]) {
    let mut names = BTreeSet::new();
    for (name, place) in environments
        .iter()
        .filter_map(|environment| environment.name.as_ref())
    {
        if !names.insert(name) {
            let problem = "is the name of an environment above, too";
            reading.fault(
                FaultKind::Conflict,
                place,
                Some(text::quote(name.as_str())),
                problem,
                "a name of its own",
            );
        }
    }
    let mut above: Vec<&target::Target> = Vec::new();
    for (target, place) in environments
        .iter()
        .filter_map(|environment| environment.target.as_ref())
    {
        if above.iter().any(|other| other.clashes(target)) {
            let problem = format!(
                "an environment above is in namespace {} of {}, too",
                target.namespace, target.cluster
            );
            let right = "a namespace or cluster of its own: two environments would write the same objects. Where the \
                         clusters are in two regions, `region` in both";
            reading.fault(FaultKind::Conflict, place, None, problem, right);
        }
        above.push(target);
    }
}
