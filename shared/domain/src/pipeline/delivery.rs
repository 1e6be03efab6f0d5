//! The keys of `[[environment]]` that say how a release is delivered there: values, scale, checks, drift.

use super::checks::{self, List};
use super::people::People;
use super::reading::Reading;
use super::section::{Place, Section, Text};
use super::value_path::{self, PATH};
use super::workload::{Form, files};
use super::{CheckSpec, FaultKind, ImageValues, OnDrift, Seconds, arn, model};
use crate::ids::PersonName;
use std::collections::{BTreeMap, BTreeSet};

const HOLD_FOR: (Seconds, Seconds) = (Seconds(10), Seconds(86_400));
const VALUES: &str =
    "a file of values below the repository's root, such as \"charts/api/values.staging.yaml\"";

/// What could be read.
pub(super) struct Delivery {
    pub values: Vec<String>,
    pub secret_values: BTreeMap<String, String>,
    pub scale: Option<u32>,
    /// None after a fault.
    pub hold_for: Option<Seconds>,
    /// None after a fault.
    pub on_drift: Option<OnDrift>,
    pub before: Vec<CheckSpec>,
    pub verify: Vec<CheckSpec>,
    /// Who may answer a check.
    pub answering: BTreeSet<PersonName>,
}

pub(super) fn read(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    form: Option<Form>,
    people: &People,
) -> Delivery {
    check_form(reading, section, form);
    let list = |key, helm_test| List { key, helm_test };
    let (before, mut answering) = checks::read(reading, section, list("before", false), people);
    // where the workload cannot be said, what it allows is not either
    let verify = list("verify", form != Some(Form::Deployment));
    let (verify, more) = checks::read(reading, section, verify, people);
    answering.extend(more);
    Delivery {
        values: files(reading, section, "values", VALUES),
        secret_values: secret_values(reading, section),
        scale: reading.thousandths(section, "scale"),
        hold_for: reading.duration(section, "hold_for", HOLD_FOR, model::HOLD_FOR),
        on_drift: on_drift(reading, section),
        before,
        verify,
        answering,
    }
}

/// What one kind of workload has and the other has not.
fn check_form(reading: &mut Reading<'_>, section: &Section<'_, '_>, form: Option<Form>) {
    let (keys, problem, right): (&[&str], _, _) = match form {
        Some(Form::Deployment) => (
            &["values", "secret_values", "helm_role"],
            "is for a helm workload",
            "leave it out, or [workload.helm]",
        ),
        Some(Form::Helm) => (
            &["manifests"],
            "is not for a helm workload: the chart makes the objects",
            "values = [\"...\"] for what differs between environments",
        ),
        None => return,
    };
    for key in keys.iter().filter(|key| section.has(key)) {
        reading.fault(FaultKind::Conflict, &section.place_of(key), None, problem, right);
    }
}

fn secret_values(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> BTreeMap<String, String> {
    let Some(table) = reading.section(section, "secret_values") else {
        return BTreeMap::new();
    };
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for key in table.names() {
        if table.value(key.text).is_some_and(|value| value.is_table()) {
            let problem = "is a table: a path without quotes is several keys to TOML";
            let right = "quotes around the whole path: \"database.password\" = \"arn:...\"";
            let found = Some(super::text::code(key.text));
            reading.fault(FaultKind::WrongType, &key.place, found, problem, right);
            continue;
        }
        let path = reading.parsed(&key, PATH, value_path::parse);
        let secret = reading.text(&table, key.text);
        let secret = secret.and_then(|text| reading.parsed_unseen(&text, arn::SECRET, arn::secret));
        let Some((path, secret)) = path.zip(secret) else {
            continue;
        };
        if let Some(other) = found.keys().find(|other| value_path::clash(other, &path)) {
            let problem = format!("and `{other}` would be written over each other");
            let right = "paths of which none contains another";
            reading.fault(FaultKind::Conflict, &key.place, key.quoted(), problem, right);
        }
        found.insert(path, secret);
    }
    found
}

/// A secret would be written over the image, or over the number of pods.
pub(super) fn check_secret_values(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    image: &ImageValues,
    replicas: &[String],
) {
    let Some(table) = section.table("secret_values") else {
        return;
    };
    let own: Vec<&str> = image.paths().chain(replicas.iter().map(String::as_str)).collect();
    for key in table.names() {
        if let Some(other) = own.iter().find(|own| value_path::clash(own, key.text)) {
            let problem = format!("is also what Sluice sets, as `{other}` of [workload.helm]");
            let right = "the path of another value";
            reading.fault(FaultKind::Conflict, &key.place, key.quoted(), problem, right);
        }
    }
}

fn on_drift(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Option<OnDrift> {
    if !section.has("on_drift") {
        return Some(OnDrift::default());
    }
    let text: Text<'_> = reading.text(section, "on_drift")?;
    match text.text {
        "stop" => Some(OnDrift::Stop),
        "overwrite" => Some(OnDrift::Overwrite),
        _ => {
            let right = "\"stop\", which is also the default, or \"overwrite\"";
            let problem = "is nothing that could be done";
            reading.fault(FaultKind::Value, &text.place, text.quoted(), problem, right);
            None
        }
    }
}

/// Helm reaches the cluster in the same account as Sluice itself, and as another role: the cluster tells them apart.
pub(super) fn check_helm_role(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    form: Option<Form>,
    role: Option<&(String, String)>,
    helm_role: Option<&(String, String)>,
) {
    let place: Place = section.place_of("helm_role");
    let right = "a role of its own in the account of `role`, as the environment's stack makes one";
    match (role, helm_role) {
        (Some(_), None) if form == Some(Form::Helm) && !section.has("helm_role") => {
            let problem = "is missing, and helm could not reach the cluster of another account";
            reading.fault(
                FaultKind::Missing,
                &section.place_below("helm_role"),
                None,
                problem,
                right,
            );
        }
        (Some((_, account)), Some((_, other))) if account != other => {
            let problem = format!("is in account {other}, and `role` is in {account}");
            reading.fault(FaultKind::Conflict, &place, None, problem, right);
        }
        (Some((role, _)), Some((helm_role, _))) if role == helm_role => {
            let problem = "is `role`, too: what helm writes could not be told from what Sluice writes";
            reading.fault(FaultKind::Conflict, &place, None, problem, right);
        }
        _ => {}
    }
}
