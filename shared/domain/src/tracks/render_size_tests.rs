//! How many pods a part of the traffic needs.
use super::*;

#[test]
fn the_size_of_a_part_is_rounded_up_and_never_none_where_there_is_traffic() {
    let table = [
        (10, 0, 0),
        (10, 1, 1),
        (10, 5, 1),
        (10, 10, 1),
        (10, 11, 2),
        (10, 25, 3),
        (10, 50, 5),
        (10, 99, 10),
        (10, 100, 10),
        (3, 34, 2),
        (1, 1, 1),
        (0, 50, 0),
        (-3, 50, 0),
        (10, 700, 10),
        (i32::MAX, 100, i32::MAX),
    ];
    for (full, weight, size) in table {
        assert_eq!(size_for(full, weight), size, "{weight} % of {full}");
    }
}

#[test]
fn a_track_has_the_pods_of_its_part_and_its_autoscaler_goes_no_lower() {
    let full = BTreeMap::from([("mc-api".to_owned(), 8)]);
    let at = |weight| sized(&on(&bundle(), Track::Blue), Track::Blue, &full, weight);
    let bounds = |bundle: &Bundle| {
        let spec = named(bundle, "HorizontalPodAutoscaler", "mc-api-blue")["spec"].clone();
        (
            bundle.deployments[0].replicas,
            spec["minReplicas"].as_i64(),
            spec["maxReplicas"].as_i64(),
        )
    };
    assert_eq!(
        bounds(&at(0)),
        (Some(0), Some(1), Some(6)),
        "an autoscaler has one pod at least"
    );
    assert_eq!(bounds(&at(5)), (Some(1), Some(1), Some(6)));
    assert_eq!(bounds(&at(50)), (Some(4), Some(4), Some(6)));
    assert_eq!(
        bounds(&at(100)),
        (Some(8), Some(8), Some(8)),
        "never below what it has to be"
    );
    let unknown = sized(&on(&bundle(), Track::Blue), Track::Blue, &BTreeMap::new(), 50);
    assert_eq!(unknown.deployments[0].replicas, bundle().deployments[0].replicas);
}

#[test]
fn the_whole_traffic_needs_what_is_said_or_what_runs() {
    let full = |replicas, running: i32| {
        let mut bundle = bundle();
        bundle.deployments[0].replicas = replicas;
        full_size(&bundle, &BTreeMap::from([("mc-api".to_owned(), running)]))["mc-api"]
    };
    assert_eq!(
        [full(Some(4), 2), full(Some(4), 6), full(None, 6), full(None, 0)],
        [4, 6, 6, 2],
        "its autoscaler keeps two at least"
    );
    assert_eq!(full(Some(0), 0), 0, "an autoscaler leaves it alone");
}
