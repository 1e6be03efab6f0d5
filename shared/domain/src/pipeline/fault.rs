//! What is wrong in a file, where, and what would be right.

use super::text::{printable, wrap};
use serde::Serialize;
use std::fmt;

/// What sort of fault it is, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The file is not TOML, or not YAML.
    Syntax,
    /// A key that no version knows.
    UnknownKey,
    /// A key or value that Sluice's design knows and this version does not implement.
    NotYet,
    /// Text where a number should be, and the like.
    WrongType,
    /// A key that must be there is not.
    Missing,
    /// A value that cannot be.
    Value,
    /// A value that does not go with another.
    Conflict,
    /// Allowed, but likely not meant.
    Warning,
}

/// One thing wrong in one place of a file. Faults sort into the files' order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The file's name, as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The path of keys: `environment[production].approval.quorum`. Empty for the file as a whole.
    pub key: String,
    /// What sort of fault it is.
    pub kind: FaultKind,
    /// What was found there, as it would be written; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What is wrong with it, as the rest of a sentence that starts with what was found.
    pub problem: String,
    /// What would be right.
    pub right: String,
}

/// Every fault of a file, in the file's order. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

/// Columns of a terminal that everything fits in.
const WIDTH: usize = 80;

impl fmt::Display for Fault {
    /// Where it is on the first line; what is wrong and what would be right indented below, within 80 columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = if self.kind == FaultKind::Warning {
            "warning: "
        } else {
            ""
        };
        let place = format!("{}:{}:{}:", printable(&self.file), self.line, self.column);
        let key = printable(&self.key);
        let one_line = format!("{place} {warning}{key}");
        if key.is_empty() || one_line.chars().count() <= WIDTH {
            writeln!(f, "{}", one_line.trim_end())?;
        } else {
            writeln!(f, "{place}\n  {warning}{key}")?;
        }
        let wrong = match &self.found {
            Some(found) => format!("{found} {}", self.problem),
            None => self.problem.clone(),
        };
        writeln!(f, "{}", wrap(&printable(&wrong), "    ", WIDTH))?;
        write!(
            f,
            "{}",
            wrap(&printable(&format!("Right: {}", self.right)), "    ", WIDTH)
        )
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}
