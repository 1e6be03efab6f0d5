//! `[workload.helm]`: a chart, and where it takes the release's image.

use super::reading::Reading;
use super::section::{Place, Section, Text};
use super::value_path::{self, PATH};
use super::workload::{is_dns_label, repository_path};
use super::{ChartSource, FaultKind, HelmWorkload, ImageValues, arn, keys, track_values};
use crate::ids::{Digest, Repository};
use toml::de::DeValue;

const CHART: &str = "a folder below the repository's root, such as \"charts/api\", or a chart in ECR by digest, \
     \"oci://<account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:<64 hexadecimal digits>\"";
const OCI: &str = "\"oci://<account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:<64 hexadecimal digits>\"; \
                   `helm push` and `aws ecr describe-images` print the digest";
const IMAGE: &str = "image = \"image\" for the values image.repository and image.digest, or a table of repository, \
                     digest, tag and reference";

/// Helm keeps 10 revisions by itself; fewer than 2 leave none to go back to.
const HISTORY_DEFAULT: u32 = 10;
const HISTORY: (u32, u32) = (2, 100);
/// Helm, `pkg/chart/common/util`, `ValidateReleaseName`: at most 53, so that a chart's objects can have more in theirs.
const LONGEST_RELEASE: usize = 53;

pub(super) fn read(reading: &mut Reading<'_>, workload: &Section<'_, '_>) -> Option<HelmWorkload> {
    let section = reading.section(workload, "helm")?;
    reading.keys(&section, &keys::HELM);
    let chart = reading.required_text(&section, "chart", CHART);
    let chart = chart.and_then(|text| chart_source(reading, &text));
    let image = image(reading, &section);
    let replicas = replicas(reading, &section);
    let release = reading.text(&section, "release");
    let release = release.map(|text| reading.parsed(&text, RELEASE, release_name));
    let history_limit = history_limit(reading, &section);
    check_replicas(reading, &section, image.as_ref(), &replicas);
    let tracks = track_values::read(reading, &section, image.as_ref(), &replicas);
    Some(HelmWorkload {
        chart: chart?,
        release: match release {
            Some(name) => Some(name?),
            None => None,
        },
        image: image?,
        replicas,
        history_limit: history_limit?,
        tracks: tracks?,
    })
}

const RELEASE: &str =
    "1 to 53 lowercase letters, digits and inner hyphens, as Helm takes them; parts may be divided by dots";

/// Helm: RFC 1123, at most 53 characters.
fn release_name(text: &str) -> Result<String, &'static str> {
    if text.len() <= LONGEST_RELEASE && text.split('.').all(is_dns_label) {
        Ok(text.to_owned())
    } else {
        Err("is no name of a Helm release")
    }
}

fn chart_source(reading: &mut Reading<'_>, text: &Text<'_>) -> Option<ChartSource> {
    match text.text.strip_prefix("oci://") {
        Some(reference) => reading.parsed(text, OCI, |_| oci(reference)),
        None => reading
            .parsed(text, CHART, repository_path)
            .map(ChartSource::Path),
    }
}

/// A tag can be moved: only a digest says what runs.
fn oci(reference: &str) -> Result<ChartSource, &'static str> {
    let (repository, digest) = match reference.split_once('@') {
        Some((repository, digest)) => (repository, Some(digest)),
        None => (reference, None),
    };
    let (registry, name) = repository.split_once('/').ok_or("names no repository")?;
    if !is_ecr(registry) {
        return Err("is in no registry of ECR");
    }
    let digest = digest.ok_or("has no digest, and a tag can be moved")?;
    if name.contains(':') {
        return Err("has a tag beside its digest");
    }
    Repository::parse(name).map_err(|_| "has no name of an ECR repository")?;
    let digest = Digest::parse(digest).map_err(|_| "has a digest that is none")?;
    Ok(ChartSource::Oci {
        repository: repository.to_owned(),
        digest,
    })
}

/// `<account>.dkr.ecr.<region>.amazonaws.com` (Amazon ECR user guide, "Private registry"; `.com.cn` in China).
fn is_ecr(registry: &str) -> bool {
    let host = registry
        .strip_suffix(".amazonaws.com")
        .or_else(|| registry.strip_suffix(".amazonaws.com.cn"));
    let parts: Vec<&str> = host.unwrap_or_default().split('.').collect();
    matches!(parts.as_slice(), [account, "dkr", "ecr", region] if arn::is_account(account) && arn::is_region(region))
}

fn image(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Option<ImageValues> {
    if !section.has("image") {
        reading.missing(section, "image", IMAGE);
    }
    if section.value("image").is_some_and(DeValue::is_str) {
        let text = reading.text(section, "image")?;
        let path = reading.parsed(&text, PATH, value_path::parse)?;
        return Some(ImageValues {
            repository: Some(format!("{path}.repository")),
            digest: Some(format!("{path}.digest")),
            ..ImageValues::default()
        });
    }
    if section.has("image") && section.table("image").is_none() {
        let place = section.place_of("image");
        reading.fault(
            FaultKind::WrongType,
            &place,
            None,
            "is no text and no table",
            IMAGE,
        );
        return None;
    }
    let table = section.table("image")?;
    reading.keys(&table, &keys::IMAGE);
    let mut paths: Vec<(String, Place)> = Vec::new();
    let mut value = |key: &str| {
        let text = reading.text(&table, key)?;
        let path = reading.parsed(&text, PATH, value_path::parse)?;
        distinct(reading, &text, &paths);
        paths.push((path.clone(), text.place));
        Some(path)
    };
    let image = ImageValues {
        repository: value("repository"),
        digest: value("digest"),
        tag: value("tag"),
        reference: value("reference"),
    };
    if !["digest", "tag", "reference"]
        .into_iter()
        .any(|key| table.has(key))
    {
        let problem = "no value takes the digest, so that the chart would run an image of its own choice";
        let right = "digest, tag or reference: the value that takes it";
        reading.fault(FaultKind::Missing, &table.place(), None, problem, right);
        return None;
    }
    Some(image)
}

fn distinct(reading: &mut Reading<'_>, text: &Text<'_>, above: &[(String, Place)]) {
    if let Some((other, _)) = above.iter().find(|(path, _)| value_path::clash(path, text.text)) {
        let problem = format!("and `{other}` would be written over each other");
        let right = "paths of which none is or contains another";
        reading.fault(FaultKind::Conflict, &text.place, text.quoted(), problem, right);
    }
}

fn replicas(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Vec<String> {
    let texts = reading.texts(section, "replicas").unwrap_or_default();
    let mut above: Vec<(String, Place)> = Vec::new();
    for text in texts {
        if let Some(path) = reading.parsed(&text, PATH, value_path::parse) {
            distinct(reading, &text, &above);
            above.push((path, text.place));
        }
    }
    above.into_iter().map(|(path, _)| path).collect()
}

/// The release's image and the number of pods are different values.
fn check_replicas(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    image: Option<&ImageValues>,
    replicas: &[String],
) {
    let paths: Vec<&str> = image.into_iter().flat_map(ImageValues::paths).collect();
    for path in replicas {
        if paths.iter().any(|image| value_path::clash(image, path)) {
            let problem = format!("\"{path}\" takes the image, too");
            let right = "the values that say how many pods there are, such as \"replicaCount\"";
            reading.fault(
                FaultKind::Conflict,
                &section.place_of("replicas"),
                None,
                problem,
                right,
            );
        }
    }
}

fn history_limit(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Option<u32> {
    let (least, most) = HISTORY;
    let right = format!(
        "from {least}, so that there is one to go back to, to {most}; the default is {HISTORY_DEFAULT}"
    );
    reading.number(section, "history_limit", HISTORY, HISTORY_DEFAULT, &right)
}
