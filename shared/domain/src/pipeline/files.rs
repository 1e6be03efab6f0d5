//! The files that a package is made of: read once, and known by where they are.

use super::manifest::{Document, parse};
use super::section::Section;
use super::text::Lines;
use super::{Fault, FaultKind};
use std::collections::BTreeMap;

/// The longest manifest file, in bytes. Kubernetes itself takes objects of about 1 MiB.
const LONGEST_FILE: usize = 1 << 20;

/// The pipeline file, to say where in it something is.
pub(super) struct PipelineFile<'p> {
    pub name: &'p str,
    pub text: &'p str,
}

impl PipelineFile<'_> {
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
        let (line, column) = Lines::of(self.text).place(byte);
        let (file, key) = (self.name.to_owned(), path.join("."));
        Fault {
            file,
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

    /// The file's documents. None after a fault.
    pub(super) fn documents(&mut self, path: &str) -> Option<Vec<Document>> {
        if !self.texts.contains_key(path) {
            let text = self.text(path);
            self.texts.insert(path.to_owned(), text);
        }
        let text = self.texts.get(path).and_then(Option::as_ref)?;
        parse(path, text).map_err(|fault| self.faults.push(*fault)).ok()
    }

    fn text(&mut self, path: &str) -> Option<String> {
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
            right: format!("a manifest file of at most {LONGEST_FILE} bytes below the repository's root"),
        });
        None
    }
}
