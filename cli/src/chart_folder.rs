//! A chart's folder, packed as `helm package` would pack it, but the same bytes each time.

use sluice_domain::pipeline::{ChartFile, IgnoreRules, pack_chart};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::Path;

/// The most bytes that are read of a chart; the check refuses one that has them.
const MOST: u64 = (16 << 20) + 1;
/// The most files and folders that are looked at: more is no chart, but perhaps the whole disk.
const MOST_ENTRIES: usize = 20_000;
/// How deep folders lie in each other.
const DEEPEST: usize = 50;

/// The archive of the chart in this folder, without what its `.helmignore` lists.
///
/// The error says what cannot be read, and why.
pub fn packed(folder: &Path) -> Result<Vec<u8>, String> {
    if !folder.is_dir() {
        return Err("it is not a folder".to_owned());
    }
    let rules = rules(folder)?;
    let mut walk = Walk {
        rules,
        files: BTreeMap::new(),
        left: MOST,
        entries: 0,
    };
    walk.folder(folder, "", 0)?;
    pack_chart(&walk.files).map_err(|error| format!("it cannot be packed: {error}"))
}

/// The rules of the folder's own `.helmignore`: a plain file, as all that is read here.
fn rules(folder: &Path) -> Result<IgnoreRules, String> {
    let path = folder.join(".helmignore");
    let text = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!(".helmignore: {error}")),
        Ok(metadata) if !metadata.is_file() => return Err(".helmignore: it is no plain file".to_owned()),
        Ok(_) => fs::read_to_string(&path).map_err(|error| format!(".helmignore: {error}"))?,
    };
    IgnoreRules::parse(&text).map_err(|error| error.to_string())
}

struct Walk {
    rules: IgnoreRules,
    files: BTreeMap<String, ChartFile>,
    /// Bytes that may still be read.
    left: u64,
    entries: usize,
}

impl Walk {
    /// Everything in a folder; `path` is its place in the chart, with a `/` at the end where it is not the chart itself.
    fn folder(&mut self, folder: &Path, path: &str, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("{path}: more than {DEEPEST} folders lie in each other"));
        }
        let here = if path.is_empty() { "the folder" } else { path };
        let entries = fs::read_dir(folder).map_err(|error| format!("{here}: {error}"))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{here}: {error}"))?;
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return Err(format!("it has more than {MOST_ENTRIES} files and folders"));
            }
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| format!("{path}{}: its name is not UTF-8", name.display()))?;
            self.entry(&entry.path(), &format!("{path}{name}"), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, file: &Path, path: &str, depth: usize) -> Result<(), String> {
        let of = |error: std::io::Error| format!("{path}: {error}");
        let metadata = fs::symlink_metadata(file).map_err(of)?;
        if self.rules.ignores(path, metadata.is_dir()) {
            return Ok(());
        }
        if metadata.is_dir() {
            return self.folder(file, &format!("{path}/"), depth + 1);
        }
        if metadata.is_symlink() {
            return Err(format!(
                "{path}: it is a link; right would be the file itself, or a line of .helmignore"
            ));
        }
        if !metadata.is_file() {
            return Err(format!("{path}: it is no file"));
        }
        let mut content = Vec::new();
        let read = File::open(file)
            .map_err(of)?
            .take(self.left)
            .read_to_end(&mut content);
        let read = u64::try_from(read.map_err(of)?).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(read);
        if self.left == 0 {
            return Err(format!(
                "it has {MOST} bytes or more; list in .helmignore what is no part of the chart"
            ));
        }
        let executable = is_executable(&metadata);
        self.files
            .insert(path.to_owned(), ChartFile { executable, content });
        Ok(())
    }
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}
