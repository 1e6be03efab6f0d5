//! A check's Job, as it is made for one run.

use super::CheckRun;
use crate::canonical::sha256_hex;
use crate::helm::nested;
use crate::ids::{EnvironmentName, ExecutionName};
use crate::plan::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::release::Release;
use serde_json::{Value, json};

/// What a container's image is written as where it is the release's.
const OWN_IMAGE: &str = "SLUICE_IMAGE";
/// How long a finished Job stays where its manifest does not say, in seconds: a day, for people to look at.
const KEPT: u64 = 86_400;
/// The longest name of a Job: its pods' names and the label `job-name` must have room (Kubernetes, "Job name").
const LONGEST_NAME: usize = 63;

/// What a check is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The promotion's execution.
    pub execution: &'a ExecutionName,
    /// The release.
    pub release: &'a Release,
}

/// The Job of one run: named after it, so that made twice it is the same; with the release's image where the manifest leaves
/// the image out, and with `SLUICE_IMAGE`, `SLUICE_RELEASE` and `SLUICE_ENVIRONMENT` in every container's
/// environment. A manifest that says nothing of retries is tried once: a check that fails has failed.
pub fn job(manifest: &Value, subject: Subject<'_>, run: &CheckRun) -> Value {
    let mut job = manifest.clone();
    nested(
        &mut job,
        "metadata.name",
        Value::from(name(manifest, subject, run)),
    );
    let label = |job: &mut Value, key: &str, text: &str| {
        if let Some(metadata) = job.get_mut("metadata") {
            crate::plan::set_text(metadata, "labels", key, text);
        }
    };
    label(&mut job, MANAGED_BY_LABEL, MANAGED_BY);
    if let Some(spec) = job.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("backoffLimit").or_insert_with(|| json!(0));
        spec.entry("ttlSecondsAfterFinished")
            .or_insert_with(|| json!(KEPT));
    }
    let said = [
        ("SLUICE_IMAGE", subject.release.image()),
        ("SLUICE_RELEASE", subject.release.number.0.to_string()),
        ("SLUICE_ENVIRONMENT", subject.environment.to_string()),
    ];
    for list in ["initContainers", "containers"] {
        let containers = job.pointer_mut(&format!("/spec/template/spec/{list}"));
        for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
            equip(container, &subject.release.image(), &said);
        }
    }
    job
}

fn equip(container: &mut Value, image: &str, said: &[(&str, String)]) {
    let Some(container) = container.as_object_mut() else {
        return;
    };
    let own = container.get("image").and_then(Value::as_str);
    if own.is_none_or(|own| own == OWN_IMAGE) {
        container.insert("image".to_owned(), Value::from(image));
    }
    let variables = container.entry("env").or_insert_with(|| json!([]));
    if let Some(variables) = variables.as_array_mut() {
        variables.retain(|variable| {
            let name = variable.get("name").and_then(Value::as_str);
            !said.iter().any(|(ours, _)| name == Some(ours))
        });
        // First: others may be made of them.
        let ours = said
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}));
        variables.splice(0..0, ours);
    }
}

/// `migrate-42-production-3f9a1c2b`: for people the check, the release and the environment; for the cluster the run.
fn name(manifest: &Value, subject: Subject<'_>, run: &CheckRun) -> String {
    let of = manifest.pointer("/metadata/name").and_then(Value::as_str);
    let stage = run.stage;
    let identity = format!("{}/{stage}/{}/{}", subject.execution, run.name, run.attempt);
    let hash: String = sha256_hex(identity.as_bytes()).chars().take(8).collect();
    let tail = format!("-{}-{}-{hash}", subject.release.number.0, subject.environment);
    let room = LONGEST_NAME.saturating_sub(tail.len());
    let head: String = of.unwrap_or(&run.name).chars().take(room).collect();
    format!("{}{tail}", head.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::check::Stage;
    use crate::samples::{at, release};

    fn run(name: &str, attempt: u32) -> CheckRun {
        CheckRun {
            stage: Stage::Before,
            name: name.into(),
            attempt,
            started_at: at(0),
            deadline: at(1),
            answer: None,
            answered_at: None,
            fence: crate::ids::Fence(3),
            later: false,
            log: None,
        }
    }

    fn made(manifest: &Value, attempt: u32) -> Value {
        let release = release(42);
        let execution = ExecutionName::parse("mc-api-42-production-1").unwrap();
        let subject = Subject {
            environment: &EnvironmentName::parse("production").unwrap(),
            execution: &execution,
            release: &release,
        };
        job(manifest, subject, &run("migrate", attempt))
    }

    fn manifest(containers: &Value) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
               "spec": {"template": {"spec": {"containers": containers}}}})
    }

    #[test]
    fn the_release_s_image_is_where_none_is_said_and_known_everywhere() {
        let one = made(
            &manifest(&json!([{"name": "a"}, {"name": "b", "image": "SLUICE_IMAGE"},
                                         {"name": "c", "image": "tool:1", "env": [{"name": "SLUICE_IMAGE", "value": "x"},
                                                                                  {"name": "OTHER", "value": "y"}]}])),
            1,
        );
        let image = release(42).image();
        let containers = one.pointer("/spec/template/spec/containers").unwrap();
        assert_eq!(containers[0]["image"], json!(image));
        assert_eq!(containers[1]["image"], json!(image));
        assert_eq!(containers[2]["image"], json!("tool:1"));
        let names: Vec<_> = containers[2]["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            ["SLUICE_IMAGE", "SLUICE_RELEASE", "SLUICE_ENVIRONMENT", "OTHER"]
        );
        assert_eq!(containers[2]["env"][0]["value"], json!(image));
        assert_eq!(one.pointer("/spec/backoffLimit"), Some(&json!(0)));
    }

    #[test]
    fn a_run_has_one_name_and_another_run_another() {
        let plain = manifest(&json!([{"name": "a"}]));
        let name = |manifest: &Value, attempt| {
            made(manifest, attempt)["metadata"]["name"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(name(&plain, 1), name(&plain, 1));
        assert_ne!(name(&plain, 1), name(&plain, 2));
        assert!(name(&plain, 1).starts_with("migrate-42-production-"));
        let mut long = plain.clone();
        long["metadata"]["name"] = json!(format!("{}-x", "m".repeat(39)));
        assert!(
            name(&long, 1).len() <= 63 && !name(&long, 1).contains("--"),
            "{}",
            name(&long, 1)
        );
    }
}
