//! How many pods of a chart are asked for, and kept.
use super::*;
use crate::tracks::{behind, everywhere, pin, pins};

#[test]
fn the_whole_size_is_the_chart_s_or_what_runs_where_the_traffic_is() {
    let bundle = bundle();
    let image = release(1).image();
    let there = seen(vec![
        observed("mc-api", 5, &image),
        observed("mc-api-blue", 9, &image),
    ]);
    for (live, wanted) in [(None, 5), (Some(Track::Blue), 8), (Some(Track::Green), 4)] {
        let tracks = Tracks {
            live,
            ..Tracks::default()
        };
        let planned = planned_chart(bundle.clone(), &on_tracks(), &tracks, &there, Some(&bundle)).unwrap();
        assert_eq!(planned.full["mc-api"], wanted, "{live:?}");
        assert_eq!(planned.route.services.root, "mc-api");
        assert_eq!(planned.to, tracks.idle());
    }
    // Without an autoscaler the chart's word counts, also where more run; what is left goes back to what it had.
    let plain = rendered(|track| good(track).drain(..2).collect());
    let plain = judged(&plain, &ALONE).unwrap();
    let tracks = Tracks {
        live: Some(Track::Blue),
        ..Tracks::default()
    };
    let planned = planned_chart(plain.clone(), &on_tracks(), &tracks, &there, Some(&plain)).unwrap();
    assert_eq!((planned.full["mc-api"], planned.left["mc-api"]), (4, 9));
}

#[test]
fn on_a_track_a_chart_has_names_of_its_own() {
    let bundle = judged(&rendered(with_worker), &ALONE).unwrap();
    let names: Vec<String> = everywhere([&bundle]).into_iter().map(|one| one.name).collect();
    let wanted = [
        "mc-api",
        "mc-api-blue",
        "mc-api-blue-worker",
        "mc-api-green",
        "mc-api-green-worker",
        "mc-api-worker",
    ];
    assert_eq!(names, wanted);
}

/// A chart with a second Deployment whose names say the track in the middle, which its Service does not select.
fn with_worker(track: Track) -> Vec<Value> {
    let name = format!("mc-api-{track}-worker");
    let mut all = good(track);
    all.push(deployment(&name, &json!({"app": name}), "jobs:1"));
    all.push(autoscaler(&name));
    all
}

#[test]
fn as_many_endpoints_are_asked_for_as_the_chart_puts_behind_the_service() {
    let bundle = judged(&rendered(with_worker), &ALONE).unwrap();
    let mut moves = traffic(Some(Track::Green), Some(Track::Blue));
    moves.full.insert("mc-api-worker".into(), 7);
    let placed = brought(&moves, &on_tracks(), &bundle).unwrap();
    assert_eq!(placed.deployments.len(), 2);
    // A quarter of 4; the worker's 2 are behind no Service.
    assert_eq!(behind(&placed, "mc-api-green"), 1);
    let mut back = rollout(Phase::Restoring, moves);
    back.traffic.as_mut().unwrap().left = [("mc-api".to_owned(), 6)].into();
    let placed = placed_by(&back, bundle);
    assert_eq!(behind(&placed, "mc-api-blue"), 6, "as many as it had");
}

#[test]
fn what_is_left_of_a_chart_is_kept_at_its_size_by_its_own_names() {
    let bundle = judged(&rendered(with_worker), &ALONE).unwrap();
    let there = seen(vec![
        observed("mc-api-blue", 6, "x"),
        observed("mc-api-blue-worker", 3, "x"),
    ]);
    let mut environment = environment();
    let moves = traffic(Some(Track::Green), Some(Track::Blue));
    environment.rollout = Some(rollout(Phase::Rolling, moves));
    pin(&mut environment, &bundle, &there);
    let moves = environment.rollout.unwrap().traffic.unwrap();
    assert_eq!(
        moves.pinned,
        [("mc-api".to_owned(), 6), ("mc-api-worker".to_owned(), 3)].into()
    );
    let least = |objects: Vec<Value>| -> Vec<(String, Value)> {
        let each = objects.iter();
        each.map(|one| (name_of(one).to_owned(), one["spec"]["minReplicas"].clone()))
            .collect()
    };
    assert_eq!(
        least(pins(&bundle, &moves).unwrap()),
        [
            ("mc-api-blue".to_owned(), json!(6)),
            ("mc-api-blue-worker".to_owned(), json!(3))
        ]
    );
    // Cooled, they have bounds of their own again.
    assert_eq!(
        least(cold(&bundle, Some(Track::Blue)).unwrap().objects),
        [
            ("mc-api-blue".to_owned(), json!(2)),
            ("mc-api-blue-worker".to_owned(), json!(2))
        ]
    );
}
