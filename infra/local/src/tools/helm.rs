//! helm, built from the Go module proxy by `infra/helm/go.mod`, which the Lambda layer is built from as well.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Recipe;
use super::go::{Program, required};
use crate::places;

const MODULE: &str = "helm.sh/helm/v4";

/// The program, for this machine.
pub async fn binary() -> Result<PathBuf> {
    let source = places::project().join("infra/helm");
    let module = fs::read_to_string(source.join("go.mod")).context("reading infra/helm/go.mod")?;
    let sums = fs::read(source.join("go.sum")).context("reading infra/helm/go.sum")?;
    let version =
        required(MODULE, &module).with_context(|| format!("infra/helm/go.mod requires no {MODULE}"))?;
    let flags = link_flags(version);
    let recipe = Recipe::new(
        "helm",
        version.trim_start_matches('v'),
        "about 3 minutes on 2 cores",
        &[module.as_bytes(), &sums, flags.as_bytes()],
    );
    let place = recipe
        .build(|folder| async move {
            let helm = Program {
                source: &source,
                package: &format!("{MODULE}/cmd/helm"),
                flags: &flags,
                output: folder.join("helm").display().to_string(),
                log: &folder.join("build.log"),
            };
            helm.compile("compiling helm", "").await
        })
        .await?;
    Ok(place.join("helm"))
}

/// Without the version helm calls itself v4.3, and charts and support cannot tell which one it is.
fn link_flags(version: &str) -> String {
    format!("-s -w -X {MODULE}/internal/version.version={version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_linked_in() {
        assert!(link_flags("v4.3.1").ends_with("version.version=v4.3.1"));
    }
}
