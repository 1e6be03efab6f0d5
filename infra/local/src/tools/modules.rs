//! Files of others that ship in Go modules: fetched by version, checked by sum, never copied into the project.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{find, program};

/// A Go module that was looked at.
#[derive(Debug, Deserialize)]
pub struct Module {
    /// Its path.
    pub module: String,
    /// Its version.
    pub version: String,
    /// Its sum as go.sum has it: SHA-256 over the files and their names (`golang.org/x/mod/sumdb/dirhash`).
    pub sum: String,
    /// Its licence (SPDX), which lets tests use it.
    pub licence: String,
}

/// What `go mod download -json` says of a module.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Downloaded {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    dir: PathBuf,
    #[serde(default)]
    sum: String,
}

impl Module {
    /// The module's folder in Go's own cache, read-only, and the very one that was pinned.
    pub async fn download(&self) -> Result<PathBuf> {
        let go = find("go").context(
            "Go is not installed, and what tests need of others is fetched with it. Install Go 1.26 or newer \
             (https://go.dev/dl) and put it into PATH",
        )?;
        let nowhere = tempfile::tempdir()?; // outside of every Go module
        let done = program(&go)
            .args(["mod", "download", "-json"])
            .arg(format!("{}@{}", self.module, self.version))
            .env("GOWORK", "off")
            .env("GOFLAGS", "-mod=mod")
            .current_dir(nowhere.path())
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .context("starting go")?;
        let said: Downloaded = serde_json::from_slice(&done.stdout)
            .with_context(|| format!("go said: {}", String::from_utf8_lossy(&done.stderr).trim()))?;
        self.checked(said)
    }

    /// The folder of a download that is the module that was pinned.
    fn checked(&self, said: Downloaded) -> Result<PathBuf> {
        if let Some(error) = &said.error {
            bail!("go refuses it: {error}");
        }
        if said.sum != self.sum {
            bail!(
                "its sum is {}, and {} is pinned: the module is not the one that was looked at ({})",
                said.sum,
                self.sum,
                self.licence
            );
        }
        Ok(said.dir)
    }
}

/// `path` in a module's folder; refused when it leads out of it.
pub fn inside(folder: &Path, path: &Path) -> Result<PathBuf> {
    let leads_out = |part: Component<'_>| !matches!(part, Component::Normal(_));
    if path.components().any(leads_out) {
        bail!("{} leads out of the module", path.display());
    }
    Ok(folder.join(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_module_that_was_pinned_is_taken() {
        let pinned = Module {
            module: "example.com/x".into(),
            version: "v1.0.0".into(),
            sum: "h1:good".into(),
            licence: "MIT".into(),
        };
        let said = |sum: &str, error: Option<&str>| Downloaded {
            error: error.map(str::to_owned),
            dir: "/modules/x".into(),
            sum: sum.into(),
        };
        let refused = |said| pinned.checked(said).unwrap_err().to_string();
        assert_eq!(
            pinned.checked(said("h1:good", None)).unwrap(),
            Path::new("/modules/x")
        );
        assert!(refused(said("h1:bad", None)).contains("its sum is h1:bad"));
        assert!(refused(said("", Some("gone"))).contains("go refuses it: gone"));
    }

    #[test]
    fn nothing_outside_of_a_module_is_taken() {
        let folder = Path::new("/modules/x");
        assert_eq!(
            inside(folder, Path::new("charts/y")).unwrap(),
            Path::new("/modules/x/charts/y")
        );
        for path in ["../y", "/etc", "charts/../../y"] {
            assert!(inside(folder, Path::new(path)).is_err(), "{path}");
        }
    }
}
