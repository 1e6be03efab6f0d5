#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use serde_json::json;

pub(super) fn with_routing<T>(test: impl FnOnce(&Routing<'_>) -> T) -> T {
    let (router, services) = (
        Router::HttpRoute("web".to_owned()),
        TrackServices {
            root: "api".to_owned(),
        },
    );
    test(&Routing {
        router: &router,
        services: &services,
        selectors: &BTreeMap::new(),
    })
}

fn route(rules: Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "production", "generation": 3, "annotations": {"somebody": "else"}},
        "spec": {"parentRefs": [{"name": "public"}], "hostnames": ["example.com"], "rules": rules},
    })
}

fn named(name: &str, weight: u32) -> Value {
    json!({"name": name, "port": 80, "weight": weight})
}

fn split(original: u32, blue: u32, green: u32) -> Weights {
    Weights {
        original,
        blue,
        green,
    }
}

#[test]
fn weights_are_read_as_percent() {
    with_routing(|routing| {
        for (rules, wanted) in [
            (
                json!([{"backendRefs": [{"name": "api", "port": 80}]}]),
                split(100, 0, 0),
            ),
            (
                json!([{"backendRefs": [named("api-blue", 95), named("api-green", 5)]}]),
                split(0, 95, 5),
            ),
            (
                json!([{"backendRefs": [named("api-blue", 1), named("api-green", 999_999)]}]),
                split(0, 1, 99),
            ),
            (
                json!([{"backendRefs": [named("api-green", 7)]}]),
                split(0, 0, 100),
            ),
            (
                json!([{"backendRefs": [named("api-green", 7), named("other", 0)]}]),
                split(0, 0, 100),
            ),
            // The default weight is 1.
            (
                json!([{"backendRefs": [{"name": "api-blue"}, named("api-green", 3)]}]),
                split(0, 25, 75),
            ),
            // Other rules are left alone: a redirect, another Service, one of the same name elsewhere.
            (
                json!([
                    {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]},
                    {"backendRefs": [named("docs", 1)]},
                    {"backendRefs": [{"name": "api-blue", "namespace": "elsewhere", "port": 80}]},
                    {"backendRefs": [{"name": "api-blue", "kind": "ServiceImport", "group": "multicluster.x-k8s.io"}]},
                    {"backendRefs": [{"name": "api-blue", "namespace": "production", "group": "", "kind": "Service", "weight": 2}]},
                ]),
                split(0, 100, 0),
            ),
            // Two rules that agree, in other numbers.
            (
                json!([
                    {"backendRefs": [named("api-blue", 1), named("api-green", 3)]},
                    {"backendRefs": [named("api-green", 75), named("api-blue", 25)]},
                ]),
                split(0, 25, 75),
            ),
        ] {
            assert_eq!(routing.weights(&route(rules.clone())), Ok(wanted), "{rules}");
        }
    });
}

#[test]
fn what_weights_cannot_say_is_a_fault() {
    with_routing(|routing| {
        for (rules, wanted) in [
            (
                json!([]),
                "HTTPRoute web names no backend, and none of api, api-blue and api-green: let one of its rules name Service api",
            ),
            (
                json!([{"backendRefs": [named("docs", 1), {"name": "api", "namespace": "x"}]}]),
                "HTTPRoute web names Service api in namespace x, docs, and none of api, api-blue and api-green: let one of its \
                 rules name Service api",
            ),
            (
                json!([{"backendRefs": [named("api-blue", 90), named("old", 10)]}]),
                "HTTPRoute web also gives traffic to old with 10 %: only api, api-blue and api-green may have a weight in a \
                 rule that names one of them",
            ),
            (
                json!([{"backendRefs": [named("api-blue", 1)]}, {"backendRefs": [named("api-green", 1)]}]),
                "HTTPRoute web: spec.rules[0] says api-blue 100 %, spec.rules[1] says api-green 100 %: give every rule that \
                 names one of api, api-blue and api-green the same weights",
            ),
            (
                json!([{"backendRefs": [named("api-blue", 0)]}]),
                "HTTPRoute web: spec.rules[0].backendRefs has no weight above 0, so that no request is answered: give one \
                 backend a weight",
            ),
            (
                json!([{"backendRefs": [named("api-blue", 1), {"name": "api-green", "weight": -1}]}]),
                "HTTPRoute web: spec.rules[0].backendRefs[1].weight is -1, and should be a whole number from 0 to 1000000",
            ),
            (
                json!([{"backendRefs": [{"name": "api", "weight": "5"}]}]),
                "HTTPRoute web: spec.rules[0].backendRefs[0].weight is \"5\", and should be a whole number from 0 to 1000000",
            ),
            (
                json!([{"backendRefs": [{"name": "api", "port": 80}, {"name": "api", "port": 81}]}]),
                "HTTPRoute web: spec.rules[0].backendRefs names Service api more than once: name it once, with one port",
            ),
            (
                json!({"not": "a list"}),
                "HTTPRoute web: spec.rules is {\"not\":\"a list\"}, and should be a list",
            ),
        ] {
            let told = routing.weights(&route(rules.clone())).unwrap_err();
            assert_eq!(told.to_string(), wanted, "{rules}");
        }
    });
}

#[test]
fn both_tracks_are_named_beside_what_was_there() {
    with_routing(|routing| {
        let first = json!([
            {
                "name": "all", "matches": [{"path": {"value": "/"}}], "timeouts": {"request": "10s"},
                "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shadow", "port": 80}}}],
                "backendRefs": [{"name": "api", "port": 8080, "filters": [{"type": "RequestHeaderModifier"}]}, named("old", 0)],
            },
            {"backendRefs": [named("docs", 1)]},
        ]);
        let written = routing
            .with_weights(&route(first.clone()), Weights::split(Track::Green, 5))
            .unwrap();
        let header = json!([{"type": "RequestHeaderModifier"}]);
        let entry = |name: &str, weight: u32| json!({"name": name, "port": 8080, "filters": header, "weight": weight});
        let mut wanted = route(first);
        wanted["spec"]["rules"][0]["backendRefs"] = json!([
            entry("api", 0),
            entry("api-blue", 95),
            entry("api-green", 5),
            named("old", 0)
        ]);
        assert_eq!(written, wanted);
        assert_eq!(routing.weights(&written), Ok(Weights::split(Track::Green, 5)));

        // No name goes away, and the way back writes the same list.
        let back = routing.with_weights(&written, Weights::original()).unwrap();
        wanted["spec"]["rules"][0]["backendRefs"] = json!([
            entry("api", 100),
            entry("api-blue", 0),
            entry("api-green", 0),
            named("old", 0)
        ]);
        assert_eq!(back, wanted);
    });
}

#[test]
fn a_rollback_is_written_also_where_the_route_is_in_disorder() {
    with_routing(|routing| {
        let disorder = route(json!([
            {"backendRefs": [named("api-blue", 0)]},
            {"backendRefs": [named("api-green", 100), named("stranger", 9)]},
        ]));
        assert!(routing.weights(&disorder).is_err());
        let written = routing
            .with_weights(&disorder, Weights::split(Track::Blue, 100))
            .unwrap();
        assert_eq!(
            written["spec"]["rules"][1]["backendRefs"],
            json!([
                named("api-green", 0),
                named("api-blue", 100),
                named("stranger", 9)
            ])
        );
        // What it could not put right, it does not call right.
        assert!(matches!(
            routing.weights(&written),
            Err(RouterFault::Disagree { .. })
        ));
    });
}

#[test]
fn what_cannot_be_written_is_said() {
    with_routing(|routing| {
        let many: Vec<_> = (0..15)
            .map(|place| named(&format!("b{place}"), 0))
            .chain([named("api", 1)])
            .collect();
        let told = routing
            .with_weights(&route(json!([{"backendRefs": many}])), Weights::original())
            .unwrap_err();
        assert!(
            matches!(
                told,
                RouterFault::TooMany {
                    count: 18,
                    most: 16,
                    ..
                }
            ),
            "{told}"
        );
        let fine = route(json!([{"backendRefs": [named("api", 1)]}]));
        let told = routing.with_weights(&fine, split(1, 1, 1)).unwrap_err();
        assert!(matches!(told, RouterFault::Total { total: 3, .. }), "{told}");
        let told = routing.with_weights(&fine, split(u32::MAX, 1, 0)).unwrap_err();
        assert!(matches!(told, RouterFault::Total { .. }), "{told}");
        let told = routing
            .with_weights(&route(json!([])), Weights::original())
            .unwrap_err();
        assert!(matches!(told, RouterFault::NotNamed { .. }), "{told}");
    });
}

fn answer(parent: Value, conditions: &[(&str, &str, i64)]) -> Value {
    let condition = |(kind, status, generation): &(&str, &str, i64)| json!({"type": kind, "status": status, "observedGeneration": generation, "reason": "Because", "message": "so it is"});
    let conditions: Vec<_> = conditions.iter().map(condition).collect();
    json!({"controllerName": "example.com/gateway", "parentRef": parent, "conditions": conditions})
}

#[test]
fn a_route_stands_where_every_parent_says_so_for_this_generation() {
    let good = [("Accepted", "True", 3), ("ResolvedRefs", "True", 3)];
    let public = || json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "production", "name": "public"});
    let other = |reference: Value, conditions: &[(&str, &str, i64)]| vec![answer(reference, conditions)];
    for (parents, status, wanted) in [
        (json!([{"name": "public"}]), other(public(), &good), "accepted"),
        (
            json!([{"name": "public"}]),
            other(json!({"name": "public"}), &good),
            "accepted",
        ),
        (
            json!([{"name": "public"}]),
            vec![],
            "pending: HTTPRoute web: Gateway public has not answered",
        ),
        (
            json!([{"name": "public", "sectionName": "https"}]),
            other(public(), &good),
            "pending: HTTPRoute web: Gateway public (https) has not answered",
        ),
        (
            json!([{"name": "public"}]),
            other(json!({"name": "public", "namespace": "elsewhere"}), &good),
            "pending: HTTPRoute web: Gateway public has not answered",
        ),
        (
            json!([{"name": "public"}, {"name": "private"}]),
            other(public(), &good),
            "pending: HTTPRoute web: Gateway private has not answered",
        ),
        (
            json!([{"name": "public"}]),
            other(public(), &[("Accepted", "True", 3), ("ResolvedRefs", "True", 2)]),
            "pending: HTTPRoute web: Gateway public: example.com/gateway says ResolvedRefs for generation 2, not 3",
        ),
        // Of an older generation also a False says nothing about this one.
        (
            json!([{"name": "public"}]),
            other(public(), &[("Accepted", "False", 2), ("ResolvedRefs", "True", 3)]),
            "pending: HTTPRoute web: Gateway public: example.com/gateway says Accepted for generation 2, not 3",
        ),
        (
            json!([{"name": "public"}]),
            other(public(), &[("Accepted", "True", 3)]),
            "pending: HTTPRoute web: Gateway public: example.com/gateway has not said ResolvedRefs",
        ),
        (
            json!([{"name": "public"}]),
            other(
                public(),
                &[("Accepted", "Unknown", 3), ("ResolvedRefs", "True", 3)],
            ),
            "pending: HTTPRoute web: Gateway public: example.com/gateway says Accepted is Unknown (Because: so it is)",
        ),
        (
            json!([{"name": "public"}]),
            other(public(), &[("Accepted", "True", 3), ("ResolvedRefs", "False", 3)]),
            "refused: HTTPRoute web: Gateway public: example.com/gateway says ResolvedRefs is False (Because: so it is)",
        ),
        (
            json!([{"name": "public"}]),
            other(public(), &[good[0], good[1], ("PartiallyInvalid", "True", 3)]),
            "refused: HTTPRoute web: Gateway public: example.com/gateway says PartiallyInvalid is True (Because: so it is)",
        ),
        (
            json!([{"name": "public"}]),
            other(public(), &[good[0], good[1], ("PartiallyInvalid", "True", 2)]),
            "accepted",
        ),
        // Two controllers answer for one parent: both count.
        (
            json!([{"name": "public"}]),
            vec![
                answer(public(), &good),
                answer(public(), &[("Accepted", "False", 3), ("ResolvedRefs", "True", 3)]),
            ],
            "refused: HTTPRoute web: Gateway public: example.com/gateway says Accepted is False (Because: so it is)",
        ),
        (
            json!([]),
            other(public(), &good),
            "refused: HTTPRoute web has no spec.parentRefs: no Gateway serves it",
        ),
    ] {
        let mut route = route(json!([{"backendRefs": [named("api", 1)]}]));
        route["spec"]["parentRefs"] = parents;
        route["status"]["parents"] = json!(status);
        let verdict = with_routing(|routing| routing.standing(&route, &Evidence::default()));
        assert_eq!(said(verdict), wanted, "{}", route["status"]);
    }
    let mut unborn = route(json!([]));
    unborn["metadata"].as_object_mut().unwrap().remove("generation");
    let verdict = with_routing(|routing| routing.standing(&unborn, &Evidence::default()));
    assert_eq!(said(verdict), "pending: HTTPRoute web has no metadata.generation");
}

pub(super) fn said(verdict: RouterVerdict) -> String {
    match verdict {
        RouterVerdict::Accepted => "accepted".to_owned(),
        RouterVerdict::Pending(reason) => format!("pending: {reason}"),
        RouterVerdict::Refused(reason) => format!("refused: {reason}"),
    }
}
