//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler, built from the Go module proxy.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Recipe;
use super::go::Program;
use crate::places;

const VERSION: &str = "1.36.1";

/// The four programs of a control plane.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// kube-controller-manager.
    pub controller_manager: PathBuf,
    /// kube-scheduler.
    pub scheduler: PathBuf,
}

/// The binaries of `KUBEBUILDER_ASSETS` (envtest's convention) where that is set, else those built here.
pub async fn binaries() -> Result<Binaries> {
    match env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()) {
        Some(folder) => from_assets(Path::new(&folder)),
        None => built().await,
    }
}

fn from_assets(folder: &Path) -> Result<Binaries> {
    let names = [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ];
    let missing: Vec<&str> = names
        .into_iter()
        .filter(|name| !folder.join(name).is_file())
        .collect();
    if !missing.is_empty() {
        bail!(
            "KUBEBUILDER_ASSETS is {}, which has no {}. Envtest's archives carry only etcd and kube-apiserver: put \
             the others of the same Kubernetes version beside them, or unset KUBEBUILDER_ASSETS to have all four built",
            folder.display(),
            missing.join(", no ")
        );
    }
    Ok(named(folder, "etcd"))
}

fn named(folder: &Path, etcd: &str) -> Binaries {
    Binaries {
        etcd: folder.join(etcd),
        apiserver: folder.join("kube-apiserver"),
        controller_manager: folder.join("kube-controller-manager"),
        scheduler: folder.join("kube-scheduler"),
    }
}

async fn built() -> Result<Binaries> {
    let module =
        fs::read(places::local("kubernetes/go.mod")).context("reading infra/local/kubernetes/go.mod")?;
    let sums =
        fs::read(places::local("kubernetes/go.sum")).context("reading infra/local/kubernetes/go.sum")?;
    let flags = link_flags();
    let recipe = Recipe::new(
        "kubernetes",
        VERSION,
        "about 6 minutes on 2 cores, and 3.4 GB of Go's build cache",
        &[&module, &sums, flags.as_bytes()],
    );
    let place = recipe
        .build(|folder| async move { build(&folder, &flags).await })
        .await?;
    // The last element of etcd's Go package is `server`, and so Go names its binary.
    Ok(named(&place, "server"))
}

/// Without the version helm's capability checks see v0.0.0.
fn link_flags() -> String {
    let package = "k8s.io/component-base/version";
    let (minor, _) = VERSION
        .trim_start_matches("1.")
        .split_once('.')
        .unwrap_or((VERSION, ""));
    format!("-s -w -X {package}.gitVersion=v{VERSION} -X {package}.gitMajor=1 -X {package}.gitMinor={minor}")
}

async fn build(folder: &Path, flags: &str) -> Result<()> {
    let programs = Program {
        source: &places::local("kubernetes"),
        package: "tool",
        flags,
        output: format!("{}/", folder.display()),
        log: &folder.join("build.log"),
    };
    let without = ", or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and \
                   kube-scheduler";
    programs.compile("compiling etcd and Kubernetes", without).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn assets_without_the_controllers_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let error = from_assets(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("no kube-controller-manager, no kube-scheduler"),
            "{error}"
        );
    }

    #[test]
    fn the_version_is_linked_in() {
        assert!(link_flags().ends_with("gitVersion=v1.36.1 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"));
    }
}
