//! Answers for tests.
#![allow(dead_code, clippy::unwrap_used)]

use jiff::Timestamp;
use sluice_domain::api::*;
use sluice_domain::difference::{Change, Difference, FieldChange};
use sluice_domain::environment::Phase;
use sluice_domain::ids::*;
use sluice_domain::pipeline::{OnDrift, Seconds};
use sluice_domain::promotion::PromotionState;

pub fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

pub fn env(text: &str) -> EnvironmentName {
    EnvironmentName::parse(text).unwrap()
}

pub fn digest() -> Digest {
    Digest::parse(&format!("sha256:{}", "1a2b3c4d".repeat(8))).unwrap()
}

pub fn execution(text: &str) -> ExecutionName {
    ExecutionName::parse(text).unwrap()
}

pub fn environment(text: &str, live: u32) -> EnvironmentStatus {
    let live = LiveStatus {
        release: Some(ReleaseNumber(live)),
        digest: Some(digest()),
        since: Timestamp::now(),
        revision: None,
    };
    EnvironmentStatus {
        name: env(text),
        live: Some(live),
        activity: None,
        waiting: Vec::new(),
        hold: None,
        fence: Fence(7),
        checks: Vec::new(),
        tracks: Vec::new(),
        watch: None,
        alarms: Vec::new(),
    }
}

pub fn status(environments: Vec<EnvironmentStatus>) -> Answer {
    let service = ServiceStatus {
        service: name("mc-api"),
        repository: "mc-api".into(),
        pipeline: Hash::parse(&"5e6f7a8b".repeat(8)).unwrap(),
        newest: Some(ReleaseNumber(43)),
        environments,
        removed: None,
    };
    Answer::Status {
        services: vec![service],
    }
}

pub fn busy(mut environment: EnvironmentStatus, what: &str, release: u32, phase: Phase) -> EnvironmentStatus {
    let name = match what {
        "promotion" => format!("mc-api-{release}-{}-1", environment.name),
        _ => format!("mc-api-{}-r17", environment.name),
    };
    environment.activity = Some(Activity {
        what: what.into(),
        release: Some(ReleaseNumber(release)),
        phase,
        started_at: Timestamp::now(),
        deadline: Timestamp::now() + jiff::SignedDuration::from_hours(100),
        execution: execution(&name),
        reason: None,
        traffic: None,
        held_until: None,
    });
    environment
}

pub fn asking(mut environment: EnvironmentStatus, release: u32) -> EnvironmentStatus {
    environment.waiting.push(WaitingStatus {
        release: ReleaseNumber(release),
        attempt: 1,
        state: PromotionState::AwaitingApproval,
        reason: None,
        since: Timestamp::now(),
        expires_at: None,
        approvers: vec![PersonName::parse("ana").unwrap()],
        approved_by: Vec::new(),
        quorum: 1,
    });
    environment
}

pub fn history(release: u32, promotions: &[(&str, PromotionState)]) -> Answer {
    let promotion = |(environment, state): &(&str, PromotionState)| PromotionHistory {
        environment: env(environment),
        attempt: 1,
        state: *state,
        reason: (*state != PromotionState::Verified).then(|| "pod mc-api-7d9: ImagePullBackOff".into()),
        wanted_at: Timestamp::now(),
        ended_at: state.is_final().then(Timestamp::now),
    };
    let release = ReleaseHistory {
        number: ReleaseNumber(release),
        digest: digest(),
        tags: vec!["0a1b2c3".into()],
        commit: None,
        pushed_at: Timestamp::now(),
        quarantine: None,
        promotions: promotions.iter().map(promotion).collect(),
    };
    Answer::History {
        releases: vec![release],
        more: false,
    }
}

pub fn done(message: &str, next: Option<&str>, of: Option<&str>) -> Answer {
    Answer::Done {
        message: message.into(),
        next: next.map(str::to_owned),
        execution: of.map(execution),
    }
}

pub fn rolled_back(outcome: RollbackOutcome) -> Answer {
    Answer::RolledBack(RollbackAnswer {
        service: name("mc-api"),
        environment: env("production"),
        outcome,
        execution: execution("mc-api-production-r17"),
        leaving: Some(ReleaseNumber(43)),
        to: Some(ReleaseNumber(41)),
        digest: Some(digest()),
        message: "production goes back from #43 to #41: the cluster is written, pods are awaited.".into(),
    })
}

pub fn plan() -> Answer {
    let change = |kind: &str, name: &str, change| Difference {
        kind: kind.into(),
        name: name.into(),
        namespace: Some("production".into()),
        change,
        fields: Vec::new(),
        managers: Vec::new(),
        taken: Default::default(),
        note: None,
    };
    let mut api = change("Deployment", "api", Change::Change);
    api.fields = vec![FieldChange {
        path: "spec.replicas".into(),
        from: Some(2.into()),
        to: Some(4.into()),
    }];
    Answer::Plan(Box::new(Plan {
        service: name("mc-api"),
        environment: env("production"),
        release: ReleaseNumber(43),
        digest: digest(),
        replaces: Some(ReleaseNumber(42)),
        revision: None,
        changes: vec![change("ConfigMap", "api-config-1a2b3c4d5e", Change::Create), api],
        drift: Vec::new(),
        on_drift: OnDrift::Stop,
        hooks: Vec::new(),
        before: vec!["migrate".into()],
        verify: Vec::new(),
        timeout: Seconds(600),
        rollback_within: Seconds(300),
        rollback_at_least: None,
        rollback: None,
        rollback_target: false,
        adoption: Vec::new(),
        steps: Vec::new(),
        gates: Vec::new(),
        approval: None,
    }))
}
