//! Small, valid values, and what places are called.

use crate::cluster::FULL;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sluice_domain::bundle::Bundle;
use sluice_domain::ids::{Hash, PromotionId, ReleaseNumber};
use sluice_domain::pipeline::{EnvironmentSpec, Router};
use sluice_domain::promotion::{Asker, Promotion, PromotionState};
use sluice_domain::release::Release;
use sluice_domain::tracks::{Route, Track, TrackServices, Weights};
use std::collections::BTreeMap;

/// Everything lasts one tick: what is in the future is so until time passes.
const TICK: i64 = 100;

pub fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

pub fn before() -> Timestamp {
    now().saturating_sub(SignedDuration::from_secs(TICK)).unwrap()
}

pub fn soon() -> Timestamp {
    now().saturating_add(SignedDuration::from_secs(TICK)).unwrap()
}

pub fn hash(number: u32) -> Hash {
    Hash::parse(&format!("{number:064x}")).unwrap()
}

pub fn image(release: u32) -> String {
    format!("mc-api@sha256:{release:064x}")
}

/// The number at the end of a hash or a digest.
pub fn number(text: &str) -> u32 {
    u32::from_str_radix(&text[text.len() - 8..], 16).unwrap()
}

pub fn bundle(release: u32) -> Bundle {
    let labels = json!({"app": "mc-api"});
    let manifest = json!({"spec": {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {}},
    }});
    let service = json!({"kind": "Service", "metadata": {"name": "mc-api"}, "spec": {"selector": labels}});
    serde_json::from_value(json!({
        "release": release,
        "digest": format!("sha256:{release:064x}"),
        "deployments": [{
            "name": "mc-api", "container": "api", "replicas": FULL, "manifest": manifest,
            "images": {"api": image(release)},
        }],
        "objects": [service],
    }))
    .unwrap()
}

pub fn promotion(release: u32) -> Promotion {
    serde_json::from_value(json!({
        "service": "mc-api", "environment": "production",
        "id": PromotionId { release: ReleaseNumber(release), attempt: 1 },
        "digest": format!("sha256:{release:064x}"),
        "pipeline": hash(900), "asked_by": Asker::Automatic,
        "wanted_at": now(), "state": PromotionState::Wanted, "v": 1,
    }))
    .unwrap()
}

pub fn release(number: u32) -> Release {
    serde_json::from_value(json!({
        "service": "mc-api", "number": number, "digest": format!("sha256:{number:064x}"), "uri": "mc-api",
        "children": [], "tags": [], "commit": null, "quarantine": null,
        "pushed_at": Timestamp::from_second(i64::from(number)).unwrap(), "recorded_at": now(),
        "pipeline": hash(900), "v": 1,
    }))
    .unwrap()
}

/// Half of the traffic first, then all.
pub fn spec(pause: bool) -> EnvironmentSpec {
    let mut step = json!({"weight": 50, "bake": TICK});
    if pause {
        step["pause"] = json!(TICK);
    }
    serde_json::from_value(json!({
        "name": "production", "cluster": "c", "namespace": "n",
        "strategy": {"canary": {"router": {"http_route": "mc-api"}, "steps": [step]}},
        "timeout": TICK, "rollback_within": TICK, "hold_for": TICK, "alarms": ["5xx"],
    }))
    .unwrap()
}

pub fn place_of(track: Option<Track>) -> u8 {
    match track {
        None => 0,
        Some(Track::Blue) => 1,
        Some(Track::Green) => 2,
    }
}

pub fn track_at(place: u8) -> Option<Track> {
    [None, Some(Track::Blue), Some(Track::Green)][usize::from(place)]
}

pub fn name_at(place: u8) -> String {
    track_at(place).map_or_else(|| "mc-api".to_owned(), |track| track.of("mc-api"))
}

pub fn parts(weights: Weights) -> [u8; 3] {
    [weights.original, weights.blue, weights.green].map(|weight| u8::try_from(weight).unwrap())
}

pub fn route() -> Route {
    Route {
        router: Router::HttpRoute("mc-api".into()),
        services: TrackServices {
            root: "mc-api".into(),
        },
    }
}

pub fn full() -> BTreeMap<String, i32> {
    BTreeMap::from([("mc-api".to_owned(), i32::from(FULL))])
}
