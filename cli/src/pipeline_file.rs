//! A pipeline file and what it names, read from the checkout and checked whole.

use crate::chart_folder;
use crate::failure::{Exit, Failure};
use sluice_domain::pipeline::{Fault, Faults, Version, package, read};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// More than any file that the reader takes (1 MiB), so that it can say itself that one is too long.
const MOST_READ: u64 = (1 << 20) + 1;

/// A checked pipeline file, and what `apply` sends of it.
#[derive(Debug)]
pub struct PipelineFile {
    /// Its text.
    pub text: String,
    /// The files (manifests, values, Jobs), by the path that it names them with.
    pub manifests: BTreeMap<String, String>,
    /// The archives of its charts, likewise.
    pub charts: BTreeMap<String, Vec<u8>>,
    /// What it publishes.
    pub version: Version,
    /// What is allowed but likely not meant.
    pub warnings: Vec<Fault>,
}

/// Why there is none.
#[derive(Debug)]
pub enum Unusable {
    /// It was read, and is wrong.
    Faults(Faults),
    /// It cannot be read, or not be checked.
    Failure(Failure),
}

/// Reads and checks `file`, with what it names relative to `root`.
pub fn load(file: &Path, root: &Path) -> Result<PipelineFile, Unusable> {
    let name = file.display().to_string();
    let root = root
        .canonicalize()
        .map_err(|error| unreadable("folder", root, error))?;
    let text = read_text(file).map_err(|error| unreadable("pipeline file", file, error))?;
    let checked = read(&name, &text).map_err(Unusable::Faults)?;
    let (mut manifests, mut charts) = (BTreeMap::new(), BTreeMap::new());
    let read_file = |path: &str| {
        let text = read_below(&root, path)?;
        manifests.insert(path.to_owned(), text.clone());
        Ok(text)
    };
    let read_chart = |path: &str| {
        let archive = chart_folder::packed(&below(&root, path)?)?;
        charts.insert(path.to_owned(), archive.clone());
        Ok(archive)
    };
    let packaged = package(&checked.pipeline, &name, &text, read_file, read_chart);
    let packaged = packaged.map_err(Unusable::Faults)?;
    let version = Version::of(checked.pipeline, packaged.package).map_err(|error| {
        Unusable::Failure(Failure::new(Exit::Unexpected, format!("{name} cannot be named.")).because(error))
    })?;
    let warnings = checked.warnings.into_iter().chain(packaged.warnings).collect();
    Ok(PipelineFile {
        text,
        manifests,
        charts,
        version,
        warnings,
    })
}

fn unreadable(what: &str, path: &Path, error: io::Error) -> Unusable {
    let exit = if error.kind() == io::ErrorKind::NotFound {
        Exit::NotFound
    } else {
        Exit::Invalid
    };
    Unusable::Failure(
        Failure::new(exit, format!("The {what} {} cannot be read.", path.display())).because(error),
    )
}

/// A file below the root, also after every link is followed: what is published is what the repository holds.
fn read_below(root: &Path, path: &str) -> Result<String, String> {
    read_text(&below(root, path)?).map_err(|error| error.to_string())
}

fn below(root: &Path, path: &str) -> Result<PathBuf, String> {
    let found: PathBuf = root
        .join(path)
        .canonicalize()
        .map_err(|error| error.to_string())?;
    if !found.starts_with(root) {
        return Err("it is a link that leaves the repository's root".to_owned());
    }
    Ok(found)
}

/// The text of a regular file: a pipe or a device could have no end.
fn read_text(path: &Path) -> io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_READ).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// Every `pipelines/*.toml` under the root, sorted. None is an error: nothing checked is not the same as all well.
pub fn all_below(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = root.join("pipelines");
    let none = || {
        let message = format!("There are no pipeline files: {} has no *.toml.", folder.display());
        Failure::new(Exit::NotFound, message)
            .next("sluice validate <file>, or --root <the repository's root>")
    };
    let entries = std::fs::read_dir(&folder).map_err(|error| none().because(error))?;
    let paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>();
    let mut paths = paths.map_err(|error| none().because(error))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let paths: Vec<PathBuf> = paths.into_iter().map(|path| without_dot(&path)).collect();
    if paths.is_empty() { Err(none()) } else { Ok(paths) }
}

/// `pipelines/a.toml`, and not `./pipelines/a.toml`.
fn without_dot(path: &Path) -> PathBuf {
    path.strip_prefix(".").unwrap_or(path).to_owned()
}
