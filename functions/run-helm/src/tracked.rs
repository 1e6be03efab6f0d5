//! A promotion on tracks: what it would change, and what helm would do on both of them.

use crate::asking::{Answered, Asking};
use crate::handler::Tools;
use crate::plan::{Seen, Told};
use crate::site::Site;
use serde_json::{Value, json};
use sluice_domain::bundle::{Baseline, Bundle, HelmBundle};
use sluice_domain::difference::Difference;
use sluice_domain::environment::Environment;
use sluice_domain::helm::{HelmRevision, documents, present, workloads};
use sluice_domain::pipeline::{EnvironmentPackage, HelmWorkload};
use sluice_domain::plan::{capture_bundle, config_names};
use sluice_domain::release::Release;
use sluice_domain::tracks::{self, Charts, Ground, Rendered, Track, brought, everywhere};
use sluice_domain::workload::WorkloadRef;
use sluice_lambda::Failure;
use sluice_transitions::{address_of, load_live_on_track};
use std::collections::{BTreeMap, BTreeSet};
use std::iter;

/// What would be written on the idle track, tried on what is there.
pub(crate) async fn told(
    tools: &Tools,
    site: &Site<'_>,
    release: &Release,
    package: &EnvironmentPackage,
    seen: Seen<'_>,
) -> Result<Told, Failure> {
    let found = site.environment.tracks.clone().unwrap_or_default();
    let live = load_live_on_track(&tools.backends.table, site.environment).await?;
    let named = seen.namespace.named_service(site.spec.strategy.service()).await?;
    let planned = tracks::planned(&Ground {
        release,
        package,
        spec: site.spec,
        tracks: &found,
        observed: seen.observed,
        config: seen.config,
        live: live.as_ref(),
        named: &named,
    });
    let planned = planned.map_err(Failure::refused)?;
    let is_there = |name: &str| seen.observed.deployments.iter().any(|one| one.name == name);
    let beside = live.is_none() && planned.target.deployments.iter().any(|one| is_there(&one.name));
    let (target, traffic) = planned.traffic(live.is_some() || beside);
    let placed =
        brought(&traffic, site.spec, &target).map_err(|fault| Failure::refused(fault.to_string()))?;
    let fence = site.environment.fence.next(seen.observed.highest_fence);
    Ok(Told {
        revision: None,
        changes: seen.namespace.bundle_differences(&placed, fence).await?,
        drift: Vec::new(),
        hooks: Vec::new(),
        adoption: tracks::adoption(&target, &traffic, site.spec),
        steps: tracks::steps(&target, &traffic, site.spec),
        target,
        beside,
    })
}

/// Asks helm what it would do on both tracks, and whether the chart can be on them. `idle` is the one that the release comes to.
pub(crate) async fn ask(
    asking: &Asking<'_>,
    workload: &HelmWorkload,
    mut bundle: HelmBundle,
    idle: Track,
) -> Result<Answered, Failure> {
    let site = asking.site;
    let (mut rendered, mut hooks) = (BTreeMap::new(), Vec::new());
    // One after the other: the function has the memory for one helm.
    for track in [Track::Blue, Track::Green] {
        let values = tracks::values_of(workload, &fullname(site), track);
        let mut own = bundle.clone();
        own.release = track.of(&bundle.release);
        own.values.push(values.to_string());
        let told = asking.render(&own).await?;
        let objects = asking.objects(&told)?;
        bundle.chart = told.chart_of(bundle.chart);
        if track == idle {
            hooks = told.hooks;
        }
        let release = own.release;
        rendered.insert(
            track,
            Rendered {
                release,
                values,
                objects,
            },
        );
    }
    let there = There::of(asking, &rendered).await?;
    let target = tracks::charted(&Charts {
        release: asking.release,
        helm: &bundle,
        tracks: &rendered,
        namespace: &site.spec.namespace,
        service: site.spec.strategy.service(),
        root: there.root.as_ref(),
        before: &there.before,
        adopts: there.adopts,
        idle,
        live: &there.live,
    });
    let target = target.map_err(|lacks| Failure::refused(lacks.to_string()))?;
    let original = if there.adopts {
        original(asking, &there).await?
    } else {
        None
    };
    Ok(Answered {
        target,
        objects: rendered.remove(&idle).map(|one| one.objects).unwrap_or_default(),
        hooks,
        original,
    })
}

/// What the workload's objects are called without a track: as the Service by which it is known.
fn fullname(site: &Site<'_>) -> String {
    let route = site
        .environment
        .tracks
        .as_ref()
        .and_then(|tracks| tracks.route.as_ref());
    let known = route.map(|route| route.services.root.as_str());
    let named = site.spec.strategy.service().or(known);
    named.map_or_else(|| site.release_name(), str::to_owned)
}

/// What is there beside the tracks.
struct There {
    /// The Service by which the workload is known, as it is without tracks.
    root: Option<Value>,
    /// The objects of the Helm release that was there before them.
    before: Vec<Value>,
    /// Whether that one has the traffic.
    adopts: bool,
    /// The objects of the live track's Helm release.
    live: Vec<Value>,
}

impl There {
    async fn of(asking: &Asking<'_>, rendered: &BTreeMap<Track, Rendered>) -> Result<Self, Failure> {
        let Asking { tools, site, .. } = asking;
        let revisions = asking.place.revisions(&site.release_name()).await?;
        let before = objects_of(&revisions)?;
        let on_track = load_live_on_track(&tools.backends.table, site.environment).await?;
        let live = match live_release(site, on_track.as_ref()) {
            Some(name) => objects_of(&asking.place.revisions(name).await?)?,
            None => Vec::new(),
        };
        let kept = on_track.and_then(|bundle| bundle.objects.into_iter().next());
        let image = asking.release.image();
        let name = tracks::root_of(rendered, &image, site.spec.strategy.service());
        let root = match (kept, name) {
            (Some(kept), _) => Some(kept),
            (None, None) => None,
            (None, Some(name)) => {
                let namespace = tools.clusters.connect(&address_of(site.spec)).await?;
                namespace.named_service(Some(&name)).await?.into_iter().next()
            }
        };
        Ok(Self {
            root,
            adopts: site.environment.live_track().is_none() && !before.is_empty(),
            before,
            live,
        })
    }
}

/// The objects of what runs of a Helm release.
fn objects_of(revisions: &[HelmRevision]) -> Result<Vec<Value>, Failure> {
    let manifest = present(revisions).map(|present| documents(&present.manifest));
    let objects = manifest.transpose();
    Ok(objects
        .map_err(|fault| Failure::refused(fault.to_string()))?
        .unwrap_or_default())
}

/// The Helm release of the live track.
fn live_release<'b>(site: &Site<'_>, live: Option<&'b Bundle>) -> Option<&'b str> {
    let track = site.environment.live_track()?;
    let own = live?.helm.as_ref()?.tracks.get(&track)?;
    Some(own.release.as_str())
}

/// What was there before tracks as it is now, with the Service that is pointed back at it.
async fn original(asking: &Asking<'_>, there: &There) -> Result<Option<Bundle>, Failure> {
    let Asking { tools, site, .. } = asking;
    let found = workloads(&there.before, None).unwrap_or_default();
    let asked: Vec<WorkloadRef> = found.iter().map(WorkloadRef::from).collect();
    let namespace = tools.clusters.connect(&address_of(site.spec)).await?;
    let observed = namespace.observe(&asked).await?;
    let templates = observed.deployments.iter().map(|one| &one.template);
    let names: BTreeSet<String> = templates.flat_map(config_names).collect();
    let config = namespace.config_maps(&names).await?;
    let root: Vec<Value> = there.root.iter().cloned().collect();
    let root = namespace.objects(&root).await?;
    let number = site.environment.live.as_ref().and_then(|live| live.release);
    let release = match number {
        Some(number) => {
            Some(sluice_transitions::load_release(&tools.backends, &site.environment.service, number).await?)
        }
        None => None,
    };
    Ok(capture_bundle(&observed, &root, &config, release.as_ref()))
}

/// What a promotion on tracks brings back: what is live on one, or what was there before them.
pub(crate) async fn baseline(
    tools: &Tools,
    environment: &Environment,
    original: Option<&Bundle>,
) -> Result<Baseline, Failure> {
    Ok(match (environment.live_on_track(), original) {
        (Some(live), _) => Baseline::Bundle {
            hash: live.bundle.clone(),
        },
        (None, Some(original)) => Baseline::Bundle {
            hash: tools.backends.table.put_bundle(original).await?,
        },
        (None, None) => Baseline::Nothing,
    })
}

/// The number of pods on a track is Sluice's, not the chart's.
pub(crate) fn without_sizes(difference: &mut Difference) {
    const SIZES: [&str; 3] = ["spec.replicas", "spec.minReplicas", "spec.maxReplicas"];
    difference
        .fields
        .retain(|field| !SIZES.contains(&field.path.as_str()));
}

/// What becomes of what is there, and what each step does, of a chart on tracks.
pub(crate) struct OnTracks {
    /// Of the first promotion on tracks: what becomes of what is there.
    pub adoption: Vec<String>,
    /// What each step does.
    pub steps: Vec<String>,
    /// How many pods each Deployment of the chart is to have first, by its own name.
    sizes: BTreeMap<String, i32>,
}

impl OnTracks {
    /// Plans a chart's bundle without writing anything.
    pub(crate) async fn plan(
        tools: &Tools,
        site: &Site<'_>,
        target: &Bundle,
        original: Option<&Bundle>,
    ) -> Result<Self, Failure> {
        let found = site.environment.tracks.clone().unwrap_or_default();
        let live = load_live_on_track(&tools.backends.table, site.environment).await?;
        let places = everywhere(iter::once(target).chain(&live));
        let namespace = tools.clusters.connect(&address_of(site.spec)).await?;
        let observed = namespace.observe(&places).await?;
        let planned = tracks::planned_chart(target.clone(), site.spec, &found, &observed, live.as_ref());
        let planned = planned.map_err(Failure::refused)?;
        let (target, traffic) = planned.traffic(live.is_some() || original.is_some());
        let placed =
            brought(&traffic, site.spec, &target).map_err(|fault| Failure::refused(fault.to_string()))?;
        let sizes = placed
            .deployments
            .iter()
            .filter_map(|one| Some((one.name.clone(), one.replicas?)));
        Ok(Self {
            adoption: tracks::chart_adoption(&target, original, &traffic, site.spec),
            steps: tracks::steps(&target, &traffic, site.spec),
            sizes: sizes.collect(),
        })
    }

    /// The objects as helm would be given them for the first step.
    pub(crate) fn size(&self, objects: &mut [Value]) {
        let deployments = objects
            .iter_mut()
            .filter(|object| object.get("kind").is_some_and(|kind| kind == "Deployment"));
        for deployment in deployments {
            let name = deployment.pointer("/metadata/name").and_then(Value::as_str);
            let size = name.and_then(|name| self.sizes.get(name)).copied();
            if let (Some(size), Some(replicas)) = (size, deployment.pointer_mut("/spec/replicas")) {
                *replicas = json!(size);
            }
        }
    }
}
