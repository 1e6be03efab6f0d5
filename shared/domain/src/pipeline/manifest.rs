//! One Kubernetes object of a manifest file: what Sluice packages, and what it refuses.

use super::text::{code, cut, quote};
use super::yaml::Document;
use super::{Fault, FaultKind};
use serde_json::Value;

/// What may be in a package, in the order in which it is applied: what others refer to first.
const KINDS: [(&str, &str); 6] = [
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
];

/// Labels and annotations below this prefix are Sluice's own: the fence is one of them.
const OWN_PREFIX: &str = "sluice.dev/";

/// Sorts objects into the order of application: place of the kind, then name.
pub(super) type Identity = (usize, String);

/// Faults of one document, each with the document's place.
pub(super) struct Findings<'d> {
    pub document: &'d Document,
    label: String,
    pub faults: Vec<Fault>,
}

impl<'d> Findings<'d> {
    pub(super) fn of(document: &'d Document) -> Self {
        Self {
            document,
            label: label(&document.value),
            faults: Vec::new(),
        }
    }
}

impl<'d> Findings<'d> {
    pub(super) fn add(
        &mut self,
        kind: FaultKind,
        key: &str,
        found: Option<String>,
        problem: impl Into<String>,
        right: &str,
    ) {
        let key = [self.label.as_str(), key]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        self.faults.push(Fault {
            file: self.document.file.clone(),
            line: self.document.line,
            column: 1,
            key,
            kind,
            found,
            problem: problem.into(),
            right: right.to_owned(),
        });
    }
}

/// Checks one object and puts it into the environment's namespace. Its identity, or its faults.
pub(super) fn check(document: &mut Document, namespace: &str) -> (Option<Identity>, Vec<Fault>) {
    let (identity, faults) = {
        let mut findings = Findings::of(document);
        let identity = identity(&mut findings);
        if identity.is_some() {
            check_metadata(&mut findings, namespace);
            check_content(&mut findings);
        }
        (identity, findings.faults)
    };
    if let Some(metadata) = document
        .value
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    {
        metadata.insert("namespace".to_owned(), Value::from(namespace));
    }
    (identity, faults)
}

/// `Deployment api`: how people call the object.
pub(super) fn label(object: &Value) -> String {
    let parts =
        ["/kind", "/metadata/name"].map(|pointer| text_at(object, pointer).map(cut).unwrap_or_default());
    parts.join(" ").trim().to_owned()
}

pub(super) fn text_at<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn identity(findings: &mut Findings<'_>) -> Option<Identity> {
    let value = &findings.document.value;
    let supported = || {
        KINDS
            .map(|(version, kind)| format!("{kind} ({version})"))
            .join(", ")
    };
    let (Some(version), Some(kind)) = (text_at(value, "/apiVersion"), text_at(value, "/kind")) else {
        let problem = "the document has no apiVersion and kind";
        findings.add(
            FaultKind::Missing,
            "",
            None,
            problem,
            &format!("one of {}", supported()),
        );
        return None;
    };
    if kind == "Secret" {
        let problem = "Secrets never enter a package: it is stored, and its readers are many";
        let right = "create the Secret in the namespace by other means and refer to it by name";
        findings.add(FaultKind::Value, "kind", None, problem, right);
        return None;
    }
    let Some(place) = KINDS.iter().position(|known| *known == (version, kind)) else {
        let right = match KINDS.iter().find(|(_, known)| *known == kind) {
            Some((version, _)) => format!("apiVersion: {version}"),
            None if ["HTTPRoute", "Ingress"].contains(&kind) => {
                "it is applied by whoever owns the gateway or load balancer; as a strategy's `router`, Sluice writes its \
                 weights and nothing else".to_owned()
            }
            None if kind == "List" => "its items as documents of their own, divided by `---`".to_owned(),
            None => format!("one of {}; apply others by other means", supported()),
        };
        let problem = format!("{} ({}) is not packaged", cut(kind), cut(version));
        findings.add(FaultKind::Value, "kind", None, problem, &right);
        return None;
    };
    match text_at(value, "/metadata/name") {
        Some(name) if is_object_name(name) => Some((place, name.to_owned())),
        found => {
            let found = found.map(quote);
            let problem = if found.is_some() {
                "is no name of an object"
            } else {
                "has no name"
            };
            let right = "lowercase letters, digits, `-` and `.`, at most 253; no generateName";
            findings.add(FaultKind::Value, "metadata.name", found, problem, right);
            None
        }
    }
}

/// Kubernetes: names of these kinds are DNS subdomains (RFC 1123).
pub(super) fn is_object_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(super::workload::is_dns_label)
}

pub(super) fn check_metadata(findings: &mut Findings<'_>, namespace: &str) {
    let value = &findings.document.value;
    match value.pointer("/metadata/namespace") {
        None => {}
        Some(found) if found.as_str() == Some(namespace) => {}
        Some(found) => {
            let problem = format!("is not the environment's namespace, {namespace}");
            let right = "leave it out: each environment puts the object into its own";
            findings.add(
                FaultKind::Conflict,
                "metadata.namespace",
                Some(cut(&found.to_string())),
                problem,
                right,
            );
        }
    }
    for key in [
        "status",
        "metadata/managedFields",
        "metadata/resourceVersion",
        "metadata/uid",
        "metadata/generation",
    ] {
        if value.pointer(&format!("/{key}")).is_some() {
            let problem = "is written by the cluster, and was likely copied from one";
            findings.add(
                FaultKind::Value,
                &key.replace('/', "."),
                None,
                problem,
                "leave it out",
            );
        }
    }
    for pointer in [
        "metadata/labels",
        "metadata/annotations",
        "spec/template/metadata/labels",
        "spec/template/metadata/annotations",
    ] {
        check_text_map(findings, pointer);
        check_own(findings, pointer);
    }
}

/// Labels and annotations of Sluice's own are set by Sluice alone, and selected by what it makes.
fn check_own(findings: &mut Findings<'_>, pointer: &str) {
    let map = findings.document.value.pointer(&format!("/{pointer}"));
    let keys = map
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|map| map.keys());
    for key in keys.filter(|key| key.starts_with(OWN_PREFIX)) {
        let problem = format!("{} is Sluice's own", code(key));
        let pointer = pointer.replace('/', ".");
        findings.add(FaultKind::Value, &pointer, None, problem, "leave it out");
    }
}

/// A map from text to text. YAML reads `port: 8080` as a number, which the API server refuses.
fn check_text_map(findings: &mut Findings<'_>, pointer: &str) {
    let key = pointer.replace('/', ".");
    match findings.document.value.pointer(&format!("/{pointer}")) {
        None | Some(Value::Null) => {}
        Some(Value::Object(map)) => {
            for (name, value) in map.iter().filter(|(_, value)| !value.is_string()) {
                let shown = cut(&value.to_string());
                let key = format!("{key}.{}", cut(name));
                findings.add(
                    FaultKind::WrongType,
                    &key,
                    Some(shown),
                    "is not text",
                    "put it in quotes",
                );
            }
        }
        Some(_) => findings.add(
            FaultKind::WrongType,
            &key,
            None,
            "is no map of texts",
            "name: \"text\"",
        ),
    }
}

fn check_content(findings: &mut Findings<'_>) {
    match text_at(&findings.document.value, "/kind") {
        Some("ConfigMap") => {
            check_text_map(findings, "data");
            check_text_map(findings, "binaryData");
        }
        Some("Service") => {
            check_text_map(findings, "spec/selector");
            check_own(findings, "spec/selector");
        }
        Some("PodDisruptionBudget") => check_own(findings, "spec/selector/matchLabels"),
        Some("Deployment") => {
            check_own(findings, "spec/selector/matchLabels");
            super::deployment::check(findings);
        }
        _ => {}
    }
}

/// A fault or warning of a document that other documents or the pipeline decide.
pub(super) fn finding(
    document: &Document,
    kind: FaultKind,
    key: &str,
    problem: String,
    right: String,
) -> Fault {
    let (file, key) = (document.file.clone(), key.to_owned());
    Fault {
        file,
        line: document.line,
        column: 1,
        key,
        kind,
        found: None,
        problem,
        right,
    }
}
