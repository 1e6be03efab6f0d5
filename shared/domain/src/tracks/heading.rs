//! Where the traffic of a rollout is to be: with its release, or back where it was.

use super::{Track, Weights};
use crate::environment::{Phase, Rollout};

/// Where the traffic of a rollout on tracks is to be in its present phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heading {
    /// The place that the Services are pointed at; none is what was there before there were tracks.
    pub place: Option<Track>,
    /// The weights that the router is given; none while none were decided.
    pub weights: Option<Weights>,
}

impl Rollout {
    /// Where its traffic is to be in its present phase; none of a rollout without tracks.
    pub fn heading(&self) -> Option<Heading> {
        let traffic = self.traffic.as_deref()?;
        Some(if self.phase == Phase::Restoring {
            Heading {
                place: traffic.from,
                weights: Some(traffic.weights_before()),
            }
        } else {
            Heading {
                place: traffic.to,
                weights: traffic.weights,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rollout::track_world::{World, canary};

    #[test]
    fn the_traffic_goes_to_the_release_until_it_goes_back() {
        let world = World::new(canary(&[])).come_to(Phase::Baking, 1);
        let mut rollout = world.environment.rollout.unwrap();
        let traffic = rollout.traffic.clone().unwrap();
        let forward = Heading {
            place: traffic.to,
            weights: traffic.weights,
        };
        let back = Heading {
            place: traffic.from,
            weights: Some(traffic.weights_before()),
        };
        assert_ne!((forward.place, forward.weights), (back.place, back.weights));
        assert_eq!(rollout.heading(), Some(forward));
        rollout.phase = Phase::Restoring;
        assert_eq!(rollout.heading(), Some(back));
        rollout.traffic = None;
        assert_eq!(rollout.heading(), None);
    }
}
