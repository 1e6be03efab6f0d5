//! Everything that a step looks at.

use crate::alarms::said;
use crate::handler::stored;
use crate::looking::look;
use crate::outside::Outside;
use jiff::Timestamp;
use sluice_cluster::Namespace;
use sluice_domain::alarm::note;
use sluice_domain::bundle::Bundle;
use sluice_domain::environment::{Environment, Rollout};
use sluice_domain::pipeline::{EnvironmentPackage, EnvironmentSpec, Package, Workload};
use sluice_domain::plan::{ConfigData, config_names};
use sluice_domain::rollout::{Facts, awaits_helm, stage_of};
use sluice_domain::tracks::{Stage, TrafficSeen, everywhere, on_both, placed};
use sluice_domain::wire::{Caught, Step};
use sluice_domain::workload::{Observation, Verdict, WorkloadRef};
use sluice_lambda::Failure;
use sluice_transitions::{Backends, address_of, load_version, spec_of};
use std::collections::{BTreeMap, BTreeSet};

/// What is recorded, and what is there.
pub(crate) struct Scene {
    /// The environment's row.
    pub environment: Environment,
    /// The rollout of this execution.
    pub rollout: Rollout,
    /// What the pipeline version says of the environment.
    pub spec: EnvironmentSpec,
    /// What it packages for the environment.
    pub package: EnvironmentPackage,
    /// Whether the workload is helm's.
    pub is_helm: bool,
    /// The bundle of the present phase, as it is to be where the phase wants it.
    pub wanted: Option<Bundle>,
    /// The same as it is stored, without a track.
    pub neutral: Option<Bundle>,
    /// What the environment's alarms say, where the next decision asks for it.
    pub alarms: Option<Verdict>,
    /// Whether the row says something else of them; `environment` here has it already.
    pub alarms_are_news: bool,
    /// What is seen of the traffic, of a rollout on tracks.
    pub traffic: Option<TrafficSeen>,
    /// The environment's namespace.
    pub namespace: Namespace,
    /// What is there.
    pub observed: Observation,
}

impl Scene {
    /// Loads and observes. Refused where the execution does not hold the environment, or where a later step of it is
    /// recorded: this is a late repeat, and must write nothing.
    pub(crate) async fn load(
        backends: &Backends,
        outside: &Outside,
        step: &Step,
        now: Timestamp,
    ) -> Result<Scene, Failure> {
        let (service, name) = (&step.work.service, &step.work.environment);
        let mut environment = backends.table.environment(service, name).await?;
        let rollout = held(&environment, step)?;
        let version = load_version(&backends.table, service, &rollout.pipeline).await?;
        let spec = spec_of(&version.pipeline, name)?.clone();
        let package: Package = backends.table.json(&version.package).await?;
        let package = package.environments.get(name).cloned().unwrap_or_default();
        let neutral = stored(backends, rollout.wanted()).await?;
        let wanted = match &neutral {
            Some(bundle) => Some(in_place(&rollout, &spec, bundle.clone())?),
            None => None,
        };
        let namespace = outside.clusters.connect(&address_of(&spec)).await?;
        let is_helm = matches!(version.pipeline.workload, Workload::Helm(_));
        let tracked = spec.strategy.has_tracks() || environment.tracks.is_some();
        let asked = asked(&package, wanted.as_ref(), neutral.as_ref(), tracked);
        let mut observed = namespace.observe(&asked).await?;
        if is_helm || wanted.as_ref().is_some_and(|wanted| wanted.helm.is_some()) {
            let fence = namespace.helm_fence().await?.unwrap_or_default();
            observed.highest_fence = observed.highest_fence.max(fence);
        }
        let traffic = match (&rollout.traffic, &neutral) {
            (Some(traffic), Some(bundle)) => Some(
                look(
                    outside,
                    &namespace,
                    &spec,
                    &rollout,
                    traffic,
                    bundle,
                    &mut observed,
                )
                .await?,
            ),
            _ => None,
        };
        let (alarms, alarms_are_news) = match said(&outside.alarms, &rollout, &spec, now).await {
            Some((verdict, seen)) => (Some(verdict), note(&mut environment, &spec.alarms, &seen)),
            None => (None, false),
        };
        Ok(Scene {
            package,
            is_helm,
            wanted,
            neutral,
            traffic,
            alarms,
            alarms_are_news,
            environment,
            rollout,
            spec,
            namespace,
            observed,
        })
    }

    /// What the next decision looks at.
    pub(crate) fn facts<'a>(&'a self, caught: Option<&'a Caught>) -> Facts<'a> {
        Facts {
            rollout: &self.rollout,
            wanted: self.wanted.as_ref(),
            observed: &self.observed,
            spec: &self.spec,
            is_helm: self.is_helm,
            helm: self.environment.helm.as_ref(),
            caught,
            traffic: self.traffic.as_ref(),
            alarms: self.alarms.as_ref(),
        }
    }

    /// The stage that the rollout is in; none where it is not on tracks.
    pub(crate) fn stage(&self) -> Option<Stage> {
        let traffic = self.rollout.traffic.as_ref()?;
        Some(stage_of(&self.rollout, traffic, &self.spec))
    }

    /// Whether releases come to a track here: so the pipeline says, or so it was until now.
    pub(crate) fn is_tracked(&self) -> bool {
        self.environment.comes_to_a_track(&self.spec)
    }

    /// Whether helm writes what the present phase wants, before Sluice writes anything of it.
    pub(crate) fn by_helm(&self) -> bool {
        let helm = self.environment.helm.as_ref();
        let wanted = self.wanted.as_ref().filter(|wanted| wanted.helm.is_some());
        wanted.is_some_and(|wanted| match self.rollout.traffic {
            Some(_) => awaits_helm(&self.rollout, wanted, &self.observed, helm),
            None => true,
        })
    }

    /// The bundle of the present phase with the revision that helm left of it; none where helm has no part in it.
    pub(crate) fn helm_bundle(&self) -> Option<Bundle> {
        // Without its place: it may come to the other track one day.
        let mut bundle = self.neutral.clone()?;
        let helm = bundle.helm.as_mut()?;
        // A release that was there already is what it was when it came.
        let run = self.environment.helm.as_ref();
        let run = run.filter(|run| self.rollout.traffic.is_none() || run.execution == self.rollout.owner);
        if self.rollout.traffic.is_none() || run.is_some() {
            helm.revision = run.and_then(|run| run.revision);
            helm.content = run.and_then(|run| run.content.clone());
        }
        Some(bundle)
    }

    /// The content of every ConfigMap that the observed pod templates name.
    pub(crate) async fn config_of_observed(&self) -> Result<BTreeMap<String, Option<ConfigData>>, Failure> {
        let mut names = BTreeSet::new();
        for deployment in &self.observed.deployments {
            names.extend(config_names(&deployment.template));
        }
        Ok(self.namespace.config_maps(&names).await?)
    }
}

fn held(environment: &Environment, step: &Step) -> Result<Rollout, Failure> {
    let rollout = environment
        .under_way()
        .filter(|rollout| rollout.owner == step.execution);
    let Some(rollout) = rollout else {
        let holder = environment
            .lease
            .as_ref()
            .map_or_else(|| "nobody".to_owned(), |lease| lease.owner.to_string());
        let name = &environment.name;
        return Err(Failure::preempted(format!(
            "{} does not hold {name}: {holder} does",
            step.execution
        )));
    };
    match rollout.step {
        Some(recorded) if recorded > step.step => {
            let why = format!(
                "step {} of {} comes late: step {recorded} is recorded",
                step.step, step.execution
            );
            Err(Failure::preempted(why))
        }
        _ => Ok(rollout.clone()),
    }
}

/// The bundle where the present phase wants it.
pub(crate) fn in_place(rollout: &Rollout, spec: &EnvironmentSpec, bundle: Bundle) -> Result<Bundle, Failure> {
    placed(rollout, spec, bundle).map_err(|fault| Failure::refused(fault.to_string()))
}

/// The workloads that are looked at: those that are released, and those of the bundle that is being brought; on tracks in
/// every place where they can be.
fn asked(
    package: &EnvironmentPackage,
    wanted: Option<&Bundle>,
    neutral: Option<&Bundle>,
    tracked: bool,
) -> Vec<WorkloadRef> {
    let charted = neutral.filter(|bundle| tracked && bundle.is_charted());
    let mut asked = package.deployments();
    if charted.is_none() {
        asked.extend(neutral.into_iter().flat_map(WorkloadRef::all_of));
    }
    if tracked {
        asked = on_both(asked);
    }
    asked.extend(wanted.into_iter().flat_map(WorkloadRef::all_of));
    asked.extend(everywhere(charted));
    asked.into_iter().collect()
}
