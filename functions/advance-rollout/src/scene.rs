//! Everything that a step looks at.

use crate::handler::stored;
use sluice_cluster::{Clusters, Namespace};
use sluice_domain::bundle::Bundle;
use sluice_domain::environment::{Environment, Rollout};
use sluice_domain::pipeline::{EnvironmentPackage, EnvironmentSpec, Package};
use sluice_domain::plan::{ConfigData, config_names};
use sluice_domain::wire::Step;
use sluice_domain::workload::{Observation, WorkloadRef};
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
    /// The bundle of the present phase.
    pub wanted: Option<Bundle>,
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
        clusters: &Clusters,
        step: &Step,
    ) -> Result<Scene, Failure> {
        let (service, name) = (&step.work.service, &step.work.environment);
        let environment = backends.table.environment(service, name).await?;
        let rollout = held(&environment, step)?;
        let version = load_version(&backends.table, service, &rollout.pipeline).await?;
        let spec = spec_of(&version.pipeline, name)?.clone();
        let package: Package = backends.table.json(&version.package).await?;
        let package = package.environments.get(name).cloned().unwrap_or_default();
        let wanted = stored(backends, rollout.wanted()).await?;
        let namespace = clusters.connect(&address_of(&spec)).await?;
        let observed = namespace.observe(&asked(&package, wanted.as_ref())).await?;
        Ok(Scene {
            environment,
            rollout,
            spec,
            package,
            wanted,
            namespace,
            observed,
        })
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

/// The workloads that are looked at: those that are released, and those of the bundle that is being brought.
fn asked(package: &EnvironmentPackage, wanted: Option<&Bundle>) -> Vec<WorkloadRef> {
    let released = package
        .released
        .iter()
        .map(|released| WorkloadRef::deployment(&released.name));
    let packaged = package
        .manifests
        .iter()
        .filter(|manifest| manifest.get("kind").is_some_and(|kind| kind == "Deployment"));
    let packaged = packaged
        .filter_map(|manifest| manifest.pointer("/metadata/name")?.as_str())
        .map(WorkloadRef::deployment);
    let bundled = wanted.into_iter().flat_map(WorkloadRef::all_of);
    let asked: BTreeSet<WorkloadRef> = released.chain(packaged).chain(bundled).collect();
    asked.into_iter().collect()
}
