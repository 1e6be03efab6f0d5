//! Tracks: the two places in an environment where a release can run. One is live; the other is idle, or warm.

mod charted;
pub mod cooling;
pub mod easing;
mod heading;
mod live;
mod pinning;
mod place;
mod places;
mod planned;
mod render;
#[cfg(test)]
pub(crate) mod render_samples;
mod told;
mod traffic;

pub use charted::{Charts, Lack, Lacks, Rendered, charted, planned_chart, root_of, values_of};
pub use heading::Heading;
pub use pinning::{given_back, pin, pins};
pub use place::{behind, brought, cold, fences_on, placed, pointed_at};
pub use places::{everywhere, on_both};
pub use planned::{Ground, Planned, planned};
pub use render::{
    RenderFault, all_pointing, full_size, on_track, pointed, pointing, services_of, size_for, sized,
    weights_at,
};
pub use told::{adoption, chart_adoption, steps};
pub use traffic::{Hurry, Pause, Route, Stage, Standing, Traffic, TrafficSeen, schedule};

use crate::ids::{Fence, Hash, ReleaseNumber};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The label by which a track's pods are selected. No selector that was there before names it.
pub const TRACK_LABEL: &str = "sluice.dev/track";

/// One of the two places where a release can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Track {
    /// The one that the first release comes to.
    Blue,
    /// The other one.
    Green,
}

impl Track {
    /// Its name, in names of objects and in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }

    /// The one that it is not.
    pub fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    /// What an object of this track is called.
    pub fn of(self, name: &str) -> String {
        format!("{name}-{self}")
    }
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is recorded of an environment's tracks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracks {
    /// The one that has the traffic; none while what was there before Sluice has it.
    #[serde(default)]
    pub live: Option<Track>,
    /// By what the traffic comes, as the last rollout had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Whether what is on them are Helm releases.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_helm: bool,
    /// How many pods each Deployment has with the whole traffic, by its name without the track, as the last rollout had it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub full: BTreeMap<String, i32>,
    /// Whether the live track's autoscalers go no lower than its whole size, as a rollout has left them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_full: bool,
    /// The fence under which they are eased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub easing: Option<Fence>,
    /// What was last brought to each of them.
    #[serde(default)]
    pub held: BTreeMap<Track, Held>,
    /// What was there before there were tracks, until it is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Held>,
}

impl Tracks {
    /// The track that a release comes to: the one without traffic.
    pub fn idle(&self) -> Track {
        self.live.map_or(Track::Blue, Track::other)
    }

    /// Where this bundle can be brought back with one change of weights: a place without traffic that still holds it.
    /// `None` inside is what was there before there were tracks.
    pub fn warm(&self, bundle: &Hash) -> Option<Option<Track>> {
        let is_it = |held: &&Held| held.bundle == *bundle && held.cooling.is_none();
        let tracks = self.held.iter().filter(|(track, _)| Some(**track) != self.live);
        let warm = tracks
            .filter(|(_, held)| is_it(held))
            .map(|(track, _)| Some(*track))
            .next();
        warm.or_else(|| self.live.and(self.original.as_ref()).filter(is_it).map(|_| None))
    }
}

/// What a track holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The bundle.
    pub bundle: Hash,
    /// Its release; none for a workload that was there before Sluice.
    #[serde(default)]
    pub release: Option<ReleaseNumber>,
    /// How many pods each of its Deployments had when the traffic left it, by the Deployment's own name: what it is kept at
    /// while it is warm. Empty while it is live.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<String, i32>,
    /// The fence under which it gives its pods back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooling: Option<Fence>,
    /// Since when it has no pods any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooled_at: Option<Timestamp>,
}

impl Held {
    /// What was just brought there.
    pub fn new(bundle: Hash, release: Option<ReleaseNumber>) -> Self {
        Self {
            bundle,
            release,
            pinned: BTreeMap::new(),
            cooling: None,
            cooled_at: None,
        }
    }
}

/// The weights of the backends that a router knows, in percent; together 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// Of the Service that was there before there were tracks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub original: u32,
    /// Of the blue track.
    pub blue: u32,
    /// Of the green track.
    pub green: u32,
}

// serde wants a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(weight: &u32) -> bool {
    *weight == 0
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.original > 0 {
            write!(f, "before {} %, ", self.original)?;
        }
        write!(f, "blue {} %, green {} %", self.blue, self.green)
    }
}

impl Weights {
    /// So much for one track, the rest for the other.
    pub fn split(track: Track, weight: u32) -> Self {
        let (weight, rest) = (weight.min(100), 100_u32.saturating_sub(weight));
        match track {
            Track::Blue => Self {
                original: 0,
                blue: weight,
                green: rest,
            },
            Track::Green => Self {
                original: 0,
                blue: rest,
                green: weight,
            },
        }
    }

    /// All for what was there before there were tracks.
    pub fn original() -> Self {
        Self {
            original: 100,
            blue: 0,
            green: 0,
        }
    }

    /// A track's part.
    pub fn of(self, track: Track) -> u32 {
        match track {
            Track::Blue => self.blue,
            Track::Green => self.green,
        }
    }
}

/// The Services that a router knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackServices {
    /// The one by which the workload is known: it selects the live track.
    pub root: String,
}

impl TrackServices {
    /// The Service of a track's pods.
    pub fn of(&self, track: Track) -> String {
        track.of(&self.root)
    }

    /// The Service that selects the idle track before it gets any traffic.
    pub fn preview(&self) -> String {
        format!("{}-preview", self.root)
    }
}
