//! A chart that lies in the repository: what Sluice must know of it before helm sees it.

mod archive;
mod ignore;
pub(super) mod values;

pub(crate) use archive::LARGEST;
pub use archive::{ChartFile, pack_chart};
pub use ignore::{IgnoreError, IgnoreRules};

use super::text::{cut, quote};
use super::{Fault, FaultKind, yaml};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How deep charts lie in charts. Helm has no limit; nobody has more than two.
const DEEPEST: usize = 5;

/// A chart's files by their path in its folder; those of a chart in a chart are lent by it.
type Files<'f> = BTreeMap<&'f str, &'f [u8]>;

/// A chart without faults.
pub(super) struct Chart {
    pub name: String,
    pub version: String,
    /// Its values, with those of its sub-charts below their names, as templates see them.
    pub values: Value,
}

/// What was found while a chart was read.
struct Reading {
    /// Bytes that may still be unpacked.
    left: usize,
    faults: Vec<Fault>,
}

/// Reads and checks the archive of the chart at this path of the repository. The chart, where it could be read, and
/// every fault and warning.
pub(super) fn open(path: &str, archive: &[u8]) -> (Option<Chart>, Vec<Fault>) {
    let mut reading = Reading {
        left: archive::LARGEST_UNPACKED,
        faults: Vec::new(),
    };
    if archive.len() > LARGEST {
        let problem = format!("the chart's archive has {} bytes", archive.len());
        let right = format!("at most {LARGEST}; list in .helmignore what is no part of the chart");
        reading.fault(path, 1, "", None, problem, &right);
        return (None, reading.faults);
    }
    let chart = reading.packed(path, archive, 0);
    (chart, reading.faults)
}

/// The name that a `Chart.yaml` says, if it is one.
fn name_of(text: &str) -> Option<String> {
    let metadata = yaml::of_chart("Chart.yaml", text).ok()?;
    let name = metadata.get("name")?.as_str()?;
    is_chart_name(name).then(|| name.to_owned())
}

/// Helm, `pkg/chart/v2/util/create.go`: `^[a-zA-Z0-9._-]+$`, at most 250 characters.
fn is_chart_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=250).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}

/// Helm reads versions leniently: `1`, `v1.2`, `1.2.3-rc.1+build`.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (core, more) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let digits = |part: &str| (1..=18).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    text.len() <= 256
        && core.split('.').count() <= 3
        && core.split('.').all(digits)
        && more.len() != 1
        && more.bytes().all(allowed)
}

/// The line of a key at the left margin; 1 where there is none.
fn line_of(text: &str, key: &str) -> usize {
    let is_it = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
    (1..)
        .zip(text.lines())
        .find(|(_, line)| is_it(line))
        .map_or(1, |(number, _)| number)
}

impl Reading {
    fn fault(
        &mut self,
        file: &str,
        line: usize,
        key: &str,
        found: Option<String>,
        problem: String,
        right: &str,
    ) {
        self.faults.push(Fault {
            file: file.to_owned(),
            line,
            column: 1,
            key: key.to_owned(),
            kind: FaultKind::Value,
            found,
            problem,
            right: right.to_owned(),
        });
    }

    fn packed(&mut self, place: &str, archive: &[u8], depth: usize) -> Option<Chart> {
        match archive::unpack(archive, &mut self.left) {
            Ok(files) => {
                let lent = files
                    .iter()
                    .map(|(path, content)| (path.as_str(), content.as_slice()));
                self.chart(place, &lent.collect(), depth)
            }
            Err(problem) => {
                let right = "one folder of plain files, as `helm package` packs it; .helmignore lists what is no part \
                             of the chart";
                self.fault(place, 1, "", None, problem, right);
                None
            }
        }
    }

    /// The chart of these files, and below it those in `charts/`.
    fn chart(&mut self, place: &str, files: &Files<'_>, depth: usize) -> Option<Chart> {
        let file = format!("{place}/Chart.yaml");
        let Some(text) = files.get("Chart.yaml") else {
            let problem = "is missing: the folder is no chart".to_owned();
            self.fault(
                &file,
                1,
                "",
                None,
                problem,
                "a Chart.yaml with apiVersion, name and version",
            );
            return None;
        };
        let (text, metadata) = self.yaml(&file, text)?;
        let checked = self.metadata(&file, &text, &metadata, depth);
        let subs = self.subcharts(place, files, depth);
        let declared = self.declared(place, files, (&text, &metadata));
        let missing: Vec<_> = declared
            .iter()
            .filter(|(name, _)| !subs.contains_key(name))
            .collect();
        for (name, _) in missing {
            let found = Some(quote(name));
            let problem = "is a dependency, and not in the chart's folder charts/".to_owned();
            let right = format!("run `helm dependency build {place}`");
            self.fault(
                &file,
                line_of(&text, "dependencies"),
                "dependencies",
                found,
                problem,
                &right,
            );
        }
        let mut values = below(&declared, &subs);
        values::merge(&mut values, self.own_values(place, files, depth));
        let (name, version) = checked?;
        Some(Chart {
            name,
            version,
            values,
        })
    }

    /// Name and version.
    fn metadata(
        &mut self,
        file: &str,
        text: &str,
        metadata: &Value,
        depth: usize,
    ) -> Option<(String, String)> {
        let said = |key: &str| metadata.get(key).and_then(Value::as_str);
        let before = self.faults.len();
        let mut refuse = |key: &str, problem: &str, right: &str| {
            let found = metadata.get(key).map(|found| cut(&found.to_string()));
            let problem = if found.is_some() { problem } else { "is missing" };
            self.fault(file, line_of(text, key), key, found, problem.to_owned(), right);
        };
        if !matches!(said("apiVersion"), Some("v1" | "v2")) {
            refuse(
                "apiVersion",
                "is no version of charts that Sluice knows",
                "apiVersion: v2, or v1",
            );
        }
        let name = said("name").filter(|name| is_chart_name(name));
        if name.is_none() {
            let right = "1 to 250 letters, digits, `.`, `_` and `-`";
            refuse("name", "is no name of a chart", right);
        }
        let version = said("version").filter(|version| is_version(version));
        if version.is_none() {
            let right = "a version in quotes, such as \"1.2.3\"";
            refuse("version", "is no version", right);
        }
        let kind = metadata.get("type").filter(|kind| !kind.is_null());
        let is_library = kind.and_then(Value::as_str) == Some("library");
        // a library among the dependencies is what libraries are for
        if is_library && depth == 0 {
            refuse(
                "type",
                "cannot be installed: it has no objects of its own",
                "a chart of type application",
            );
        } else if !is_library && kind.is_some_and(|kind| kind.as_str() != Some("application")) {
            refuse("type", "is no type of a chart", "application, or no type");
        }
        let sound = self.faults.len() == before;
        name.zip(version)
            .filter(|_| sound)
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
    }

    /// The dependencies by name, each with the name that its values have. Charts of v1 have a file for them.
    fn declared(
        &mut self,
        place: &str,
        files: &Files<'_>,
        (_, metadata): (&str, &Value),
    ) -> Vec<(String, String)> {
        let mut lists: Vec<Value> = metadata.get("dependencies").cloned().into_iter().collect();
        if let Some(text) = files.get("requirements.yaml") {
            let required = self.yaml(&format!("{place}/requirements.yaml"), text);
            lists.extend(required.and_then(|(_, value)| value.get("dependencies").cloned()));
        }
        let entries = lists.iter().filter_map(Value::as_array).flatten();
        let named = |entry: &Value| {
            let name = entry.get("name")?.as_str()?.to_owned();
            let alias = entry.get("alias").and_then(Value::as_str);
            let alias = alias.filter(|alias| !alias.is_empty()).map(str::to_owned);
            Some((name.clone(), alias.unwrap_or(name)))
        };
        entries.filter_map(named).collect()
    }

    /// What lies in `charts/`, as Helm finds it: folders, and archives that end with `.tgz`. By name.
    fn subcharts(&mut self, place: &str, files: &Files<'_>, depth: usize) -> BTreeMap<String, Chart> {
        let mut folders: BTreeMap<&str, Files<'_>> = BTreeMap::new();
        let mut subs = BTreeMap::new();
        for (path, content) in files {
            let Some(inner) = path.strip_prefix("charts/") else {
                continue;
            };
            if inner.starts_with(['_', '.']) {
                continue;
            }
            match inner.split_once('/') {
                Some((folder, rest)) => {
                    folders.entry(folder).or_default().insert(rest, content);
                }
                None if inner.ends_with(".tgz") => {
                    let place = format!("{place}/charts/{inner}");
                    let chart = self.deeper(&place, depth, |reading| {
                        reading.packed(&place, content, depth + 1)
                    });
                    subs.extend(chart.map(|chart| (chart.name.clone(), chart)));
                }
                None => {}
            }
        }
        for (folder, files) in &folders {
            let place = format!("{place}/charts/{folder}");
            let chart = self.deeper(&place, depth, |reading| reading.chart(&place, files, depth + 1));
            subs.extend(chart.map(|chart| (chart.name.clone(), chart)));
        }
        subs
    }

    fn deeper(
        &mut self,
        place: &str,
        depth: usize,
        read: impl FnOnce(&mut Self) -> Option<Chart>,
    ) -> Option<Chart> {
        if depth < DEEPEST {
            return read(self);
        }
        let problem = format!("lies in more than {DEEPEST} charts");
        self.fault(place, 1, "", None, problem, "fewer charts in charts");
        None
    }

    /// The chart's `values.yaml`: a map, or nothing.
    fn own_values(&mut self, place: &str, files: &Files<'_>, depth: usize) -> Value {
        let nothing = || Value::Object(Map::new());
        let Some(text) = files.get("values.yaml") else {
            return nothing();
        };
        let file = format!("{place}/values.yaml");
        let before = self.faults.len();
        let values = self.yaml(&file, text).map_or_else(nothing, |(_, values)| values);
        if depth > 0 {
            // others made it, and helm reads what it reads: only what is looked up in it is lost
            for fault in self.faults.iter_mut().skip(before) {
                fault.kind = FaultKind::Warning;
            }
        }
        values
    }

    /// The text and the one map that it holds.
    fn yaml(&mut self, file: &str, content: &[u8]) -> Option<(String, Value)> {
        let Ok(text) = std::str::from_utf8(content) else {
            self.fault(file, 1, "", None, "is no text".to_owned(), "YAML in UTF-8");
            return None;
        };
        match yaml::of_chart(file, text) {
            Ok(value) => Some((text.to_owned(), value)),
            Err(fault) => {
                self.faults.push(*fault);
                None
            }
        }
    }
}

/// The values of sub-charts below the names that they have in this chart.
fn below(declared: &[(String, String)], subs: &BTreeMap<String, Chart>) -> Value {
    let mut values = Map::new();
    for (name, sub) in subs {
        let mut names: Vec<&String> = declared
            .iter()
            .filter(|(declared, _)| declared == name)
            .map(|(_, alias)| alias)
            .collect();
        if names.is_empty() {
            names.push(name);
        }
        for name in names {
            values.insert(name.clone(), sub.values.clone());
        }
    }
    Value::Object(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_helm() {
        for (text, right) in [
            ("1.2.3", true),
            ("v1.2", true),
            ("1", true),
            ("1.2.3-rc.1+build.5", true),
            ("", false),
            ("1.2.3-", false),
            ("1.x", false),
            ("1.2.3.4", false),
            ("1..2", false),
            ("latest", false),
            ("1.2.3 ", false),
        ] {
            assert_eq!(is_version(text), right, "{text:?}");
        }
    }
}
