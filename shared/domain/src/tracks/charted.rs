//! A chart on two tracks: one Helm release for each, told apart by values. Whether the chart can be there twice is decided by
//! what it renders, not by what it says of itself.

mod lacks;
mod values;

pub use lacks::{Lack, Lacks};
pub use values::values_of;

use super::planned::bounds;
use super::render::{is_service, name_of, of_size, set, size_for};
use super::{Planned, RenderFault, Route, TRACK_LABEL, Track, TrackServices, Tracks, Traffic};
use crate::bundle::{Bundle, HelmBundle, HelmTrack, WorkloadBundle};
use crate::helm::{nested, owned, workloads};
use crate::pipeline::EnvironmentSpec;
use crate::plan::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::release::Release;
use crate::workload::Observation;
use lacks::Looking;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a chart renders for one track, before it is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The Helm release's name.
    pub release: String,
    /// The track's own values.
    pub values: Value,
    /// The objects, without hooks.
    pub objects: Vec<Value>,
}

/// What a bundle on tracks is made of.
#[derive(Debug, Clone, Copy)]
pub struct Charts<'a> {
    /// What is promoted.
    pub release: &'a Release,
    /// Chart and values that both tracks have in common; the Helm release's name without a track.
    pub helm: &'a HelmBundle,
    /// What the chart renders for each track.
    pub tracks: &'a BTreeMap<Track, Rendered>,
    /// The environment's namespace.
    pub namespace: &'a str,
    /// The Service that the strategy names.
    pub service: Option<&'a str>,
    /// The Service by which the workload is known ([`root_of`]), as it was before tracks, or as it is in the cluster.
    pub root: Option<&'a Value>,
    /// The objects of the Helm release that was there before tracks; none where there was none.
    pub before: &'a [Value],
    /// Whether that release has the traffic now.
    pub adopts: bool,
    /// The track that the release comes to.
    pub idle: Track,
    /// The objects of the Helm release of the other track, as they are there; none where it has no traffic. An earlier chart
    /// may have rendered them.
    pub live: &'a [Value],
}

/// The name of the Service by which the workload is known: the one that the strategy names, or the one without its track that
/// selects a track's pods. None where that cannot be said.
pub fn root_of(tracks: &BTreeMap<Track, Rendered>, image: &str, named: Option<&str>) -> Option<String> {
    if let Some(named) = named {
        return Some(named.to_owned());
    }
    let mut roots = lacks::roots(tracks, image).into_iter();
    roots.next().filter(|_| roots.next().is_none())
}

/// The bundle of a release on both tracks; else everything that the chart lacks.
pub fn charted(charts: &Charts<'_>) -> Result<Bundle, Lacks> {
    let image = charts.release.image();
    let looking = Looking::new(charts, &image);
    let root = looking.looked()?;
    let mut tracks = BTreeMap::new();
    let mut neutral = Vec::new();
    for (track, rendered) in charts.tracks {
        let deployments = deployments(rendered, &image);
        let service = rendered
            .objects
            .iter()
            .find(|object| is_service(object) && name_of(object) == track.of(&root));
        if *track == Track::Blue {
            neutral = deployments.iter().map(|one| without_track(one, *track)).collect();
        }
        let own = HelmTrack {
            release: rendered.release.clone(),
            values: rendered.values.to_string(),
            deployments: paired(&neutral, deployments, *track),
            behind: service.map_or_else(Vec::new, |service| lacks::behind(rendered, service)),
            service: service.map_or(Value::Null, |service| {
                owned(service, &rendered.release, charts.namespace)
            }),
            autoscalers: rendered.objects.iter().filter_map(autoscaler).collect(),
        };
        tracks.insert(*track, own);
    }
    let root = root_service(&root, charts.root, &tracks);
    Ok(Bundle {
        release: Some(charts.release.number),
        digest: Some(charts.release.digest.clone()),
        children: charts.release.children.clone(),
        deployments: neutral,
        objects: vec![root],
        config_maps: Vec::new(),
        helm: Some(HelmBundle {
            tracks,
            ..charts.helm.clone()
        }),
    })
}

/// Of helm's Deployments Sluice writes no template: only their fence and their size.
fn deployments(rendered: &Rendered, image: &str) -> Vec<WorkloadBundle> {
    let found = workloads(&rendered.objects, Some(image)).unwrap_or_default();
    let declared = |name: &str| {
        let manifest = rendered.objects.iter().find(|object| {
            name_of(object) == name && object.get("kind").is_some_and(|kind| kind == "Deployment")
        })?;
        let replicas = manifest.pointer("/spec/replicas")?.as_i64()?;
        i32::try_from(replicas).ok()
    };
    found
        .into_iter()
        .map(|one| WorkloadBundle {
            replicas: declared(&one.name),
            manifest: json!({}),
            ..one
        })
        .collect()
}

fn without_track(one: &WorkloadBundle, track: Track) -> WorkloadBundle {
    WorkloadBundle {
        name: neutral(&one.name, track).unwrap_or_else(|| one.name.clone()),
        ..one.clone()
    }
}

/// A track's Deployments in the order of the bundle's: helm may sort them otherwise.
fn paired(neutral: &[WorkloadBundle], own: Vec<WorkloadBundle>, track: Track) -> Vec<WorkloadBundle> {
    let place = |one: &WorkloadBundle| {
        let name = without_track(one, track).name;
        neutral.iter().position(|other| other.name == name)
    };
    let mut own = own;
    own.sort_by_key(place);
    own
}

/// A name without its track: `mc-api-worker` of `mc-api-blue-worker`. None where the track is not in it.
pub(super) fn neutral(name: &str, track: Track) -> Option<String> {
    let parts: Vec<&str> = name.split('-').collect();
    let at = parts.iter().position(|part| *part == track.as_str())?;
    let rest: Vec<&str> = parts
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != at)
        .map(|(_, part)| *part)
        .collect();
    (!rest.is_empty()).then(|| rest.join("-"))
}

/// What Sluice writes of an autoscaler: its bounds. The rest stays helm's.
fn autoscaler(object: &Value) -> Option<Value> {
    if object.get("kind")? != "HorizontalPodAutoscaler" {
        return None;
    }
    let spec = object.get("spec")?;
    let least = spec.get("minReplicas").cloned().unwrap_or(json!(1));
    Some(json!({
        "apiVersion": object.get("apiVersion")?, "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name_of(object)},
        "spec": {"scaleTargetRef": spec.get("scaleTargetRef")?, "minReplicas": least,
                 "maxReplicas": spec.get("maxReplicas")?},
    }))
}

/// The Service by which the workload is known. One that others made stays as they made it, but for what it selects; one that
/// Sluice makes has the ports of the tracks' own.
fn root_service(name: &str, found: Option<&Value>, tracks: &BTreeMap<Track, HelmTrack>) -> Value {
    let is_ours = |service: &&Value| {
        let labels = service.pointer("/metadata/labels");
        labels.and_then(|labels| labels.get(MANAGED_BY_LABEL)) == Some(&json!(MANAGED_BY))
    };
    // What no pod has: without a track there is nothing behind it.
    let nothing = json!({TRACK_LABEL: "none"});
    if let Some(found) = found.filter(|found| !is_ours(found)) {
        let mut root = found.clone();
        let selector = found.pointer("/spec/selector");
        let of_track = |own: &HelmTrack| own.service.pointer("/spec/selector") == selector;
        if selector.is_none() || tracks.values().any(of_track) {
            set(&mut root, "/spec", "selector", nothing);
        }
        return root;
    }
    let own = tracks.values().next();
    let mut root = plain_service(name, own);
    set(&mut root, "/spec", "selector", nothing);
    root
}

/// A Service of this name with a track's ports and selector, and nothing of helm's.
fn plain_service(name: &str, own: Option<&HelmTrack>) -> Value {
    let part = |pointer: &str| own.and_then(|own| own.service.pointer(pointer)).cloned();
    let ports = part("/spec/ports").unwrap_or_else(|| json!([]));
    let ports: Vec<Value> = ports
        .as_array()
        .into_iter()
        .flatten()
        .map(without_node_port)
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "labels": {MANAGED_BY_LABEL: MANAGED_BY}},
        "spec": {"ports": ports, "selector": part("/spec/selector").unwrap_or_else(|| json!({}))},
    })
}

fn without_node_port(port: &Value) -> Value {
    let mut port = port.clone();
    if let Some(port) = port.as_object_mut() {
        port.remove("nodePort");
    }
    port
}

/// What the Service of a track selects; none of a bundle that is no chart's.
pub(super) fn selector(bundle: &Bundle, track: Track) -> Option<&Value> {
    let own = bundle.helm.as_ref()?.tracks.get(&track)?;
    own.service.pointer("/spec/selector")
}

/// The Service by which people reach a track without traffic; none of a bundle that is no chart's.
pub(super) fn preview(bundle: &Bundle, track: Track, name: &str) -> Option<Value> {
    let own = bundle.helm.as_ref()?.tracks.get(&track)?;
    Some(plain_service(name, Some(own)))
}

/// How many pods a track's Service has behind it in this size. A chart's bundle has neither that Service nor its pods' labels:
/// who is behind it was read from what the chart rendered. None of a Service or a bundle that is no chart's.
pub(super) fn behind(placed: &Bundle, service: &str) -> Option<u32> {
    let helm = placed.helm.as_ref()?;
    let own = helm
        .tracks
        .values()
        .find(|own| name_of(&own.service) == service)?;
    let selected = placed
        .deployments
        .iter()
        .filter(|one| own.behind.contains(&one.name));
    let asked = selected.filter_map(|one| u32::try_from(one.replicas?).ok());
    Some(asked.sum())
}

/// What a Deployment of a bundle is called on a track; none in a bundle that is no chart's.
pub(super) fn name_on<'b>(bundle: &'b Bundle, track: Track, name: &str) -> Option<&'b str> {
    let own = bundle.helm.as_ref()?.tracks.get(&track)?;
    let place = bundle.deployments.iter().position(|one| one.name == name)?;
    Some(own.deployments.get(place)?.name.as_str())
}

/// A chart's bundle on a track.
pub(super) fn on_track(bundle: &Bundle, helm: &HelmBundle, track: Track) -> Result<Bundle, RenderFault> {
    let own = helm
        .tracks
        .get(&track)
        .ok_or_else(|| RenderFault::NotCharted(helm.release.clone()))?;
    let mut values = helm.values.clone();
    values.push(own.values.clone());
    Ok(Bundle {
        deployments: own.deployments.clone(),
        objects: own.autoscalers.clone(),
        helm: Some(HelmBundle {
            release: own.release.clone(),
            values,
            ..helm.clone()
        }),
        ..bundle.clone()
    })
}

/// The same in the size that its weight needs.
pub(super) fn on_its_track(
    bundle: &Bundle,
    traffic: &Traffic,
    track: Track,
    full: &BTreeMap<String, i32>,
    weight: u32,
) -> Result<Bundle, RenderFault> {
    let placed = super::on_track(bundle, track)?;
    let sizes: BTreeMap<String, i32> = bundle
        .deployments
        .iter()
        .zip(&placed.deployments)
        .map(|(one, own)| {
            let full = full.get(&one.name).copied();
            let full = full.or(one.replicas).unwrap_or(1);
            (own.name.clone(), size_for(full, weight))
        })
        .collect();
    let mut placed = of_size(&placed, &sizes);
    // With several Deployments nobody can say which value is whose: Sluice sizes them once helm has made them.
    if let (Some(helm), [only]) = (&mut placed.helm, placed.deployments.as_slice()) {
        let mut values = json!({});
        for path in &helm.replicas {
            nested(&mut values, path, json!(only.replicas));
        }
        helm.values.push(values.to_string());
    }
    // A router refuses a Service that is not there. Made with helm's marks, it is taken over by the release that comes there.
    let other = Some(track.other());
    if traffic.from != other && traffic.to != other {
        let helm = bundle.helm.as_ref();
        let own = helm.and_then(|helm| helm.tracks.get(&track.other()));
        placed.objects.extend(own.map(|own| own.service.clone()));
    }
    Ok(placed)
}

/// What a promotion of a chart on tracks brings. `observed` is what is there, [`super::everywhere`]; `live` is the live bundle, where
/// it runs on a track.
pub fn planned_chart(
    target: Bundle,
    spec: &EnvironmentSpec,
    tracks: &Tracks,
    observed: &Observation,
    live: Option<&Bundle>,
) -> Result<Planned, String> {
    let root = target.objects.iter().find(|object| is_service(object));
    let root = root.map(|root| name_of(root).to_owned());
    let route = match (spec.strategy.router(), root, &tracks.route) {
        (Some(router), Some(root), _) => Route {
            router: router.clone(),
            services: TrackServices { root },
        },
        (None, _, Some(route)) => route.clone(),
        _ => return Err("nothing is known that shares the traffic out".to_owned()),
    };
    if !target.is_charted() {
        return Err("what helm was asked is not known for both tracks".to_owned());
    }
    let names = target.deployments.iter().map(|one| one.name.as_str());
    let left: BTreeMap<String, i32> = names
        .filter_map(|name| Some((name.to_owned(), running(name, observed, tracks.live, live)?)))
        .collect();
    let to = tracks.idle();
    let size = |one: &WorkloadBundle| wanted_size(&target, to, one, left.get(&one.name).copied());
    let full = target.deployments.iter();
    let full = full.map(|one| (one.name.clone(), size(one))).collect();
    Ok(Planned {
        route,
        to,
        from: tracks.live,
        by_helm: true,
        full,
        left,
        target,
    })
}

/// How many pods a Deployment is to have with the whole traffic: where an autoscaler decides, as many as run now, within its
/// bounds; else as many as the chart says, also where that is fewer; where nobody says it, as many as run.
fn wanted_size(bundle: &Bundle, track: Track, one: &WorkloadBundle, now: Option<i32>) -> i32 {
    let own = bundle.helm.as_ref().and_then(|helm| helm.tracks.get(&track));
    let objects = own.map(|own| own.autoscalers.as_slice()).unwrap_or_default();
    let name = name_on(bundle, track, &one.name).unwrap_or(&one.name);
    let size = match bounds(objects, name) {
        Some((least, most)) => now
            .or(one.replicas)
            .unwrap_or(least)
            .clamp(least, most.max(least)),
        None => one.replicas.or(now).unwrap_or(1),
    };
    size.max(0)
}

/// How many pods a Deployment of this name without a track is to have now, where the traffic is; none where it has none.
fn running(name: &str, observed: &Observation, track: Option<Track>, live: Option<&Bundle>) -> Option<i32> {
    let own = match (track, live) {
        (Some(track), Some(live)) => name_on(live, track, name)?,
        _ => name,
    };
    let found = observed.deployments.iter().find(|one| one.name == own)?;
    Some(found.wanted).filter(|wanted| *wanted > 0)
}

#[cfg(test)]
#[path = "charted_tests.rs"]
mod tests;
