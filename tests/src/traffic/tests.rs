#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::samples::{BLUE, GREEN, Story};
use super::*;
use serde_json::json;

const STEPS: [f64; 4] = [0.0, 25.0, 50.0, 100.0];

fn history(story: &Story) -> History {
    rebuild("dev", &story.changes)
}

/// Every dead weight of the route and of the root Service after the story's beginning, in which things come one after the
/// other; both tracks must be of full size for any weight.
fn dead_weight(story: &Story) -> String {
    let begun = history(story).between(Story::new().revision(), u64::MAX);
    let fault = |kind| {
        let course = begun.of(kind, "api").unwrap();
        course
            .assert_no_dead_weight(|_| 2)
            .err()
            .map(|error| error.to_string())
    };
    let faults: Vec<String> = [fault(RouterKind::HttpRoute), fault(RouterKind::Service)]
        .into_iter()
        .flatten()
        .collect();
    faults.join("; ")
}

fn shift(story: &mut Story, blue: u32, green: u32) {
    story.route(blue, green);
    story.accept();
}

#[test]
fn a_cutover_in_order_is_well() {
    let mut story = Story::ready();
    for (blue, green) in [(75, 25), (50, 50), (0, 100)] {
        shift(&mut story, blue, green);
    }
    story.service("api", "green");
    story.offer("api", "green", 2);
    story.offer("api-blue", "blue", 0);
    story.delete("pods/dev/blue-0");
    assert_eq!(dead_weight(&story), "");
    let history = history(&story);
    let route = history.of(RouterKind::HttpRoute, "api").unwrap();
    assert_eq!(route.walk("api-green"), STEPS);
    assert_eq!(route.walk("api-blue"), [100.0, 75.0, 50.0, 0.0]);
    route.assert_weights_within("api-green", &STEPS).unwrap();
    route.assert_only(&[BLUE, GREEN]).unwrap();
    route.assert_no_dead_shift(|_| 2).unwrap();
    assert_eq!(route.end().unwrap().served[1].percent, 100.0);
    let root = history.of(RouterKind::Service, "api").unwrap();
    assert_eq!(root.walk("api-green"), [0.0, 100.0]);
}

#[test]
fn weight_before_the_destination_is_ready_is_found() {
    let mut story = Story::new();
    shift(&mut story, 75, 25);
    let fault = dead_weight(&story);
    assert!(
        fault.contains("api-green had 25 % and 0 ready endpoints, not 2"),
        "{fault}"
    );
}

#[test]
fn weight_before_the_destination_is_of_its_size_is_found() {
    let mut story = Story::new();
    story.pods("green", GREEN, 2, true);
    story.offer("api-green", "green", 1);
    shift(&mut story, 75, 25);
    assert!(dead_weight(&story).contains("api-green had 25 % and 1 ready endpoints, not 2"));
}

#[test]
fn an_endpoint_whose_pod_is_not_ready_answers_nobody() {
    let mut story = Story::ready();
    story.pod("green", 1, GREEN, false);
    shift(&mut story, 75, 25);
    assert!(dead_weight(&story).contains("api-green had 25 % and 1 ready endpoints"));
}

#[test]
fn scaling_the_old_track_down_before_the_shift_is_found() {
    let mut story = Story::ready();
    story.delete("pods/dev/blue-0");
    shift(&mut story, 0, 100);
    assert!(dead_weight(&story).contains("api-blue had 100 % and 1 ready endpoints"));
}

#[test]
fn scaling_the_old_track_down_before_the_shift_is_accepted_is_found() {
    let mut story = Story::ready();
    story.route(0, 100); // written, and not yet served
    story.delete("pods/dev/blue-0");
    story.accept();
    let fault = dead_weight(&story);
    assert!(
        fault.contains("as it was served at") && fault.contains("api-blue had 100 %"),
        "{fault}"
    );
}

#[test]
fn moving_the_root_service_too_early_is_found() {
    let mut story = Story::new();
    story.service("api", "green");
    let fault = dead_weight(&story);
    assert!(
        fault.contains("Service api, as it was asked for")
            && fault.contains("Service api by advance-rollout"),
        "{fault}"
    );
}

#[test]
fn what_one_transaction_writes_is_one_moment() {
    let mut story = Story::ready();
    story.delete("pods/dev/blue-0");
    story.route(0, 100);
    story.at_once();
    story.accept();
    story.at_once();
    assert_eq!(history(&story).moments.last().unwrap().changed.len(), 3);
}

#[test]
fn a_skipped_step_a_foreign_weight_and_a_step_back_are_found() {
    for (walk, fault) in [
        (&[(75, 25), (0, 100)][..], "went from Some(25.0) to 100 %"),
        (&[(95, 5)][..], "had 5 %, which is no step"),
        (
            &[(75, 25), (50, 50), (75, 25)][..],
            "went from Some(50.0) to 25 %",
        ),
    ] {
        let mut story = Story::ready();
        for (blue, green) in walk {
            shift(&mut story, *blue, *green);
        }
        let history = history(&story);
        let route = history.of(RouterKind::HttpRoute, "api").unwrap();
        let error = route
            .assert_weights_within("api-green", &STEPS)
            .unwrap_err()
            .to_string();
        assert!(error.contains(fault), "{error}");
    }
    // A rollback goes to nothing at once.
    let mut story = Story::ready();
    for (blue, green) in [(75, 25), (50, 50), (100, 0)] {
        shift(&mut story, blue, green);
    }
    let history = history(&story);
    let route = history.of(RouterKind::HttpRoute, "api").unwrap();
    route.assert_weights_within("api-green", &STEPS).unwrap();
    route.assert_never_above("api-green", 50.0).unwrap();
    assert!(route.assert_never_above("api-green", 25.0).is_err());
}

#[test]
fn another_digest_behind_a_weight_is_found() {
    let mut story = Story::ready();
    story.pod("green", 1, "sha256:other", true);
    let before = history(&story);
    let route = before.of(RouterKind::HttpRoute, "api").unwrap();
    route.assert_only(&[BLUE, GREEN]).unwrap(); // green has no weight
    shift(&mut story, 75, 25);
    let after = history(&story);
    let route = after.of(RouterKind::HttpRoute, "api").unwrap();
    let error = route.assert_only(&[BLUE, GREEN]).unwrap_err().to_string();
    assert!(
        error.contains("api-green had 25 % and ran sha256:other"),
        "{error}"
    );
    assert!(route.digests().contains("sha256:other"));
}

#[test]
fn an_early_shift_is_told_from_pods_that_were_lost_later() {
    let mut story = Story::ready();
    let start = story.revision();
    shift(&mut story, 75, 25);
    story.delete("pods/dev/green-0");
    story.delete("pods/dev/green-1");
    let lost = history(&story).between(start, u64::MAX);
    let route = lost.of(RouterKind::HttpRoute, "api").unwrap();
    route.assert_no_dead_shift(|_| 2).unwrap();
    assert!(route.assert_no_dead_weight(|_| 2).is_err());
    shift(&mut story, 50, 50);
    let early = history(&story).between(start, u64::MAX);
    let error = early
        .of(RouterKind::HttpRoute, "api")
        .unwrap()
        .assert_no_dead_shift(|_| 2)
        .unwrap_err()
        .to_string();
    assert!(error.contains("raised from 25 to 50 % with 0 ready"), "{error}");
}

#[test]
fn a_service_without_tracks_is_itself() {
    let mut story = Story::default();
    story.put(
        "services/specs/dev/web",
        json!({"spec": {"selector": {"app": "api"}}}),
    );
    story.pods("blue", BLUE, 2, true);
    story.offer("web", "blue", 2);
    let history = history(&story);
    let web = history.of(RouterKind::Service, "web").unwrap();
    assert_eq!(web.walk("web"), [100.0]);
    assert_eq!(web.end().unwrap().served[0].backend, "web-blue");
    assert!(history.of(RouterKind::HttpRoute, "web").is_err());
}

#[test]
fn between_two_marks_the_moment_before_lasts_in() {
    let mut story = Story::ready();
    let ready = story.revision();
    shift(&mut story, 75, 25);
    let shifted = story.revision();
    shift(&mut story, 0, 100);
    let part = history(&story).between(ready, shifted);
    let route = part.of(RouterKind::HttpRoute, "api").unwrap();
    assert_eq!(route.walk("api-green"), [0.0, 25.0]);
}

#[test]
fn other_namespaces_and_kinds_are_not_looked_at() {
    let mut story = Story::default();
    story.put("pods/prod/x", json!({}));
    story.put("pods/dev-2/x", json!({}));
    story.put("secrets/dev/x", json!({}));
    assert!(history(&story).moments.is_empty());
}

fn ingress(story: &mut Story, blue: u32, green: u32) {
    let group = |track: &str, weight: u32| json!({"serviceName": format!("api-{track}"), "servicePort": 80, "weight": weight});
    let action = json!({"type": "forward", "forwardConfig": {"targetGroups": [group("blue", blue), group("green", green)]}});
    let backend = json!({"service": {"name": "api", "port": {"name": "use-annotation"}}});
    let object = json!({"metadata": {"namespace": "dev", "annotations": {
            "alb.ingress.kubernetes.io/target-type": "ip",
            "alb.ingress.kubernetes.io/actions.api": action.to_string()}},
        "spec": {"ingressClassName": "alb", "rules": [{"http": {"paths": [{"path": "/", "backend": backend}]}}]}});
    story.put("ingress/dev/api", object);
}

/// What the controller did: its weights, and the healthy pods of each track.
fn program(story: &mut Story, weights: (u32, u32), healthy: (usize, usize)) {
    let backend = |track: &str, weight: u32| json!({"namespace": "dev", "service": format!("api-{track}"), "port": "80", "weight": weight});
    let addresses = |track: &str, count: usize| -> Vec<String> {
        (0..count)
            .map(|number| super::samples::address(track, number))
            .collect()
    };
    let programmed = json!({
        "rules": [{"backends": [backend("blue", weights.0), backend("green", weights.1)]}],
        "healthy": {"api-blue": addresses("blue", healthy.0), "api-green": addresses("green", healthy.1)}});
    let map = json!({"data": {"programmed": programmed.to_string()}});
    story.put("configmaps/gateways/alb.dev.api", map);
}

#[test]
fn an_ingress_serves_what_its_controller_programmed() {
    let mut story = Story::ready();
    let begun = story.revision();
    ingress(&mut story, 100, 0);
    program(&mut story, (100, 0), (2, 2));
    ingress(&mut story, 50, 50); // and the controller lags
    let part = history(&story).between(begun, u64::MAX);
    let course = part.of(RouterKind::Ingress, "api").unwrap();
    let end = course.end().unwrap();
    assert_eq!((end.asked[1].percent, end.served[1].percent), (50.0, 0.0));
    course.assert_no_dead_weight(|_| 2).unwrap();
    program(&mut story, (50, 50), (2, 1));
    let part = history(&story).between(begun, u64::MAX);
    let course = part.of(RouterKind::Ingress, "api").unwrap();
    let error = course.assert_no_dead_weight(|_| 2).unwrap_err().to_string();
    assert!(
        error.contains("as it was served") && error.contains("api-green had 50 % and 1 ready"),
        "{error}"
    );
    assert_eq!(course.walk("api-green"), [0.0, 50.0]);
    course.assert_only(&[BLUE, GREEN]).unwrap();
}
