//! The Service that a workload is known by, and where it and its like point.
use super::*;
use crate::tracks::pointed_at;

#[test]
fn the_service_it_is_known_by_is_the_named_one_or_the_only_one() {
    let said = |bundle: &Bundle, named| match services_of(bundle, named) {
        Ok(services) => services.root,
        Err(fault) => fault.to_string(),
    };
    let mut without = bundle();
    without.objects.remove(0);
    let mut long = bundle();
    long.objects[0]["metadata"]["name"] = json!("s".repeat(56));
    let said = [
        said(&bundle(), None),
        said(&bundle(), Some("mc-api")),
        said(&bundle(), Some("mc-web")),
        said(&two_deployments(), None),
        said(&two_deployments(), Some("web")),
        said(&two_deployments(), Some("all")),
        said(&without, None),
        said(&long, None),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    mc-api
    mc-api
    there is no Service mc-web. Right: the name of a Service that selects the release's pods, or no `service`
    the Services all, web, worker select the pods of the release. Right: service = "..." in the strategy: the one whose requests the router shares out
    the Service web does not select the pods of worker, which would work whatever their weight. Right: one Service before every Deployment that runs the release; a worker without one is a service of its own, with strategy = "rolling"
    all
    no Service selects the pods of mc-api: a track of them would work whatever its weight. Right: a Service before these pods, or strategy = "rolling", which needs none
    the Service ssssssssssssssssssssssssssssssssssssssssssssssssssssssss has a name to which no `-preview` can be added. Right: a name of at most 55 characters that starts with a letter
    "#);
}

#[test]
fn a_service_points_at_each_place_and_is_found_there_again() {
    for bundle in [bundle(), two_deployments()] {
        for place in [None, Some(Track::Blue), Some(Track::Green)] {
            let at = |service: &&Value| match place {
                Some(track) => pointing(service, &bundle, track),
                None => (*service).clone(),
            };
            let there: Vec<Value> = pointed(&bundle).iter().map(at).collect();
            assert_eq!(pointed_at(&bundle, &there), Some(place));
            // Pointed at a track, it selects exactly that track's pods.
            for other in BOTH {
                for labels in pods(&on(&bundle, other)) {
                    let selecting = there
                        .iter()
                        .any(|one| matches(&json!({"matchLabels": one["spec"]["selector"]}), labels));
                    assert_eq!(selecting, Some(other) == place, "{place:?} and pods of {other}");
                }
            }
            assert_eq!(pointed_at(&bundle, &there[1..]), None, "one is missing");
        }
    }
}

#[test]
fn services_that_do_not_agree_point_nowhere() {
    let bundle = two_deployments();
    let services = pointed(&bundle);
    let mut there: Vec<Value> = services
        .iter()
        .map(|one| pointing(one, &bundle, Track::Blue))
        .collect();
    there[1] = pointing(services[1], &bundle, Track::Green);
    assert_eq!(pointed_at(&bundle, &there), None);
    there[1] = services[1].clone();
    assert_eq!(pointed_at(&bundle, &there), None);
    // The label alone does not do: other labels of it may select nothing.
    let mut there: Vec<Value> = services
        .iter()
        .map(|one| pointing(one, &bundle, Track::Blue))
        .collect();
    there[0]["spec"]["selector"]["app"] = json!("somebody-else");
    assert_eq!(pointed_at(&bundle, &there), None);
    // And one of before that somebody changed is not what was there before.
    let mut there: Vec<Value> = services.into_iter().cloned().collect();
    there[0]["spec"]["selector"]["app"] = json!("somebody-else");
    assert_eq!(pointed_at(&bundle, &there), None);
}
