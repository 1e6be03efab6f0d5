//! Heavy tools, built once per user: each lies in the cache under its version and the hash of what it is built from.

pub mod charts;
pub mod definitions;
mod go;
pub mod helm;
pub mod kubectl;
pub mod kubernetes;
mod modules;
pub mod python;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::{places, process};

/// Everything that must be built before an environment can start.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The programs of a Kubernetes control plane.
    pub kubernetes: kubernetes::Binaries,
    /// Python of the virtual environment that holds MiniStack.
    pub ministack: PathBuf,
    /// `bin` of the virtual environment that holds sam, aws, cfn-lint, cargo-lambda and boto3.
    pub sam: PathBuf,
    /// helm.
    pub helm: PathBuf,
    /// Folder of charts that others wrote, each in a folder of its name.
    pub charts: PathBuf,
    /// Folder of definitions that every cluster gets.
    pub definitions: PathBuf,
}

/// Builds what is not yet in the cache.
pub async fn ready() -> Result<Tools> {
    // One after another: each of them uses every core.
    let ministack = python::ministack().await?;
    let sam = python::sam().await?;
    let kubernetes = kubernetes::binaries().await?;
    let helm = helm::binary().await?;
    let charts = charts::charts().await?;
    let definitions = definitions::definitions().await?;
    Ok(Tools {
        kubernetes,
        ministack: ministack.join("bin/python"),
        sam: sam.join("bin"),
        helm,
        charts,
        definitions,
    })
}

/// Something to build: what people read while they wait, and where it goes.
struct Recipe {
    name: &'static str,
    /// Tells one version of the inputs from another.
    key: String,
    /// How long people should expect to wait.
    takes: &'static str,
}

impl Recipe {
    fn new(name: &'static str, version: &str, takes: &'static str, inputs: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for input in inputs {
            hash.update((input.len() as u64).to_be_bytes());
            hash.update(input);
        }
        let short: String = hex::encode(hash.finalize()).chars().take(12).collect();
        Self {
            name,
            key: format!("{name}-{version}-{short}"),
            takes,
        }
    }

    fn place(&self) -> Result<PathBuf> {
        Ok(places::cache()?.join(&self.key))
    }

    /// The finished folder; `build` fills an empty one, which gets its name only when that has succeeded.
    async fn build<F>(&self, build: impl FnOnce(PathBuf) -> F) -> Result<PathBuf>
    where
        F: Future<Output = Result<()>>,
    {
        let place = self.place()?;
        if place.is_dir() {
            return Ok(place);
        }
        let cache = places::cache()?;
        fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;
        let _lock = lock(&cache.join(format!("{}.lock", self.key)), self.name).await?;
        if place.is_dir() {
            return Ok(place); // somebody else built it while this waited for the lock
        }
        let started = Instant::now();
        eprintln!(
            "building {} ({}), once: kept in {}",
            self.name,
            self.takes,
            place.display()
        );
        let unfinished = place.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).with_context(|| format!("removing {}", unfinished.display()))?;
        }
        fs::create_dir_all(&unfinished)?;
        build(unfinished.clone())
            .await
            .with_context(|| format!("building {}", self.name))?;
        fs::rename(&unfinished, &place)
            .with_context(|| format!("moving the result to {}", place.display()))?;
        eprintln!("built {} in {} s", self.name, started.elapsed().as_secs());
        Ok(place)
    }
}

/// Holds the file's lock for as long as the answer lives; says so when it must wait.
async fn lock(path: &Path, name: &str) -> Result<File> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if !told => {
                eprintln!("another process is building {name}: waiting for it");
                told = true;
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).context("locking the cache"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Runs a build step to its end with its output in `log`, and says every so often that it still runs.
async fn step(what: &str, command: &mut Command, log: &Path) -> Result<()> {
    let output = File::options().create(true).append(true).open(log)?;
    let started = Instant::now();
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {what}"))?;
    let mut every = tokio::time::interval(Duration::from_secs(15));
    every.tick().await;
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status?;
                if status.success() {
                    return Ok(());
                }
                let text = fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let tail: Vec<&str> = lines.iter().rev().take(15).rev().copied().collect();
                bail!("{what} ended with {status}:\n{}", tail.join("\n"));
            }
            _ = every.tick() => eprintln!("  {what}: {} s", started.elapsed().as_secs()),
        }
    }
}

/// A build step's program: it ends when this process does.
fn program(path: &Path) -> Command {
    process::guarded(path)
}

/// The program of this name in PATH.
fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
