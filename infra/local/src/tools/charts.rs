//! Charts that others wrote and ship in Go modules, for tests: fetched by version and checked by sum, never copied into the
//! project. `infra/local/charts.json` names them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Recipe;
use super::modules::{Module, inside};
use crate::places;

/// One chart of `charts.json`.
#[derive(Debug, Deserialize)]
struct Pinned {
    /// The folder it gets, and the chart's own name.
    name: String,
    /// The Go module that ships it.
    #[serde(flatten)]
    module: Module,
    /// The chart's folder in the module.
    folder: PathBuf,
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
                    .with_context(|| format!("fetching {}@{}", chart.module.module, chart.module.version))?;
            }
            Ok(())
        })
        .await
}

async fn fetch(chart: &Pinned, folder: &Path) -> Result<()> {
    let module = chart.module.download().await?;
    copy(&found(chart, &module)?, &folder.join(&chart.name))
}

/// The chart's folder in its module.
fn found(chart: &Pinned, module: &Path) -> Result<PathBuf> {
    let found = inside(module, &chart.folder)?;
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

    #[test]
    fn a_module_without_the_chart_is_refused() {
        let module = tempfile::tempdir().unwrap();
        fs::create_dir_all(module.path().join("charts/x")).unwrap();
        fs::write(module.path().join("charts/x/Chart.yaml"), "name: x\n").unwrap();
        let pinned = |folder: &str| Pinned {
            name: "x".into(),
            module: Module {
                module: "example.com/x".into(),
                version: "v1.0.0".into(),
                sum: "h1:good".into(),
                licence: "MIT".into(),
            },
            folder: folder.into(),
        };
        let refused = |folder| found(&pinned(folder), module.path()).unwrap_err().to_string();
        assert!(found(&pinned("charts/x"), module.path()).is_ok());
        assert!(refused("charts/y").contains("has no chart in charts/y"));
        assert!(refused("../x").contains("leads out"));
    }

    #[test]
    fn what_is_pinned_can_be_read() {
        let text = fs::read(places::local("charts.json")).unwrap();
        let pinned: Vec<Pinned> = serde_json::from_slice(&text).unwrap();
        assert!(pinned.iter().all(|chart| chart.module.sum.starts_with("h1:")));
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
