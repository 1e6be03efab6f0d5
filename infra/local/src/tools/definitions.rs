//! Definitions of kinds that are not Kubernetes' own, which every local cluster has as clusters of others do:
//! `infra/local/definitions.json` names the Go modules that ship them, and which of their files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Recipe;
use super::modules::{Module, inside};
use crate::places;

/// One module of `definitions.json`.
#[derive(Debug, Deserialize)]
struct Pinned {
    #[serde(flatten)]
    module: Module,
    /// Files of it, each with one CustomResourceDefinition; they are copied beside each other.
    files: Vec<PathBuf>,
}

/// The folder that holds a file for each definition.
pub async fn definitions() -> Result<PathBuf> {
    let (text, pinned) = pinned()?;
    let recipe = Recipe::new("definitions", "pinned", "about 10 seconds", &[&text]);
    recipe
        .build(|folder| async move {
            for one in &pinned {
                fetch(one, &folder)
                    .await
                    .with_context(|| format!("fetching {}@{}", one.module.module, one.module.version))?;
            }
            Ok(())
        })
        .await
}

fn pinned() -> Result<(Vec<u8>, Vec<Pinned>)> {
    let text = fs::read(places::local("definitions.json")).context("reading infra/local/definitions.json")?;
    let pinned = serde_json::from_slice(&text).context("reading infra/local/definitions.json")?;
    Ok((text, pinned))
}

async fn fetch(one: &Pinned, folder: &Path) -> Result<()> {
    let module = one.module.download().await?;
    for file in &one.files {
        let Some(name) = file.file_name() else {
            bail!("{} names no file", file.display());
        };
        let text = fs::read(inside(&module, file)?)
            .with_context(|| format!("the module has no {}", file.display()))?;
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_pinned_can_be_read() {
        let (_, pinned) = pinned().unwrap();
        assert!(!pinned.is_empty());
        for one in &pinned {
            assert!(one.module.sum.starts_with("h1:"));
            assert!(!one.module.licence.is_empty());
            assert!(one.files.iter().all(|file| inside(Path::new("/x"), file).is_ok()));
        }
    }
}
