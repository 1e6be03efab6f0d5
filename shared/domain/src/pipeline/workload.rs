//! `[workload.deployment]`: what runs in each environment.

use super::reading::Reading;
use super::section::{Section, Text};
use super::{DeploymentWorkload, FaultKind, environment, keys};

const FORM: &str = "[workload.deployment] with manifests, or with the names of Deployments that are there";

pub(super) fn read(reading: &mut Reading<'_>, root: &Section<'_, '_>) -> Option<DeploymentWorkload> {
    if !root.has("workload") {
        reading.missing(root, "workload", FORM);
    }
    let workload = reading.section(root, "workload")?;
    reading.keys(&workload, &keys::WORKLOAD);
    let other = keys::WORKLOAD.later.iter().any(|(name, _)| workload.has(name));
    if !workload.has("deployment") && !other {
        reading.missing(&workload, "deployment", FORM);
    }
    let section = reading.section(&workload, "deployment")?;
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
    let Some(section) = root
        .table("workload")
        .and_then(|workload| workload.table("deployment"))
    else {
        return;
    };
    let said = section.lists("manifests") || section.lists("names");
    if !said && environments.iter().any(|environment| !environment.has_manifests) {
        let right = "manifests = [\"deploy/api.yaml\"], or names = [\"api\"] of Deployments that are there";
        let problem = "neither manifests nor names say what to deploy";
        reading.fault(FaultKind::Missing, &section.place(), None, problem, right);
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
    let texts = reading.texts(section, "manifests").unwrap_or_default();
    texts
        .iter()
        .filter_map(|text| reading.parsed(text, MANIFEST, manifest_path))
        .collect()
}

const MANIFEST: &str = "a file below the repository's root, such as \"deploy/api.yaml\"";

/// Refuses what would leave the repository or mean different files on different machines.
pub(super) fn manifest_path(text: &str) -> Result<String, &'static str> {
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
    if !text.ends_with(".yaml") && !text.ends_with(".yml") && !text.ends_with(".json") {
        return Err("does not end with .yaml, .yml or .json");
    }
    Ok(text.to_owned())
}
