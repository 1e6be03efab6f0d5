//! `[workload]`: what runs in each environment.

use super::reading::Reading;
use super::section::{Section, Text};
use super::{DeploymentWorkload, FaultKind, Workload, environment, helm, keys};

const FORM: &str = "[workload.deployment] with manifests or names, or [workload.helm] with chart and image";

/// Which of the two the file has, known also where it has faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Deployment,
    Helm,
}

/// The workload, none after a fault; and which form it has, none where that cannot be said.
pub(super) fn read(reading: &mut Reading<'_>, root: &Section<'_, '_>) -> (Option<Workload>, Option<Form>) {
    if !root.has("workload") {
        reading.missing(root, "workload", FORM);
    }
    let Some(workload) = reading.section(root, "workload") else {
        return (None, None);
    };
    reading.keys(&workload, &keys::WORKLOAD);
    let other = keys::WORKLOAD.later.iter().any(|(name, _)| workload.has(name));
    match (workload.has("deployment"), workload.has("helm")) {
        (false, false) => {
            if !other {
                reading.missing(&workload, "deployment", FORM);
            }
            (None, None)
        }
        (true, false) => {
            let deployment = deployment(reading, &workload).map(Workload::Deployment);
            (deployment, Some(Form::Deployment))
        }
        (false, true) => (
            helm::read(reading, &workload).map(Workload::Helm),
            Some(Form::Helm),
        ),
        (true, true) => {
            let problem = "is beside [workload.deployment], and a service has one workload";
            let place = workload.place_of("helm");
            reading.fault(FaultKind::Conflict, &place, None, problem, "one of the two");
            // their own faults are told at once, too
            deployment(reading, &workload);
            helm::read(reading, &workload);
            (None, None)
        }
    }
}

fn deployment(reading: &mut Reading<'_>, workload: &Section<'_, '_>) -> Option<DeploymentWorkload> {
    let section = reading.section(workload, "deployment")?;
    reading.keys(&section, &keys::DEPLOYMENT);
    let names = reading.texts(&section, "names").unwrap_or_default();
    let container = reading.text(&section, "container");
    Some(DeploymentWorkload {
        manifests: manifests(reading, &section),
        names: names
            .iter()
            .filter_map(|text| dns_label(reading, text, "a Deployment"))
            .collect(),
        container: container.and_then(|text| dns_label(reading, &text, "a container")),
    })
}

/// Without names, the Deployments are those of the manifests: each environment needs some.
pub(super) fn check_targets(
    reading: &mut Reading<'_>,
    root: &Section<'_, '_>,
    environments: &[environment::Read],
) {
    // Their types were checked when they were read: no fault twice.
    let workload = root.table("workload").filter(|workload| !workload.has("helm"));
    let Some(section) = workload.and_then(|workload| workload.table("deployment")) else {
        return;
    };
    let said = section.lists("manifests") || section.lists("names");
    if !said && environments.iter().any(|environment| !environment.has_manifests) {
        let right = "manifests = [\"deploy/api.yaml\"], or names = [\"api\"] of Deployments that are there";
        let problem = "neither manifests nor names say what to deploy";
        reading.fault(FaultKind::Missing, &section.place(), None, problem, right);
    }
    check_scaled(reading, environments, section.lists("manifests"));
}

/// The replicas of adopted Deployments are in clusters: neither a whole nor a part of it is known.
fn check_scaled(reading: &mut Reading<'_>, environments: &[environment::Read], common: bool) {
    let known = |environment: &environment::Read| common || environment.has_manifests;
    let measured = environments.last().is_some_and(known);
    for environment in environments.iter().filter(|one| !(measured && known(one))) {
        if let Some(place) = &environment.scale {
            let problem = "is a part of replicas that no manifest says: the Deployments are adopted";
            let right = "manifests here and in the last environment, or no scale";
            reading.fault(FaultKind::Conflict, place, None, problem, right);
        }
    }
}

/// A name in Kubernetes (RFC 1123 label: at most 63 lowercase letters, digits and inner hyphens).
pub(super) fn dns_label(reading: &mut Reading<'_>, text: &Text<'_>, of: &str) -> Option<String> {
    if is_dns_label(text.text) {
        return Some(text.text.to_owned());
    }
    let problem = format!("is no name of {of}");
    let right = "1 to 63 lowercase letters, digits and inner hyphens";
    reading.fault(FaultKind::Value, &text.place, text.quoted(), problem, right);
    None
}

pub(super) fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| inner(b) || b == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

/// Files of manifests, relative to the repository's root.
pub(super) fn manifests(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Vec<String> {
    files(reading, section, "manifests", MANIFEST)
}

/// Files of YAML or JSON, relative to the repository's root.
pub(super) fn files(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    key: &str,
    right: &str,
) -> Vec<String> {
    let texts = reading.texts(section, key).unwrap_or_default();
    texts
        .iter()
        .filter_map(|text| reading.parsed(text, right, manifest_path))
        .collect()
}

const MANIFEST: &str = "a file below the repository's root, such as \"deploy/api.yaml\"";

/// A file of YAML or JSON below the repository's root.
pub(super) fn manifest_path(text: &str) -> Result<String, &'static str> {
    let path = repository_path(text)?;
    if !path.ends_with(".yaml") && !path.ends_with(".yml") && !path.ends_with(".json") {
        return Err("does not end with .yaml, .yml or .json");
    }
    Ok(path)
}

/// Refuses what would leave the repository or mean different files on different machines.
pub(super) fn repository_path(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') || text.starts_with('~') || text.contains(':') {
        return Err("does not start at the repository's root");
    }
    if text.split('/').any(|part| part == "..") {
        return Err("leads out of the repository");
    }
    if text.contains(['*', '?', '[', '{']) {
        return Err("is a pattern, and each file is named");
    }
    let odd = |part: &str| part.is_empty() || part == ".";
    if text.len() > 512
        || text.contains('\\')
        || text.chars().any(char::is_control)
        || text.split('/').any(odd)
    {
        return Err("is no plain path with `/` between its parts");
    }
    Ok(text.to_owned())
}
