//! What a promotion would change. Nothing is written, and nothing of a Secret is said.

use crate::drift::HELM;
use crate::handler::Tools;
use crate::prepare::{Prepared, look};
use crate::site::Site;
use crate::tracked::OnTracks;
use serde_json::Value;
use sluice_cluster::Namespace;
use sluice_domain::api::{Plan, PlanRequest};
use sluice_domain::budget::Budgets;
use sluice_domain::bundle::Bundle;
use sluice_domain::difference::{Difference, SECRET};
use sluice_domain::environment::Environment;
use sluice_domain::helm::{documents, owned};
use sluice_domain::pipeline::{CheckSpec, Package, Seconds, Workload, least_time};
use sluice_domain::plan::{ConfigData, config_wanted, plan_bundle};
use sluice_domain::release::Release;
use sluice_domain::tracks::on_both;
use sluice_domain::workload::{Observation, WorkloadRef};
use sluice_lambda::Failure;
use sluice_secrets::Secrets;
use sluice_transitions::{address_of, load_release, load_version, spec_of};
use std::collections::BTreeMap;
use std::time::Duration;

/// What promoting this release would change.
pub(crate) async fn plan(tools: &Tools, asked: &PlanRequest, at_most: Duration) -> Result<Plan, Failure> {
    let table = &tools.backends.table;
    let release = load_release(&tools.backends, &asked.service, asked.release).await?;
    let version = load_version(table, &asked.service, &release.pipeline).await?;
    let spec = spec_of(&version.pipeline, &asked.environment)?;
    let environment = table.environment(&asked.service, &asked.environment).await?;
    let package: Package = table.json(&version.package).await?;
    let site = Site {
        environment: &environment,
        pipeline: &version.pipeline,
        spec,
        package: &package,
    };
    let told = match &version.pipeline.workload {
        Workload::Helm(_) => by_helm(tools, &site, &release, at_most).await?,
        Workload::Deployment(_) => by_sluice(tools, &site, &release).await?,
    };
    let back = comes_back(tools, &environment).await?;
    let rollback = Budgets::of(back.as_ref().unwrap_or(&told.target), spec, &environment);
    let rollback_at_least = least(back.as_ref().unwrap_or(&told.target));
    let names = |checks: &[CheckSpec]| checks.iter().map(|check| check.name.clone()).collect();
    Ok(Plan {
        service: asked.service.clone(),
        environment: asked.environment.clone(),
        release: asked.release,
        digest: release.digest.clone(),
        replaces: environment.live.as_ref().and_then(|live| live.release),
        revision: told.revision,
        changes: told.changes,
        drift: told.drift,
        on_drift: spec.on_drift,
        hooks: told.hooks,
        before: names(&spec.before),
        verify: names(&spec.verify),
        timeout: spec.timeout,
        rollback_within: spec.rollback_within,
        rollback_at_least,
        rollback: Some(rollback),
        rollback_target: back.is_some() || told.beside,
        adoption: told.adoption,
        steps: told.steps,
        gates: Vec::new(),
        approval: None,
    })
}

/// What is seen of a namespace.
pub(crate) struct Seen<'a> {
    /// The namespace.
    pub namespace: &'a Namespace,
    /// The Deployments that the package names.
    pub observed: &'a Observation,
    /// The ConfigMaps that templates name.
    pub config: &'a BTreeMap<String, Option<ConfigData>>,
}

/// What there is to tell.
pub(crate) struct Told {
    /// Of helm: the revision that runs now.
    pub revision: Option<u32>,
    /// Object by object.
    pub changes: Vec<Difference>,
    /// How others changed what Sluice left.
    pub drift: Vec<String>,
    /// A chart's hooks.
    pub hooks: Vec<String>,
    /// The release as it would run.
    pub target: Bundle,
    /// Whether something runs there that Sluice did not bring, and would bring back.
    pub beside: bool,
    /// Of the first promotion on tracks: what becomes of what is there.
    pub adoption: Vec<String>,
    /// On tracks: what each step does.
    pub steps: Vec<String>,
}

/// What Sluice itself would write, tried on what is there.
async fn by_sluice(tools: &Tools, site: &Site<'_>, release: &Release) -> Result<Told, Failure> {
    let package = site.package.environments.get(&site.spec.name);
    let package = package.cloned().unwrap_or_default();
    let namespace = tools.clusters.connect(&address_of(site.spec)).await?;
    let on_a_track = site.environment.comes_to_a_track(site.spec);
    let mut asked = package.deployments();
    if on_a_track {
        asked = on_both(asked);
    }
    let asked: Vec<WorkloadRef> = asked.into_iter().collect();
    let observed = namespace.observe(&asked).await?;
    let config = namespace.config_maps(&config_wanted(&package, &observed)).await?;
    if on_a_track {
        let seen = Seen {
            namespace: &namespace,
            observed: &observed,
            config: &config,
        };
        return crate::tracked::told(tools, site, release, &package, seen).await;
    }
    let target = plan_bundle(release, &package, &observed, &config)
        .map_err(|faults| Failure::refused(faults.to_string()))?;
    let fence = site.environment.fence.next(observed.highest_fence);
    Ok(Told {
        revision: None,
        changes: namespace.bundle_differences(&target, fence).await?,
        drift: Vec::new(),
        hooks: Vec::new(),
        target,
        beside: site.environment.live.is_none() && !observed.deployments.is_empty(),
        adoption: Vec::new(),
        steps: Vec::new(),
    })
}

/// What a rollback would bring back; none where nothing is live yet.
async fn comes_back(tools: &Tools, environment: &Environment) -> Result<Option<Bundle>, Failure> {
    match &environment.live {
        Some(live) => Ok(Some(tools.backends.table.bundle(&live.bundle).await?)),
        None => Ok(None),
    }
}

/// The least time in which every pod of a bundle can be replaced.
fn least(bundle: &Bundle) -> Option<Seconds> {
    let times = bundle
        .deployments
        .iter()
        .filter_map(|deployment| least_time(&deployment.manifest, deployment.replicas));
    times.max()
}

async fn by_helm(
    tools: &Tools,
    site: &Site<'_>,
    release: &Release,
    at_most: Duration,
) -> Result<Told, Failure> {
    let Prepared {
        place,
        secrets,
        hooks,
        mut objects,
        present,
        drift,
        target,
        original,
    } = look(tools, site, release, at_most).await?;
    let secrets = with_live(tools, site, secrets).await;
    let on_tracks = match site.idle() {
        Some(_) => Some(OnTracks::plan(tools, site, &target, original.as_ref()).await?),
        None => None,
    };
    if let Some(on_tracks) = &on_tracks {
        on_tracks.size(&mut objects);
    }
    let there = match &present {
        Some(present) => documents(&present.manifest).map_err(|fault| Failure::refused(fault.to_string()))?,
        None => Vec::new(),
    };
    let kept = |object: &Value| objects.iter().any(|other| same(object, other));
    let gone: Vec<Value> = there
        .iter()
        .filter(|object| !kept(object) && !stays(object))
        .map(|object| owned(object, &site.helm_release(), &site.spec.namespace))
        .collect();
    let mut changes = place.namespace.differences(&objects, &gone, HELM).await?;
    for field in changes.iter_mut().flat_map(|change| &mut change.fields) {
        for value in [&mut field.from, &mut field.to].into_iter().flatten() {
            strike(value, &|text| sluice_secrets::struck(secrets.as_ref(), text));
        }
    }
    let hooks = hooks
        .into_iter()
        .filter(|(_, events)| !events.iter().all(|event| event == "test"))
        .map(|(name, events)| format!("{name} ({})", events.join(", ")));
    let is_there = match &on_tracks {
        Some(_) => original.is_some(),
        None => present.is_some(),
    };
    let (adoption, steps) = on_tracks
        .map(|told| (told.adoption, told.steps))
        .unwrap_or_default();
    Ok(Told {
        revision: present.map(|present| present.revision),
        changes,
        drift: drift
            .iter()
            .map(|said| sluice_secrets::struck(secrets.as_ref(), said))
            .collect(),
        hooks: hooks.collect(),
        target,
        beside: site.environment.live.is_none() && is_there,
        adoption,
        steps,
    })
}

/// What is there now was given the secrets of its own time. None where these cannot be read.
async fn with_live(tools: &Tools, site: &Site<'_>, mut secrets: Secrets) -> Option<Secrets> {
    let live = sluice_secrets::unsaid(&tools.secrets, &tools.backends.table, site.environment).await?;
    secrets.also(live);
    Some(secrets)
}

/// Whether two manifests are of one object.
fn same(one: &Value, other: &Value) -> bool {
    ["/kind", "/metadata/name", "/metadata/namespace"]
        .iter()
        .all(|at| {
            let own = |object: &Value| object.pointer(at).cloned().unwrap_or_default();
            own(one) == own(other)
        })
}

/// What helm leaves where it is when a chart has it no more (Helm, "Tell Helm Not To Uninstall a Resource").
fn stays(object: &Value) -> bool {
    let policy = object.pointer("/metadata/annotations/helm.sh~1resource-policy");
    policy.is_some_and(|policy| policy == "keep")
}

/// No secret is said, also where a chart writes it into something that is no Secret.
fn strike(value: &mut Value, struck: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) if text != SECRET => *text = struck(text),
        Value::Array(values) => values.iter_mut().for_each(|value| strike(value, struck)),
        Value::Object(values) => values.values_mut().for_each(|value| strike(value, struck)),
        _ => {}
    }
}
