//! States for tests, at the worst lengths that the domain's types allow where that matters.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use sluice_domain::alarm::AlarmState;
use sluice_domain::api::*;
use sluice_domain::environment::{Hold, Phase};
use sluice_domain::ids::*;
use sluice_domain::promotion::PromotionState;
use sluice_domain::tracks::{Hurry, Pause, Track};

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

pub fn env(text: &str) -> EnvironmentName {
    EnvironmentName::parse(text).unwrap()
}

pub fn person(text: &str) -> PersonName {
    PersonName::parse(text).unwrap()
}

pub fn digest() -> Digest {
    Digest::parse(&format!("sha256:{}", "1a2b3c4d".repeat(8))).unwrap()
}

pub fn hash() -> Hash {
    Hash::parse(&"5e6f7a8b".repeat(8)).unwrap()
}

pub fn service(text: &str, environments: Vec<EnvironmentStatus>) -> ServiceStatus {
    let newest = Some(ReleaseNumber(43));
    ServiceStatus {
        service: name(text),
        repository: text.into(),
        pipeline: hash(),
        newest,
        environments,
        removed: None,
    }
}

pub fn environment(text: &str) -> EnvironmentStatus {
    EnvironmentStatus {
        name: env(text),
        live: None,
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

pub fn with_live(mut environment: EnvironmentStatus, release: Option<u32>) -> EnvironmentStatus {
    let digest = release.map(|_| digest());
    environment.live = Some(LiveStatus {
        release: release.map(ReleaseNumber),
        digest,
        since: at(0),
        revision: None,
    });
    environment
}

pub fn with_activity(mut environment: EnvironmentStatus, activity: Activity) -> EnvironmentStatus {
    environment.activity = Some(activity);
    environment
}

pub fn with_waiting(mut environment: EnvironmentStatus, waiting: WaitingStatus) -> EnvironmentStatus {
    environment.waiting.push(waiting);
    environment
}

pub fn held(mut environment: EnvironmentStatus) -> EnvironmentStatus {
    environment.hold = Some(Hold {
        by: "ana".into(),
        at: at(0),
        reason: "sale until Monday".into(),
        after_rollback: false,
    });
    environment
}

pub fn activity(what: &str, release: Option<u32>, phase: Phase) -> Activity {
    let execution = match (what, release) {
        ("promotion", Some(number)) => format!("mc-api-{number}-production-1"),
        _ => "mc-api-production-r17".into(),
    };
    Activity {
        what: what.into(),
        release: release.map(ReleaseNumber),
        phase,
        started_at: at(0),
        deadline: at(601),
        execution: ExecutionName::parse(&execution).unwrap(),
        reason: None,
        traffic: None,
        held_until: None,
    }
}

/// `#43` comes to green in a canary of 5, 25, 50 and 100 %, at its second step.
pub fn on_tracks(phase: Phase) -> EnvironmentStatus {
    let track = |track, release, state, weight| TrackStatus {
        track: Some(track),
        release: Some(ReleaseNumber(release)),
        state,
        weight,
        pods: Some(if weight > 50 { 8 } else { 1 }),
        warm_until: None,
    };
    let mut moving = activity("promotion", Some(43), phase);
    moving.traffic = Some(TrafficStatus {
        track: Some(Track::Green),
        step: 2,
        steps: 4,
        weight: 25,
        next_weight: Some(50),
        served_since: Some(at(300)),
        bake_until: Some(at(600)),
        pause: None,
        hurry: None,
    });
    let mut environment = with_activity(with_live(environment("production"), Some(42)), moving);
    environment.tracks = vec![
        track(Track::Blue, 42, TrackState::Live, 75),
        track(Track::Green, 43, TrackState::Coming, 25),
    ];
    environment.alarms = vec![
        alarm("mc-api-production-5xx", Some(AlarmState::Ok)),
        alarm("mc-api-production-p99", None),
    ];
    environment
}

pub fn alarm(name: &str, state: Option<AlarmState>) -> AlarmStatus {
    let bad = state.is_some_and(|state| state != AlarmState::Ok);
    AlarmStatus {
        name: name.into(),
        state,
        since: state.map(|_| at(0)),
        reason: bad
            .then(|| "Threshold Crossed: 1 datapoint [7.0] was greater than the threshold (1.0)".into()),
        despite: false,
    }
}

/// Somebody is awaited: a person's pause has no end.
pub fn pause(by: Option<&str>, reason: &str) -> Pause {
    Pause {
        by: by.map(str::to_owned),
        reason: reason.into(),
        since: at(400),
        until: by.is_none().then(|| at(3_900)),
    }
}

pub fn hurry() -> Hurry {
    Hurry {
        by: "ana".into(),
        reason: "the fix".into(),
        at: at(400),
    }
}

pub fn watched(held_until: Option<i64>) -> EnvironmentStatus {
    let mut environment = with_live(environment("production"), Some(43));
    environment.watch = Some(WatchStatus {
        release: Some(ReleaseNumber(43)),
        since: at(0),
        until: at(1_800),
        held_until: held_until.map(at),
        reason: held_until.map(|_| "alarm mc-api-production-p99 has no data".into()),
    });
    environment.tracks = vec![
        TrackStatus {
            track: Some(Track::Blue),
            release: Some(ReleaseNumber(42)),
            state: TrackState::Warm,
            weight: 0,
            pods: Some(8),
            warm_until: Some(at(held_until.unwrap_or(1_800))),
        },
        TrackStatus {
            track: Some(Track::Green),
            release: Some(ReleaseNumber(43)),
            state: TrackState::Live,
            weight: 100,
            pods: None,
            warm_until: None,
        },
    ];
    environment.alarms = vec![alarm("mc-api-production-p99", Some(AlarmState::InsufficientData))];
    environment
}

pub fn waiting(release: u32, state: PromotionState) -> WaitingStatus {
    let asked = state == PromotionState::AwaitingApproval;
    WaitingStatus {
        release: ReleaseNumber(release),
        attempt: 1,
        state,
        reason: (!asked).then(|| "behind #42, which is rolling out".into()),
        since: at(0),
        expires_at: asked.then(|| at(86_400)),
        approvers: if asked {
            vec![person("ana"), person("ben")]
        } else {
            Vec::new()
        },
        approved_by: if asked { vec![person("ana")] } else { Vec::new() },
        quorum: if asked { 2 } else { 0 },
    }
}

pub fn release_history(number: u32, promotions: &[(&str, PromotionState)]) -> ReleaseHistory {
    let promotion = |(environment, state): &(&str, PromotionState)| PromotionHistory {
        environment: env(environment),
        attempt: 1,
        state: *state,
        reason: (*state != PromotionState::Verified).then(|| format!("the reason in {environment}")),
        wanted_at: at(0),
        ended_at: state.is_final().then(|| at(60)),
    };
    ReleaseHistory {
        number: ReleaseNumber(number),
        digest: digest(),
        tags: vec!["0a1b2c3d4e5f".into(), "latest".into()],
        commit: Some("0a1b2c3d4e5f60718293".into()),
        pushed_at: at(0),
        quarantine: None,
        promotions: promotions.iter().map(promotion).collect(),
    }
}

/// Text without colours, each line of which fits.
pub fn fits(text: &str, width: usize) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    for line in text.lines() {
        assert!(
            line.chars().count() <= width,
            "{} columns: {line}",
            line.chars().count()
        );
    }
    text
}
