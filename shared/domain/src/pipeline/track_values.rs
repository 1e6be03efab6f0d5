//! `tracks` of `[workload.helm]`: the values by which a chart makes one track other than the other.

use super::reading::{Reading, shown};
use super::section::Section;
use super::{FaultKind, ImageValues, value_path};
use serde_json::{Map, Value};
use toml::de::DeValue;

const TRACKS: &str = "the values that the chart takes names and labels from, with {track} where they differ: fullnameOverride = \
                      \"mc-api-{track}\"";

/// The outer none is a fault, the inner one that nothing is said.
pub(super) fn read(
    reading: &mut Reading<'_>,
    helm: &Section<'_, '_>,
    image: Option<&ImageValues>,
    replicas: &[String],
) -> Option<Option<Map<String, Value>>> {
    if !helm.has("tracks") {
        return Some(None);
    }
    let section = reading.section(helm, "tracks")?;
    let mut values = Map::new();
    let mut whole = true;
    for key in section.names() {
        let Some(value) = section.value(key.text) else {
            continue;
        };
        match json(value) {
            Ok(value) => {
                values.insert(key.text.to_owned(), value);
            }
            Err(found) => {
                whole = false;
                let problem = "is a number that no value of a chart can be";
                reading.fault(
                    FaultKind::Value,
                    &key.place,
                    found,
                    problem,
                    "a number within 64 bits",
                );
            }
        }
    }
    let values = Value::Object(values);
    check_placeholder(reading, &section, &values);
    check_others(reading, &section, &values, image, replicas);
    match values {
        Value::Object(values) if whole => Some(Some(values)),
        _ => None,
    }
}

/// A value of the file as the chart gets it. The error is what was found.
fn json(value: &DeValue<'_>) -> Result<Value, Option<String>> {
    Ok(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            Value::from(parsed.map_err(|_| shown(value))?)
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse::<f64>().ok();
            let parsed = parsed.and_then(serde_json::Number::from_f64);
            Value::Number(parsed.ok_or_else(|| shown(value))?)
        }
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| json(item.get_ref()))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => {
            let entries = table
                .iter()
                .map(|(key, value)| Ok((key.get_ref().to_string(), json(value.get_ref())?)));
            Value::Object(entries.collect::<Result<_, Option<String>>>()?)
        }
    })
}

/// Without the track in it, both tracks would be one.
fn check_placeholder(reading: &mut Reading<'_>, section: &Section<'_, '_>, values: &Value) {
    if !names_track(values) {
        let problem = "says {track} nowhere, so that both tracks would be one";
        reading.fault(FaultKind::Missing, &section.place(), None, problem, TRACKS);
    }
}

fn names_track(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{track}"),
        Value::Array(values) => values.iter().any(names_track),
        Value::Object(values) => values.values().any(names_track),
        _ => false,
    }
}

/// The image and the number of pods are Sluice's to set.
fn check_others(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    values: &Value,
    image: Option<&ImageValues>,
    replicas: &[String],
) {
    let own = image
        .into_iter()
        .flat_map(ImageValues::paths)
        .chain(replicas.iter().map(String::as_str));
    let mut paths = Vec::new();
    gather(values, "", &mut paths);
    for other in own {
        if let Some(path) = paths.iter().find(|path| value_path::clash(path, other)) {
            let problem =
                format!("sets `{path}`, which is also what Sluice sets, as `{other}` of [workload.helm]");
            reading.fault(
                FaultKind::Conflict,
                &section.place(),
                None,
                problem,
                "the paths of other values",
            );
        }
    }
}

fn gather(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(values) => {
            for (key, value) in values {
                let below = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                gather(value, &below, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}
