//! Reading values out of a parsed TOML file, each with its place, so that every fault can be told and not only the first.

use super::keys::{Keys, Standing};
use super::section::{Place, Section, Text};
use super::text::{Lines, code, quote};
use super::{Fault, FaultKind};
use std::collections::BTreeSet;
use std::fmt::Display;
use toml::de::DeValue;

/// A file being read, and what was found wrong with it so far.
pub(super) struct Reading<'t> {
    file: &'t str,
    lines: Lines<'t>,
    faults: Vec<Fault>,
}

impl<'t> Reading<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            lines: Lines::of(text),
            faults: Vec::new(),
        }
    }

    pub(super) fn fault(
        &mut self,
        kind: FaultKind,
        place: &Place,
        found: Option<String>,
        problem: impl Into<String>,
        right: impl Into<String>,
    ) {
        let (line, column) = self.lines.place(place.byte);
        let (file, key) = (self.file.to_owned(), place.key.clone());
        self.faults.push(Fault {
            file,
            line,
            column,
            key,
            kind,
            found,
            problem: problem.into(),
            right: right.into(),
        });
    }

    /// A key that must be there is not.
    pub(super) fn missing(&mut self, section: &Section<'_, '_>, key: &str, right: &str) {
        let place = section.place_below(key);
        self.fault(FaultKind::Missing, &place, None, "is missing", right);
    }

    pub(super) fn wrong_type(
        &mut self,
        place: &Place,
        value: &DeValue<'_>,
        wanted: &str,
        right: impl Into<String>,
    ) {
        let problem = format!("is {}, not {wanted}", kind_of(value));
        self.fault(FaultKind::WrongType, place, shown(value), problem, right);
    }

    fn not_text(&mut self, place: &Place, value: &DeValue<'_>) {
        let quoted = shown(value).map(|shown| format!("\"{shown}\""));
        self.wrong_type(
            place,
            value,
            "text",
            quoted.unwrap_or_else(|| "\"text in quotes\"".to_owned()),
        );
    }

    /// Refuses every key of the table that this version does not implement.
    pub(super) fn keys(&mut self, section: &Section<'_, '_>, keys: &Keys) {
        for name in section.names() {
            match keys.standing(name.text) {
                Standing::Known => {}
                Standing::Later(instead) => {
                    let problem = "is known, but not in this version of Sluice";
                    self.fault(
                        FaultKind::NotYet,
                        &name.place,
                        Some(code(name.text)),
                        problem,
                        instead,
                    );
                }
                Standing::Unknown(right) => {
                    let problem = format!("is no key of {}", keys.table);
                    self.fault(
                        FaultKind::UnknownKey,
                        &name.place,
                        Some(code(name.text)),
                        problem,
                        right,
                    );
                }
            }
        }
    }

    pub(super) fn text<'d>(&mut self, section: &Section<'d, '_>, key: &str) -> Option<Text<'d>> {
        let value = section.value(key)?;
        let place = section.place_of(key);
        if let DeValue::String(text) = value {
            return Some(Text { text, place });
        }
        self.not_text(&place, value);
        None
    }

    pub(super) fn required_text<'d>(
        &mut self,
        section: &Section<'d, '_>,
        key: &str,
        right: &str,
    ) -> Option<Text<'d>> {
        if !section.has(key) {
            self.missing(section, key, right);
        }
        self.text(section, key)
    }

    /// The texts of an array. None where the key is absent or no array; entries that are no text are left out.
    /// An entry that is there twice is a fault.
    pub(super) fn texts<'d>(&mut self, section: &Section<'d, '_>, key: &str) -> Option<Vec<Text<'d>>> {
        let value = section.value(key)?;
        let place = section.place_of(key);
        let DeValue::Array(items) = value else {
            self.wrong_type(
                &place,
                value,
                "a list",
                "texts in brackets, such as [\"one\", \"two\"]",
            );
            return None;
        };
        let mut seen = BTreeSet::new();
        let mut texts = Vec::new();
        for item in items.iter() {
            let place = Place {
                byte: item.span().start,
                key: place.key.clone(),
            };
            match item.get_ref() {
                DeValue::String(text) if seen.insert(text) => texts.push(Text { text, place }),
                DeValue::String(text) => {
                    self.fault(
                        FaultKind::Value,
                        &place,
                        Some(quote(text)),
                        "is listed twice",
                        "each once",
                    );
                }
                other => self.not_text(&place, other),
            }
        }
        Some(texts)
    }

    pub(super) fn flag(&mut self, section: &Section<'_, '_>, key: &str) -> Option<bool> {
        let value = section.value(key)?;
        if let DeValue::Boolean(flag) = value {
            return Some(*flag);
        }
        self.wrong_type(
            &section.place_of(key),
            value,
            "a yes or no",
            "true or false, without quotes",
        );
        None
    }

    pub(super) fn section<'d, 'i>(
        &mut self,
        section: &Section<'d, 'i>,
        key: &str,
    ) -> Option<Section<'d, 'i>> {
        let value = section.value(key)?;
        if !value.is_table() {
            let place = section.place_of(key);
            let right = format!(
                "[{}] with keys below it, or {key} = {{ ... }}",
                section.header_of(key)
            );
            self.wrong_type(&place, value, "a table", right);
        }
        section.table(key)
    }

    /// An array of tables, each with its `name` in its path, or its number where it has none.
    pub(super) fn sections<'d, 'i>(&mut self, section: &Section<'d, 'i>, key: &str) -> Vec<Section<'d, 'i>> {
        let Some(value) = section.value(key) else {
            return Vec::new();
        };
        let place = section.place_of(key);
        let DeValue::Array(items) = value else {
            self.wrong_type(
                &place,
                value,
                "a list of tables",
                match section.place().key.as_str() {
                    "" => format!("[[{key}]] with double brackets"),
                    _ => format!("{key} = [{{ ... }}]"),
                },
            );
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (number, item) in (1..).zip(items.iter()) {
            let byte = item.span().start;
            let DeValue::Table(table) = item.get_ref() else {
                let place = Place {
                    byte,
                    key: place.key.clone(),
                };
                let right = match section.place().key.as_str() {
                    "" => format!("[[{key}]] with keys below it"),
                    _ => format!("{key} = [{{ ... }}]"),
                };
                self.wrong_type(&place, item.get_ref(), "a table", right);
                continue;
            };
            let name = table
                .get("name")
                .and_then(|name| name.get_ref().as_str())
                .filter(|name| is_plain(name));
            let label = name.map_or_else(|| format!("#{number}"), str::to_owned);
            sections.push(Section::at(format!("{}[{label}]", place.key), byte, table));
        }
        sections
    }

    /// The value that a text stands for, or a fault with the reason and what would be right.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        text: &Text<'_>,
        right: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text.text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(
                    FaultKind::Value,
                    &text.place,
                    text.quoted(),
                    error.to_string(),
                    right,
                );
                None
            }
        }
    }

    /// Likewise, of a text that is not repeated: it may be the secret itself, where its name should be.
    pub(super) fn parsed_unseen<T>(
        &mut self,
        text: &Text<'_>,
        right: &str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let parsed = parse(text.text);
        if let Err(problem) = &parsed {
            let problem = format!("what is there (it is not repeated here) {problem}");
            self.fault(FaultKind::Value, &text.place, None, problem, right);
        }
        parsed.ok()
    }

    /// Faults and warnings, each in the file's order. With syntax errors in the file, only what does not follow from
    /// them is told: what cannot be read looks missing, and below a broken header every key is in the wrong table.
    pub(super) fn finish(mut self, syntax: &[toml::de::Error]) -> (Vec<Fault>, Vec<Fault>) {
        let broken: BTreeSet<usize> = syntax
            .iter()
            .map(|error| self.lines.place(error.span().unwrap_or_default().start).0)
            .collect();
        let header_broken = broken
            .iter()
            .any(|line| self.lines.line(*line).trim_start().starts_with('['));
        let follows = |fault: &Fault| {
            header_broken
                || broken.contains(&fault.line)
                || matches!(fault.kind, FaultKind::Missing | FaultKind::Conflict)
        };
        self.faults.retain(|fault| broken.is_empty() || !follows(fault));
        for error in syntax {
            let place = Place {
                byte: error.span().unwrap_or_default().start,
                key: String::new(),
            };
            let line = self.lines.line(self.lines.place(place.byte).0).trim();
            let found = (!line.is_empty()).then(|| code(line));
            self.fault(
                FaultKind::Syntax,
                &place,
                found,
                format!("is not TOML: {}", error.message()),
                TOML,
            );
        }
        self.faults.sort();
        self.faults.dedup();
        self.faults
            .into_iter()
            .partition(|fault| fault.kind != FaultKind::Warning)
    }
}

const TOML: &str = "key = \"text\", key = 1, key = [\"list\"], [table] or [[list of tables]]; each key once";

fn is_plain(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a yes or no",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A value as it could be written; tables and lists are too long to repeat.
pub(super) fn shown(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(quote(text)),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
