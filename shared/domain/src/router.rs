//! Routers: what shares an environment's traffic out between its tracks. Pure: objects and evidence are passed in.
//!
//! One interface over three kinds: `weights` reads, `with_weights` says what to write, `meets` says what a request would meet,
//! `standing` says whether what is written holds where requests come in. Reading is strict: what could not be told in the words
//! of two tracks is a fault, and nothing is promoted over it. Writing is as lenient as it can be, so that a rollback also gets
//! through where somebody changed the object.
//!
//! - Both tracks are always named, with weight 0 too, and a name is never swapped for another: the AWS Load Balancer Controller
//!   makes a target group for each named Service and deletes it with the name, and a load balancer checks the health of what is
//!   named alone.
//! - The backend that was there before there were tracks (the root Service) stays named, at weight 0.

mod alb_ingress;
#[cfg(test)]
mod alb_ingress_tests;
mod backends;
mod fault;
mod http_route;
#[cfg(test)]
mod http_route_tests;
mod load_balancer;
#[cfg(test)]
mod property_tests;
mod service;
#[cfg(test)]
mod service_tests;
mod share;

pub use fault::RouterFault;
pub use load_balancer::{ListenerRule, LoadBalancer, RESOURCE_TAG, Target, TargetGroup};
pub use service::{SELECTOR_BEFORE, Selector, selector};

use crate::ids::Fence;
use crate::pipeline::Router;
use crate::tracks::{Track, TrackServices, Weights};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The parts of the traffic, in percent, by the backend's name: a Service of the same namespace by its own. Together 100.
pub type Shares = BTreeMap<String, u32>;

/// A router, and the Services between which it shares.
#[derive(Debug, Clone, Copy)]
pub struct Routing<'a> {
    /// The router.
    pub router: &'a Router,
    /// The Services.
    pub services: &'a TrackServices,
    /// What the Service of each track selects, of those that are there. Asked for by `Router::Service` alone.
    pub selectors: &'a BTreeMap<Track, Selector>,
}

/// What is known outside of the router's own object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The ready endpoints of each Service (EndpointSlice, condition `ready`), by the Service's name: an endpoint is called
    /// after its pod, or by its address where it has none.
    pub endpoints: BTreeMap<String, BTreeSet<String>>,
    /// What the load balancer itself says; of `Router::AlbIngress` alone.
    pub load_balancer: Option<LoadBalancer>,
}

/// Whether what the router's object says holds where requests come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "snake_case")]
pub enum RouterVerdict {
    /// It does.
    Accepted,
    /// Not yet, or it cannot be said.
    Pending(String),
    /// It does not, and waiting does not help.
    Refused(String),
}

/// A router as it was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterObservation {
    /// What its object says.
    pub weights: Result<Weights, RouterFault>,
    /// What a request would meet, by backend; empty where that cannot be said.
    pub meets: Shares,
    /// Whether that holds where requests come in.
    pub standing: RouterVerdict,
    /// `metadata.generation` of its object; 0 where it has none, as a Service.
    pub generation: i64,
    /// The fence on its object; 0 where missing or malformed.
    pub fence: Fence,
    /// How many ready endpoints each Service has: the root and those of both tracks, 0 where a Service is not there.
    pub ready: BTreeMap<String, u32>,
    /// What the root Service selects.
    pub root: Result<Weights, RouterFault>,
    /// The fence on the root Service; 0 where missing or malformed.
    pub root_fence: Fence,
}

impl RouterObservation {
    /// The highest fence on what was looked at: a new holder starts above it.
    pub fn highest_fence(&self) -> Fence {
        self.fence.max(self.root_fence)
    }

    /// How many ready endpoints the Service of each track has.
    pub fn ready_on(&self, services: &TrackServices) -> BTreeMap<Track, u32> {
        let count = |track: Track| {
            let found = self.ready.get(&services.of(track));
            (track, found.copied().unwrap_or(0))
        };
        [Track::Blue, Track::Green].map(count).into()
    }
}

impl RouterVerdict {
    /// The same, with what it is about before its reason.
    fn about(self, what: &str) -> Self {
        match self {
            Self::Accepted => Self::Accepted,
            Self::Pending(reason) => Self::Pending(format!("{what}: {reason}")),
            Self::Refused(reason) => Self::Refused(format!("{what}: {reason}")),
        }
    }

    /// Refused where one is, else pending where one is: every one counts.
    fn all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        let (mut pending, mut refused) = (Vec::new(), Vec::new());
        for verdict in verdicts {
            match verdict {
                Self::Accepted => {}
                Self::Pending(reason) => pending.push(reason),
                Self::Refused(reason) => refused.push(reason),
            }
        }
        match (refused.is_empty(), pending.is_empty()) {
            (false, _) => Self::Refused(refused.join("; ")),
            (true, false) => Self::Pending(pending.join("; ")),
            (true, true) => Self::Accepted,
        }
    }
}

impl Routing<'_> {
    /// The router's object, as messages call it: "HTTPRoute mc-api".
    pub fn object(&self) -> String {
        match self.router {
            Router::HttpRoute(name) => format!("HTTPRoute {name}"),
            Router::AlbIngress { ingress, .. } => format!("Ingress {ingress}"),
            Router::Service => format!("Service {}", self.services.root),
        }
    }

    /// What the object says, in percent; a part that is not 0 is at least 1. Everything that `Weights` cannot say is a fault:
    /// rules that disagree, other backends with a weight, no traffic at all.
    pub fn weights(&self, object: &Value) -> Result<Weights, RouterFault> {
        match self.router {
            Router::HttpRoute(_) => http_route::weights(self, object),
            Router::AlbIngress { ingress, action } => alb_ingress::weights(self, ingress, action, object),
            Router::Service => service::weights(&self.object(), self.selectors, object),
        }
    }

    /// What a request would meet, in percent, by backend; those that get nothing are left out.
    pub fn meets(&self, object: &Value) -> Result<Shares, RouterFault> {
        match self.router {
            Router::HttpRoute(_) => http_route::meets(self, object),
            Router::AlbIngress { ingress, action } => alb_ingress::meets(self, ingress, action, object),
            Router::Service => self.weights(object).map(|weights| self.shares_of(weights)),
        }
    }

    /// The object as it is to be written: every field that is not a weight of ours as it is. Both tracks are named in it.
    /// Weights that are not 100 together are a fault.
    pub fn with_weights(&self, object: &Value, weights: Weights) -> Result<Value, RouterFault> {
        let total = u64::from(weights.original) + u64::from(weights.blue) + u64::from(weights.green);
        if total != 100 {
            return Err(RouterFault::Total {
                object: self.object(),
                total,
            });
        }
        match self.router {
            Router::HttpRoute(_) => http_route::with_weights(self, object, weights),
            Router::AlbIngress { ingress, action } => {
                alb_ingress::with_weights(self, ingress, action, object, weights)
            }
            Router::Service => service::with_weights(&self.object(), self.selectors, object, weights),
        }
    }

    /// Whether what the object says holds where requests come in.
    pub fn standing(&self, object: &Value, evidence: &Evidence) -> RouterVerdict {
        match self.router {
            Router::HttpRoute(_) => http_route::standing(self, object),
            Router::AlbIngress { ingress, action } => {
                load_balancer::standing(self, ingress, action, object, evidence)
            }
            Router::Service => service::standing(self, object, evidence),
        }
    }

    /// Whether a Service is one of those that are governed.
    fn governs(&self, service: &str) -> bool {
        service == self.services.root
            || [Track::Blue, Track::Green]
                .iter()
                .any(|track| self.services.of(*track) == service)
    }

    /// Weights by the Services' names; those that get nothing are left out.
    fn shares_of(&self, weights: Weights) -> Shares {
        let all = self.weights_by_name(weights);
        all.into_iter().filter(|(_, weight)| *weight > 0).collect()
    }

    fn weights_by_name(&self, weights: Weights) -> Shares {
        [
            (self.services.root.clone(), weights.original),
            (self.services.of(Track::Blue), weights.blue),
            (self.services.of(Track::Green), weights.green),
        ]
        .into()
    }

    /// The weights in which only governed Services get something.
    fn weights_of(&self, object: String, shares: &Shares) -> Result<Weights, RouterFault> {
        let others: Vec<_> = shares
            .iter()
            .filter(|(name, _)| !self.governs(name))
            .map(|(name, share)| format!("{name} with {share} %"))
            .collect();
        if !others.is_empty() {
            return Err(RouterFault::OtherBackends {
                object,
                found: others.join(", "),
                ours: self.names(),
            });
        }
        let of = |name: &str| shares.get(name).copied().unwrap_or_default();
        Ok(Weights {
            original: of(&self.services.root),
            blue: of(&self.services.of(Track::Blue)),
            green: of(&self.services.of(Track::Green)),
        })
    }

    /// The governed Services, for messages.
    fn names(&self) -> String {
        let (blue, green) = (self.services.of(Track::Blue), self.services.of(Track::Green));
        format!("{}, {blue} and {green}", self.services.root)
    }
}
