//! The invocations of functions that are running now, and how a test kills one.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::Value;

use crate::environment::Environment;

/// One invocation in flight.
#[derive(Debug, Clone, Deserialize)]
pub struct Invocation {
    /// The process that serves it, and nothing else meanwhile; none where it could not be started.
    pub pid: Option<i32>,
    /// The function's name.
    pub function: String,
    /// What it was invoked with.
    pub event: Value,
    /// The file that lasts as long as the invocation does.
    #[serde(skip)]
    file: PathBuf,
}

impl Invocation {
    /// SIGKILL, as when Lambda's machine fails: the function gets no chance to say anything.
    pub fn kill(&self) -> Result<()> {
        let pid = self
            .pid
            .with_context(|| format!("{} has no process", self.function))?;
        kill(Pid::from_raw(pid), Signal::SIGKILL)
            .with_context(|| format!("killing {} (pid {pid})", self.function))
    }

    /// Waits until the invocation has ended, however it did.
    pub async fn ended(&self, within: Duration) -> Result<()> {
        let started = Instant::now();
        while self.file.exists() {
            if started.elapsed() > within {
                bail!("{} still ran after {within:?}", self.function);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Environment {
    /// Every invocation in flight.
    pub fn in_flight(&self) -> Result<Vec<Invocation>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.invocations).context("listing invocations")? {
            let file = entry?.path();
            if file.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            // It may end, and its file go, between the listing and the reading.
            if let Ok(text) = fs::read(&file) {
                let invocation: Invocation =
                    serde_json::from_slice(&text).context("reading an invocation")?;
                found.push(Invocation { file, ..invocation });
            }
        }
        Ok(found)
    }

    /// The invocation in flight that `matches` accepts, waited for.
    pub async fn wait_in_flight(
        &self,
        within: Duration,
        matches: impl Fn(&Invocation) -> bool,
    ) -> Result<Invocation> {
        let started = Instant::now();
        loop {
            let running = self.in_flight()?;
            if let Some(found) = running.into_iter().find(|invocation| matches(invocation)) {
                return Ok(found);
            }
            if started.elapsed() > within {
                bail!("no such invocation was in flight within {within:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
