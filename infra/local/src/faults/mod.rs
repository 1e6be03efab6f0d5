//! Faults at the network boundary between Sluice's functions and what they call.
//!
//! A reverse proxy stands in front of the local AWS (the functions' `AWS_ENDPOINT_URL`) and one in front of each API
//! server (what DescribeCluster answers). Without rules they pass everything on. With a rule, a call is held before it
//! is passed on or after it took effect, delayed, or answered with an error; whoever is held is named with its process,
//! so that a test can kill exactly there.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use sluice_local::faults::{Action, Rule};
//! let here = sluice_local::Environment::load()?;
//! let faults = here.faults();
//! faults.add(Rule::aws("dynamodb", "TransactWriteItems").function("take-lease").then(Action::HoldAfter)).await?;
//! let held = faults.wait_held(std::time::Duration::from_secs(20)).await?;
//! held.kill()?;                       // the write took effect, and its answer never arrives
//! faults.clear().await?;
//! # Ok(()) }
//! ```

pub mod control;
pub mod engine;
mod peers;
pub mod proxy;
pub mod rules;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::environment::Environment;
pub use rules::{Action, Call, Fired, Held, Rule};

/// Speaks to the proxies of one environment.
#[derive(Debug, Clone)]
pub struct Faults {
    url: String,
    client: reqwest::Client,
}

impl Environment {
    /// The proxies in front of everything that the functions call.
    pub fn faults(&self) -> Faults {
        Faults {
            url: self.faults.clone(),
            client: reqwest::Client::new(),
        }
    }
}

impl Faults {
    /// Adds a rule after those that are there; the first that matches a call and still fires wins.
    pub async fn add(&self, rule: Rule) -> Result<()> {
        let answer = self
            .client
            .post(format!("{}/rules", self.url))
            .json(&rule)
            .send()
            .await?;
        answer.error_for_status().context("adding a fault rule")?;
        Ok(())
    }

    /// Takes every rule away and lets go of every held call: those before are passed on, those after are answered.
    pub async fn clear(&self) -> Result<()> {
        self.client
            .delete(format!("{}/rules", self.url))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Calls held now.
    pub async fn held(&self) -> Result<Vec<Held>> {
        Ok(self
            .client
            .get(format!("{}/held", self.url))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?)
    }

    /// Every time a rule acted since the last `clear`, in order.
    pub async fn fired(&self) -> Result<Vec<Fired>> {
        Ok(self
            .client
            .get(format!("{}/fired", self.url))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?)
    }

    /// The first call that is held, waited for.
    pub async fn wait_held(&self, within: Duration) -> Result<Held> {
        let started = Instant::now();
        loop {
            if let Some(held) = self.held().await?.into_iter().next() {
                return Ok(held);
            }
            if started.elapsed() > within {
                bail!("no call was held within {within:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lets a held call go on.
    pub async fn release(&self, held: &Held) -> Result<()> {
        self.end(held, "release").await
    }

    /// Closes a held call's connection without an answer; one held before is never passed on.
    pub async fn drop_call(&self, held: &Held) -> Result<()> {
        self.end(held, "drop").await
    }

    async fn end(&self, held: &Held, how: &str) -> Result<()> {
        let answer = self
            .client
            .post(format!("{}/held/{}/{how}", self.url, held.id))
            .send()
            .await?;
        answer
            .error_for_status()
            .with_context(|| format!("{how} of held call {}", held.id))?;
        Ok(())
    }
}

impl Held {
    /// SIGKILL to the process that made the call.
    pub fn kill(&self) -> Result<()> {
        let pid = self
            .call
            .pid
            .context("the held call was not made by a function")?;
        kill(Pid::from_raw(pid), Signal::SIGKILL).with_context(|| format!("killing pid {pid}"))
    }
}
