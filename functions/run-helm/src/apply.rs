//! Has helm do what is decided, under a fence of this run's own.

use crate::complaint::{behind, complaint};
use crate::handler::{Held, Tools, rollout_of};
use crate::place::{Place, writing};
use crate::process::{self, Ended};
use crate::turn::Turn;
use jiff::Timestamp;
use sluice_domain::bundle::{Bundle, HelmBundle};
use sluice_domain::environment::{HelmRun, Rollout, Wanted};
use sluice_domain::helm::{
    Asked, Course, FENCE_LABEL, HelmRevision, HelmStatus, course, description, documents,
};
use sluice_domain::ids::{ExecutionName, Fence};
use sluice_domain::ledger::{Event, Record};
use sluice_domain::pipeline::Workload;
use sluice_domain::rollout::{await_others, bundle_of};
use sluice_domain::tracks::placed;
use sluice_domain::wire::{Next, NextState};
use sluice_lambda::{ErrorName, Failure};
use sluice_secrets::{self as secrets, Secrets};
use sluice_table::Transaction;
use sluice_transitions::{address_of, racing};
use std::time::Duration;

/// How often it is asked whether the environment is still held while helm runs.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often helm is started anew because an API server had not heard of the fence yet.
const FENCE_ATTEMPTS: u32 = 10;
/// How long to wait before that.
const FENCE_DELAY: Duration = Duration::from_millis(200);
/// How much of a hook's log is told, in bytes.
const LOG: usize = 2_000;
/// How much of it is read, in bytes.
const READ: usize = 256 << 10;
/// How many revisions helm keeps where the pipeline version is not helm's.
const HISTORY: u32 = 10;

/// One run of helm.
struct Run<'a> {
    tools: &'a Tools,
    held: &'a Held,
    execution: &'a ExecutionName,
    wanted: Option<&'a HelmBundle>,
    bundle: &'a Bundle,
    release: String,
    fence: Fence,
    place: Place<'a>,
    limit: Duration,
}

/// Has helm do what the rollout's phase wants.
pub(crate) async fn apply(
    tools: &Tools,
    held: Held,
    execution: &ExecutionName,
    now: Timestamp,
    at_most: Duration,
) -> Result<Next, Failure> {
    let wanted = held
        .rollout
        .wanted()
        .ok_or_else(|| Failure::internal("no bundle is recorded for this phase"))?;
    let (Wanted::Bundle(hash) | Wanted::NoPods(hash)) = wanted;
    let stored = bundle_of(wanted, tools.backends.table.bundle(hash).await?);
    let bundle =
        placed(&held.rollout, &held.spec, stored).map_err(|fault| Failure::refused(fault.to_string()))?;
    let Some(helm) = &bundle.helm else {
        return Err(Failure::internal("the bundle of this phase is not helm's"));
    };
    if held
        .environment
        .helm
        .as_ref()
        .is_some_and(|run| run.has_done(&held.rollout))
    {
        return Ok(Next::now(NextState::Pods, "helm has done its part"));
    }
    let fence = claim(tools, &held, execution).await?;
    let run = Run {
        tools,
        execution,
        wanted: matches!(wanted, Wanted::Bundle(_)).then_some(helm),
        release: helm.release.clone(),
        place: Place::connect(tools, &held.spec, &writing(fence)).await?,
        limit: limit(&held.rollout, now, at_most),
        bundle: &bundle,
        held: &held,
        fence,
    };
    run.carry_out(now).await
}

/// Helm's own limit: what is left of the phase, and of this invocation.
fn limit(rollout: &Rollout, now: Timestamp, at_most: Duration) -> Duration {
    let left = Duration::try_from(rollout.deadline.duration_since(now)).unwrap_or(Duration::ZERO);
    // A phase that is almost over still has its helm run: what it writes is then looked at.
    left.max(Duration::from_secs(15)).min(at_most)
}

/// Takes a fence for this run: whatever a helm of before still sends is refused from now on.
async fn claim(tools: &Tools, held: &Held, execution: &ExecutionName) -> Result<Fence, Failure> {
    let namespace = tools.clusters.connect(&address_of(&held.spec)).await?;
    let seen = namespace.helm_fence().await?.unwrap_or_default();
    let table = &tools.backends.table;
    let fence = racing(|| async {
        let name = (&held.environment.service, &held.environment.name);
        let mut environment = table.environment(name.0, name.1).await?;
        let rollout = rollout_of(&environment, execution)?;
        if rollout.fence != held.rollout.fence {
            return Err(Failure::preempted("a later decision is recorded"));
        }
        let decision = rollout.fence;
        let fence = environment.fence.next(seen);
        let before = environment.helm.as_ref().filter(|run| run.decision == decision);
        let healed = before.and_then(|run| run.healed);
        environment.fence = fence;
        environment.helm = Some(HelmRun {
            fence,
            execution: execution.clone(),
            decision,
            revision: None,
            content: None,
            removed: false,
            healed,
        });
        let mut transaction = Transaction::new();
        transaction.update(&environment);
        transaction.commit(table).await?;
        Ok(fence)
    })
    .await?;
    namespace.write_helm_fence(fence).await?;
    Ok(fence)
}

impl Run<'_> {
    async fn carry_out(&self, now: Timestamp) -> Result<Next, Failure> {
        let turn = Turn::new(self.tools, self.held);
        loop {
            let revisions = self.place.revisions(&self.release).await?;
            let asked = Asked {
                wanted: self.wanted,
                decision: self.held.rollout.fence,
                fence: self.fence,
            };
            let course = course(&revisions, asked);
            tracing::info!(execution = %self.execution, fence = %self.fence, ?course, "helm");
            match course {
                Course::Done(revision) => return self.done(revision).await,
                Course::Gone => return self.record(None).await,
                Course::Busy(why) => {
                    if let Some(next) = turn.wait(&why, |found| self.mine(found)).await? {
                        return Ok(next);
                    }
                }
                Course::Impossible(why) => return Err(Failure::refused(why)),
                Course::Heal { revision, why } => self.heal(revision, why, now).await?,
                Course::Rollback(revision) => return self.rollback(revision).await,
                Course::Upgrade => return self.upgrade().await,
                Course::Uninstall => return self.uninstall().await,
            }
        }
    }

    async fn heal(&self, revision: u32, why: String, now: Timestamp) -> Result<(), Failure> {
        let record = Record {
            event: Event::HelmHealed,
            by: "sluice".into(),
            release: self.held.rollout.release,
            digest: None,
            execution: Some(self.execution.clone()),
            fence: Some(self.fence),
            reason: Some(why.clone()),
        };
        self.change(|environment, transaction| {
            let told = environment.helm.as_mut().map(|run| run.healed.replace(revision));
            if told != Some(Some(revision)) {
                transaction.record(environment, record.clone(), now);
            }
        })
        .await?;
        let said = format!("Closed by Sluice: {why}");
        let mut attempt = 1;
        while let Err(error) = self
            .place
            .namespace
            .fail_helm_revision(&self.release, revision, &said)
            .await
        {
            // As helm's own first write: an API server may not have heard of this fence yet.
            if !behind(&error.to_string(), self.fence) || attempt == FENCE_ATTEMPTS {
                return Err(error.into());
            }
            self.still_held().await?;
            attempt += 1;
            tokio::time::sleep(FENCE_DELAY).await;
        }
        Ok(())
    }

    async fn upgrade(&self) -> Result<Next, Failure> {
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

    async fn rollback(&self, revision: u32) -> Result<Next, Failure> {
        let files = self.place.files().await?;
        let mut arguments = arguments(["rollback", &self.release, &revision.to_string()]);
        arguments.extend(self.common());
        self.helm(files.home(), arguments).await
    }

    async fn uninstall(&self) -> Result<Next, Failure> {
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

    async fn helm(&self, home: &std::path::Path, arguments: Vec<String>) -> Result<Next, Failure> {
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
    async fn start(&self, home: &std::path::Path, arguments: &[String]) -> Result<Ended, Failure> {
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

    /// `Preempted` where another execution, a later decision or a later run of helm has taken this one's place.
    async fn still_held(&self) -> Result<(), Failure> {
        let (service, name) = (&self.held.environment.service, &self.held.environment.name);
        let environment = self.tools.backends.table.environment(service, name).await?;
        self.mine(&environment)
    }

    fn mine(&self, environment: &sluice_domain::environment::Environment) -> Result<(), Failure> {
        rollout_of(environment, self.execution)?;
        match &environment.helm {
            Some(run) if run.fence == self.fence => Ok(()),
            _ => Err(Failure::preempted(format!(
                "a helm of a later fence than {} has taken over {}",
                self.fence, environment.name
            ))),
        }
    }

    /// Reads back what helm left, and records it.
    async fn done(&self, revision: u32) -> Result<Next, Failure> {
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

    async fn record(&self, found: Option<&HelmRevision>) -> Result<Next, Failure> {
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

    /// Changes the environment's row, as long as this run is the one that it names.
    async fn change(
        &self,
        change: impl Fn(&mut sluice_domain::environment::Environment, &mut Transaction),
    ) -> Result<(), Failure> {
        let (service, name) = (&self.held.environment.service, &self.held.environment.name);
        let table = &self.tools.backends.table;
        racing(|| async {
            let mut environment = table.environment(service, name).await?;
            self.mine(&environment)?;
            let mut transaction = Transaction::new();
            change(&mut environment, &mut transaction);
            transaction.update(&environment);
            Ok(transaction.commit(table).await?)
        })
        .await
    }

    /// Why helm failed, with what its hooks said. `Preempted` where that is why.
    async fn failed(&self, complaints: &str) -> Failure {
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

fn arguments<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

/// The end of a text, in at most so many bytes.
pub(crate) fn end(text: &str, most: usize) -> &str {
    let start = text.ceil_char_boundary(text.len().saturating_sub(most));
    text.get(start..).unwrap_or_default()
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("execution", &self.execution)
            .field("fence", &self.fence)
            .field("release", &self.bundle.release)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_says_what_a_person_can_do() {
        for (complaints, wanted) in [
            (
                "Error: unable to build kubernetes objects from release manifest: resource mapping not found for name: \"a\" \
                 namespace: \"\" from \"\": no matches for kind \"Paint\" in version \"charts.sluice.dev/v1\"",
                "helm show crds",
            ),
            (
                "Error: roles.rbac.authorization.k8s.io is forbidden: User \"arn:aws:sts::1:assumed-role/sluice-helm/fence-5\" \
                 cannot create resource \"roles\"",
                "infra/cluster/README.md",
            ),
            ("Error: timed out", "helm failed: timed out"),
        ] {
            let said = complaint("helm failed", complaints).to_string();
            assert!(said.contains(wanted), "{said}");
        }
        let fenced =
            "Error: secrets \"x\" is forbidden: ValidatingAdmissionPolicy 'sluice-helm-fence' denied request";
        assert!(!complaint("helm failed", fenced).to_string().contains("Right:"));
    }
}
