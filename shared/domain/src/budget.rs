//! How long a rollback may take at worst, from what is known before a promotion: a promotion whose rollback could take
//! longer than `rollback_within` is refused, and told which part is too long.
//!
//! It is a bound over what can be known, not a promise: a pod that never becomes ready, a node that must be bought or a
//! controller that is down make any rollback longer.

mod known;

pub use known::Budgets;

use crate::pipeline::{LONGEST_ROLLBACK, Router, Seconds, Strategy, surge_and_unavailable};
use crate::seen::PodsSeen;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Until the first write: a function that starts, a transaction of the table and a write to the cluster.
const FIRST_WRITE: Seconds = Seconds(2);
/// Until a pod's containers run, of an image that is on the node or near it: Kubernetes' objective for the 99th percentile
/// ("Pod startup latency SLI/SLO", image pulls not counted). The image of a rollback ran there before.
const POD_START: u64 = 5;
/// Until a gateway's controller says that it took a route, where none was seen to.
const ROUTE_ACCEPTED: Seconds = Seconds(10);
/// Until the AWS Load Balancer Controller and ELBv2 have new weights, where none were seen to.
const RULES_CHANGED: Seconds = Seconds(15);
/// Until every node knows a Service's new endpoints.
const ENDPOINTS_KNOWN: Seconds = Seconds(5);
/// AWS Load Balancer Controller, "Ingress annotations": a check each 15 s, and two that pass make a target healthy.
const TARGETS_HEALTHY: Seconds = Seconds(30);
/// Kubernetes' default of `terminationGracePeriodSeconds`.
const GRACE: u64 = 30;
/// Kubernetes' defaults of a probe: `periodSeconds`, `failureThreshold`.
const PERIOD: u64 = 10;
const FAILURES: u64 = 3;

/// What brings the old release back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Pods in place, wave after wave.
    Rolling,
    /// The weights alone: the old track is kept warm.
    Warm(RouterKind),
    /// All pods of a track at once, then the weights.
    Cold(RouterKind),
}

/// What shares the traffic out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterKind {
    /// A Gateway API HTTPRoute.
    HttpRoute,
    /// An Ingress of the AWS Load Balancer Controller.
    AlbIngress,
    /// The Service's own selector.
    Service,
}

/// The pods of a Deployment that would come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pods {
    /// The Deployment.
    pub name: String,
    /// How many there are to be.
    pub replicas: u32,
    /// How long one of them takes from its creation until it is ready.
    pub ready: Ready,
    /// How long it must have been ready: `minReadySeconds`.
    pub settled: Seconds,
    /// How many more than the replicas there may be, as a number of pods.
    pub max_surge: u32,
    /// How many fewer there may be, as a number of pods.
    pub max_unavailable: u32,
    /// How long a pod may take to stop: `terminationGracePeriodSeconds`.
    pub grace: Seconds,
}

/// How long a pod takes until it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// As long as pods of it were seen to take.
    Seen {
        /// Most of them.
        usual: Seconds,
        /// The slowest one.
        slowest: Seconds,
    },
    /// As long as its probes give it; none was seen yet.
    Probes(Seconds),
    /// No longer than its containers need to be started: the least that can be, where none was seen yet.
    AtOnce,
}

/// What is known of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What brings the old release back.
    pub way: Way,
    /// What would come back, Deployment by Deployment. They are brought back at once.
    pub pods: Vec<Pods>,
    /// How long the router was seen to take until it had new weights. None: it was not seen yet.
    pub accepted: Option<Seconds>,
    /// The deregistration delay of the target groups; 0 where there are none.
    pub deregistration: Seconds,
}

/// How long a rollback may take at worst.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// In all.
    pub seconds: Seconds,
    /// One after the other; together they are all of it.
    pub parts: Vec<Part>,
}

/// A part of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What happens, in words: "4 waves of pods of mc-api, 35s each by its probes".
    pub what: String,
    /// How long it takes at worst.
    pub seconds: Seconds,
    /// Which part it is.
    pub kind: PartKind,
}

/// Which part of a rollback it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// Until the first write.
    FirstWrite,
    /// Pods replaced in place.
    Waves {
        /// How many there are to be.
        replicas: u32,
        /// How many are replaced at once.
        batch: u32,
        /// How long one wave takes.
        each: Seconds,
    },
    /// A track's pods, all at once.
    TrackStarts,
    /// The load balancer's own checks of new targets.
    TargetsHealthy,
    /// Until the router has the weights.
    Router,
    /// Until the last pods of the release that is left are gone.
    PodsStop,
}

impl Way {
    /// The way back from a release that was promoted by this strategy. `is_warm`: the old track is kept at its size, as it
    /// is until the watch is over.
    pub fn of(strategy: &Strategy, is_warm: bool) -> Self {
        match strategy.router() {
            None => Self::Rolling,
            Some(router) if is_warm => Self::Warm(RouterKind::of(router)),
            Some(router) => Self::Cold(RouterKind::of(router)),
        }
    }
}

impl RouterKind {
    /// Which it is.
    pub fn of(router: &Router) -> Self {
        match router {
            Router::HttpRoute(_) => Self::HttpRoute,
            Router::AlbIngress { .. } => Self::AlbIngress,
            Router::Service => Self::Service,
        }
    }

    fn accepts(self) -> (Seconds, &'static str) {
        match self {
            Self::HttpRoute => (ROUTE_ACCEPTED, "the gateway's acceptance of the weights"),
            Self::AlbIngress => (RULES_CHANGED, "the load balancer's change of weights"),
            Self::Service => (ENDPOINTS_KNOWN, "the news of the Service's pods to every node"),
        }
    }
}

impl Pods {
    /// What a Deployment's manifest says. `replicas`: as many as there are; none: as many as the manifest says, or as there
    /// were when pods of it were `seen`.
    pub fn of(deployment: &Value, replicas: Option<i32>, seen: Option<PodsSeen>) -> Self {
        let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_u64);
        let name = deployment.pointer("/metadata/name").and_then(Value::as_str);
        let counted = || seen.map_or(1, |seen| seen.replicas);
        let said = || number("/spec/replicas").map_or_else(counted, to_u32);
        let replicas = replicas.map_or_else(said, |count| u32::try_from(count).unwrap_or(0));
        let (max_surge, max_unavailable) = surge_and_unavailable(deployment, u64::from(replicas));
        let probes = || Ready::Probes(Seconds(by_probes(deployment)));
        Self {
            name: name.unwrap_or_default().to_owned(),
            replicas,
            ready: seen.map_or_else(probes, |seen| Ready::Seen {
                usual: seen.usual,
                slowest: seen.slowest,
            }),
            settled: Seconds(number("/spec/minReadySeconds").unwrap_or(0)),
            max_surge: to_u32(max_surge),
            max_unavailable: to_u32(max_unavailable),
            grace: Seconds(number("/spec/template/spec/terminationGracePeriodSeconds").unwrap_or(GRACE)),
        }
    }

    /// How long most pods take and how long the slowest, and why that is believed.
    fn each(&self) -> (Seconds, Seconds, &'static str) {
        let (usual, slowest, why) = match self.ready {
            Ready::Seen { usual, slowest } => (usual, slowest, "as seen before"),
            Ready::Probes(seconds) => (seconds, seconds, "by its probes"),
            Ready::AtOnce => (Seconds(POD_START), Seconds(POD_START), "at least"),
        };
        (sum([usual, self.settled]), sum([slowest, self.settled]), why)
    }

    fn waves(&self) -> Part {
        let (each, slowest, why) = self.each();
        let batch = self.max_surge.saturating_add(self.max_unavailable).max(1);
        let waves = waves(self.replicas, batch);
        let count = if waves == 1 {
            "1 wave".to_owned()
        } else {
            format!("{waves} waves")
        };
        let kind = PartKind::Waves {
            replicas: self.replicas,
            batch,
            each,
        };
        // One wave as slow as the slowest pod that was seen, the others as most of them: each of them as slow as the slowest
        // would be far from what was seen.
        let slower = slowest.get().saturating_sub(each.get());
        let one_slow = match slower {
            0 => String::new(),
            _ => format!(", one of them {slowest}"),
        };
        let what = format!("{count} of pods of {}, {each} each {why}{one_slow}", self.name);
        let slower = if waves == 0 { 0 } else { slower };
        let all = waves.saturating_mul(each.get()).saturating_add(slower);
        part(kind, what, Seconds(all))
    }

    fn track(&self) -> Part {
        let (_, each, why) = self.each();
        let none = self.replicas == 0;
        let what = format!("the start of all pods of {} on their track, {why}", self.name);
        part(PartKind::TrackStarts, what, if none { Seconds(0) } else { each })
    }
}

fn to_u32(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn waves(replicas: u32, batch: u32) -> u64 {
    u64::from(replicas.div_ceil(batch.max(1)))
}

fn sum(all: impl IntoIterator<Item = Seconds>) -> Seconds {
    Seconds(all.into_iter().fold(0, |sum, one| sum.saturating_add(one.get())))
}

fn part(kind: PartKind, what: impl Into<String>, seconds: Seconds) -> Part {
    Part {
        what: what.into(),
        seconds,
        kind,
    }
}

/// How long the probes give a pod until it is ready. A container is started after its startup probe at the latest when
/// that gives it up, then its readiness probe is given the same grace. Sidecars start one after the other, before the
/// containers; how long other init containers take is not known before they were seen.
fn by_probes(deployment: &Value) -> u64 {
    let list = |key: &str| {
        let pointer = format!("/spec/template/spec/{key}");
        let list = deployment.pointer(&pointer).and_then(Value::as_array);
        list.into_iter().flatten()
    };
    let containers = list("containers").map(|container| {
        let [startup, readiness] = ["startupProbe", "readinessProbe"].map(|name| probe(container, name));
        startup.saturating_add(readiness)
    });
    let is_sidecar =
        |container: &&Value| container.get("restartPolicy").and_then(Value::as_str) == Some("Always");
    let sidecars = list("initContainers").filter(is_sidecar);
    let sidecars = sidecars.map(|container| probe(container, "startupProbe"));
    let all = sidecars.chain(containers.max());
    all.fold(POD_START, u64::saturating_add)
}

fn probe(container: &Value, name: &str) -> u64 {
    let Some(probe) = container.get(name).filter(|probe| probe.is_object()) else {
        return 0;
    };
    let number = |key: &str, default| probe.get(key).and_then(Value::as_u64).unwrap_or(default);
    let tries = number("failureThreshold", FAILURES).saturating_mul(number("periodSeconds", PERIOD));
    number("initialDelaySeconds", 0).saturating_add(tries)
}

impl Budget {
    /// The worst case of what is known.
    pub fn of(known: &Known) -> Self {
        let mut parts = vec![part(PartKind::FirstWrite, "the first write", FIRST_WRITE)];
        match known.way {
            Way::Rolling => parts.extend(rolling(known)),
            Way::Warm(router) => parts.push(accepted(known, router)),
            Way::Cold(router) => {
                parts.extend(known.pods.iter().map(Pods::track).max_by_key(|part| part.seconds));
                if router == RouterKind::AlbIngress {
                    let what = "the load balancer's health checks of new targets";
                    parts.push(part(PartKind::TargetsHealthy, what, TARGETS_HEALTHY));
                }
                parts.push(accepted(known, router));
            }
        }
        parts.retain(|part| part.seconds > Seconds(0));
        Self {
            seconds: sum(parts.iter().map(|part| part.seconds)),
            parts,
        }
    }

    /// Why a rollback that may take so long must not become necessary: what takes longest, and what would be right. None
    /// where it fits into the limit.
    pub fn over(&self, limit: Seconds) -> Option<String> {
        if self.seconds <= limit {
            return None;
        }
        let longest = self.parts.iter().max_by_key(|part| part.seconds)?;
        let mut right = self.remedy(longest, limit);
        if self.seconds <= LONGEST_ROLLBACK {
            right.push(format!("rollback_within = \"{}\"", self.seconds));
        }
        Some(format!(
            "a rollback may take {}, and rollback_within is {limit}: {} of it is {}. Right: {}",
            self.seconds,
            longest.seconds,
            longest.what,
            right.join(", or ")
        ))
    }

    /// What would make a part shorter.
    fn remedy(&self, part: &Part, limit: Seconds) -> Vec<String> {
        let shorter = match part.kind {
            PartKind::Waves {
                replicas,
                each,
                batch,
            } => {
                let rest = self.seconds.get().saturating_sub(part.seconds.get());
                let alike = waves(replicas, batch).saturating_mul(each.get());
                let slower = part.seconds.get().saturating_sub(alike);
                let room = limit.get().saturating_sub(rest).saturating_sub(slower);
                let enough = larger_batch(replicas, each.get(), room);
                let enough = enough.map(|enough| {
                    format!("maxSurge and maxUnavailable of {enough} pods together, which are {batch} now")
                });
                return enough.into_iter().chain([SOONER.to_owned()]).collect();
            }
            PartKind::TrackStarts => SOONER,
            PartKind::PodsStop => "a shorter terminationGracePeriodSeconds or deregistration delay",
            PartKind::TargetsHealthy => "health checks of the load balancer that pass sooner",
            PartKind::Router => "a router that takes weights sooner",
            PartKind::FirstWrite => return Vec::new(),
        };
        vec![shorter.to_owned()]
    }
}

const SOONER: &str = "pods that are ready sooner";

/// How many pods must be replaced at once, so that all waves together fit.
fn larger_batch(replicas: u32, each: u64, room: u64) -> Option<u32> {
    let waves = room.checked_div(each)?;
    let batch = u64::from(replicas).div_ceil(waves.max(1));
    (waves > 0).then(|| to_u32(batch))
}

/// The Deployment that takes longest, until its last old pod is gone. A pod that stops is taken out of the load balancer at
/// the same time: the longer of the two counts.
fn rolling(known: &Known) -> Vec<Part> {
    let of = |pods: &Pods| {
        let stop = pods.grace.max(known.deregistration);
        let what = format!("the stop of the last old pods of {}", pods.name);
        [pods.waves(), part(PartKind::PodsStop, what, stop)]
    };
    let seconds = |parts: &[Part; 2]| sum(parts.iter().map(|part| part.seconds));
    let longest = known.pods.iter().map(of).max_by_key(seconds);
    longest.into_iter().flatten().collect()
}

fn accepted(known: &Known, router: RouterKind) -> Part {
    let (unseen, what) = router.accepts();
    part(PartKind::Router, what, known.accepted.unwrap_or(unseen))
}

impl fmt::Display for Budget {
    /// `at most 1m17s: the first write 2s, 1 wave of pods of mc-api, 45s each by its probes 45s, ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {}: ", self.seconds)?;
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|part| format!("{} ({})", part.what, part.seconds))
            .collect();
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
