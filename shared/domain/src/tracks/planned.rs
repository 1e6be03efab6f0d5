//! Which bundle a release is on a track, and how the traffic would come to it. Pure: what is there is passed in.

use super::{Route, Track, Tracks, Traffic, on_track, services_of};
use crate::bundle::{Bundle, WorkloadBundle};
use crate::pipeline::{EnvironmentPackage, EnvironmentSpec};
use crate::plan::{ConfigData, plan_bundle, plan_on_bundle};
use crate::release::Release;
use crate::workload::Observation;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a promotion on tracks is planned from.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// What is promoted.
    pub release: &'a Release,
    /// What was packaged with the pipeline.
    pub package: &'a EnvironmentPackage,
    /// What the pipeline says of the environment.
    pub spec: &'a EnvironmentSpec,
    /// What is recorded of its tracks.
    pub tracks: &'a Tracks,
    /// The Deployments that are there.
    pub observed: &'a Observation,
    /// The content of the ConfigMaps that templates name.
    pub config: &'a BTreeMap<String, Option<ConfigData>>,
    /// The live release's bundle, where it runs on a track.
    pub live: Option<&'a Bundle>,
    /// The Service that an adopted workload is known by, as it is in the cluster.
    pub named: &'a [Value],
}

/// What would come, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The release's bundle, in its original names.
    pub target: Bundle,
    /// How the traffic comes to it.
    pub route: Route,
    /// The track that it comes to.
    pub to: Track,
    /// Where the traffic is now; none is what was there before there were tracks.
    pub from: Option<Track>,
    /// Whether helm brings the release there.
    pub by_helm: bool,
    /// How many pods are all of them, by Deployment.
    pub full: BTreeMap<String, i32>,
    /// How many there are now where the traffic is, by Deployment.
    pub left: BTreeMap<String, i32>,
}

impl Planned {
    /// The release's bundle, and how the traffic is to move to it. `has_other`: whether anything has traffic that could get it
    /// back.
    pub fn traffic(self, has_other: bool) -> (Bundle, Traffic) {
        let traffic = Traffic {
            has_other,
            by_helm: self.by_helm,
            left: self.left,
            ..Traffic::new(self.route, Some(self.to), self.from, self.full)
        };
        (self.target, traffic)
    }
}

/// What a promotion on tracks would bring. The error says why it cannot be, in a sentence.
pub fn planned(ground: &Ground<'_>) -> Result<Planned, String> {
    let Ground {
        release,
        package,
        spec,
        tracks,
        observed,
        ..
    } = *ground;
    let adopted = package.manifests.is_empty();
    let target = match ground.live {
        Some(before) if adopted => plan_on_bundle(release, package, before),
        _ => plan_bundle(release, package, observed, ground.config),
    };
    let mut target = target.map_err(|faults| faults.to_string())?;
    if adopted && target.objects.is_empty() {
        target.objects = ground.named.to_vec();
    }
    let route = match (spec.strategy.router(), &tracks.route) {
        (Some(router), _) => Route {
            router: router.clone(),
            services: services_of(&target, spec.strategy.service()).map_err(|fault| fault.to_string())?,
        },
        (None, Some(route)) => route.clone(),
        (None, None) => return Err("nothing is known that shares the traffic out".to_owned()),
    };
    let to = tracks.idle();
    // Both, as the next release comes to the other one.
    for track in [to, to.other()] {
        on_track(&target, track).map_err(|fault| fault.to_string())?;
    }
    let left = running(observed, tracks.live, &target);
    let full = wanted_size(&target, package, &left);
    Ok(Planned {
        target,
        route,
        to,
        from: tracks.live,
        by_helm: false,
        full,
        left,
    })
}

/// How many pods each Deployment is to have with the whole traffic. What the package says counts, also where it says fewer
/// than run now. Where an autoscaler decides, it is what runs now, within its bounds; where nobody says it, what runs now.
fn wanted_size(
    target: &Bundle,
    package: &EnvironmentPackage,
    running: &BTreeMap<String, i32>,
) -> BTreeMap<String, i32> {
    let size = |one: &WorkloadBundle| {
        let now = running.get(&one.name).copied().filter(|now| *now > 0);
        let size = match (one.replicas, bounds(&target.objects, &one.name)) {
            (None, Some((least, most))) => now.unwrap_or(least).clamp(least, most.max(least)),
            (Some(replicas), _) if says_replicas(package, &one.name) => replicas,
            (replicas, _) => now.or(replicas).unwrap_or(1),
        };
        size.max(0)
    };
    let all = target.deployments.iter();
    all.map(|one| (one.name.clone(), size(one))).collect()
}

/// The least and the most pods that an autoscaler among these objects gives a Deployment (Kubernetes: `minReplicas` is 1 where it is
/// not said).
pub(super) fn bounds(objects: &[Value], deployment: &str) -> Option<(i32, i32)> {
    let sizes = |object: &&Value| {
        object
            .get("kind")
            .is_some_and(|kind| kind == "HorizontalPodAutoscaler")
            && object
                .pointer("/spec/scaleTargetRef/name")
                .and_then(Value::as_str)
                == Some(deployment)
    };
    let found = objects.iter().find(sizes)?;
    let number = |pointer: &str| {
        let said = found.pointer(pointer).and_then(Value::as_i64);
        said.and_then(|said| i32::try_from(said).ok())
    };
    let least = number("/spec/minReplicas").unwrap_or(1);
    Some((least, number("/spec/maxReplicas").unwrap_or(i32::MAX)))
}

/// Whether the packaged manifest of a Deployment says its replicas: where it does not, a bundle's are a guess.
fn says_replicas(package: &EnvironmentPackage, deployment: &str) -> bool {
    package.manifests.iter().any(|manifest| {
        manifest.get("kind").is_some_and(|kind| kind == "Deployment")
            && manifest.pointer("/metadata/name").and_then(Value::as_str) == Some(deployment)
            && manifest.pointer("/spec/replicas").is_some_and(Value::is_i64)
    })
}

/// How many pods there are now where the traffic is, by the Deployment's name without a track.
fn running(observed: &Observation, live: Option<Track>, target: &Bundle) -> BTreeMap<String, i32> {
    let name = |name: &str| match live {
        Some(track) => name.strip_suffix(&format!("-{track}")).map(str::to_owned),
        None => Some(name.to_owned()),
    };
    let found = observed.deployments.iter();
    found
        .filter_map(|one| Some((name(&one.name)?, one.wanted)))
        .filter(|(name, wanted)| *wanted > 0 && target.deployments.iter().any(|one| one.name == *name))
        .collect()
}

#[cfg(test)]
#[path = "planned_tests.rs"]
mod tests;
