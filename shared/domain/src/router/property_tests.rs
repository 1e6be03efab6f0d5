#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;
use serde_json::json;

const ACTION: &str = "alb.ingress.kubernetes.io/actions.web";

fn any_weights() -> impl Strategy<Value = Weights> {
    (0..=100_u32, 0..=100_u32).prop_map(|(one, other)| {
        let (low, high) = (one.min(other), one.max(other));
        Weights {
            original: low,
            blue: high - low,
            green: 100 - high,
        }
    })
}

/// Backends of a rule: some of ours, in any order, among others; with whatever weights.
fn any_backends(key: &'static str, highest: u32) -> impl Strategy<Value = Vec<Value>> {
    let ours = Just(vec!["api", "api-blue", "api-green"]).prop_shuffle();
    let names = (ours, 1..=3_usize, 0..=2_usize).prop_map(|(ours, count, others)| {
        let others = ["docs", "shop"].into_iter().take(others);
        ours.into_iter().take(count).chain(others).collect::<Vec<_>>()
    });
    let names = names.prop_shuffle();
    (names, prop::collection::vec((0..=highest, any::<bool>()), 5)).prop_map(move |(names, extras)| {
        let entry = |(name, (weight, has_filter)): (&str, (u32, bool))| {
            let weight = if ["docs", "shop"].contains(&name) {
                0
            } else {
                weight
            };
            let mut entry = json!({key: name, "servicePort": 80, "weight": weight});
            if has_filter {
                entry["filters"] = json!([{"type": "RequestHeaderModifier"}]);
            }
            entry
        };
        names.into_iter().zip(extras).map(entry).collect()
    })
}

fn any_route() -> impl Strategy<Value = Value> {
    prop::collection::vec(any_backends("name", 1_000_000), 1..4).prop_map(|rules| {
        let rules: Vec<_> = rules
            .into_iter()
            .map(|list| json!({"matches": [{"path": {"value": "/"}}], "backendRefs": list}))
            .chain([json!({"backendRefs": [{"name": "elsewhere", "port": 1}]})])
            .collect();
        json!({"metadata": {"name": "web", "namespace": "production"}, "spec": {"hostnames": ["a"], "rules": rules}})
    })
}

fn any_ingress() -> impl Strategy<Value = Value> {
    any_backends("serviceName", 999).prop_map(|groups| {
        let action = json!({"type": "forward", "forwardConfig": {"targetGroups": groups}}).to_string();
        let path = json!({"backend": {"service": {"name": "web", "port": {"name": "use-annotation"}}}});
        json!({"metadata": {"namespace": "production", "annotations": {ACTION: action, "a": "b"}},
            "spec": {"rules": [{"http": {"paths": [path]}}]}})
    })
}

fn check(routing: &Routing<'_>, object: &Value, weights: Weights) -> Result<(), TestCaseError> {
    let written = routing.with_weights(object, weights).unwrap();
    prop_assert_eq!(routing.weights(&written), Ok(weights));
    let shares = routing.meets(&written).unwrap();
    prop_assert_eq!(shares.values().sum::<u32>(), 100);
    prop_assert_eq!(
        &routing.with_weights(&written, weights).unwrap(),
        &written,
        "writing again changes nothing"
    );
    // No backend's name is ever taken away, and both tracks are named.
    let names = |object: &Value| object.to_string();
    for name in ["docs", "shop", "api"] {
        let quoted = [format!("\"{name}\""), format!("\\\"{name}\\\"")];
        let has = |text: &str| quoted.iter().any(|quoted| text.contains(quoted));
        prop_assert!(
            !has(&names(object)) || has(&names(&written)),
            "{} went away",
            name
        );
    }
    prop_assert!(names(&written).contains("api-blue") && names(&written).contains("api-green"));
    Ok(())
}

/// The object without what Sluice may change: names and weights of the governed entries.
fn foreign(mut object: Value) -> Value {
    if let Some(text) = object["metadata"]["annotations"][ACTION].as_str() {
        let mut action: Value = serde_json::from_str(text).unwrap();
        strip(&mut action["forwardConfig"]["targetGroups"], "serviceName");
        object["metadata"]["annotations"][ACTION] = action;
    }
    for rule in object["spec"]["rules"].as_array_mut().unwrap() {
        if rule.get("backendRefs").is_some() {
            strip(&mut rule["backendRefs"], "name");
        }
    }
    object
}

fn strip(list: &mut Value, key: &str) {
    let ours = ["api", "api-blue", "api-green"];
    list.as_array_mut()
        .unwrap()
        .retain(|entry| !ours.contains(&entry[key].as_str().unwrap()));
}

proptest! {
    #[test]
    fn what_is_written_to_a_route_is_what_is_read(route in any_route(), weights in any_weights()) {
        let (router, services) = (Router::HttpRoute("web".to_owned()), TrackServices { root: "api".to_owned() });
        let routing = Routing { router: &router, services: &services, selectors: &BTreeMap::new() };
        check(&routing, &route, weights)?;
        prop_assert_eq!(foreign(routing.with_weights(&route, weights).unwrap()), foreign(route));
    }

    #[test]
    fn what_is_written_to_an_ingress_is_what_is_read(ingress in any_ingress(), weights in any_weights()) {
        let router = Router::AlbIngress { ingress: "front".to_owned(), action: "web".to_owned() };
        let services = TrackServices { root: "api".to_owned() };
        let routing = Routing { router: &router, services: &services, selectors: &BTreeMap::new() };
        check(&routing, &ingress, weights)?;
        prop_assert_eq!(foreign(routing.with_weights(&ingress, weights).unwrap()), foreign(ingress));
    }

    #[test]
    fn shares_are_100_together_and_never_lose_a_backend(weights in prop::collection::vec(0..=1_000_000_u64, 1..17)) {
        let named: BTreeMap<String, u64> = weights.iter().enumerate().map(|(place, weight)| (place.to_string(), *weight)).collect();
        match share::percent(&named) {
            None => prop_assert!(weights.iter().all(|weight| *weight == 0)),
            Some(shares) => {
                prop_assert_eq!(shares.values().sum::<u32>(), 100);
                for (name, weight) in &named {
                    prop_assert_eq!(shares.contains_key(name), *weight > 0);
                    prop_assert!(shares.get(name) != Some(&0));
                }
            }
        }
    }

    #[test]
    fn no_object_makes_a_router_panic(text in "\\PC{0,40}", number in any::<i64>()) {
        let odd = [json!(null), json!(text), json!(number), json!([text]), json!({"spec": {"rules": [text]}}),
            json!({"spec": {"rules": [{"backendRefs": [number]}]}}), json!({"spec": {"selector": {"a": number}}}),
            json!({"metadata": {"annotations": {ACTION: text}}})];
        let routers = [Router::HttpRoute("web".to_owned()), Router::Service,
            Router::AlbIngress { ingress: "front".to_owned(), action: "web".to_owned() }];
        let services = TrackServices { root: "api".to_owned() };
        for (object, router) in odd.iter().flat_map(|object| routers.iter().map(move |router| (object, router))) {
            let routing = Routing { router, services: &services, selectors: &BTreeMap::new() };
            prop_assert!(routing.weights(object).is_err());
            prop_assert!(routing.with_weights(object, Weights::original()).is_err());
            prop_assert_ne!(routing.standing(object, &Evidence::default()), RouterVerdict::Accepted);
        }
    }
}
