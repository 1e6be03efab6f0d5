//! How helm is called, and that it runs no longer than the environment is this execution's.

use super::{FENCE_ATTEMPTS, FENCE_DELAY, Run};
use crate::complaint::{behind, complaint};
use crate::process::{self, Ended};
use sluice_domain::helm::{FENCE_LABEL, HelmStatus, description};
use sluice_domain::pipeline::Workload;
use sluice_domain::wire::Next;
use sluice_lambda::{ErrorName, Failure};
use sluice_secrets as secrets;
use std::path::Path;
use std::time::Duration;

/// How often it is asked whether the environment is still held while helm runs.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How many revisions helm keeps where the pipeline version is not helm's.
const HISTORY: u32 = 10;

impl Run<'_> {
    pub(super) async fn upgrade(&self) -> Result<Next, Failure> {
        let wanted = self
            .wanted
            .ok_or_else(|| Failure::internal("helm has nothing to upgrade to"))?;
        let archive = wanted
            .chart
            .archive
            .as_ref()
            .ok_or_else(|| Failure::internal("the chart was not kept"))?;
        let archive = self.tools.backends.table.blob(archive).await?;
        let secrets = secrets::recorded(&self.tools.secrets, &wanted.secret_values).await?;
        let files = self.place.files().await?;
        let mut arguments = arguments(["upgrade", "--install", &self.release]);
        arguments.extend(files.chart(&archive, wanted, &secrets.values).await?);
        arguments.extend([
            format!("--labels={FENCE_LABEL}={}", self.fence),
            "--reset-values".to_owned(),
            "--hide-notes".to_owned(),
            // The dry run before it has checked these objects, and the server checks what it is sent.
            "--disable-openapi-validation".to_owned(),
            "--output=json".to_owned(),
        ]);
        arguments.extend(self.common());
        self.helm(files.home(), arguments).await
    }

    pub(super) async fn rollback(&self, revision: u32) -> Result<Next, Failure> {
        let files = self.place.files().await?;
        let mut arguments = arguments(["rollback", &self.release, &revision.to_string()]);
        arguments.extend(self.common());
        self.helm(files.home(), arguments).await
    }

    pub(super) async fn uninstall(&self) -> Result<Next, Failure> {
        let files = self.place.files().await?;
        let mut arguments = arguments(["uninstall", &self.release, "--ignore-not-found"]);
        arguments.extend([
            format!("--namespace={}", self.held.spec.namespace),
            format!("--timeout={}s", self.limit.as_secs()),
        ]);
        let mut ended = self.start(files.home(), &arguments).await?;
        if !ended.success {
            self.still_held().await?;
            // A release that never ran has nothing that its hooks could put in order, and they run its broken image.
            tracing::warn!(
                release = self.release,
                complaints = ended.complaints,
                "taken away without its hooks"
            );
            arguments.push("--no-hooks".to_owned());
            ended = self.start(files.home(), &arguments).await?;
        }
        if !ended.success {
            self.still_held().await?;
            return Err(complaint("helm cannot take the release away", &ended.complaints));
        }
        let left = self.place.revisions(&self.release).await?;
        match left.first() {
            Some(latest) if latest.status != HelmStatus::Uninstalled => Err(Failure::transient(format!(
                "helm says that the release {} is gone, and revision {} is {}",
                self.release, latest.revision, latest.status
            ))),
            _ => self.record(None).await,
        }
    }

    /// What installing, upgrading and going back have in common. Applied by the server, and over what other managers own: a
    /// release that somebody touched by hand would be refused for ever. Nothing is waited for but hooks: pods are awaited
    /// by the rollout, which can be preempted.
    fn common(&self) -> Vec<String> {
        let of = self.held.rollout.release.map(|number| {
            let service = &self.held.environment.service;
            format!("{service}{number}")
        });
        let said = description(of.as_deref(), self.execution, self.held.rollout.fence, self.fence);
        vec![
            format!("--namespace={}", self.held.spec.namespace),
            "--server-side=true".to_owned(),
            "--force-conflicts".to_owned(),
            format!("--history-max={}", self.history()),
            format!("--timeout={}s", self.limit.as_secs()),
            format!("--description={said}"),
        ]
    }

    fn history(&self) -> u32 {
        match &self.held.pipeline.workload {
            Workload::Helm(helm) => helm.history_limit,
            Workload::Deployment(_) => HISTORY,
        }
    }

    async fn helm(&self, home: &Path, arguments: Vec<String>) -> Result<Next, Failure> {
        let mut attempt = 1;
        loop {
            let ended = self.start(home, &arguments).await?;
            if ended.success {
                break;
            }
            if !behind(&ended.complaints, self.fence) || attempt == FENCE_ATTEMPTS {
                return Err(self.failed(&ended.complaints).await);
            }
            // An API server that had not heard of this fence yet. Had another one taken the place, the next look says so.
            self.still_held().await?;
            attempt += 1;
            tokio::time::sleep(FENCE_DELAY).await;
        }
        let latest = self.place.revisions(&self.release).await?.into_iter().next();
        match latest {
            Some(latest) => self.done(latest.revision).await,
            None => Err(Failure::transient(
                "helm says that it succeeded, and its release is not there",
            )),
        }
    }

    /// Runs helm for as long as the environment is this execution's.
    async fn start(&self, home: &Path, arguments: &[String]) -> Result<Ended, Failure> {
        let limit = self.limit.saturating_add(Duration::from_secs(5));
        process::run(&self.tools.program, home, arguments, limit, self.lost()).await
    }

    /// Ends when the environment is not this execution's any more.
    async fn lost(&self) -> Failure {
        loop {
            tokio::time::sleep(ASK_AGAIN).await;
            if let Err(failure) = self.still_held().await
                && failure.name() == ErrorName::Preempted
            {
                return failure;
            }
        }
    }
}

fn arguments<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}
