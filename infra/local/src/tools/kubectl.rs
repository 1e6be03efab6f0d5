//! kubectl, built from the Go module proxy by `infra/local/kubectl/go.mod`, for the bench to compare with. No environment
//! needs it: it is built when it is asked for.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Recipe;
use super::go::{Program, required};
use crate::places;

const MODULE: &str = "k8s.io/kubernetes";

/// The program, for this machine.
pub async fn binary() -> Result<PathBuf> {
    let source = places::local("kubectl");
    let module = fs::read_to_string(source.join("go.mod")).context("reading infra/local/kubectl/go.mod")?;
    let sums = fs::read(source.join("go.sum")).context("reading infra/local/kubectl/go.sum")?;
    let version = required(MODULE, &module)
        .with_context(|| format!("infra/local/kubectl/go.mod requires no {MODULE}"))?;
    let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={version}");
    let recipe = Recipe::new(
        "kubectl",
        version.trim_start_matches('v'),
        "about 2 minutes on 2 cores",
        &[module.as_bytes(), &sums, flags.as_bytes()],
    );
    let place = recipe
        .build(|folder| async move {
            let kubectl = Program {
                source: &source,
                package: "tool",
                flags: &flags,
                output: folder.join("kubectl").display().to_string(),
                log: &folder.join("build.log"),
            };
            kubectl.compile("compiling kubectl", "").await
        })
        .await?;
    Ok(place.join("kubectl"))
}
