//! Charts that others wrote and ship in Go modules, for tests: fetched by version and checked by sum, never copied into the
//! project. `infra/local/charts.json` names them.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Recipe, find, program};
use crate::places;

/// One chart of `charts.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pinned {
    /// The folder it gets, and the chart's own name.
    name: String,
    /// The Go module that ships it.
    module: String,
    /// The module's version.
    version: String,
    /// The module's sum as go.sum has it: SHA-256 over the files and their names (`golang.org/x/mod/sumdb/dirhash`).
    sum: String,
    /// The chart's folder in the module.
    folder: PathBuf,
    /// The module's licence (SPDX), which lets tests use it.
    licence: String,
}

/// What `go mod download -json` says of a module.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    dir: PathBuf,
    #[serde(default)]
    sum: String,
}

/// The folder that holds each chart in a folder of its name.
pub async fn charts() -> Result<PathBuf> {
    let text = fs::read(places::local("charts.json")).context("reading infra/local/charts.json")?;
    let pinned: Vec<Pinned> = serde_json::from_slice(&text).context("reading infra/local/charts.json")?;
    let recipe = Recipe::new("charts", "pinned", "about 20 seconds", &[&text]);
    recipe
        .build(|folder| async move {
            for chart in &pinned {
                fetch(chart, &folder)
                    .await
                    .with_context(|| format!("fetching {}@{}", chart.module, chart.version))?;
            }
            Ok(())
        })
        .await
}

async fn fetch(chart: &Pinned, folder: &Path) -> Result<()> {
    let go = find("go").context(
        "Go is not installed, and charts for tests are fetched with it. Install Go 1.26 or newer (https://go.dev/dl) and put \
         it into PATH",
    )?;
    let nowhere = tempfile::tempdir()?; // outside of every Go module
    let done = program(&go)
        .args(["mod", "download", "-json"])
        .arg(format!("{}@{}", chart.module, chart.version))
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=mod")
        .current_dir(nowhere.path())
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .context("starting go")?;
    let said: Downloaded = serde_json::from_slice(&done.stdout)
        .with_context(|| format!("go said: {}", String::from_utf8_lossy(&done.stderr).trim()))?;
    copy(&checked(chart, &said)?, &folder.join(&chart.name))
}

/// The chart's folder in a module that is the one that was pinned.
fn checked(chart: &Pinned, said: &Downloaded) -> Result<PathBuf> {
    if let Some(error) = &said.error {
        bail!("go refuses it: {error}");
    }
    if said.sum != chart.sum {
        bail!(
            "its sum is {}, and infra/local/charts.json has {}: the module is not the one that was looked at ({})",
            said.sum,
            chart.sum,
            chart.licence
        );
    }
    if chart
        .folder
        .components()
        .any(|part| !matches!(part, Component::Normal(_)))
    {
        bail!("{} leads out of the module", chart.folder.display());
    }
    let found = said.dir.join(&chart.folder);
    if !found.join("Chart.yaml").is_file() {
        bail!("it has no chart in {}", chart.folder.display());
    }
    Ok(found)
}

/// Go's module cache is read-only; tests change charts, so the copies are not.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::write(&target, fs::read(entry.path())?)
                .with_context(|| format!("writing {}", target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pinned(folder: &str) -> Pinned {
        Pinned {
            name: "x".into(),
            module: "example.com/x".into(),
            version: "v1.0.0".into(),
            sum: "h1:good".into(),
            folder: folder.into(),
            licence: "MIT".into(),
        }
    }

    #[test]
    fn only_the_chart_that_was_pinned_is_taken() {
        let module = tempfile::tempdir().unwrap();
        fs::create_dir_all(module.path().join("charts/x")).unwrap();
        fs::write(module.path().join("charts/x/Chart.yaml"), "name: x\n").unwrap();
        let said = |sum: &str, error: Option<&str>| Downloaded {
            error: error.map(str::to_owned),
            dir: module.path().into(),
            sum: sum.into(),
        };
        for (chart, said, wanted) in [
            (pinned("charts/x"), said("h1:good", None), ""),
            (pinned("charts/x"), said("h1:bad", None), "its sum is h1:bad"),
            (pinned("charts/x"), said("", Some("gone")), "go refuses it: gone"),
            (
                pinned("charts/y"),
                said("h1:good", None),
                "has no chart in charts/y",
            ),
            (pinned("../x"), said("h1:good", None), "leads out"),
        ] {
            let error = checked(&chart, &said).err().map(|error| error.to_string());
            assert_eq!(error.is_none(), wanted.is_empty(), "{error:?}");
            assert!(error.unwrap_or_default().contains(wanted));
        }
    }

    #[test]
    fn what_is_pinned_can_be_read() {
        let text = fs::read(places::local("charts.json")).unwrap();
        let pinned: Vec<Pinned> = serde_json::from_slice(&text).unwrap();
        assert!(pinned.iter().all(|chart| chart.sum.starts_with("h1:")));
        assert!(pinned.len() >= 2);
    }

    #[test]
    fn a_copy_can_be_changed() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("templates")).unwrap();
        let file = from.path().join("templates/a.yaml");
        fs::write(&file, "a: 1").unwrap();
        let mut permissions = fs::metadata(&file).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&file, permissions).unwrap();
        copy(from.path(), to.path()).unwrap();
        fs::write(to.path().join("templates/a.yaml"), "a: 2").unwrap();
    }
}
