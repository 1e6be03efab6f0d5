//! The end of a warm track: it gives its pods back. Whoever begins a rollout meanwhile is not disturbed: the fence of the
//! cooling is older then, and the cluster refuses it.

use super::{Held, Track};
use crate::environment::Environment;
use crate::ids::{Fence, Hash};
use crate::ledger::{Event, Record};
use jiff::Timestamp;

/// A place without traffic that is to give its pods back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooling {
    /// The place; none is what was there before there were tracks.
    pub place: Option<Track>,
    /// What it holds.
    pub bundle: Hash,
    /// The fence under which its pods go, where that is recorded already.
    pub fence: Option<Fence>,
}

/// The next place that is to give its pods back: nobody changes the environment, nothing there is watched any more. Where no
/// track is live, what came to one has failed there, and what was there before has the traffic.
pub fn to_cool(environment: &Environment) -> Option<Cooling> {
    let is_at_rest = environment.lease.is_none() && environment.watch.is_none();
    let tracks = environment.tracks.as_ref().filter(|_| is_at_rest)?;
    let live = tracks.live;
    let original = live.and(tracks.original.as_ref()).map(|held| (None, held));
    let idle = tracks
        .held
        .iter()
        .filter(|(track, _)| Some(**track) != live)
        .map(|(track, held)| (Some(*track), held));
    let (place, held) = original
        .into_iter()
        .chain(idle)
        .find(|(_, held)| held.cooled_at.is_none())?;
    Some(Cooling {
        place,
        bundle: held.bundle.clone(),
        fence: held.cooling,
    })
}

/// Records that a place gives its pods back, before it does. None where that is recorded already.
pub fn begin(environment: &mut Environment, cooling: &Cooling, highest_fence: Fence) -> Option<Record> {
    let fence = environment.fence.next(highest_fence);
    let held = held(environment, cooling)?;
    if held.cooling.is_some() {
        return None;
    }
    held.cooling = Some(fence);
    let release = held.release;
    environment.fence = fence;
    let place = cooling
        .place
        .map_or("what was there before there were tracks", Track::as_str);
    Some(Record {
        event: Event::TrackCooled,
        by: "sluice".into(),
        release,
        digest: None,
        execution: None,
        fence: Some(fence),
        reason: Some(format!("{place} has no traffic and is no longer kept warm")),
    })
}

/// Records that the pods of a place are gone, or going. False where somebody else has the place now.
pub fn end(environment: &mut Environment, cooling: &Cooling, now: Timestamp) -> bool {
    let Some(held) = held(environment, cooling) else {
        return false;
    };
    held.cooled_at = Some(now);
    true
}

fn held<'e>(environment: &'e mut Environment, cooling: &Cooling) -> Option<&'e mut Held> {
    if environment.lease.is_some() {
        return None;
    }
    let tracks = environment.tracks.as_mut()?;
    let held = match cooling.place {
        Some(track) if tracks.live == Some(track) => None,
        Some(track) => tracks.held.get_mut(&track),
        None => tracks.live.and(tracks.original.as_mut()),
    }?;
    (held.bundle == cooling.bundle && held.cooled_at.is_none()).then_some(held)
}

#[cfg(test)]
#[path = "cooling_tests.rs"]
mod tests;
