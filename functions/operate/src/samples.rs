//! Values that the tests are about.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use sluice_domain::environment::{Completed, Environment, Lease, Live, Phase, Rollout, RolloutKind};
use sluice_domain::ids::{
    Digest, EnvironmentName, ExecutionName, Fence, Hash, PersonName, PromotionId, ReleaseNumber, ServiceName,
};
use sluice_domain::pipeline::{Canary, CanaryStep, EnvironmentSpec, Router, Seconds, Strategy};
use sluice_domain::promotion::{Asker, Promotion, PromotionState};
use sluice_domain::release::Release;
use sluice_domain::tracks::{Held, Route, Track, TrackServices, Tracks, Traffic, Weights};

use crate::place::Place;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub fn service() -> ServiceName {
    ServiceName::parse("mc-api").unwrap()
}

pub fn env(name: &str) -> EnvironmentName {
    EnvironmentName::parse(name).unwrap()
}

pub fn person(name: &str) -> PersonName {
    PersonName::parse(name).unwrap()
}

pub fn place(environment: &str) -> Place {
    Place {
        service: service(),
        environment: env(environment),
    }
}

pub fn hash(of: u32) -> Hash {
    Hash::parse(&format!("{of:064x}")).unwrap()
}

pub fn digest(of: u32) -> Digest {
    Digest::parse(&format!("sha256:{of:064x}")).unwrap()
}

pub fn id(release: u32, attempt: u32) -> PromotionId {
    PromotionId {
        release: ReleaseNumber(release),
        attempt,
    }
}

pub fn release(number: u32) -> Release {
    Release {
        service: service(),
        number: ReleaseNumber(number),
        digest: digest(number),
        children: Vec::new(),
        uri: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mc-api".into(),
        tags: vec![format!("v{number}")],
        commit: None,
        pushed_at: at(i64::from(number) * 100),
        recorded_at: at(i64::from(number) * 100 + 1),
        pipeline: hash(1),
        quarantine: None,
        v: 1,
    }
}

pub fn promotion(environment: &str, release: u32, attempt: u32, state: PromotionState) -> Promotion {
    Promotion {
        service: service(),
        environment: env(environment),
        id: id(release, attempt),
        digest: digest(release),
        pipeline: hash(1),
        asked_by: Asker::Automatic,
        wanted_at: at(0),
        state,
        reason: None,
        ended_at: state.is_final().then(|| at(60)),
        approval: None,
        wake: None,
        bundle: None,
        despite: Vec::new(),
        v: 1,
    }
}

pub fn environment(name: &str) -> Environment {
    Environment {
        v: 1,
        ..Environment::new(service(), env(name))
    }
}

pub fn live(release: u32) -> Live {
    Live {
        release: Some(ReleaseNumber(release)),
        digest: Some(digest(release)),
        bundle: hash(release),
        since: at(0),
    }
}

pub fn completed(release: u32, pushed: i64) -> Completed {
    Completed {
        release: ReleaseNumber(release),
        digest: digest(release),
        pushed_at: at(pushed),
        bundle: hash(release),
        pipeline: hash(1),
        at: at(pushed + 10),
        rolled_back_at: None,
        watched: None,
    }
}

/// A rollout that has the environment.
pub fn under_way(mut environment: Environment, kind: RolloutKind, release: u32, phase: Phase) -> Environment {
    let owner = match &kind {
        RolloutKind::Promotion { id } => id.execution(&environment.service, &environment.name),
        RolloutKind::Rollback { .. } => {
            ExecutionName::parse(&format!("mc-api-{}-r7", environment.name)).unwrap()
        }
    };
    environment.lease = Some(Lease {
        owner: owner.clone(),
        since: at(1),
    });
    environment.rollout = Some(Rollout {
        owner,
        kind,
        release: Some(ReleaseNumber(release)),
        pipeline: hash(1),
        phase,
        step: None,
        fence: Fence(7),
        baseline: None,
        target: None,
        started_at: at(1),
        deadline: at(601),
        checks: Vec::new(),
        held_until: None,
        asked_again: false,
        waits_for: None,
        traffic: None,
        written_at: None,
        despite: Vec::new(),
        reason: None,
    });
    environment
}

/// Production's canary: 5 %, 25 %, then everything.
pub fn canary() -> EnvironmentSpec {
    let step = |weight, pause| CanaryStep {
        weight,
        bake: Seconds(300),
        pause,
    };
    EnvironmentSpec {
        name: env("production"),
        cluster: "mc".into(),
        namespace: "production".into(),
        region: None,
        role: None,
        manifests: Vec::new(),
        strategy: Strategy::Canary(Canary {
            router: Router::HttpRoute("mc-api".into()),
            service: None,
            steps: vec![step(5, None), step(25, Some(Seconds(3_600)))],
            requests: None,
        }),
        timeout: Seconds(600),
        rollback_within: Seconds(300),
        approval: None,
        operators: None,
        values: Vec::new(),
        secret_values: Default::default(),
        helm_role: None,
        scale: None,
        before: Vec::new(),
        verify: Vec::new(),
        hold_for: Seconds(1_800),
        on_drift: Default::default(),
        alarms: vec!["mc-api-5xx".into(), "mc-api-p99".into()],
        watch: None,
    }
}

/// `#42` comes to green over `#41` on blue, in this stage of the canary.
pub fn on_tracks(phase: Phase, stage: u32) -> Environment {
    let mut environment = environment("production");
    environment.live = Some(live(41));
    let held = |release: u32| Held {
        bundle: hash(release),
        release: Some(ReleaseNumber(release)),
        pinned: Default::default(),
        cooling: None,
        cooled_at: None,
    };
    let route = Route {
        router: Router::HttpRoute("mc-api".into()),
        services: TrackServices {
            root: "mc-api".into(),
        },
    };
    environment.tracks = Some(Tracks {
        by_helm: false,
        live: Some(Track::Blue),
        route: Some(route.clone()),
        held: [(Track::Blue, held(41))].into(),
        original: None,
        full: [("mc-api".to_owned(), 4)].into(),
        ..Tracks::default()
    });
    let kind = RolloutKind::Promotion { id: id(42, 1) };
    let mut environment = under_way(environment, kind, 42, phase);
    let weight = [5, 25].get(stage as usize).copied().unwrap_or(100);
    let full = [("mc-api".to_owned(), 4)].into();
    let traffic = Traffic {
        stage,
        weights: Some(Weights::split(Track::Green, weight)),
        first_shift: Some(at(100)),
        shifted_at: Some(at(110)),
        bake_until: Some(at(410)),
        ..Traffic::new(route, Some(Track::Green), Some(Track::Blue), full)
    };
    environment.rollout.as_mut().unwrap().traffic = Some(Box::new(traffic));
    environment
}
