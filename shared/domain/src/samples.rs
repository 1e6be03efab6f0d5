//! Small, valid values for the tests of decisions.
#![allow(clippy::unwrap_used)]

use crate::bundle::{Baseline, Bundle, WorkloadBundle};
use crate::environment::{Completed, Environment, Lease, Live, Phase, Rollout, RolloutKind};
use crate::ids::{Digest, EnvironmentName, Fence, Hash, PromotionId, ReleaseNumber, ServiceName};
use crate::pipeline::{
    ApprovalSpec, BlueGreen, Canary, CanaryStep, CheckSpec, EnvironmentSpec, Router, Seconds, Strategy,
};
use crate::promotion::{Asker, Promotion, PromotionState};
use crate::queue::Queued;
use crate::release::Release;
use crate::tracks::{Route, TrackServices};
use crate::workload::{Observation, ObservedDeployment, ObservedPod};
use jiff::Timestamp;
use std::collections::BTreeMap;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

pub(crate) fn service() -> ServiceName {
    ServiceName::parse("mc-api").unwrap()
}

pub(crate) fn hash(number: u32) -> Hash {
    Hash::parse(&format!("{number:064x}")).unwrap()
}

pub(crate) fn digest(number: u32) -> Digest {
    Digest::parse(&format!("sha256:{number:064x}")).unwrap()
}

pub(crate) fn id(number: u32) -> PromotionId {
    PromotionId {
        release: ReleaseNumber(number),
        attempt: 1,
    }
}

/// `#n`, pushed at second `10 n`.
pub(crate) fn release(number: u32) -> Release {
    Release {
        service: service(),
        number: ReleaseNumber(number),
        digest: digest(number),
        children: vec![],
        uri: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mc-api".into(),
        tags: vec![format!("{number:07x}")],
        commit: None,
        pushed_at: at(i64::from(number) * 10),
        recorded_at: at(i64::from(number) * 10),
        pipeline: hash(900),
        quarantine: None,
        v: 1,
    }
}

pub(crate) fn spec(approval: Option<ApprovalSpec>) -> EnvironmentSpec {
    EnvironmentSpec {
        name: EnvironmentName::parse("production").unwrap(),
        cluster: "mc-prod-eks".into(),
        namespace: "production".into(),
        region: None,
        role: None,
        manifests: vec![],
        strategy: Strategy::Rolling,
        timeout: Seconds(600),
        rollback_within: Seconds(300),
        approval,
        operators: None,
        values: Vec::new(),
        secret_values: Default::default(),
        helm_role: None,
        scale: None,
        before: Vec::new(),
        verify: Vec::new(),
        hold_for: Seconds(1_800),
        on_drift: Default::default(),
        alarms: Vec::new(),
        watch: None,
    }
}

pub(crate) fn http_route() -> Router {
    Router::HttpRoute("mc-api".into())
}

/// This router before the tracks of the Service `mc-api`.
pub(crate) fn route(router: Router) -> Route {
    let root = "mc-api".to_owned();
    Route {
        router,
        services: TrackServices { root },
    }
}

/// By these weights, five minutes each; an hour's pause follows those that are in `pauses` too.
pub(crate) fn canary(weights: &[u32], pauses: &[u32]) -> Strategy {
    let step = |weight: &u32| CanaryStep {
        weight: *weight,
        bake: Seconds(300),
        pause: pauses.contains(weight).then_some(Seconds(3_600)),
    };
    Strategy::Canary(Canary {
        router: http_route(),
        service: None,
        steps: weights.iter().map(step).collect(),
        requests: None,
    })
}

pub(crate) fn blue_green(router: Router, preview: Vec<CheckSpec>) -> Strategy {
    Strategy::BlueGreen(BlueGreen {
        router,
        service: None,
        preview,
    })
}

pub(crate) fn environment() -> Environment {
    Environment::new(service(), EnvironmentName::parse("production").unwrap())
}

pub(crate) fn promotion(number: u32) -> Promotion {
    Promotion {
        service: service(),
        environment: EnvironmentName::parse("production").unwrap(),
        id: id(number),
        digest: digest(number),
        pipeline: hash(900),
        asked_by: Asker::Automatic,
        wanted_at: at(0),
        state: PromotionState::Wanted,
        reason: None,
        ended_at: None,
        approval: None,
        wake: None,
        bundle: None,
        despite: Vec::new(),
        v: 1,
    }
}

pub(crate) fn queued(number: u32) -> Queued {
    Queued {
        id: id(number),
        pushed_at: release(number).pushed_at,
        automatic: true,
    }
}

pub(crate) fn completed(number: u32) -> Completed {
    Completed {
        release: ReleaseNumber(number),
        digest: digest(number),
        pushed_at: release(number).pushed_at,
        bundle: hash(number),
        pipeline: hash(900),
        at: at(i64::from(number) * 10 + 5),
        rolled_back_at: None,
        watched: None,
    }
}

/// These completed in this order; the last one is live.
pub(crate) fn with_completed(numbers: &[u32]) -> Environment {
    let mut environment = environment();
    environment.completed = numbers.iter().rev().map(|number| completed(*number)).collect();
    environment.live = numbers.last().map(|number| Live {
        release: Some(ReleaseNumber(*number)),
        digest: Some(digest(*number)),
        bundle: hash(*number),
        since: at(0),
    });
    environment.fence = Fence(7);
    environment
}

/// A promotion of `#n` has the environment, in this phase.
pub(crate) fn rolling(mut environment: Environment, number: u32, phase: Phase) -> Environment {
    let owner = id(number).execution(&environment.service, &environment.name);
    environment.queue.current = Some(queued(number));
    environment.lease = Some(Lease {
        owner: owner.clone(),
        since: at(0),
    });
    let baseline = environment.live.as_ref().map(|live| Baseline::Bundle {
        hash: live.bundle.clone(),
    });
    environment.rollout = Some(Rollout {
        owner,
        kind: RolloutKind::Promotion { id: id(number) },
        release: Some(ReleaseNumber(number)),
        pipeline: hash(900),
        phase,
        step: (phase != Phase::Starting).then_some(0),
        fence: environment.fence,
        baseline: (phase != Phase::Starting).then(|| baseline.unwrap_or(Baseline::Nothing)),
        target: (phase != Phase::Starting).then(|| hash(number)),
        started_at: at(0),
        deadline: at(600),
        checks: Vec::new(),
        held_until: None,
        asked_again: false,
        waits_for: None,
        traffic: None,
        despite: Vec::new(),
        written_at: (phase != Phase::Starting).then(|| at(10)),
        reason: None,
    });
    environment
}

fn images(number: u32) -> BTreeMap<String, String> {
    BTreeMap::from([("api".to_owned(), release(number).image())])
}

pub(crate) fn bundle(number: u32) -> Bundle {
    Bundle {
        release: Some(ReleaseNumber(number)),
        digest: Some(digest(number)),
        children: vec![],
        deployments: vec![WorkloadBundle {
            kind: Default::default(),
            name: "mc-api".into(),
            container: Some("api".into()),
            replicas: Some(1),
            manifest: serde_json::json!({}),
            images: images(number),
        }],
        objects: vec![],
        config_maps: vec![],
        helm: None,
    }
}

/// `#n` runs with this fence.
pub(crate) fn observed(number: u32, fence: u64) -> Observation {
    let pod = ObservedPod {
        name: "mc-api-1".into(),
        current: true,
        terminating: false,
        ended: false,
        ready: true,
        created_at: None,
        ready_at: None,
        images: images(number),
        image_ids: images(number),
        problem: None,
        unscheduled: None,
    };
    let deployment = ObservedDeployment {
        kind: Default::default(),
        name: "mc-api".into(),
        generation: 1,
        observed_generation: 1,
        wanted: 1,
        total: 1,
        updated: 1,
        available: 1,
        fence: Fence(fence),
        images: images(number),
        labels: Default::default(),
        spec: serde_json::json!({}),
        template: serde_json::json!({}),
        failures: vec![],
        autoscaled: false,
        pods: vec![pod],
    };
    Observation {
        deployments: vec![deployment],
        highest_fence: Fence(fence),
    }
}
