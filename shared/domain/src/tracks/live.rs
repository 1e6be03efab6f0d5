//! What of an environment is on a track.

use super::Track;
use crate::environment::{Environment, Live};
use crate::pipeline::EnvironmentSpec;

impl Environment {
    /// The track that has the traffic; none while what was there before there were tracks has it.
    pub fn live_track(&self) -> Option<Track> {
        self.tracks.as_ref()?.live
    }

    /// What is live, where it runs on a track.
    pub fn live_on_track(&self) -> Option<&Live> {
        self.live.as_ref().filter(|_| self.live_track().is_some())
    }

    /// Whether releases come to a track here: so the pipeline says, or so it was until now.
    pub fn comes_to_a_track(&self, spec: &EnvironmentSpec) -> bool {
        spec.strategy.has_tracks() || self.live_track().is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::rollout::track_world::{World, canary};
    use crate::tracks::Track;

    #[test]
    fn what_is_live_is_on_a_track_once_one_is_live() {
        let mut environment = World::new(canary(&[])).environment;
        assert_eq!(environment.live_track(), Some(Track::Blue));
        assert!(environment.live.is_some());
        assert_eq!(environment.live_on_track(), environment.live.as_ref());
        environment.tracks.as_mut().unwrap().live = None;
        assert_eq!(
            (environment.live_track(), environment.live_on_track()),
            (None, None)
        );
    }
}
