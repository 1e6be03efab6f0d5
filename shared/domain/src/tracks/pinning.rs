//! What is left is kept at its size: an autoscaler that sees no requests would shrink it, and a rollback would land on too few
//! pods. From before the first shift until it is cooled, its autoscalers keep at least as many pods as it had.

use super::render::{autoscaled, keep_at_least};
use super::{RenderFault, Track, Traffic, charted, on_track};
use crate::bundle::{Bundle, WorkloadBundle};
use crate::environment::Environment;
use crate::workload::Observation;
use serde_json::Value;

/// Records, once, how many pods there are where the traffic is about to leave. `left` is what runs there. Only a release that
/// is brought leaves anything that is gone back to.
pub fn pin(environment: &mut Environment, left: &Bundle, observed: &Observation) {
    let Some(rollout) = environment.rollout.as_mut() else {
        return;
    };
    let promotes = rollout.promotion().is_some();
    let Some(traffic) = rollout
        .traffic
        .as_deref_mut()
        .filter(|traffic| promotes && traffic.has_other && traffic.first_shift.is_none())
    else {
        return;
    };
    let size = |one: &WorkloadBundle| {
        let name = name_at(left, traffic.from, &one.name);
        let found = observed.deployments.iter().find(|found| found.name == name)?;
        (found.wanted > 0).then(|| (one.name.clone(), found.wanted))
    };
    traffic.pinned = left.deployments.iter().filter_map(size).collect();
}

/// The autoscalers of what is left, as they keep it at its size. `left` is what runs there.
pub fn pins(left: &Bundle, traffic: &Traffic) -> Result<Vec<Value>, RenderFault> {
    let mut pins = given_back(left, traffic.from)?;
    let sizes = traffic.pinned.iter();
    let sizes = sizes
        .map(|(name, size)| (name_at(left, traffic.from, name), *size))
        .collect();
    pins.retain_mut(|object| keep_at_least(object, &sizes));
    Ok(pins)
}

/// The autoscalers of what runs in a place, with bounds of their own.
pub fn given_back(bundle: &Bundle, place: Option<Track>) -> Result<Vec<Value>, RenderFault> {
    let placed = match place {
        Some(track) => on_track(bundle, track)?,
        None => bundle.clone(),
    };
    let is_own = |object: &Value| {
        autoscaled(object).is_some_and(|target| placed.deployments.iter().any(|one| one.name == target))
    };
    Ok(placed
        .objects
        .iter()
        .filter(|object| is_own(object))
        .cloned()
        .collect())
}

fn name_at(bundle: &Bundle, place: Option<Track>, name: &str) -> String {
    let Some(track) = place else {
        return name.to_owned();
    };
    charted::name_on(bundle, track, name).map_or_else(|| track.of(name), str::to_owned)
}

#[cfg(test)]
#[path = "pinning_tests.rs"]
mod tests;
