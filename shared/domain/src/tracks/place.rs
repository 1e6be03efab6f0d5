//! What a phase of a rollout on tracks wants in the cluster, and where.

use super::{
    RenderFault, TRACK_LABEL, Track, Traffic, charted, given_back, on_track, pointed, pointing, schedule,
    sized,
};
use crate::bundle::Bundle;
use crate::environment::{Phase, Rollout};
use crate::ids::Fence;
use crate::pipeline::{EnvironmentSpec, Strategy};
use crate::plan::FENCE_ANNOTATION;
use crate::rollout::stage_of;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The bundle of a phase as it is to be where the phase wants it; `bundle` is as it is stored, without a place.
pub fn placed(rollout: &Rollout, spec: &EnvironmentSpec, bundle: Bundle) -> Result<Bundle, RenderFault> {
    let Some(traffic) = &rollout.traffic else {
        return Ok(bundle);
    };
    // A rollback that is stuck was on its way to where it was to bring its target.
    let goes_back = match rollout.phase {
        Phase::Restoring | Phase::Restored => true,
        Phase::Stuck => rollout.promotion().is_some(),
        _ => false,
    };
    // Without anything to go back to, what was brought is what loses its pods.
    let place = if goes_back && traffic.has_other {
        traffic.from
    } else {
        traffic.to
    };
    let weight = if goes_back {
        100
    } else {
        stage_of(rollout, traffic, spec).weight
    };
    let full = match goes_back && traffic.has_other {
        true => traffic.full_before(),
        false => traffic.full.clone(),
    };
    let Some(track) = place else {
        return Ok(original(bundle, &full));
    };
    let without_pods =
        !bundle.deployments.is_empty() && bundle.deployments.iter().all(|one| one.replicas == Some(0));
    if without_pods && bundle.is_charted() {
        // Nothing was there before: helm takes the track's release away.
        let mut gone = on_track(&bundle, track)?;
        gone.deployments.clear();
        gone.objects.clear();
        return Ok(gone);
    }
    if without_pods {
        return Ok(on_track(&bundle, track)?.scaled_to_zero());
    }
    let mut placed = on_its_track(&bundle, traffic, track, &full, weight)?;
    if matches!(spec.strategy, Strategy::BlueGreen(_)) && !goes_back {
        placed.objects.extend(preview(&bundle, traffic, track));
    }
    Ok(placed)
}

/// What the first write of a rollout that is about to begin brings to its track.
pub fn brought(traffic: &Traffic, spec: &EnvironmentSpec, bundle: &Bundle) -> Result<Bundle, RenderFault> {
    let Some(track) = traffic.to else {
        return Ok(original(bundle.clone(), &traffic.full));
    };
    let stages = schedule(&spec.strategy, traffic.has_other);
    let weight = stages.first().map_or(100, |stage| stage.weight);
    let mut placed = on_its_track(bundle, traffic, track, &traffic.full, weight)?;
    if matches!(spec.strategy, Strategy::BlueGreen(_)) {
        placed.objects.extend(preview(bundle, traffic, track));
    }
    Ok(placed)
}

/// A bundle on a track, in the size that its weight needs.
fn on_its_track(
    bundle: &Bundle,
    traffic: &Traffic,
    track: Track,
    full: &BTreeMap<String, i32>,
    weight: u32,
) -> Result<Bundle, RenderFault> {
    if bundle.is_charted() {
        return charted::on_its_track(bundle, traffic, track, full, weight);
    }
    let mut placed = sized(&on_track(bundle, track)?, track, full, weight);
    // A router names the Services of both tracks always, and refuses one that is not there. One that is there is another
    // release's, and may have traffic: its ports stay its own.
    let other = Some(track.other());
    if traffic.from != other && traffic.to != other {
        let others = on_track(bundle, track.other())?.objects;
        placed.objects.extend(others.into_iter().filter(is_track_service));
    }
    Ok(placed)
}

fn is_track_service(object: &Value) -> bool {
    object.get("kind").is_some_and(|kind| kind == "Service")
        && object
            .pointer("/spec/selector")
            .is_some_and(|selector| selector.get(TRACK_LABEL).is_some())
}

/// What was there before there were tracks, without the Services: these are pointed when the traffic moves.
fn original(mut bundle: Bundle, full: &BTreeMap<String, i32>) -> Bundle {
    let services: Vec<Value> = pointed(&bundle).into_iter().cloned().collect();
    bundle.objects.retain(|object| !services.contains(object));
    for deployment in &mut bundle.deployments {
        if let (Some(_), Some(full)) = (deployment.replicas, full.get(&deployment.name)) {
            deployment.replicas = Some(*full);
        }
    }
    bundle
}

/// A place without pods: what it is brought to when it is no longer kept warm. Its autoscalers have their own bounds again.
pub fn cold(bundle: &Bundle, place: Option<Track>) -> Result<Bundle, RenderFault> {
    let mut cold = match place {
        Some(track) => on_track(bundle, track)?,
        None => bundle.clone(),
    }
    .scaled_to_zero();
    // The rest stays: it costs nothing, and the next release finds it.
    cold.objects = given_back(bundle, place)?;
    cold.config_maps.clear();
    // Also helm's release stays: it is what the pods are brought up of again.
    cold.helm = None;
    Ok(cold)
}

/// How many pods of a placed bundle a Service of it selects, as they are asked for: one at least, as whoever gets traffic
/// needs one.
pub fn behind(placed: &Bundle, service: &str) -> u32 {
    if let Some(asked) = charted::behind(placed, service) {
        return asked.max(1);
    }
    let is_it = |object: &&Value| {
        object.get("kind").is_some_and(|kind| kind == "Service")
            && object
                .pointer("/metadata/name")
                .is_some_and(|name| name == service)
    };
    let selector = placed
        .objects
        .iter()
        .find(is_it)
        .and_then(|found| found.pointer("/spec/selector")?.as_object());
    let selected = placed.deployments.iter().filter(|one| {
        let labels = one.manifest.pointer("/spec/template/metadata/labels");
        selector.is_some_and(|selector| {
            selector
                .iter()
                .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
        })
    });
    let asked = selected.filter_map(|one| u32::try_from(one.replicas?).ok());
    asked.sum::<u32>().max(1)
}

/// The Service by which people and checks reach the release before it has any traffic.
fn preview(bundle: &Bundle, traffic: &Traffic, track: Track) -> Option<Value> {
    if let Some(service) = charted::preview(bundle, track, &traffic.route.services.preview()) {
        return Some(service);
    }
    let of_track = track.of(&traffic.route.services.root);
    let rendered = on_track(bundle, track).ok()?;
    let mut service = rendered.objects.into_iter().find(|object| {
        object.get("kind").is_some_and(|kind| kind == "Service")
            && object
                .pointer("/metadata/name")
                .is_some_and(|name| *name == of_track)
    })?;
    *service.pointer_mut("/metadata/name")? = json!(traffic.route.services.preview());
    Some(service)
}

/// The lowest and the highest fence on Services, as they are in the cluster; a missing or malformed one counts as 0.
pub fn fences_on(in_cluster: &[Value]) -> (Fence, Fence) {
    let fences = in_cluster.iter().map(|service| {
        let annotations = service.pointer("/metadata/annotations");
        let found = annotations.and_then(|all| all.get(FENCE_ANNOTATION));
        Fence::from_annotation(found.and_then(Value::as_str))
    });
    let (lowest, highest) = (fences.clone().min(), fences.max());
    (lowest.unwrap_or_default(), highest.unwrap_or_default())
}

/// Which place every one of these Services selects, as they are in the cluster: a track, or (the inner none) what was
/// there before there were tracks. None where one is missing, selects anything else, or where they do not agree.
pub fn pointed_at(bundle: &Bundle, in_cluster: &[Value]) -> Option<Option<Track>> {
    let mut places = pointed(bundle).into_iter().map(|service| {
        let name = service.pointer("/metadata/name")?;
        let found = in_cluster
            .iter()
            .find(|found| found.pointer("/metadata/name") == Some(name))?;
        let selector = found.pointer("/spec/selector");
        let selects = |place: &Option<Track>| match place {
            Some(track) => pointing(service, bundle, *track).pointer("/spec/selector") == selector,
            None => service.pointer("/spec/selector") == selector,
        };
        [None, Some(Track::Blue), Some(Track::Green)]
            .into_iter()
            .find(selects)
    });
    let first = places.next()??;
    places.all(|place| place == Some(first)).then_some(first)
}
