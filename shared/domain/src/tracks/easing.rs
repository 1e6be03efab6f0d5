//! The autoscalers of a live track go no lower than the size in which it was made ready, so that nothing takes its pods away
//! before the traffic has come. Once its rollout is over, they get back what their manifests say.

use super::{Track, on_track, sized};
use crate::bundle::{Bundle, WorkloadBundle};
use crate::environment::Environment;
use crate::ids::{Fence, Hash};
use crate::ledger::{Event, Record};
use serde_json::Value;
use std::collections::BTreeMap;

/// A live track whose autoscalers are to be eased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Easing {
    /// The track.
    pub track: Track,
    /// What runs on it.
    pub bundle: Hash,
    /// The fence under which they are written, where that is recorded already.
    pub fence: Option<Fence>,
}

/// The live track, where its autoscalers are to be eased and nobody changes the environment.
pub fn to_ease(environment: &Environment) -> Option<Easing> {
    let tracks = environment
        .tracks
        .as_ref()
        .filter(|tracks| tracks.at_full && environment.lease.is_none())?;
    Some(Easing {
        track: tracks.live?,
        bundle: environment.live.as_ref()?.bundle.clone(),
        fence: tracks.easing,
    })
}

/// The autoscalers as their manifests say; none where the workload has none.
pub fn eased(bundle: &Bundle, track: Track) -> Vec<Value> {
    let Ok(mut rendered) = on_track(bundle, track) else {
        return Vec::new();
    };
    rendered
        .objects
        .retain(|object| sizes(object, &rendered.deployments));
    rendered.objects
}

/// The autoscalers of a track that go no lower than this size: what loses traffic, and may get it back at any time, keeps
/// its pods. `full` is by the Deployment's name without the track.
pub fn held_up(bundle: &Bundle, track: Track, full: &BTreeMap<String, i32>) -> Vec<Value> {
    let Ok(rendered) = on_track(bundle, track) else {
        return Vec::new();
    };
    let mut rendered = sized(&rendered, track, full, 100);
    rendered
        .objects
        .retain(|object| sizes(object, &rendered.deployments));
    rendered.objects
}

/// Whether an object is an autoscaler of one of these.
fn sizes(object: &Value, deployments: &[WorkloadBundle]) -> bool {
    let target = object
        .pointer("/spec/scaleTargetRef/name")
        .and_then(Value::as_str);
    object
        .get("kind")
        .is_some_and(|kind| kind == "HorizontalPodAutoscaler")
        && deployments.iter().any(|one| Some(one.name.as_str()) == target)
}

/// Records the fence under which they are eased, before they are. None where that is recorded already, or where somebody else
/// has the environment.
pub fn begin(environment: &mut Environment, easing: &Easing, highest_fence: Fence) -> Option<Record> {
    if to_ease(environment).is_none_or(|found| found != *easing || found.fence.is_some()) {
        return None;
    }
    let fence = environment.fence.next(highest_fence);
    environment.tracks.as_mut()?.easing = Some(fence);
    environment.fence = fence;
    Some(Record {
        event: Event::TrackEased,
        by: "sluice".into(),
        release: environment.live.as_ref().and_then(|live| live.release),
        digest: None,
        execution: None,
        fence: Some(fence),
        reason: Some(format!(
            "the autoscalers of {} go as low as their manifests say again",
            easing.track
        )),
    })
}

/// Records that they are eased. False where a rollout has the environment by now.
pub fn end(environment: &mut Environment, easing: &Easing) -> bool {
    let same = |found: Easing| (found.track, found.bundle) == (easing.track, easing.bundle.clone());
    if !to_ease(environment).is_some_and(same) {
        return false;
    }
    if let Some(tracks) = environment.tracks.as_mut() {
        tracks.at_full = false;
        tracks.easing = None;
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::environment::Phase;
    use crate::rollout::track_world::{World, canary};
    use crate::tracks::render_samples;

    fn live() -> Environment {
        let mut world = World::new(canary(&[])).come_to(Phase::Baking, 2);
        world.now += 300;
        world.settle();
        world.complete();
        world.environment
    }

    #[test]
    fn a_live_track_is_eased_once_its_rollout_is_over() {
        let mut environment = live();
        let easing = to_ease(&environment).unwrap();
        assert_eq!((easing.track, easing.fence), (Track::Green, None));
        let before = environment.fence;
        let record = begin(&mut environment, &easing, Fence(0)).unwrap();
        assert_eq!(record.fence, Some(environment.fence));
        assert!(environment.fence > before);
        // Killed before it was written: it is found again, with the fence that is recorded.
        let again = to_ease(&environment).unwrap();
        assert_eq!(again.fence, Some(environment.fence));
        assert_eq!(begin(&mut environment, &again, Fence(0)), None);
        assert!(end(&mut environment, &again));
        assert_eq!(to_ease(&environment), None);
        assert!(!end(&mut environment, &again));
    }

    #[test]
    fn whoever_changes_the_environment_is_not_disturbed() {
        let mut environment = live();
        let easing = to_ease(&environment).unwrap();
        let lease = World::new(canary(&[])).environment.lease;
        environment.lease.clone_from(&lease);
        assert!(lease.is_some() && to_ease(&environment).is_none());
        assert_eq!(begin(&mut environment, &easing, Fence(0)), None);
        assert!(!end(&mut environment, &easing));
    }

    #[test]
    fn only_autoscalers_of_the_workload_are_written_as_they_were_packaged() {
        let bundle = render_samples::bundle();
        let found = eased(&bundle, Track::Green);
        let packaged = bundle
            .objects
            .iter()
            .find(|one| one["kind"] == "HorizontalPodAutoscaler")
            .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["metadata"]["name"], "mc-api-green");
        assert_eq!(found[0]["spec"]["minReplicas"], packaged["spec"]["minReplicas"]);
        assert_eq!(found[0]["spec"]["maxReplicas"], packaged["spec"]["maxReplicas"]);
        let held = held_up(&bundle, Track::Green, &BTreeMap::from([("mc-api".to_owned(), 5)]));
        assert_eq!(
            (held.len(), &held[0]["metadata"]["name"]),
            (1, &found[0]["metadata"]["name"])
        );
        assert_eq!(held[0]["spec"]["minReplicas"], 5);
    }
}
