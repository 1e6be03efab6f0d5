//! How the traffic moves in a rollout: its stages, what is recorded of them, and what is seen of the router.

use super::{Track, TrackServices, Weights};
use crate::ids::Fence;
use crate::pipeline::{Router, Seconds, Strategy};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One stage of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// The release's part of the traffic, in percent; 100 in the last stage.
    pub weight: u32,
    /// How long it stays there. None: the last stage, after which comes the watch.
    pub bake: Option<Seconds>,
    /// For how long a person is awaited after it.
    pub pause: Option<Seconds>,
}

/// The stages that a release goes through. Where nothing has traffic yet there is nothing to compare with: it gets all.
pub fn schedule(strategy: &Strategy, has_other: bool) -> Vec<Stage> {
    let steps = if has_other { strategy.steps() } else { &[] };
    let stages = steps.iter().map(|step| Stage {
        weight: step.weight,
        bake: Some(step.bake),
        pause: step.pause,
    });
    stages
        .chain([Stage {
            weight: 100,
            bake: None,
            pause: None,
        }])
        .collect()
}

/// By what the traffic comes to the tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What shares it out.
    pub router: Router,
    /// The Services that it knows.
    pub services: TrackServices,
}

/// What is recorded of a rollout on tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// By what the traffic comes.
    pub route: Route,
    /// Where the release runs. None: in what was there before there were tracks, which is brought back.
    pub to: Option<Track>,
    /// Where what is left runs. None: in what was there before there were tracks.
    pub from: Option<Track>,
    /// Whether anything has traffic that could get it back.
    pub has_other: bool,
    /// Whether helm brings the release to its track. Its first write does; what follows changes the number of pods alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_helm: bool,
    /// How many pods each Deployment has with the whole traffic, by its name without the track.
    pub full: BTreeMap<String, i32>,
    /// How many pods each Deployment of what is left had when the rollout began, by its name without the track: what it is
    /// kept at, and comes back in. A Deployment that is not named here comes back as `full` says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left: BTreeMap<String, i32>,
    /// The stage that the rollout is in, from 0.
    pub stage: u32,
    /// The weights that were last decided. None: nothing was shifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// When they were decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// When the first traffic came to the release: what turned before that does not blame it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_shift: Option<Timestamp>,
    /// When the present weights were seen accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shifted_at: Option<Timestamp>,
    /// Until when the present weights are baked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bake_until: Option<Timestamp>,
    /// Somebody is awaited before the next stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// The stage whose pause a person has lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<u32>,
    /// A person wants all traffic now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hurry: Option<Hurry>,
    /// How many pods each Deployment that is left had at the first shift, by its own name: what it is kept at from then on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<String, i32>,
    /// Alarms that do not stop it as long as they stay as they were, as a person said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub despite: Vec<String>,
}

/// A rollout that stays where it is until a person says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who paused it; none where the pipeline did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why; empty where the person gave no reason.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when a person is awaited; who does not answer by then rejects. None: a person paused it, and it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Who awaits whom, and why: `paused by ana: the p99 looks odd`.
    pub fn said(&self) -> String {
        match (&self.by, self.reason.as_str()) {
            (None, reason) => reason.to_owned(),
            (Some(by), "") => format!("paused by {by}"),
            (Some(by), reason) => format!("paused by {by}: {reason}"),
        }
    }
}

/// Bakes and pauses are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hurry {
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Traffic {
    /// Of a rollout that moves all traffic from one place to another, and has not begun to.
    pub fn new(route: Route, to: Option<Track>, from: Option<Track>, full: BTreeMap<String, i32>) -> Self {
        Self {
            route,
            to,
            from,
            has_other: true,
            by_helm: false,
            full,
            left: BTreeMap::new(),
            stage: 0,
            weights: None,
            decided_at: None,
            first_shift: None,
            shifted_at: None,
            bake_until: None,
            pause: None,
            resumed: None,
            hurry: None,
            pinned: BTreeMap::new(),
            despite: Vec::new(),
        }
    }

    /// The weights of a stage: so much for the release, the rest for what is left.
    pub fn weights_of(&self, stage: Stage) -> Weights {
        match (self.to, self.from) {
            (None, _) => Weights::original(),
            (Some(to), _) if stage.weight >= 100 || !self.has_other => Weights::split(to, 100),
            (Some(to), Some(_)) => Weights::split(to, stage.weight),
            (Some(to), None) => {
                let weight = stage.weight.min(100);
                let original = 100_u32.saturating_sub(weight);
                Weights {
                    original,
                    ..Weights::part(to, weight)
                }
            }
        }
    }

    /// How many pods what is left has with the whole traffic.
    pub fn full_before(&self) -> BTreeMap<String, i32> {
        let mut full = self.full.clone();
        full.extend(self.left.clone());
        full
    }

    /// How many pods what is left is kept at: as many as it was seen to have, else as many as it has with the whole traffic.
    pub fn kept(&self) -> BTreeMap<String, i32> {
        let mut kept = self.full_before();
        kept.extend(self.pinned.clone());
        kept
    }

    /// The weights with everything back where it was.
    pub fn weights_before(&self) -> Weights {
        super::weights_at(self.from, 100)
    }
}

impl Weights {
    /// So much for one track, and nothing for anybody else.
    fn part(track: Track, weight: u32) -> Self {
        match track {
            Track::Blue => Self {
                blue: weight,
                ..Self::default()
            },
            Track::Green => Self {
                green: weight,
                ..Self::default()
            },
        }
    }
}

/// What a router's own controller says of the weights that are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", content = "reason", rename_all = "snake_case")]
pub enum Standing {
    /// It serves them.
    Accepted,
    /// It has not said so yet.
    Pending(String),
    /// It will not.
    Refused(String),
}

/// What is seen of the traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficSeen {
    /// The weights that the router object says, or why it says none that are understood.
    pub weights: Result<Weights, String>,
    /// The router object's fence.
    pub fence: Fence,
    /// What its controller says of them.
    pub standing: Standing,
    /// Which track every Service of the workload's name selects; the outer none where they do not agree or are not there,
    /// the inner one is what was there before there were tracks.
    pub pointed: Option<Option<Track>>,
    /// The lowest fence on these Services: below the rollout's own, somebody of before may still point them elsewhere.
    pub pointed_fence: Fence,
    /// How many ready endpoints the Service of each track has; one that is missing has none.
    pub ready: BTreeMap<Track, u32>,
}
