//! Where the traffic of an environment is, as `status` shows it: tracks, the rollout's step, the watch, the alarms.

use crate::alarm::{AlarmState, Noted};
use crate::environment::{Environment, Phase, Rollout};
use crate::ids::ReleaseNumber;
use crate::pipeline::EnvironmentSpec;
use crate::rollout::stage_of;
use crate::tracks::{Held, Hurry, Pause, Track, Traffic, Weights, schedule, size_for};
use crate::watch::Watch;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A place where a release can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackStatus {
    /// Which; none is what was there before there were tracks.
    pub track: Option<Track>,
    /// What it holds; none for a workload that was there before Sluice.
    pub release: Option<ReleaseNumber>,
    /// What it is for now.
    pub state: TrackState,
    /// Its part of the traffic as it was last decided, in percent.
    pub weight: u32,
    /// How many pods it was last given, at least, of all its Deployments together; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<u32>,
    /// Until when it keeps its pods at least, so that a rollback is one change of weights; none where nothing says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_until: Option<Timestamp>,
}

/// What a track is for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackState {
    /// What runs here, as last verified.
    Live,
    /// A rollout brings something to it.
    Coming,
    /// What a rollout brought to it is taken back.
    Leaving,
    /// It has no traffic, and its pods are kept.
    Warm,
    /// It gives its pods back.
    Cooling,
    /// It has no pods.
    Cold,
}

/// How far the traffic of a rollout on tracks is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficStatus {
    /// The track that it comes to; none is what was there before there were tracks.
    pub track: Option<Track>,
    /// The step that it is at, from 1.
    pub step: u32,
    /// How many steps there are.
    pub steps: u32,
    /// The step's part of the traffic, in percent.
    pub weight: u32,
    /// The next step's, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_weight: Option<u32>,
    /// Since when it is served; none while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_since: Option<Timestamp>,
    /// Until when it is baked; none while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bake_until: Option<Timestamp>,
    /// Somebody is awaited before the next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// A person wants all traffic now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hurry: Option<Hurry>,
}

/// The time after full traffic in which an alarm still rolls back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchStatus {
    /// The release.
    pub release: Option<ReleaseNumber>,
    /// Since when it has traffic.
    pub since: Timestamp,
    /// When the watch is over, if nothing is unclear then.
    pub until: Timestamp,
    /// Until when it is held, because at its end the alarms could not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// Why it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An alarm that stops a rollout or ends a watch, as it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmStatus {
    /// Its name.
    pub name: String,
    /// Its state; none where it was not looked at yet, is missing, or could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AlarmState>,
    /// Since when it has that state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why, in CloudWatch's words, or why it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A person said that it does not matter as long as it stays as it was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub despite: bool,
}

/// The places of an environment that has tracks, and what each of them is for.
pub fn tracks(environment: &Environment, spec: Option<&EnvironmentSpec>) -> Vec<TrackStatus> {
    let Some(known) = &environment.tracks else {
        return Vec::new();
    };
    let moving = moving(environment);
    let weights = weights(environment);
    let places = [None, Some(Track::Blue), Some(Track::Green)];
    let shown = places.into_iter().filter_map(|place| {
        let weight = place.map_or(weights.original, |track| weights.of(track));
        let held = match place {
            None => known.original.as_ref(),
            Some(track) => known.held.get(&track),
        };
        let comes = moving.filter(|(_, traffic)| traffic.to == place);
        let is_live = known.live == place && (place.is_some() || held.is_some() || weight > 0);
        let (state, release) = match (comes, held) {
            (Some((rollout, _)), _) => (coming(rollout), rollout.release),
            (None, _) if is_live => (TrackState::Live, live_release(environment, held)),
            (None, Some(held)) => (kept(held), held.release),
            (None, None) => return None,
        };
        Some(TrackStatus {
            track: place,
            release,
            state,
            weight,
            pods: pods(environment, spec, place, state, held),
            warm_until: warm_until(environment).filter(|_| state == TrackState::Warm),
        })
    });
    shown.collect()
}

fn pods(
    environment: &Environment,
    spec: Option<&EnvironmentSpec>,
    place: Option<Track>,
    state: TrackState,
    held: Option<&Held>,
) -> Option<u32> {
    let moving = moving(environment);
    let known = environment.tracks.as_ref()?;
    let sizes: Vec<i32> = match (state, moving) {
        (TrackState::Cooling | TrackState::Cold, _) => return Some(0),
        (TrackState::Coming, Some((rollout, traffic))) => {
            let weight = stage_of(rollout, traffic, spec?).weight;
            traffic
                .full
                .values()
                .map(|full| size_for(*full, weight))
                .collect()
        }
        // It loses its pods when it is cooled.
        (TrackState::Leaving, Some((_, traffic))) => {
            let given = traffic.weights.unwrap_or_default();
            let weight = place.map_or(given.original, |track| given.of(track));
            traffic
                .full
                .values()
                .map(|full| size_for(*full, weight))
                .collect()
        }
        (TrackState::Live, Some((_, traffic))) if traffic.from == place => {
            traffic.full_before().into_values().collect()
        }
        (TrackState::Live, _) => known.full.values().copied().collect(),
        _ => held?.pinned.values().copied().collect(),
    };
    let all = sizes.iter().filter_map(|size| u32::try_from(*size).ok());
    (!sizes.is_empty()).then(|| all.fold(0, u32::saturating_add))
}

fn live_release(environment: &Environment, held: Option<&Held>) -> Option<ReleaseNumber> {
    held.map_or_else(
        || environment.live.as_ref().and_then(|live| live.release),
        |held| held.release,
    )
}

fn coming(rollout: &Rollout) -> TrackState {
    match rollout.phase {
        Phase::Restoring | Phase::Restored => TrackState::Leaving,
        _ => TrackState::Coming,
    }
}

fn kept(held: &Held) -> TrackState {
    match (&held.cooled_at, &held.cooling) {
        (Some(_), _) => TrackState::Cold,
        (None, Some(_)) => TrackState::Cooling,
        (None, None) => TrackState::Warm,
    }
}

/// What is watched has its way back kept warm.
fn warm_until(environment: &Environment) -> Option<Timestamp> {
    let watch = environment.watch.as_ref()?;
    Some(watch.held_until.unwrap_or(watch.until))
}

fn moving(environment: &Environment) -> Option<(&Rollout, &Traffic)> {
    let rollout = environment.under_way()?;
    Some((rollout, rollout.traffic.as_deref()?))
}

/// The weights as they were last decided. Where nothing has traffic, none has a part.
fn weights(environment: &Environment) -> Weights {
    let Some((rollout, traffic)) = moving(environment) else {
        let live = environment.tracks.as_ref().and_then(|tracks| tracks.live);
        return live.map_or(Weights::default(), |track| Weights::split(track, 100));
    };
    let before = match traffic.has_other {
        true => traffic.weights_before(),
        false => Weights::default(),
    };
    match rollout.phase {
        Phase::Restoring | Phase::Restored => before,
        _ => traffic.weights.unwrap_or(before),
    }
}

/// How far a rollout is; none where it is not on tracks.
pub fn traffic(rollout: &Rollout, spec: &EnvironmentSpec) -> Option<TrafficStatus> {
    let traffic = rollout.traffic.as_deref()?;
    let stages = match rollout.promotion() {
        Some(_) => schedule(&spec.strategy, traffic.has_other),
        None => vec![stage_of(rollout, traffic, spec)],
    };
    let next = traffic.stage.saturating_add(1);
    let is_served = rollout.phase == Phase::Baking;
    Some(TrafficStatus {
        track: traffic.to,
        step: next,
        steps: u32::try_from(stages.len()).unwrap_or(u32::MAX),
        weight: stage_of(rollout, traffic, spec).weight,
        next_weight: usize::try_from(next)
            .ok()
            .and_then(|next| stages.get(next))
            .map(|stage| stage.weight),
        served_since: traffic.shifted_at.filter(|_| is_served),
        bake_until: traffic.bake_until.filter(|_| is_served),
        pause: traffic.pause.clone(),
        hurry: traffic.hurry.clone(),
    })
}

/// What is watched.
pub fn watch(watch: &Watch) -> WatchStatus {
    WatchStatus {
        release: watch.release,
        since: watch.since,
        until: watch.until,
        held_until: watch.held_until,
        reason: watch.reason.clone(),
    }
}

/// The alarms of what is rolled out (`spec` is what its pipeline version says), else of what is watched.
pub fn alarms(environment: &Environment, spec: Option<&EnvironmentSpec>) -> Vec<AlarmStatus> {
    let of_rollout = || {
        let rollout = environment.under_way().filter(|one| one.promotion().is_some())?;
        Some((spec?.alarms.as_slice(), rollout.despite()))
    };
    let of_watch = || {
        let watch = environment.watch.as_ref()?;
        Some((watch.alarms.as_slice(), watch.despite.as_slice()))
    };
    let Some((names, despite)) = of_rollout().or_else(of_watch) else {
        return Vec::new();
    };
    names
        .iter()
        .map(|name| {
            let noted = environment.alarms.get(name).cloned().unwrap_or_default();
            let Noted { state, since, reason } = noted;
            AlarmStatus {
                name: name.clone(),
                state,
                since,
                reason,
                despite: despite.contains(name),
            }
        })
        .collect()
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
