//! An environment with tracks, in which each decision is recorded and carried out as the functions do it. Nothing here decides.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::check;
use crate::environment::Environment;
use crate::ids::ReleaseNumber;
use crate::pipeline::{BlueGreen, Canary, CanaryStep, CheckSpec, EnvironmentSpec, Router, Strategy};
use crate::rollback::{self, Call, Course};
use crate::samples::{self, at, hash, promotion, rolling, with_completed};
use crate::tracks::{
    Held, Route, Standing, Track, TrackServices, Tracks, TrafficSeen, Weights, full_size, pin, placed,
    render_samples,
};
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

pub(crate) fn route(router: Router) -> Route {
    let root = "mc-api".to_owned();
    Route {
        router,
        services: TrackServices { root },
    }
}

pub(crate) fn http_route() -> Router {
    Router::HttpRoute("mc-api".into())
}

/// 5, 25 and 50 %, five minutes each; these have a pause after them.
pub(crate) fn canary(pauses: &[u32]) -> Strategy {
    let step = |weight: &u32| CanaryStep {
        weight: *weight,
        bake: Seconds(300),
        pause: pauses.contains(weight).then_some(Seconds(3_600)),
    };
    Strategy::Canary(Canary {
        router: http_route(),
        service: None,
        steps: [5, 25, 50].iter().map(step).collect(),
        requests: None,
    })
}

pub(crate) fn blue_green(preview: Vec<CheckSpec>) -> Strategy {
    Strategy::BlueGreen(BlueGreen {
        router: http_route(),
        service: None,
        preview,
    })
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
        let facts = Facts {
            rollout: self.rollout(),
            wanted: wanted.as_ref(),
            observed: &observed,
            spec: &self.spec,
            is_helm: false,
            helm: None,
            caught: self.caught.as_ref(),
            traffic: self.rollout().traffic.as_ref().map(|_| &seen),
            alarms: self.alarms.as_ref(),
        };
        decide(facts, at(self.now))
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

    /// What a function writes to the row before it writes anything else.
    pub fn record(&mut self, decision: &Decision) {
        let now = at(self.now);
        let highest = self.observed().highest_fence;
        let stage = self
            .rollout()
            .traffic
            .as_ref()
            .map(|traffic| stage_of(self.rollout(), traffic, &self.spec));
        let within = match self.rollout().promotion() {
            Some(_) => self.spec.timeout,
            None => self.spec.rollback_within,
        };
        let (step, spec) = (self.step, self.spec.clone());
        let environment = &mut self.environment;
        let record = match decision {
            Decision::Begin => return self.begin(),
            Decision::Check { stage, name, attempt } => {
                let check = stage.of(&spec).iter().find(|check| check.name == *name).unwrap();
                check::start(environment, step, *stage, check, *attempt, now)
            }
            Decision::Hold(reason) => check::hold(environment, step, &spec, reason, now),
            Decision::Shift => {
                let left = self.left();
                let observed = self.observed();
                let environment = &mut self.environment;
                if let Some(left) = left {
                    pin(environment, &left, &observed);
                }
                shift(environment, step, stage.unwrap(), highest, within, now)
            }
            Decision::Bake => bake(environment, step, stage.unwrap().bake.unwrap(), now),
            Decision::Advance(next) => advance(environment, step, *next, highest, within, now),
            Decision::Pause(reason) => {
                await_person(environment, step, reason, stage.unwrap().pause.unwrap(), now)
            }
            Decision::Restore(reason) => {
                restore(environment, step, reason, highest, spec.rollback_within, now)
            }
            Decision::Verify => {
                let captured = self.rollout().target.clone();
                reach(&mut self.environment, step, Phase::Verified, captured, None)
            }
            Decision::Restored => reach(environment, step, Phase::Restored, None, None),
            Decision::Abandon(reason) => reach(environment, step, Phase::Restored, None, Some(reason)),
            Decision::Stick(reason) => reach(environment, step, Phase::Stuck, None, Some(reason)),
            _ => return,
        };
        assert!(record.is_some(), "{decision:?} records nothing");
    }

    fn begin(&mut self) {
        let tracks = self.environment.tracks.clone().unwrap_or_default();
        let release = self.rollout().release.unwrap().0;
        let name = name_at(tracks.live);
        let baseline = match (&self.environment.live, self.pods.contains_key(&name)) {
            (Some(live), true) => Baseline::Bundle {
                hash: live.bundle.clone(),
            },
            _ => Baseline::Nothing,
        };
        let running = BTreeMap::from([(
            "mc-api".to_owned(),
            self.pods.get(&name).map_or(0, |pods| pods.wanted),
        )]);
        let traffic = Traffic {
            has_other: baseline != Baseline::Nothing,
            ..Traffic::new(
                route(http_route()),
                Some(tracks.idle()),
                tracks.live,
                full_size(&bundle(release), &running),
            )
        };
        let beginning = Beginning {
            baseline,
            target: hash(release),
            highest_fence: self.observed().highest_fence,
            timeout: self.spec.timeout,
        };
        begin_on_tracks(&mut self.environment, self.step, beginning, traffic, at(self.now)).unwrap();
    }

    /// What a function writes to the cluster once its decision is recorded.
    pub fn carry_out(&mut self, decision: &Decision) {
        match decision {
            Decision::Begin | Decision::Apply | Decision::Advance(_) | Decision::Restore(_) => self.apply(),
            Decision::Shift | Decision::Route => self.write_weights(),
            Decision::Point => self.point(),
            _ => {}
        }
    }

    pub fn apply(&mut self) {
        let fence = self.rollout().fence;
        for wanted in self.wanted().unwrap().deployments {
            let replicas = wanted.replicas.unwrap_or(FULL);
            let release = wanted.images["api"].rsplit(':').next().unwrap();
            let release = u32::from_str_radix(&release[56..], 16).unwrap();
            let there = self.pods.get(&wanted.name).filter(|pods| pods.release == release);
            let ready = there.map_or(0, |pods| pods.ready).min(replicas);
            let pods = Pods {
                release,
                wanted: replicas,
                ready: if self.prompt { replicas } else { ready },
                fence,
                crashes: false,
            };
            self.pods.insert(wanted.name, pods);
        }
    }

    pub fn write_weights(&mut self) {
        let traffic = self.traffic();
        let weights = if self.phase() == Phase::Restoring {
            traffic.weights_before()
        } else {
            traffic.weights.unwrap()
        };
        self.seen.weights = Ok(weights);
        self.seen.fence = self.rollout().fence;
        if !self.accepting {
            self.seen.standing = Standing::Pending("the controller has not looked at it yet".into());
        }
    }

    fn point(&mut self) {
        let back = self.phase() == Phase::Restoring;
        let traffic = self.traffic();
        self.seen.pointed = Some(if back { traffic.from } else { traffic.to });
        self.seen.pointed_fence = self.rollout().fence;
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

    /// One call of roll-back: what it decides and records, and what it writes at once.
    pub fn roll_back(&mut self, to: Option<u32>, restore: bool) -> Result<Option<u32>, String> {
        self.take_over(to, restore, false)
    }

    /// The same, where the execution of a rollback under way may be over.
    pub fn take_over(
        &mut self,
        to: Option<u32>,
        restore: bool,
        holder_ended: bool,
    ) -> Result<Option<u32>, String> {
        let call = Call {
            to: to.map(ReleaseNumber),
            restore,
            by: "ana".into(),
            reason: None,
            undoes: None,
        };
        let (leaving, target) = match rollback::decide(&self.environment, &call, None, holder_ended) {
            Course::BringBack { leaving, candidates } => (leaving, candidates[0].clone()),
            Course::Join(_) => return Err("joined".into()),
            Course::Already(_) => return Err("already".into()),
            Course::Refuse { reason, .. } => return Err(format!("refused: {reason}")),
        };
        let traffic = rollback::place(&self.environment, &target, &self.stored(&target.bundle))?;
        let beginning = rollback::Beginning {
            highest_fence: self.observed().highest_fence,
            within: self.spec.rollback_within,
            pipeline: hash(900),
            traffic,
        };
        let preempted = self
            .environment
            .under_way()
            .and_then(|rollout| rollout.promotion());
        let mut preempted = preempted.map(|id| promotion(id.release.0));
        rollback::begin(
            &mut self.environment,
            preempted.as_mut(),
            &call,
            &target,
            leaving,
            beginning,
            at(self.now),
        );
        self.apply();
        Ok(target.release.map(|release| release.0))
    }

    /// The end of a rollout: the lease is given back.
    pub fn complete(&mut self) -> Completion {
        let owner = self.rollout().owner.clone();
        let release = self.rollout().release.map(|release| samples::release(release.0));
        let mut promotion = self.rollout().promotion().map(|id| promotion(id.release.0));
        complete(
            &mut self.environment,
            &owner,
            promotion.as_mut(),
            release.as_ref(),
            at(self.now),
        )
        .unwrap()
    }

    /// Runs the checks that are asked for, with this answer.
    pub fn answer(&mut self, verdict: Verdict) {
        let running = check::running(self.rollout()).cloned().unwrap();
        check::answer(&mut self.environment, &running, verdict, None, at(self.now)).unwrap();
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
