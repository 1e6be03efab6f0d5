//! How many pods a release is brought in, and what it replaces is kept at.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::environment::{Environment, Phase};
use crate::rollout::track_world::{World, canary};
use crate::tracks::render_samples;
use serde_json::json;

/// `said`: the replicas of the packaged manifest. `scaled`: the bounds of an autoscaler.
fn size(said: Option<i32>, scaled: Option<(i32, i32)>, recorded: Option<i32>, running: Option<i32>) -> i32 {
    let mut target = render_samples::bundle();
    target.deployments[0].replicas = recorded;
    target
        .objects
        .retain(|object| object["kind"] != "HorizontalPodAutoscaler");
    target.objects.extend(scaled.map(|(least, most)| {
        json!({
            "kind": "HorizontalPodAutoscaler", "metadata": {"name": "mc-api"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "mc-api"}, "minReplicas": least, "maxReplicas": most},
        })
    }));
    let mut manifest = json!({"kind": "Deployment", "metadata": {"name": "mc-api"}, "spec": {}});
    if let Some(said) = said {
        manifest["spec"]["replicas"] = json!(said);
    }
    let package = EnvironmentPackage {
        manifests: vec![manifest],
        ..EnvironmentPackage::default()
    };
    let running = running
        .map(|running| ("mc-api".to_owned(), running))
        .into_iter()
        .collect();
    wanted_size(&target, &package, &running)["mc-api"]
}

#[test]
fn what_is_said_counts_also_where_it_is_less_than_runs() {
    assert_eq!(
        size(Some(3), None, Some(3), Some(6)),
        3,
        "scaled down by the manifest"
    );
    assert_eq!(size(Some(6), None, Some(6), Some(3)), 6);
    assert_eq!(size(Some(4), None, Some(4), None), 4);
}

#[test]
fn an_autoscaler_counts_within_its_bounds() {
    assert_eq!(size(None, Some((4, 10)), None, Some(7)), 7, "the demand");
    assert_eq!(
        size(None, Some((4, 10)), None, Some(12)),
        10,
        "its most was lowered"
    );
    assert_eq!(
        size(None, Some((4, 10)), None, Some(2)),
        4,
        "its least was raised"
    );
    assert_eq!(size(None, Some((4, 10)), None, None), 4);
    // The manifest's replicas are nothing beside an autoscaler.
    assert_eq!(size(Some(2), Some((4, 10)), None, Some(7)), 7);
}

#[test]
fn where_nobody_says_it_whoever_scaled_it_does() {
    assert_eq!(size(None, None, Some(6), Some(3)), 3, "scaled down by hand");
    assert_eq!(size(None, None, Some(3), Some(6)), 6);
    assert_eq!(size(None, None, Some(3), None), 3);
}

fn traffic(environment: &mut Environment) -> &mut Traffic {
    environment.rollout.as_mut().unwrap().traffic.as_mut().unwrap()
}

/// `#3` needs 2 pods, where `#2` has 4: at this stage of its rollout.
fn smaller(phase: Phase, stage: u32) -> World {
    let mut world = World::new(canary(&[])).come_to(Phase::Rolling, 0);
    let sizes = |size| [("mc-api".to_owned(), size)].into();
    let known = traffic(&mut world.environment);
    (known.full, known.left) = (sizes(2), sizes(4));
    world.environment.tracks.as_mut().unwrap().full = sizes(2);
    world.come_to(phase, stage)
}

fn pods(world: &World) -> (String, i32) {
    let wanted = world.wanted().unwrap();
    let one = &wanted.deployments[0];
    (one.name.clone(), one.replicas.unwrap())
}

#[test]
fn what_is_left_keeps_and_gets_back_what_it_had() {
    let mut back = smaller(Phase::Baking, 2);
    assert_eq!(pods(&back), ("mc-api-green".to_owned(), 1));
    back.roll_back(None, true).unwrap();
    assert_eq!(pods(&back), ("mc-api-blue".to_owned(), 4));
    // Also once the smaller one is live: the track that is kept warm comes back at once, as it is.
    let mut live = smaller(Phase::Baking, 2);
    live.now += 300;
    live.settle();
    live.complete();
    let tracks = live.environment.tracks.clone().unwrap();
    assert_eq!(
        (tracks.full["mc-api"], tracks.held[&Track::Blue].pinned["mc-api"]),
        (2, 4)
    );
    live.roll_back(None, false).unwrap();
    assert_eq!(pods(&live), ("mc-api-blue".to_owned(), 4));
}
