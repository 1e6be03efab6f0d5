//! Has helm do what is decided, under a fence of this run's own.

mod calling;
mod left;

pub(crate) use left::end;

use crate::complaint::behind;
use crate::handler::{Held, Tools, rollout_of};
use crate::place::{Place, writing};
use crate::turn::Turn;
use jiff::Timestamp;
use sluice_domain::bundle::{Bundle, HelmBundle};
use sluice_domain::environment::{Environment, HelmRun, Rollout, Wanted};
use sluice_domain::helm::{Asked, Course, course};
use sluice_domain::ids::{ExecutionName, Fence};
use sluice_domain::ledger::{Event, Record};
use sluice_domain::rollout::bundle_of;
use sluice_domain::tracks::placed;
use sluice_domain::wire::{Next, NextState};
use sluice_lambda::Failure;
use sluice_table::Transaction;
use sluice_transitions::{address_of, racing};
use std::time::Duration;

/// How often helm is started anew because an API server had not heard of the fence yet.
const FENCE_ATTEMPTS: u32 = 10;
/// How long to wait before that.
const FENCE_DELAY: Duration = Duration::from_millis(200);

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

    /// `Preempted` where another execution, a later decision or a later run of helm has taken this one's place.
    async fn still_held(&self) -> Result<(), Failure> {
        let (service, name) = (&self.held.environment.service, &self.held.environment.name);
        let environment = self.tools.backends.table.environment(service, name).await?;
        self.mine(&environment)
    }

    fn mine(&self, environment: &Environment) -> Result<(), Failure> {
        rollout_of(environment, self.execution)?;
        match &environment.helm {
            Some(run) if run.fence == self.fence => Ok(()),
            _ => Err(Failure::preempted(format!(
                "a helm of a later fence than {} has taken over {}",
                self.fence, environment.name
            ))),
        }
    }

    /// Changes the environment's row, as long as this run is the one that it names.
    async fn change(&self, change: impl Fn(&mut Environment, &mut Transaction)) -> Result<(), Failure> {
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
