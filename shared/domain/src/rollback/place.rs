//! Where a target comes back in an environment with tracks.

use super::Target;
use crate::bundle::{Baseline, Bundle};
use crate::environment::{Environment, Rollout, RolloutKind};
use crate::ids::Hash;
use crate::tracks::{Held, Track, Tracks, Traffic, full_size};
use std::collections::BTreeMap;

/// Where a target comes back in an environment with tracks; none where there are none. `bundle` is the target's.
///
/// Where it still runs, one change of weights brings it back: the side of a rollout that is under way that the traffic comes
/// from, or a track that is kept warm. Else it comes to the track without traffic. The error is why it cannot come at once.
pub fn place(environment: &Environment, target: &Target, bundle: &Bundle) -> Result<Option<Traffic>, String> {
    let placed = place_of(environment, target, bundle)?;
    let Some(tracks) = environment.tracks.as_ref().filter(|tracks| tracks.by_helm) else {
        return Ok(placed);
    };
    match placed {
        Some(traffic) if traffic.to.is_some() && !bundle.is_charted() => Err(format!(
            "{} ran before {} had tracks, and helm was not asked what it is on one: promote it, or another release, instead",
            target
                .release
                .map_or_else(|| "it".to_owned(), |release| release.to_string()),
            environment.name
        )),
        Some(traffic) => Ok(Some(Traffic {
            by_helm: !still_there(tracks, traffic.to, &target.bundle),
            ..traffic
        })),
        None => Ok(None),
    }
}

/// Whether the release of a place is the bundle's, with pods or without: then it is only sized.
fn still_there(tracks: &Tracks, to: Option<Track>, bundle: &Hash) -> bool {
    to.is_none_or(|track| tracks.held.get(&track).is_some_and(|held| held.bundle == *bundle))
}

fn place_of(environment: &Environment, target: &Target, bundle: &Bundle) -> Result<Option<Traffic>, String> {
    let under_way = environment
        .under_way()
        .and_then(|rollout| Some((rollout, rollout.traffic.as_deref()?)));
    let Some(tracks) = &environment.tracks else {
        return Ok(None);
    };
    let Some((rollout, traffic)) = under_way else {
        // The last rollout may have ended before it came to a track: only what is recorded of the tracks is sure.
        let (Some(live), Some(route)) = (tracks.live, &tracks.route) else {
            return Ok(None);
        };
        let is_live = environment
            .live
            .as_ref()
            .is_some_and(|one| one.bundle == target.bundle);
        let (to, from) = if is_live {
            (Some(live), live.other())
        } else {
            let elsewhere = if is_cold_original(tracks, &target.bundle) {
                None
            } else {
                Some(live.other())
            };
            (tracks.warm(&target.bundle).unwrap_or(elsewhere), live)
        };
        let full = kept_size(tracks, to, bundle, &target.bundle);
        return Ok(Some(Traffic {
            left: tracks.full.clone(),
            ..Traffic::new(route.clone(), to, Some(from), full)
        }));
    };
    let afresh = |to, from| Traffic {
        // What has traffic is not forgotten: another rollback may come before this one has moved any.
        weights: traffic.weights,
        ..Traffic::new(traffic.route.clone(), to, from, full_size(bundle, &traffic.full))
    };
    if target.without_pods || !traffic.has_other {
        let stays = Traffic {
            has_other: false,
            ..afresh(traffic.to, traffic.from)
        };
        return Ok(Some(stays));
    }
    if was_there(environment, tracks, rollout, traffic, &target.bundle) {
        return Ok(Some(Traffic {
            full: as_it_was(bundle, traffic),
            left: traffic.full.clone(),
            ..afresh(traffic.from, traffic.to)
        }));
    }
    match traffic.weights {
        _ if rollout.target.as_ref() == Some(&target.bundle) => Ok(Some(afresh(traffic.to, traffic.from))),
        // All of it is still where it was.
        None => Ok(Some(afresh(traffic.to, traffic.from))),
        Some(weights) => Err(format!(
            "both tracks of {} may have traffic ({weights}), so that another release has no track to come to: bring back \
             what was live first",
            environment.name
        )),
    }
}

/// Whether a bundle is what was there before helm had tracks, without pods by now: a chart's tracks have no place for it, and
/// its own is left.
fn is_cold_original(tracks: &Tracks, bundle: &Hash) -> bool {
    let is_it = |held: &Held| held.bundle == *bundle;
    tracks.by_helm && tracks.original.as_ref().is_some_and(is_it)
}

/// How many pods the side that the traffic comes from has: as many as it had when the rollout began.
fn as_it_was(bundle: &Bundle, traffic: &Traffic) -> BTreeMap<String, i32> {
    let mut full = full_size(bundle, &traffic.full);
    full.extend(traffic.left.clone());
    full
}

/// How many pods what comes back has with the whole traffic: what is kept warm comes back as it is kept, at once.
fn kept_size(tracks: &Tracks, to: Option<Track>, bundle: &Bundle, hash: &Hash) -> BTreeMap<String, i32> {
    let held = match to {
        Some(track) => tracks.held.get(&track),
        None => tracks.original.as_ref(),
    };
    let is_warm = |held: &&Held| held.bundle == *hash && held.cooling.is_none() && !held.pinned.is_empty();
    match held.filter(is_warm) {
        Some(held) => held.pinned.clone(),
        None => full_size(bundle, &tracks.full),
    }
}

/// Whether a bundle is what the traffic of a rollout under way comes from.
fn was_there(
    environment: &Environment,
    tracks: &Tracks,
    rollout: &Rollout,
    traffic: &Traffic,
    bundle: &Hash,
) -> bool {
    let live = environment.live.as_ref().map(|live| &live.bundle);
    match (&rollout.kind, &rollout.baseline) {
        (RolloutKind::Promotion { .. }, Some(Baseline::Bundle { hash })) => hash == bundle,
        (RolloutKind::Promotion { .. }, _) => live == Some(bundle),
        (RolloutKind::Rollback { .. }, _) => live == Some(bundle) && tracks.live == traffic.from,
    }
}

/// What ran before there were tracks is brought back as it was found when the first release came to one, with the Services
/// that are pointed back at it, and not as it was recorded when it completed: only so it is where it still runs.
pub(super) fn as_found(environment: &Environment, target: Target) -> Target {
    let live = environment.live.as_ref();
    let first = environment.under_way().and_then(|rollout| {
        let traffic = rollout.traffic.as_deref()?;
        let is_live = live.is_some_and(|live| live.bundle == target.bundle);
        match &rollout.baseline {
            Some(Baseline::Bundle { hash }) if traffic.from.is_none() && is_live => Some(hash),
            _ => None,
        }
    });
    let kept = || {
        let tracks = environment
            .tracks
            .as_ref()
            .filter(|tracks| tracks.live.is_some())?;
        let original = tracks.original.as_ref()?;
        let is_it = (tracks.by_helm || original.cooling.is_none()) && original.release.is_some();
        (is_it && original.release == target.release).then_some(&original.bundle)
    };
    match first.or_else(kept).cloned() {
        Some(bundle) => Target { bundle, ..target },
        None => target,
    }
}

/// What the rollout that ends here has brought to a track stays there, until it is cooled or written over. `to` is written
/// over now, unless the target still is there.
pub(super) fn keep_places(environment: &mut Environment, target: &Target, traffic: Option<&Traffic>) {
    let left = environment.under_way().and_then(|rollout| {
        let place = rollout.traffic.as_ref()?.to?;
        let held = Held::new(rollout.target.clone()?, rollout.release);
        Some((place, held))
    });
    let Some(tracks) = environment.tracks.as_mut() else {
        return;
    };
    tracks.held.extend(left);
    if let Some(traffic) = traffic {
        tracks.full.clone_from(&traffic.full);
        let to = traffic.to;
        tracks
            .held
            .retain(|track, held| Some(*track) != to || held.bundle == target.bundle);
    }
}
