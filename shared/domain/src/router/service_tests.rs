#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::http_route_tests::said;
use super::*;
use serde_json::json;

fn selecting(track: Track) -> Selector {
    [
        ("app".to_owned(), "api".to_owned()),
        ("sluice.dev/track".to_owned(), track.to_string()),
    ]
    .into()
}

fn with_routing<T>(test: impl FnOnce(&Routing<'_>) -> T) -> T {
    let services = TrackServices {
        root: "api".to_owned(),
    };
    test(&Routing {
        router: &Router::Service,
        services: &services,
        selectors: &[Track::Blue, Track::Green]
            .map(|track| (track, selecting(track)))
            .into(),
    })
}

fn root(selector: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "annotations": {"a": "b"}},
        "spec": {"selector": selector, "ports": [{"port": 80}], "clusterIP": "10.0.0.7"}})
}

#[test]
fn a_root_goes_to_a_track_and_back_to_what_it_selected_before() {
    with_routing(|routing| {
        let before = root(json!({"app": "old"}));
        assert_eq!(routing.weights(&before), Ok(Weights::original()));
        assert_eq!(
            routing.with_weights(&before, Weights::original()).unwrap()["spec"],
            before["spec"]
        );
        let blue = routing
            .with_weights(&before, Weights::split(Track::Blue, 100))
            .unwrap();
        assert_eq!(
            blue["spec"]["selector"],
            json!(selecting(Track::Blue)),
            "the old labels are gone from it"
        );
        assert_eq!(
            blue["metadata"]["annotations"]["sluice.dev/selector-before"],
            r#"{"app":"old"}"#
        );
        assert_eq!(blue["metadata"]["annotations"]["a"], "b");
        assert_eq!(blue["spec"]["clusterIP"], "10.0.0.7");
        let green = routing
            .with_weights(&blue, Weights::split(Track::Green, 100))
            .unwrap();
        assert_eq!(routing.weights(&green), Ok(Weights::split(Track::Green, 100)));
        assert_eq!(routing.meets(&green), Ok([("api-green".to_owned(), 100)].into()));
        let back = routing.with_weights(&green, Weights::original()).unwrap();
        assert_eq!(back["spec"], before["spec"]);
        assert_eq!(routing.weights(&back), Ok(Weights::original()));
    });
}

#[test]
fn what_a_selector_cannot_say_is_a_fault() {
    with_routing(|routing| {
        let told = |object: &Value| routing.weights(object).unwrap_err();
        assert!(matches!(told(&root(json!(null))), RouterFault::NoSelector { .. }));
        assert!(matches!(told(&root(json!({}))), RouterFault::NoSelector { .. }));
        let mut external = root(json!({"app": "api"}));
        external["spec"]["type"] = json!("ExternalName");
        assert!(matches!(told(&external), RouterFault::NoSelector { .. }));
        let halfway = root(json!({"app": "other", "sluice.dev/track": "blue"}));
        assert_eq!(
            told(&halfway).to_string(),
            "Service api selects app=other,sluice.dev/track=blue, which is neither what a track's Service selects nor free of \
             sluice.dev/track"
        );
        // But it can be put right.
        let mended = routing
            .with_weights(&halfway, Weights::split(Track::Blue, 100))
            .unwrap();
        assert_eq!(routing.weights(&mended), Ok(Weights::split(Track::Blue, 100)));
        assert!(mended["metadata"]["annotations"].get(SELECTOR_BEFORE).is_none());
        let told = routing.with_weights(&mended, Weights::original()).unwrap_err();
        assert!(matches!(told, RouterFault::NoOriginal { .. }), "{told}");
        let told = routing
            .with_weights(&mended, Weights::split(Track::Blue, 5))
            .unwrap_err();
        assert!(matches!(told, RouterFault::NotWhole { .. }), "{told}");
    });
}

#[test]
fn a_track_without_a_service_is_not_pointed_at() {
    let services = TrackServices {
        root: "api".to_owned(),
    };
    let routing = Routing {
        router: &Router::Service,
        services: &services,
        selectors: &BTreeMap::new(),
    };
    let told = routing
        .with_weights(&root(json!({"app": "api"})), Weights::split(Track::Green, 100))
        .unwrap_err();
    assert_eq!(
        told.to_string(),
        "Service api-green does not exist or selects nothing: it must be there before Service api is pointed at it"
    );
}

#[test]
fn a_root_stands_where_its_endpoints_are_those_of_its_track() {
    let of = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    for (behind, green, wanted) in [
        (&["g1", "g2"][..], &["g1", "g2"][..], "accepted"),
        (&[][..], &["g1"][..], "pending: Service api has no ready endpoint"),
        (
            &["b1", "g1"][..],
            &["g1", "g2"][..],
            "pending: behind Service api are 1 endpoints that Service api-green does not have, and 1 of its own are missing",
        ),
    ] {
        let evidence = Evidence {
            endpoints: [
                ("api".to_owned(), of(behind)),
                ("api-green".to_owned(), of(green)),
            ]
            .into(),
            load_balancer: None,
        };
        let object = root(json!(selecting(Track::Green)));
        assert_eq!(
            with_routing(|routing| said(routing.standing(&object, &evidence))),
            wanted
        );
    }
    let evidence = Evidence {
        endpoints: [("api".to_owned(), of(&["o1"]))].into(),
        load_balancer: None,
    };
    let before = root(json!({"app": "old"}));
    assert_eq!(
        with_routing(|routing| routing.standing(&before, &evidence)),
        RouterVerdict::Accepted
    );
}
