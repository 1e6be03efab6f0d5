//! Whether what is to have traffic can take it, and whether what has traffic keeps the pods for it.

use super::is_applied;
use crate::bundle::{Bundle, WorkloadBundle};
use crate::environment::{HelmRun, Phase, Rollout};
use crate::tracks::{Track, Traffic, behind};
use crate::workload::{Leaving, Observation, ObservedDeployment, Verdict, verdict};
use std::collections::BTreeMap;

/// Whether helm has something to do before Sluice writes what a phase wants on a track: it brings the release there; what
/// follows is sized. On the way back it is asked only where what is to have the traffic again is not what is there.
pub fn awaits_helm(
    rollout: &Rollout,
    wanted: &Bundle,
    observed: &Observation,
    helm: Option<&HelmRun>,
) -> bool {
    if wanted.helm.is_none() {
        return false;
    }
    let by_helm = rollout.traffic.as_ref().is_some_and(|traffic| traffic.by_helm);
    match rollout.phase {
        Phase::Restoring => {
            let has_done = helm.is_some_and(|run| run.has_done(rollout));
            !has_done && (wanted.deployments.is_empty() || !is_there(wanted, observed))
        }
        _ => {
            let is_of_this = |run: &&HelmRun| run.execution == rollout.owner && run.revision.is_some();
            helm.filter(is_of_this).is_none() && (by_helm || !is_there(wanted, observed))
        }
    }
}

/// Whether the bundle's own images are in the Deployments that are there.
fn is_there(wanted: &Bundle, observed: &Observation) -> bool {
    wanted.deployments.iter().all(|one| {
        let found = observed.deployments.iter().find(|found| found.name == one.name);
        found.is_some_and(|found| {
            let same = |(container, image): (&String, &String)| found.images.get(container) == Some(image);
            one.images.iter().all(same)
        })
    })
}

/// Whether a rollback that has just written its pods finds all of them ready: its target is still warm. Then its weights may be
/// recorded and written by the call itself; what the execution would decide first is no other. Else, why not.
pub fn is_warm(
    rollout: &Rollout,
    wanted: &Bundle,
    observed: &Observation,
    ready: &BTreeMap<Track, u32>,
) -> Verdict {
    let begins = rollout.phase == Phase::Rolling && rollout.step.is_none() && rollout.promotion().is_none();
    let open = |reason: &str| Verdict::Inconclusive(reason.to_owned());
    let Some(traffic) = rollout.traffic.as_deref().filter(|traffic| traffic.has_other) else {
        return open("no traffic is to be moved");
    };
    if !begins {
        return open("its execution has begun");
    }
    // What helm did last was for somebody else: this rollback has not begun.
    if awaits_helm(rollout, wanted, observed, None) {
        return open("helm brings it there");
    }
    if !is_applied(wanted, observed, rollout.fence) {
        return open("the cluster does not have it as it was written");
    }
    if is_empty(wanted) {
        return open("it has no pods");
    }
    match pods(wanted, observed) {
        Verdict::Passed => {
            unreached(traffic, traffic.to, wanted, ready).map_or(Verdict::Passed, Verdict::Inconclusive)
        }
        other => other,
    }
}

/// A pod that is available is an endpoint a moment later, by a controller of its own, and only if the Service selects it.
pub(super) fn unreached(
    traffic: &Traffic,
    place: Option<Track>,
    wanted: &Bundle,
    ready: &BTreeMap<Track, u32>,
) -> Option<String> {
    let track = place?;
    let service = traffic.route.services.of(track);
    let asked = behind(wanted, &service);
    let ready = ready.get(&track).copied().unwrap_or(0);
    let reason = format!("Service {service} has {ready} ready endpoints, and {asked} pods are behind it");
    (ready < asked).then_some(reason)
}

/// Whether all pods that are wanted are available, whatever the cluster still has to say of the last write.
pub fn has_all_pods(wanted: &Bundle, observed: &Observation) -> bool {
    let found = |name: &str| observed.deployments.iter().any(|found| found.name == name);
    wanted.deployments.iter().all(|one| found(&one.name)) && missing(wanted, observed).is_none()
}

/// What has no pods by its own manifests would be ready at once, and serve nobody.
pub(super) fn is_empty(wanted: &Bundle) -> bool {
    wanted.deployments.iter().all(|one| one.replicas == Some(0))
}

/// Old pods on this track have no traffic: they may take their time. But so many as were asked for have to be there: an
/// autoscaler, or a person, may have taken some away since.
pub(super) fn pods(wanted: &Bundle, observed: &Observation) -> Verdict {
    match verdict(wanted, observed, Leaving::LeftAlone) {
        Verdict::Passed => missing(wanted, observed).map_or(Verdict::Passed, Verdict::Inconclusive),
        open => open,
    }
}

fn missing(wanted: &Bundle, observed: &Observation) -> Option<String> {
    wanted.deployments.iter().find_map(|wanted| {
        let asked = wanted.replicas?;
        let is_it = |found: &&ObservedDeployment| found.name == wanted.name;
        let found = observed.deployments.iter().find(is_it)?;
        let scaled = format!(
            "{}: {} of {asked} pods are available, and it was scaled to {}",
            found.reference(),
            found.available,
            found.wanted
        );
        (found.available < asked).then_some(scaled)
    })
}

/// Why what has traffic cannot keep it: its pods fail, or none of a Deployment's is there any more.
pub(super) fn lost(wanted: &Bundle, observed: &Observation) -> Option<String> {
    match verdict(wanted, observed, Leaving::LeftAlone) {
        Verdict::Failed(reason) => Some(reason),
        Verdict::Passed | Verdict::Inconclusive(_) => nobody_serves(wanted, observed),
    }
}

/// A track without a ready pod serves nobody, whatever its other pods are about to become.
fn nobody_serves(wanted: &Bundle, observed: &Observation) -> Option<String> {
    let serves = |wanted: &WorkloadBundle| {
        let mut found = observed.deployments.iter();
        found.any(|found| found.name == wanted.name && found.available > 0)
    };
    let has_pods = |wanted: &&WorkloadBundle| wanted.replicas.is_none_or(|replicas| replicas > 0);
    let mut all = wanted.deployments.iter().filter(has_pods);
    let dead = all.find(|wanted| !serves(wanted))?;
    Some(format!(
        "no pod of {} is available any more, and it has traffic",
        dead.name
    ))
}

/// Why a rollout that sleeps is to be woken: its release has traffic, and `wanted`, as it is to be where it has it, lost its
/// pods. None where it is awake, and where it is well.
pub fn lost_its_pods(rollout: &Rollout, wanted: &Bundle, observed: &Observation) -> Option<String> {
    let sleeps = rollout.phase == Phase::Baking && rollout.promotion().is_some();
    lost(wanted, observed).filter(|_| sleeps)
}
