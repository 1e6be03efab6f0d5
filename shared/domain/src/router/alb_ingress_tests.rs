#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::http_route_tests::said;
use super::*;
use serde_json::json;

const ACTION: &str = "alb.ingress.kubernetes.io/actions.web";

fn with_routing<T>(test: impl FnOnce(&Routing<'_>) -> T) -> T {
    let (ingress, action) = ("front".to_owned(), "web".to_owned());
    let (router, services) = (
        Router::AlbIngress { ingress, action },
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

fn group(service: &str, weight: u32) -> Value {
    json!({"serviceName": service, "servicePort": "80", "weight": weight})
}

fn action(groups: Value) -> Value {
    json!({"type": "forward", "forwardConfig": {"targetGroups": groups}})
}

fn ingress(content: &str) -> Value {
    let path = |name: &str, port: Value| json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": port}}});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "front", "namespace": "production", "generation": 1, "annotations": {ACTION: content, "a": "b"}},
        "spec": {"ingressClassName": "alb", "rules": [{"http": {"paths": [
            path("web", json!({"name": "use-annotation"})), path("docs", json!({"number": 80})),
        ]}}]},
    })
}

fn of(groups: Value) -> Value {
    ingress(&action(groups).to_string())
}

#[test]
fn an_action_is_read_and_written() {
    with_routing(|routing| {
        let alone = of(json!([{"serviceName": "api", "servicePort": 80}]));
        assert_eq!(routing.weights(&alone), Ok(Weights::original()));
        let written = routing
            .with_weights(&alone, Weights::split(Track::Green, 5))
            .unwrap();
        let content: Value =
            serde_json::from_str(written["metadata"]["annotations"][ACTION].as_str().unwrap()).unwrap();
        let entry =
            |name: &str, weight: u32| json!({"serviceName": name, "servicePort": 80, "weight": weight});
        assert_eq!(
            content,
            action(json!([
                entry("api", 0),
                entry("api-blue", 95),
                entry("api-green", 5)
            ]))
        );
        assert_eq!(routing.weights(&written), Ok(Weights::split(Track::Green, 5)));
        assert_eq!(
            routing.meets(&written),
            Ok([("api-blue".to_owned(), 95), ("api-green".to_owned(), 5)].into())
        );
        let mut rest = written.clone();
        rest["metadata"]["annotations"][ACTION] = alone["metadata"]["annotations"][ACTION].clone();
        assert_eq!(rest, alone, "every other field is as it was");
    });
}

#[test]
fn what_an_action_cannot_say_is_a_fault() {
    let example = r#"{"forwardConfig":{"targetGroups":[{"serviceName":"api","servicePort":80,"weight":100}]},"type":"forward"}"#;
    let mut none = of(json!([group("api", 1)]));
    none["metadata"]["annotations"] = json!({"alb.ingress.kubernetes.io/actions.other": "{}"});
    let mut unused = of(json!([group("api", 1)]));
    unused["spec"]["rules"] = json!([]);
    let mut instance = of(json!([group("api", 1)]));
    instance["metadata"]["annotations"]["alb.ingress.kubernetes.io/target-type"] = json!("instance");
    let mut several = of(json!([group("api", 1)]));
    several["metadata"]["annotations"]["alb.ingress.kubernetes.io/actions.two"] =
        json!(action(json!([group("api-blue", 1)])).to_string());
    let mut sticky = action(json!([group("api", 1)]));
    sticky["forwardConfig"]["targetGroupStickinessConfig"] = json!({"enabled": true, "durationSeconds": 600});
    for (object, wanted) in [
        (
            none,
            format!(
                "Ingress front has no annotation {ACTION} (it has other): add it with the value {example}, or correct `action` \
                 in the pipeline file"
            ),
        ),
        (
            ingress("{"),
            format!(
                "Ingress front: annotation {ACTION} is no JSON (EOF while parsing an object at line 1 column 1): correct it, \
                 for example to {example}"
            ),
        ),
        (
            ingress(r#"{"type":"fixed-response"}"#),
            format!(
                "Ingress front: annotation {ACTION} is {{\"type\":\"fixed-response\"}}, and should forward to Services: {example}"
            ),
        ),
        (
            of(json!([{"targetGroupARN": "arn:x", "weight": 1}])),
            "Ingress front, action web names arn:x, and none of api, api-blue and api-green: let one of its rules name Service \
             api"
            .to_owned(),
        ),
        (
            of(json!([group("api", 90), {"targetGroupARN": "arn:x", "weight": 10}])),
            "Ingress front, action web also gives traffic to arn:x with 10 %: only api, api-blue and api-green may have a \
             weight in a rule that names one of them"
                .to_owned(),
        ),
        (
            of(json!([group("api", 1), {"serviceName": "api-blue", "servicePort": 80}])),
            "Ingress front, action web: forwardConfig.targetGroups[1].weight is missing, and should be a whole number from 0 \
             to 999"
                .to_owned(),
        ),
        (
            of(json!([group("api", 1000)])),
            "Ingress front, action web: forwardConfig.targetGroups[0].weight is 1000, and should be a whole number from 0 to \
             999"
            .to_owned(),
        ),
        (
            unused,
            "Ingress front: no path leads to action web: give one the backend service name web with the port name \
             use-annotation"
                .to_owned(),
        ),
        (
            several,
            format!(
                "Ingress front: alb.ingress.kubernetes.io/actions.two also name a Service of a track: only {ACTION} may name \
                 api, api-blue and api-green"
            ),
        ),
        (
            ingress(&sticky.to_string()),
            format!(
                "Ingress front: annotation {ACTION} keeps a client on one target group (targetGroupStickinessConfig), so that \
                 a rollback would not move it: set `enabled` to false there"
            ),
        ),
        (
            instance,
            "Ingress front: alb.ingress.kubernetes.io/target-type is instance: set it to ip, so that the load balancer's \
             health is that of a track's pods"
                .to_owned(),
        ),
    ] {
        let told = with_routing(|routing| routing.weights(&object).unwrap_err());
        assert_eq!(told.to_string(), wanted);
    }
    let many = of(json!([
        group("api", 1),
        group("a", 0),
        group("b", 0),
        group("c", 0)
    ]));
    let told = with_routing(|routing| routing.with_weights(&many, Weights::original()).unwrap_err());
    assert!(
        matches!(
            told,
            RouterFault::TooMany {
                count: 6,
                most: 5,
                ..
            }
        ),
        "{told}"
    );
}

fn target_group(service: &str, states: &[&str]) -> TargetGroup {
    let target = |(place, state): (usize, &&str)| Target {
        id: format!("10.0.0.{place}:8080"),
        state: (*state).to_owned(),
        reason: (*state == "unhealthy").then(|| "Target.Timeout".to_owned()),
    };
    TargetGroup {
        arn: format!("arn:{service}"),
        resource: Some(format!("production/front-{service}:80")),
        target_type: "ip".to_owned(),
        targets: states.iter().enumerate().map(target).collect(),
    }
}

fn rule(priority: u32, weights: &[(&str, u64)]) -> ListenerRule {
    ListenerRule {
        name: format!("port 443, priority {priority}"),
        weights: weights
            .iter()
            .map(|(name, weight)| (format!("arn:{name}"), *weight))
            .collect(),
    }
}

fn load_balancer(rules: Vec<ListenerRule>, green: &[&str]) -> LoadBalancer {
    let groups = [
        ("api", &["unused"][..]),
        ("api-blue", &["healthy", "healthy"]),
        ("api-green", green),
    ];
    LoadBalancer {
        name: "k8s-front".to_owned(),
        rules,
        target_groups: groups
            .map(|(service, states)| target_group(service, states))
            .into(),
    }
}

fn standing(object: &Value, load_balancer: Option<LoadBalancer>) -> String {
    let pods = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let evidence = Evidence {
        endpoints: [
            ("api-blue".to_owned(), pods(&["b1", "b2"])),
            ("api-green".to_owned(), pods(&["g1"])),
        ]
        .into(),
        load_balancer,
    };
    with_routing(|routing| said(routing.standing(object, &evidence)))
}

#[test]
fn an_action_stands_where_every_rule_has_its_weights_and_its_targets_are_healthy() {
    let ours = [("api", 0), ("api-blue", 95), ("api-green", 5)];
    let object = of(json!([
        group("api", 0),
        group("api-blue", 95),
        group("api-green", 5)
    ]));
    let good = &["healthy"][..];
    for (rules, green, wanted) in [
        (vec![rule(1, &ours), rule(2, &[("docs", 1)])], good, "accepted"),
        (
            vec![rule(1, &ours), rule(2, &ours)],
            &["healthy", "draining"],
            "accepted",
        ),
        (
            vec![rule(2, &[("docs", 1)])],
            good,
            "pending: k8s-front: 0 of at least 1 rules are of action web",
        ),
        (
            vec![rule(1, &ours), rule(2, &[("api-blue", 100), ("api-green", 0)])],
            good,
            "pending: k8s-front: the rule of port 443, priority 2 has api-blue 100 %, not api-blue 95 %, api-green 5 %",
        ),
        // Before the controller has come by: the rule still leads to the root.
        (
            vec![rule(1, &[("api", 1)])],
            good,
            "pending: k8s-front: the rule of port 443, priority 1 has api 100 %, not api-blue 95 %, api-green 5 %",
        ),
        (
            vec![rule(1, &[("api-blue", 95), ("api-green", 5), ("stranger", 100)])],
            good,
            "pending: k8s-front: the rule of port 443, priority 1 has api-blue 47 %, api-green 3 %, arn:stranger 50 %, not \
             api-blue 95 %, api-green 5 %",
        ),
        (
            vec![rule(1, &ours)],
            &["unhealthy", "initial"],
            "pending: k8s-front: 0 of 1 targets of Service api-green are healthy (1 initial, 1 unhealthy (Target.Timeout))",
        ),
        (
            vec![rule(1, &ours)],
            &[],
            "pending: k8s-front: 0 of 1 targets of Service api-green are healthy (no others)",
        ),
    ] {
        let told = standing(&object, Some(load_balancer(rules.clone(), green)));
        assert_eq!(told, wanted, "{rules:?}");
    }
}

#[test]
fn what_is_missing_or_of_another_kind_is_not_accepted() {
    let object = of(json!([group("api-blue", 100), group("api-green", 0)]));
    let ours = [("api-blue", 100), ("api-green", 0)];
    assert_eq!(
        standing(&object, None),
        "pending: Ingress front has no load balancer that could be read"
    );
    let mut lacking = load_balancer(vec![rule(1, &ours)], &["healthy"]);
    lacking.target_groups.retain(|group| group.arn != "arn:api-green");
    assert_eq!(
        standing(&object, Some(lacking)),
        "pending: k8s-front: no rule has a target group with the tag ingress.k8s.aws/resource production/front-api-green:80 yet"
    );
    let mut nodes = load_balancer(vec![rule(1, &ours)], &["healthy"]);
    nodes.target_groups[1].target_type = "instance".to_owned();
    assert!(
        standing(&object, Some(nodes))
            .starts_with("refused: k8s-front: the target group of Service api-blue has targets")
    );
    // A track without weight need not be healthy.
    assert_eq!(
        standing(&object, Some(load_balancer(vec![rule(1, &ours)], &["unhealthy"]))),
        "accepted"
    );
    assert!(
        standing(&ingress("{"), Some(LoadBalancer::default()))
            .starts_with("refused: Ingress front: annotation")
    );
}

#[test]
fn a_path_that_leads_straight_to_the_root_is_no_rule_of_the_action() {
    let mut object = of(json!([
        group("api", 0),
        group("api-blue", 0),
        group("api-green", 100)
    ]));
    let direct = json!({"path": "/direct", "pathType": "Prefix", "backend": {"service": {"name": "api", "port": {"number": 80}}}});
    object["spec"]["rules"][0]["http"]["paths"]
        .as_array_mut()
        .unwrap()
        .push(direct);
    let straight = rule(2, &[("api", 1)]);
    let ours = rule(1, &[("api", 0), ("api-blue", 0), ("api-green", 100)]);
    assert_eq!(
        standing(
            &object,
            Some(load_balancer(vec![ours, straight.clone()], &["healthy"]))
        ),
        "accepted"
    );
    assert_eq!(
        standing(&object, Some(load_balancer(vec![straight], &["healthy"]))),
        "pending: k8s-front: 0 of at least 1 rules are of action web"
    );
}
