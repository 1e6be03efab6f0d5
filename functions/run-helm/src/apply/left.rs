//! What helm left: read back and recorded, or why it failed.

use super::Run;
use crate::complaint::complaint;
use sluice_domain::helm::{HelmRevision, HelmStatus, documents};
use sluice_domain::rollout::await_others;
use sluice_domain::wire::{Next, NextState};
use sluice_lambda::{ErrorName, Failure};
use sluice_secrets::{self as secrets, Secrets};

/// How much of a hook's log is told, in bytes.
const LOG: usize = 2_000;
/// How much of it is read, in bytes.
const READ: usize = 256 << 10;

impl Run<'_> {
    /// Reads back what helm left, and records it.
    pub(super) async fn done(&self, revision: u32) -> Result<Next, Failure> {
        let found = self
            .place
            .namespace
            .helm_revision(&self.release, revision)
            .await?;
        let found = found.filter(|found| found.status == HelmStatus::Deployed);
        let found = found.ok_or_else(|| {
            Failure::transient(format!(
                "helm says that it succeeded, and revision {revision} of {} is not deployed",
                self.release
            ))
        })?;
        self.free(&found).await?;
        self.record(Some(&found)).await
    }

    /// Lets StatefulSets go on that wait for a pod of a template that is gone.
    async fn free(&self, found: &HelmRevision) -> Result<(), Failure> {
        let objects = documents(&found.manifest).map_err(|fault| Failure::refused(fault.to_string()))?;
        let sets = objects
            .iter()
            .filter(|object| object.get("kind").is_some_and(|kind| kind == "StatefulSet"))
            .filter_map(|object| object.pointer("/metadata/name")?.as_str());
        for set in sets {
            let freed = self.place.namespace.free_stuck_set(set).await?;
            if !freed.is_empty() {
                tracing::info!(set, pods = ?freed, "deleted, as the set would wait for them for ever");
            }
        }
        Ok(())
    }

    pub(super) async fn record(&self, found: Option<&HelmRevision>) -> Result<Next, Failure> {
        let content = match found {
            Some(found) => Some(
                found
                    .content()
                    .map_err(|error| Failure::internal(error.to_string()))?,
            ),
            None => None,
        };
        self.change(|environment, _| {
            if let Some(run) = environment.helm.as_mut() {
                run.revision = found.map(|found| found.revision);
                run.content.clone_from(&content);
                run.removed = found.is_none();
            }
            await_others(environment, None);
        })
        .await?;
        let said = match found {
            Some(found) => format!("revision {} is deployed; waits for pods", found.revision),
            None => "the release is taken away".to_owned(),
        };
        Ok(Next::now(NextState::Pods, said))
    }

    /// Why helm failed, with what its hooks said. `Preempted` where that is why.
    pub(super) async fn failed(&self, complaints: &str) -> Failure {
        if let Err(failure) = self.still_held().await {
            return failure;
        }
        let secrets = self.unsaid().await;
        let secrets = secrets.as_ref();
        let failure = complaint("helm failed", &secrets::struck(secrets, complaints));
        // By helm's own words, which may not all be said.
        if complaint("helm failed", complaints).name() == ErrorName::Transient {
            return Failure::transient(failure.to_string());
        }
        match self.hooks(secrets).await {
            Ok(hooks) if hooks.is_empty() => failure,
            Ok(hooks) => Failure::refused(format!("{failure}. {hooks}")),
            Err(error) => {
                tracing::warn!(%error, "the hooks' logs were not read");
                failure
            }
        }
    }

    /// What neither helm nor a hook may have said.
    async fn unsaid(&self) -> Option<Secrets> {
        secrets::unsaid(
            &self.tools.secrets,
            &self.tools.backends.table,
            &self.held.environment,
        )
        .await
    }

    /// The end of what the failed hooks of the latest revision printed.
    async fn hooks(&self, secrets: Option<&Secrets>) -> Result<String, Failure> {
        let revisions = self.place.revisions(&self.release).await?;
        let failed = revisions
            .first()
            .into_iter()
            .flat_map(|latest| &latest.hooks)
            .filter(|hook| hook.kind == "Job" && hook.phase == "Failed");
        let mut said = Vec::new();
        for hook in failed {
            // First struck out, then cut: half a secret would not be found.
            let log = self.place.namespace.job_logs(&hook.name, READ).await?;
            let log = secrets::struck(secrets, &log);
            said.push(format!(
                "Hook {} ({}) printed: {}",
                hook.name,
                hook.events.join(", "),
                end(log.trim(), LOG)
            ));
        }
        Ok(said.join(". "))
    }
}

/// The end of a text, in at most so many bytes.
pub(crate) fn end(text: &str, most: usize) -> &str {
    let start = text.ceil_char_boundary(text.len().saturating_sub(most));
    text.get(start..).unwrap_or_default()
}
