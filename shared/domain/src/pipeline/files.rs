//! The files that a package is made of: read once, and known by where they are.

use super::section::Section;
use super::text::Lines;
use super::yaml::{self, Document};
use super::{Fault, FaultKind};
use crate::ids::EnvironmentName;
use std::collections::BTreeMap;

/// What a file is called where it cannot be used.
pub(super) const MANIFEST_FILE: &str = "a manifest file";
pub(super) const VALUES_FILE: &str = "a values file";
pub(super) const JOB_FILE: &str = "a file with one Job";

/// The longest file, in bytes. Kubernetes itself takes objects of about 1 MiB.
const LONGEST_FILE: usize = 1 << 20;

/// The pipeline file, to say where in it something is.
pub(super) struct PipelineFile<'p> {
    pub name: &'p str,
    pub text: &'p str,
}

impl PipelineFile<'_> {
    /// A fault at a key of an environment.
    pub(super) fn environment_fault(
        &self,
        name: &EnvironmentName,
        key: &str,
        problem: String,
        right: String,
    ) -> Fault {
        let (document, _) = toml::de::DeTable::parse_recoverable(self.text);
        let list = document
            .get_ref()
            .get("environment")
            .and_then(|list| list.get_ref().as_array());
        let is_it = |item: &&toml::Spanned<toml::de::DeValue<'_>>| {
            let found = item.get_ref().get("name");
            found.and_then(|found| found.get_ref().as_str()) == Some(name.as_str())
        };
        let item = list.and_then(|items| items.iter().find(is_it));
        let label = format!("environment[{name}]");
        let section = item.and_then(|item| {
            let table = item.get_ref().as_table()?;
            Some(Section::at(label.clone(), item.span().start, table))
        });
        let byte = section.map_or(0, |section| section.place_of(key).byte);
        self.fault_at(byte, format!("{label}.{key}"), problem, right)
    }

    pub(super) fn fault(&self, path: &[&str], problem: String, right: String) -> Fault {
        let (document, _) = toml::de::DeTable::parse_recoverable(self.text);
        let mut section = Some(Section::root(document.get_ref()));
        let mut byte = 0;
        for key in path {
            byte = section
                .as_ref()
                .map_or(byte, |section| section.place_of(key).byte);
            section = section.and_then(|section| section.table(key));
        }
        self.fault_at(byte, path.join("."), problem, right)
    }

    fn fault_at(&self, byte: usize, key: String, problem: String, right: String) -> Fault {
        let (line, column) = Lines::of(self.text).place(byte);
        Fault {
            file: self.name.to_owned(),
            line,
            column,
            key,
            kind: FaultKind::Conflict,
            found: None,
            problem,
            right,
        }
    }
}

/// Each file is read once, and what cannot be read is told once.
pub(super) struct Files<R> {
    read_file: R,
    texts: BTreeMap<String, Option<String>>,
    pub faults: Vec<Fault>,
}

impl<R: FnMut(&str) -> Result<String, String>> Files<R> {
    pub(super) fn new(read_file: R) -> Self {
        Self {
            read_file,
            texts: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    /// The file's documents. None after a fault. `what` is what the file is to be.
    pub(super) fn documents(&mut self, path: &str, what: &str) -> Option<Vec<Document>> {
        let text = self.text(path, what)?;
        let documents = yaml::documents(path, &text);
        documents.map_err(|fault| self.faults.push(*fault)).ok()
    }

    /// The file's text. None after a fault.
    pub(super) fn text(&mut self, path: &str, what: &str) -> Option<String> {
        if !self.texts.contains_key(path) {
            let text = self.read(path, what);
            self.texts.insert(path.to_owned(), text);
        }
        self.texts.get(path)?.clone()
    }

    fn read(&mut self, path: &str, what: &str) -> Option<String> {
        // A stored pipeline's paths are checked again: they are about to be opened.
        let text = super::workload::manifest_path(path)
            .map_err(str::to_owned)
            .and_then(|path| (self.read_file)(&path));
        let problem = match text {
            Ok(text) if text.len() > LONGEST_FILE => format!("the file has {} bytes", text.len()),
            Ok(text) => return Some(text),
            Err(problem) => format!("cannot be read: {problem}"),
        };
        self.faults.push(Fault {
            file: path.to_owned(),
            line: 1,
            column: 1,
            key: String::new(),
            kind: FaultKind::Value,
            found: None,
            problem,
            right: format!("{what} of at most {LONGEST_FILE} bytes below the repository's root"),
        });
        None
    }
}
