//! How long things were seen to take in an environment, when a release was last verified there: what a rollback is reckoned
//! with, rather than with what probes allow.

use crate::environment::{Environment, Rollout};
use crate::pipeline::Seconds;
use crate::tracks::Track;
use crate::workload::{Observation, ObservedDeployment, ObservedPod};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long things were seen to take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How long pods took until they were ready, by their workload's name without a track.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ready: BTreeMap<String, PodsSeen>,
    /// How long the router took from the decision of weights until it was seen to serve them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Seconds>,
}

/// How long the pods of a workload were seen to take from their creation until they were ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodsSeen {
    /// Three of four took no longer: what one that waited for a new node, or for its image, does not stand for.
    pub usual: Seconds,
    /// The slowest one.
    pub slowest: Seconds,
    /// How many pods the workload was to have.
    pub replicas: u32,
}

impl Seen {
    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Keeps what is seen of a rollout whose pods are all ready. Of a workload without a pod that came with it (its old ones were
/// kept), what was seen before stays.
pub fn note(environment: &mut Environment, observed: &Observation, now: Timestamp) {
    let Some(rollout) = environment.under_way() else {
        return;
    };
    let ready = ready(rollout, observed);
    let accepted = accepted(rollout, now);
    environment.seen.ready.extend(ready);
    environment.seen.accepted = accepted.or(environment.seen.accepted);
}

/// Of each workload where the release comes to: how long its new pods took.
fn ready(rollout: &Rollout, observed: &Observation) -> BTreeMap<String, PodsSeen> {
    let place = rollout.traffic.as_ref().map(|traffic| traffic.to);
    let found = observed.deployments.iter();
    found
        .filter_map(|one| {
            let name = name_in(&one.name, place.flatten())?;
            Some((name, pods(one, rollout.started_at)?))
        })
        .collect()
}

/// A workload's name without the track; none where it is on another one.
fn name_in(name: &str, track: Option<Track>) -> Option<String> {
    match track {
        Some(track) => name.strip_suffix(&format!("-{track}")).map(str::to_owned),
        None => Some(name.to_owned()),
    }
}

/// How long a workload's pods took that were created since; none where there is none.
fn pods(found: &ObservedDeployment, since: Timestamp) -> Option<PodsSeen> {
    let serving = |pod: &&ObservedPod| pod.current && pod.ready && !pod.terminating && !pod.ended;
    let times = found.pods.iter().filter(serving);
    let mut times: Vec<u64> = times.filter_map(|pod| took(pod, since)).collect();
    times.sort_unstable();
    let last = times.len().checked_sub(1)?;
    // Of one to three, the slowest; of four, the third.
    let most = times.len().saturating_mul(3).div_ceil(4).saturating_sub(1);
    Some(PodsSeen {
        usual: Seconds(*times.get(most)?),
        slowest: Seconds(*times.get(last)?),
        replicas: u32::try_from(found.wanted).unwrap_or(0),
    })
}

/// Both times are whole seconds, rounded down (Kubernetes, `metav1.Time`): it may have taken up to one more.
fn took(pod: &ObservedPod, since: Timestamp) -> Option<u64> {
    let (created, ready) = (pod.created_at?, pod.ready_at?);
    if created.as_second() < since.as_second() {
        return None;
    }
    let seconds = ready.as_second().checked_sub(created.as_second())?;
    u64::try_from(seconds).ok()?.checked_add(1)
}

/// How long the last weights took from their decision: to the bake that follows, or to the end.
fn accepted(rollout: &Rollout, now: Timestamp) -> Option<Seconds> {
    let traffic = rollout.traffic.as_ref().filter(|traffic| traffic.has_other)?;
    let took = traffic
        .shifted_at
        .unwrap_or(now)
        .duration_since(traffic.decided_at?)
        .as_secs();
    Some(Seconds(u64::try_from(took).ok()?.max(1)))
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
