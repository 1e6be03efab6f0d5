//! `strategy`, `alarms` and `watch`: what is refused, and with which words.

use super::super::{Router, read};
use super::faults::told;
use super::{FULL, HELM, TRACKS, edited, golden, pipeline, with};

/// The faults of each edit of the full file of tracks.
fn replaced(cases: &[(&str, &str)]) -> String {
    let cases: Vec<_> = cases
        .iter()
        .map(|(from, to)| (*to, edited(TRACKS, from, to)))
        .collect();
    told(&cases)
}

const ROUTER: &str = "router = { alb_ingress = \"mc-web\", action = \"api\" }";
const STEP: &str = "{ weight = 25, bake = \"5m\" }";
const REQUESTS: &str = "metric = \"AWS/ApplicationELB RequestCount\"";
const DIMENSIONS: &str = "dimensions = { LoadBalancer = \"app/mc/0123\", TargetGroup = \"{track}\" }";
const ALARMS: &str = "alarms = [\"mc-api-production-5xx\", \"mc-api-production-p99\"]";

#[test]
fn strategies_that_are_none() {
    let cases = [
        "strategy = \"canary\"",
        "strategy = \"blue_green\"",
        "strategy = 5",
        "strategy = {}",
        "strategy = { rolling = {} }",
        "strategy = { recreate = {} }",
        "strategy = { canary = \"mc-api\" }",
        "strategy = { canary = {} }",
        "strategy = { blue_green = {} }",
        "strategy = { canary = { router = { http_route = \"a\" }, steps = [{ weight = 5, bake = \"5m\" }] }, \
         blue_green = { router = \"service\", setps = [] } }",
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|to| (*to, with("strategy = \"rolling\"", to)))
        .collect();
    golden("strategies_that_are_none", &told(&cases));
}

#[test]
fn routers() {
    golden(
        "routers",
        &replaced(&[
            (ROUTER, ""),
            (ROUTER, "router = \"service\""),
            (ROUTER, "router = \"http_route\""),
            (ROUTER, "router = \"istio\""),
            (ROUTER, "router = 5"),
            (ROUTER, "router = {}"),
            (ROUTER, "router = { http_rout = \"mc-api\" }"),
            (ROUTER, "router = { http_route = \"Mc_Api\" }"),
            (
                ROUTER,
                "router = { http_route = \"mc-api\", action = \"mc-api\" }",
            ),
            (
                ROUTER,
                "router = { http_route = \"mc-api\", alb_ingress = \"mc-api\" }",
            ),
            (ROUTER, "router = { alb_ingress = \"Mc\", action = \"1api\" }"),
            ("service = \"mc-api\"\nsteps", "service = \"9api\"\nsteps"),
            (
                "service = \"mc-api\"\nsteps",
                "service = \"a23456789-123456789-123456789-123456789-123456789-123456\"\nsteps",
            ),
            ("router = \"service\"", "router = \"service\"\nsteps = []"),
        ]),
    );
}

/// A wrong guess would be seen at the first promotion only.
#[test]
fn an_action_is_the_service_or_is_said() {
    let unsaid = edited(TRACKS, ", action = \"api\"", "");
    let action = |text: &str| match pipeline(text).environments[1].strategy.router().cloned() {
        Some(Router::AlbIngress { ingress, action }) => (ingress, action),
        other => panic!("{other:?}"),
    };
    assert_eq!(action(TRACKS), ("mc-web".to_owned(), "api".to_owned()));
    assert_eq!(action(&unsaid), ("mc-web".to_owned(), "mc-api".to_owned()));
    let neither = edited(&unsaid, "service = \"mc-api\"\nsteps", "steps");
    golden("an_action_must_be_said", &told(&[("neither", neither)]));
}

#[test]
fn steps() {
    let many: Vec<_> = (1..=21)
        .map(|weight| format!("{{ weight = {weight}, bake = \"5m\" }}"))
        .collect();
    let many = many.join(",\n    ");
    let all = "{ weight = 5, bake = \"5m\", pause = \"24h\" },
    { weight = 25, bake = \"5m\" },
    { weight = 50, bake = \"10m\" },
";
    golden(
        "steps",
        &replaced(&[
            (all, ""),
            (all, &many),
            (all, "5, { weight = 9, bake = \"5m\", name = \"x\" }"),
            (STEP, "{}"),
            (STEP, "{ weight = 0, bake = \"5s\" }"),
            (STEP, "{ weight = 100, bake = \"25h\" }"),
            (STEP, "{ weight = \"25%\", bake = 300 }"),
            (STEP, "{ weight = 2.5, bake = true }"),
            (STEP, "{ weight = 5, bake = \"5m\" }"),
            (STEP, "{ weight = 75, bake = \"5m\" }"),
            (STEP, "{ weight = 25, bake = \"5m\", pause = true }"),
            (STEP, "{ weight = 25, bake = \"5m\", pause = \"8d\" }"),
            (
                "{ weight = 25, bake = \"5m\" },\n    { weight = 50, bake = \"10m\" }",
                "{ weight = 25, bake = \"24h\", pause = \"7d\" },\n    { weight = 50, bake = \"10m\", pause = \"7d\" }",
            ),
        ]),
    );
}

#[test]
fn alarms_requests_and_the_watch() {
    let long = format!("alarms = [\"{}\"]", "a".repeat(256));
    let many: Vec<_> = (0..101).map(|n| format!("\"a{n}\"")).collect();
    let many = format!("alarms = [{}]", many.join(", "));
    let dimensions: Vec<_> = (0..31).map(|n| format!("D{n} = \"x\"")).collect();
    let dimensions = format!("dimensions = {{ {} }}", dimensions.join(", "));
    golden(
        "alarms_requests_and_the_watch",
        &replaced(&[
            (ALARMS, ""),
            (ALARMS, "alarms = []"),
            (ALARMS, "alarms = \"5xx\""),
            (ALARMS, "alarms = [\"5xx\", \"5xx\", \"\", 5]"),
            (
                ALARMS,
                "alarms = [\"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:5xx\"]",
            ),
            (ALARMS, &long),
            (ALARMS, &many),
            ("watch = \"30m\"", "watch = \"5s\""),
            ("watch = \"30m\"", "watch = \"8d\""),
            ("watch = \"30m\"", "watch = 30"),
            (REQUESTS, ""),
            (REQUESTS, "metric = \"RequestCount\""),
            (REQUESTS, "metric = \":a b\""),
            (DIMENSIONS, ""),
            (
                DIMENSIONS,
                "dimensions = { TargetGroup = \"{trak}\", \":x\" = \"\", LoadBalancer = 5 }",
            ),
            (DIMENSIONS, "dimensions = [\"x\"]"),
            (DIMENSIONS, &dimensions),
            ("at_least = 100", ""),
            ("at_least = 100", "at_least = 0"),
            ("at_least = 100", "at_least = \"100\"\nper = \"1m\""),
        ]),
    );
}

/// What listens works with every strategy; tracks do not yet with every workload.
#[test]
fn alarms_and_the_watch_without_tracks() {
    let canary = "strategy = { canary = { router = { http_route = \"a\" }, steps = [{ weight = 5, bake = \"5m\" }] } }";
    let both = "alarms = [\"5xx\"]\nwatch = \"30m\"";
    golden(
        "alarms_and_the_watch_without_tracks",
        &told(&[
            ("rolling", with("strategy = \"rolling\"", both)),
            ("helm", edited(HELM, "scale = 0.2", both)),
            (
                "rolling, nothing to watch",
                with("strategy = \"rolling\"", "watch = \"30m\""),
            ),
            (
                "blue_green, nothing to watch",
                edited(TRACKS, "operators = [\"ben\"]", "watch = \"30m\""),
            ),
            ("a canary without alarms", with("strategy = \"rolling\"", canary)),
            (
                "a canary of a helm workload",
                edited(HELM, "scale = 0.2", &format!("alarms = [\"5xx\"]\n{canary}")),
            ),
            (
                "requests in the wrong place",
                with("strategy = \"rolling\"", "requests = { at_least = 100 }"),
            ),
        ]),
    );
}

#[test]
fn checks_of_the_preview() {
    let preview = "preview = [{ job = \"tests/smoke.yaml\", timeout = \"10m\" }]";
    golden(
        "checks_of_the_preview",
        &replaced(&[
            (preview, "preview = [{ helm_test = true }]"),
            (
                preview,
                "preview = [{ job = \"a.yaml\" }, { job = \"b/a.yaml\", answered_by = [\"zoe\"] }]",
            ),
        ]),
    );
    let webhook = "preview = [{ webhook = \"https://a.example.com\", answered_by = [\"dora\"], \
                   secret = \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:webhook-AbCdEf\" }]";
    let faults = read("p.toml", &(edited(TRACKS, preview, webhook) + "[people.dora]\n")).unwrap_err();
    assert!(
        faults
            .to_string()
            .contains("dora decides in staging, but has no iam"),
        "{faults}"
    );
}

/// Where nothing is said, nothing is stored: versions that were published keep their names.
#[test]
fn what_is_not_said_is_not_stored() {
    let stored = serde_json::to_string(&pipeline(FULL)).unwrap();
    for key in ["alarms", "watch", "requests", "preview", "pause"] {
        assert!(!stored.contains(key), "{key}");
    }
    let tracks = pipeline(TRACKS);
    let [staging, production] = tracks.environments.as_slice() else {
        panic!()
    };
    assert!(staging.strategy.has_tracks() && production.strategy.has_tracks());
    assert_eq!(staging.strategy.preview().len(), 1);
    assert_eq!(production.strategy.pauses().collect::<Vec<_>>(), [5]);
    assert_eq!(production.strategy.service(), Some("mc-api"));
    assert_eq!(production.strategy.steps().len(), 3);
    assert_eq!(production.watch.map(super::super::Seconds::get), Some(1_800));
}
