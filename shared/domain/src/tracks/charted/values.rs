//! The values by which a chart makes one track other than the other.

use crate::pipeline::HelmWorkload;
use crate::tracks::{TRACK_LABEL, Track};
use serde_json::{Value, json};

/// What stands for the track in a value.
const PLACEHOLDER: &str = "{track}";

/// The track's own values: those that the pipeline says, or what charts of `helm create` take. `fullname` is what the
/// workload's objects are called without a track.
pub fn values_of(workload: &HelmWorkload, fullname: &str, track: Track) -> Value {
    let mut values = match &workload.tracks {
        Some(said) => Value::Object(said.clone()),
        None => json!({
            "fullnameOverride": format!("{fullname}-{PLACEHOLDER}"),
            "podLabels": {TRACK_LABEL: PLACEHOLDER},
        }),
    };
    replace(&mut values, track);
    values
}

fn replace(value: &mut Value, track: Track) {
    match value {
        Value::String(text) => *text = text.replace(PLACEHOLDER, track.as_str()),
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, track)),
        Value::Object(values) => values.values_mut().for_each(|value| replace(value, track)),
        _ => {}
    }
}

/// The texts among values, each with its path as it is written in the pipeline file: `podLabels."sluice.dev/track"`.
pub(super) fn texts(values: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    gather(values, "", &mut found);
    found
}

fn gather(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Object(values) => {
            for (key, value) in values {
                let is_plain = key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                let key = if is_plain { key.clone() } else { format!("{key:?}") };
                let below = if path.is_empty() {
                    key
                } else {
                    format!("{path}.{key}")
                };
                gather(value, &below, found);
            }
        }
        _ => {}
    }
}
