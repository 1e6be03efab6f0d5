//! An environment with tracks, in which each decision is recorded and carried out as the functions do it. Nothing here decides.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::environment::Environment;
use crate::ids::ReleaseNumber;
use crate::pipeline::{CheckSpec, EnvironmentSpec, Strategy};
use crate::samples::{self, at, hash, http_route, rolling, route, with_completed};
use crate::tracks::{Held, Standing, Track, Tracks, TrafficSeen, Weights, placed, render_samples};
use crate::wire::Caught;
use crate::workload::{Observation, ObservedDeployment, ObservedPod, PodProblem, Verdict};
use std::collections::BTreeMap;

/// How many pods the whole traffic needs.
pub(crate) const FULL: i32 = 4;

/// What is in the cluster of one Deployment.
#[derive(Debug, Clone)]
pub(crate) struct Pods {
    /// Which release it runs.
    pub release: u32,
    pub wanted: i32,
    pub ready: i32,
    pub fence: Fence,
    pub crashes: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub environment: Environment,
    pub spec: EnvironmentSpec,
    /// By the Deployment's name.
    pub pods: BTreeMap<String, Pods>,
    pub seen: TrafficSeen,
    pub alarms: Option<Verdict>,
    pub caught: Option<Caught>,
    pub now: i64,
    pub step: u32,
    /// Whether pods are ready as soon as they are asked for.
    pub prompt: bool,
    /// Whether the router's controller accepts at once.
    pub accepting: bool,
    /// How many endpoints of a track there are at most: a controller of its own makes them.
    pub reached: u32,
}

pub(crate) fn bundle(number: u32) -> Bundle {
    let mut bundle = render_samples::bundle();
    let of_release = samples::bundle(number);
    bundle.release = of_release.release;
    bundle.digest = of_release.digest;
    bundle.deployments[0].images = of_release.deployments[0].images.clone();
    bundle
}

/// 5, 25 and 50 %, five minutes each; these have a pause after them.
pub(crate) fn canary(pauses: &[u32]) -> Strategy {
    samples::canary(&[5, 25, 50], pauses)
}

pub(crate) fn blue_green(preview: Vec<CheckSpec>) -> Strategy {
    samples::blue_green(http_route(), preview)
}

fn name_at(place: Option<Track>) -> String {
    place.map_or_else(|| "mc-api".to_owned(), |track| track.of("mc-api"))
}

fn running(release: u32) -> Pods {
    Pods {
        release,
        wanted: FULL,
        ready: FULL,
        fence: Fence(7),
        crashes: false,
    }
}

impl World {
    /// `#1` and `#2` completed and `#2` is live on blue; `#1` is still warm on green. `#3` has just got the lease.
    pub fn new(strategy: Strategy) -> Self {
        let mut environment = with_completed(&[1, 2]);
        environment.tracks = Some(Tracks {
            by_helm: false,
            live: Some(Track::Blue),
            route: Some(route(http_route())),
            full: BTreeMap::from([("mc-api".to_owned(), FULL)]),
            held: BTreeMap::from([
                (Track::Blue, Held::new(hash(2), Some(ReleaseNumber(2)))),
                (Track::Green, Held::new(hash(1), Some(ReleaseNumber(1)))),
            ]),
            original: None,
            ..Tracks::default()
        });
        let pods = [(Track::Blue, 2), (Track::Green, 1)];
        let pods = pods.map(|(track, release)| (name_at(Some(track)), running(release)));
        Self {
            environment: rolling(environment, 3, Phase::Starting),
            spec: EnvironmentSpec {
                strategy,
                alarms: vec!["5xx".into()],
                ..samples::spec(None)
            },
            pods: pods.into(),
            seen: TrafficSeen {
                weights: Ok(Weights::split(Track::Blue, 100)),
                fence: Fence(7),
                standing: Standing::Accepted,
                pointed: Some(Some(Track::Blue)),
                pointed_fence: Fence(7),
                ready: BTreeMap::new(),
            },
            alarms: Some(Verdict::Passed),
            caught: None,
            now: 0,
            step: 0,
            prompt: true,
            accepting: true,
            reached: u32::MAX,
        }
    }

    /// `#1` runs where it ran before there were tracks; `#2` has just got the lease.
    pub fn before_tracks(strategy: Strategy) -> Self {
        let mut world = Self::new(strategy);
        world.environment = rolling(with_completed(&[1]), 2, Phase::Starting);
        world.pods = BTreeMap::from([(name_at(None), running(1))]);
        world.seen.weights = Ok(Weights::original());
        world.seen.pointed = Some(None);
        world
    }

    /// Nothing runs; `#1` has just got the lease.
    pub fn first(strategy: Strategy) -> Self {
        let mut world = Self::before_tracks(strategy);
        world.environment = rolling(with_completed(&[]), 1, Phase::Starting);
        world.pods.clear();
        world
    }

    pub fn rollout(&self) -> &Rollout {
        self.environment.rollout.as_ref().unwrap()
    }

    pub fn traffic(&self) -> &Traffic {
        self.rollout().traffic.as_ref().unwrap()
    }

    pub fn traffic_mut(&mut self) -> &mut Traffic {
        let rollout = self.environment.rollout.as_mut().unwrap();
        rollout.traffic.as_mut().unwrap()
    }

    pub fn phase(&self) -> Phase {
        self.rollout().phase
    }

    pub fn at(&mut self, place: Option<Track>) -> &mut Pods {
        self.pods.get_mut(&name_at(place)).unwrap()
    }

    /// The stored bundle of this name: of release `n` it is called `hash(n)`.
    fn stored(&self, hash: &Hash) -> Bundle {
        let number = u32::from_str_radix(&hash.as_str()[56..], 16).unwrap();
        bundle(number)
    }

    /// What runs where the traffic comes from.
    fn left(&self) -> Option<Bundle> {
        match self.rollout().baseline.as_ref()? {
            Baseline::Bundle { hash } => Some(self.stored(hash)),
            Baseline::Nothing => None,
        }
    }

    pub fn wanted(&self) -> Option<Bundle> {
        let wanted = self.rollout().wanted()?;
        let (Wanted::Bundle(hash) | Wanted::NoPods(hash)) = wanted;
        let bundle = bundle_of(wanted, self.stored(hash));
        Some(placed(self.rollout(), &self.spec, bundle).unwrap())
    }

    pub fn observed(&self) -> Observation {
        let deployments: Vec<_> = self
            .pods
            .iter()
            .map(|(name, pods)| observed(name, pods))
            .collect();
        let highest = deployments.iter().map(|one| one.fence).max().unwrap_or_default();
        Observation {
            deployments,
            highest_fence: highest.max(self.seen.fence).max(self.seen.pointed_fence),
        }
    }

    /// What comes next, as it stands.
    pub fn decide(&self) -> Decision {
        let (wanted, observed) = (self.wanted(), self.observed());
        let seen = TrafficSeen {
            ready: self.endpoints(),
            ..self.seen.clone()
        };
        let seen = self.rollout().traffic.as_ref().map(|_| &seen);
        decide(self.facts(wanted.as_ref(), &observed, seen), at(self.now))
    }

    /// What a decision is made of, with these of what is wanted and seen.
    pub fn facts<'f>(
        &'f self,
        wanted: Option<&'f Bundle>,
        observed: &'f Observation,
        traffic: Option<&'f TrafficSeen>,
    ) -> Facts<'f> {
        Facts {
            rollout: self.rollout(),
            wanted,
            observed,
            spec: &self.spec,
            is_helm: false,
            helm: None,
            caught: self.caught.as_ref(),
            traffic,
            alarms: self.alarms.as_ref(),
        }
    }

    /// Every ready pod is an endpoint, but for those that are kept from being any.
    fn endpoints(&self) -> BTreeMap<Track, u32> {
        let ready = |track: Track| {
            let pods = self.pods.get(&name_at(Some(track)));
            let ready = pods.map_or(0, |pods| pods.ready);
            (track, u32::try_from(ready).unwrap().min(self.reached))
        };
        [Track::Blue, Track::Green].map(ready).into()
    }

    /// Decides, records and carries out.
    pub fn advance(&mut self) -> Decision {
        let decision = self.decide();
        self.record(&decision);
        self.carry_out(&decision);
        self.step += 1;
        decision
    }

    /// Until something has to happen outside.
    pub fn settle(&mut self) -> Decision {
        for _ in 0..50 {
            let decision = self.advance();
            if let Decision::Await(_)
            | Decision::AwaitCheck { .. }
            | Decision::AwaitAnswer(..)
            | Decision::Sleep(..)
            | Decision::Look(..)
            | Decision::Over = decision
            {
                return decision;
            }
        }
        panic!("it goes on for ever: {:?}", self.rollout());
    }

    /// Until it has come to this phase of this stage.
    pub fn come_to(mut self, phase: Phase, stage: u32) -> Self {
        for _ in 0..100 {
            let there = self
                .rollout()
                .traffic
                .as_ref()
                .is_some_and(|traffic| traffic.stage == stage);
            if self.phase() == phase && there {
                return self;
            }
            if let Decision::Sleep(_, seconds) = self.advance() {
                self.now += i64::try_from(seconds).unwrap();
            }
        }
        panic!(
            "it never comes to {phase:?} of stage {stage}: {:?}",
            self.rollout()
        );
    }

    /// `blue 95 % (#2: 4/4), green 5 % (#3: 1/1), root blue`
    pub fn said(&self) -> String {
        let weights = self.seen.weights.as_ref().copied().unwrap_or_default();
        let place = |place: Option<Track>| {
            let (name, weight) = match place {
                Some(track) => (track.as_str(), weights.of(track)),
                None => ("before", weights.original),
            };
            let pods = self.pods.get(&name_at(place))?;
            Some(format!(
                "{name} {weight} % (#{}: {}/{})",
                pods.release, pods.ready, pods.wanted
            ))
        };
        let places = [None, Some(Track::Blue), Some(Track::Green)];
        let mut said: Vec<String> = places.into_iter().filter_map(place).collect();
        let root = self
            .seen
            .pointed
            .map(|place| place.map_or("before", Track::as_str));
        said.push(format!("root {}", root.unwrap_or("nowhere")));
        said.join(", ")
    }
}

fn observed(name: &str, pods: &Pods) -> ObservedDeployment {
    let of_release = samples::observed(pods.release, pods.fence.0);
    let model = of_release.deployments[0].clone();
    let pod = |number: i32| ObservedPod {
        name: format!("{name}-{number}"),
        ready: number < pods.ready,
        problem: pods.crashes.then(|| PodProblem {
            container: "api".into(),
            reason: "CrashLoopBackOff".into(),
            message: "exit 1".into(),
        }),
        ..model.pods[0].clone()
    };
    ObservedDeployment {
        name: name.to_owned(),
        wanted: pods.wanted,
        total: pods.wanted,
        updated: pods.wanted,
        available: pods.ready,
        pods: (0..pods.wanted).map(pod).collect(),
        ..model
    }
}

/// The first word of a decision: what a table has room for.
pub(crate) fn word(decision: &Decision) -> String {
    let said = format!("{decision:?}");
    said.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}

#[path = "track_world_writes.rs"]
mod writes;
