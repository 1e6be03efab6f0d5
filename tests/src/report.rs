//! The demo's report: one line a step for people, one file for programs.

use anyhow::{Context, Result};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// What a run of the demo shows: `target/demo/report.json`.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether every step is.
    pub ok: bool,
    /// In order.
    pub steps: Vec<Shown>,
}

/// One step.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Whether it showed what it should.
    pub ok: bool,
    /// How long it took.
    pub seconds: f64,
    /// What was seen, or why it failed.
    pub detail: String,
}

impl Report {
    /// Does a step, unless one before failed: what follows rests on it.
    pub async fn step(&mut self, name: &str, say: &str, work: impl Future<Output = Result<String>>) {
        if self.steps.iter().any(|step| !step.ok) {
            self.push(name, false, 0.0, "not done: a step before failed".to_owned());
            return;
        }
        println!("\n== {name}: {say}");
        let started = Instant::now();
        let (ok, detail) = match work.await {
            Ok(detail) => (true, detail),
            Err(error) => (false, format!("{error:#}")),
        };
        let seconds = (started.elapsed().as_secs_f64() * 100.0).round() / 100.0;
        println!(
            "   {} in {seconds} s: {detail}",
            if ok { "done" } else { "FAILED" }
        );
        self.push(name, ok, seconds, detail);
    }

    fn push(&mut self, name: &str, ok: bool, seconds: f64, detail: String) {
        self.steps.push(Shown {
            name: name.to_owned(),
            ok,
            seconds,
            detail,
        });
        self.ok = self.steps.iter().all(|step| step.ok);
    }

    /// Writes it.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("writing {}", path.display()))
    }
}
