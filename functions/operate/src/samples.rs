//! Values that the tests are about.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use sluice_domain::environment::{Completed, Environment, Lease, Live, Phase, Rollout, RolloutKind};
use sluice_domain::ids::{
    Digest, EnvironmentName, ExecutionName, Fence, Hash, PersonName, PromotionId, ReleaseNumber, ServiceName,
};
use sluice_domain::promotion::{Asker, Promotion, PromotionState};
use sluice_domain::release::Release;

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
