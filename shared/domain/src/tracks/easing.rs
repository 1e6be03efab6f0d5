//! The autoscalers of a live track go no lower than the size in which it was made ready, so that nothing takes its pods away
//! before the traffic has come. Once its rollout is over, they get back what their manifests say.

use super::Track;
use crate::environment::Environment;
use crate::ids::{Fence, Hash};
use crate::ledger::{Event, Record};

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
}
