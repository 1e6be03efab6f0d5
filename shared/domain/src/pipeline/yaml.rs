//! YAML (and JSON) files: documents of objects, and maps of values.

use super::{Fault, FaultKind};
use serde_json::Value;

/// A document of a manifest file and where it starts.
pub(super) struct Document {
    pub file: String,
    pub line: usize,
    pub value: Value,
}

/// Reads the documents of a YAML (or JSON) file. Documents without content are left out.
pub(super) fn documents(file: &str, text: &str) -> Result<Vec<Document>, Box<Fault>> {
    let documents: Result<Vec<serde_saphyr::Spanned<Value>>, _> =
        serde_saphyr::from_multiple_with_options(text, options());
    let documents = documents.map_err(|error| Box::new(unreadable(file, text, &error, MANIFESTS)))?;
    let kept = documents.into_iter().filter(|document| !document.value.is_null());
    Ok(kept
        .map(|document| Document {
            file: file.to_owned(),
            line: to_line(document.referenced.line()),
            value: document.value,
        })
        .collect())
}

/// The map of a values file of an environment; an empty file is an empty map.
pub(super) fn of_values(file: &str, text: &str) -> Result<Value, Box<Fault>> {
    map_of(file, text, options())
}

/// The map of a file of a chart. A key twice is what Helm takes: the last one. Others may have made the chart.
pub(super) fn of_chart(file: &str, text: &str) -> Result<Value, Box<Fault>> {
    let mut options = options();
    options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::LastWins;
    map_of(file, text, options)
}

fn map_of(file: &str, text: &str, options: serde_saphyr::Options) -> Result<Value, Box<Fault>> {
    let right = "one map in YAML: names with their values";
    let documents: Result<Vec<serde_saphyr::Spanned<Value>>, _> =
        serde_saphyr::from_multiple_with_options(text, options);
    let documents = documents.map_err(|error| Box::new(unreadable(file, text, &error, right)))?;
    let mut kept = documents.into_iter().filter(|document| !document.value.is_null());
    let first = kept.next();
    let second = kept.next();
    let fault = |line: u64, problem: &str| {
        Box::new(Fault {
            file: file.to_owned(),
            line: to_line(line),
            column: 1,
            key: String::new(),
            kind: FaultKind::WrongType,
            found: None,
            problem: problem.to_owned(),
            right: right.to_owned(),
        })
    };
    if let Some(second) = second {
        return Err(fault(
            second.referenced.line(),
            "is a second document, which helm would not read",
        ));
    }
    match first {
        None => Ok(Value::Object(serde_json::Map::new())),
        Some(document) if document.value.is_object() => Ok(document.value),
        Some(document) => Err(fault(
            document.referenced.line(),
            "is no map from names to values",
        )),
    }
}

fn to_line(line: u64) -> usize {
    usize::try_from(line).unwrap_or(1).max(1)
}

/// As kubectl reads YAML (`0644` is octal), with limits far above what manifests need, so that no anchor multiplies into
/// a function's memory.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 100_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_depth: 40,
            flow_nesting_limit: 40,
            max_documents: 100,
            max_nodes: 50_000,
            max_total_scalar_bytes: 4 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 20_000, max_replay_stack_depth: 16 },
        legacy_octal_numbers: true,
        reject_unsupported_tags: true,
    }
}

const MANIFESTS: &str = "Kubernetes manifests, divided by lines of `---`";

fn unreadable(file: &str, text: &str, error: &serde_saphyr::Error, right: &str) -> Fault {
    let lines = text.lines().count().max(1);
    let place = error.location();
    let number = |n: u64| usize::try_from(n).unwrap_or(1).max(1);
    let message = error
        .without_snippet()
        .render_with_formatter(&serde_saphyr::UserMessageFormatter);
    Fault {
        file: file.to_owned(),
        line: place.map_or(1, |place| number(place.line()).min(lines)),
        column: place.map_or(1, |place| number(place.column())),
        key: String::new(),
        kind: FaultKind::Syntax,
        found: None,
        problem: format!("cannot be read as YAML: {message}"),
        right: right.to_owned(),
    }
}
