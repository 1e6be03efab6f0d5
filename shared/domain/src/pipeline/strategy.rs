//! How a release replaces another: what a pipeline says of it, checked. Also what is stored of it.

use super::{CheckSpec, Seconds};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a release replaces another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// In place, pod by pod, as the Deployment's own strategy says.
    Rolling,
    /// On the idle track, which gets the traffic in steps.
    Canary(Canary),
    /// On the idle track, which gets the traffic at once.
    BlueGreen(BlueGreen),
}

/// `[environment.strategy.canary]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// What shares the traffic out.
    pub router: Router,
    /// The Service by which the workload is known in its namespace. None: the only Service that selects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The weights on the way to 100 %, rising. At least one.
    pub steps: Vec<CanaryStep>,
    /// Without so many requests a step's alarms say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Requests>,
}

/// A step of a canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryStep {
    /// The new release's part of the traffic, in percent: 1 to 99.
    pub weight: u32,
    /// How long it stays there before its alarms are read.
    pub bake: Seconds,
    /// For how long a person is awaited after the bake; who does not answer in time rejects. None: nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Seconds>,
}

/// `[environment.strategy.blue_green]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlueGreen {
    /// What shares the traffic out.
    pub router: Router,
    /// The Service by which the workload is known in its namespace. None: the only Service that selects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What must pass on the idle track, which the Service `<service>-preview` selects, before it gets any traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preview: Vec<CheckSpec>,
}

/// What shares the traffic out between the tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Router {
    /// A Gateway API HTTPRoute, `gateway.networking.k8s.io/v1`: its backends' weights.
    HttpRoute(String),
    /// An Ingress of the AWS Load Balancer Controller: a forward action's weighted target groups.
    AlbIngress {
        /// The Ingress.
        ingress: String,
        /// The action's name: `alb.ingress.kubernetes.io/actions.<action>`.
        action: String,
    },
    /// The Service's own selector: all or nothing, of `blue_green` only.
    Service,
}

/// How many requests a step needs so that its alarms say something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// The metric's namespace: `AWS/ApplicationELB`.
    pub namespace: String,
    /// The metric's name: `RequestCount`.
    pub metric: String,
    /// Its dimensions. `{track}` in a value stands for the Service of the track that gets the release.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
    /// How many, summed over the bake.
    pub at_least: u32,
}

impl Strategy {
    /// What shares the traffic out; none for `rolling`, which changes pods in place.
    pub fn router(&self) -> Option<&Router> {
        match self {
            Self::Rolling => None,
            Self::Canary(canary) => Some(&canary.router),
            Self::BlueGreen(blue_green) => Some(&blue_green.router),
        }
    }

    /// The Service that the pipeline names as the workload's.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Rolling => None,
            Self::Canary(canary) => canary.service.as_deref(),
            Self::BlueGreen(blue_green) => blue_green.service.as_deref(),
        }
    }

    /// The weights that a release goes through before it has everything.
    pub fn steps(&self) -> &[CanaryStep] {
        match self {
            Self::Canary(canary) => &canary.steps,
            Self::Rolling | Self::BlueGreen(_) => &[],
        }
    }

    /// What must pass on the idle track before it gets any traffic.
    pub fn preview(&self) -> &[CheckSpec] {
        match self {
            Self::BlueGreen(blue_green) => &blue_green.preview,
            Self::Rolling | Self::Canary(_) => &[],
        }
    }

    /// The weights at which a person is awaited.
    pub fn pauses(&self) -> impl Iterator<Item = u32> {
        let paused = self.steps().iter().filter(|step| step.pause.is_some());
        paused.map(|step| step.weight)
    }

    /// Whether a release is put on the idle track.
    pub fn has_tracks(&self) -> bool {
        self.router().is_some()
    }
}
