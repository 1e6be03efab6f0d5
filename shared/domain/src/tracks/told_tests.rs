//! What is told of a promotion on tracks.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::pipeline::Seconds;
use crate::samples::{blue_green, canary, route, spec};
use crate::tracks::render_samples::{bundle, two_deployments};

fn traffic(router: Router, from: Option<Track>, has_other: bool) -> Traffic {
    let to = from.map_or(Track::Blue, Track::other);
    let full = [("mc-api", 8), ("web", 3), ("worker", 1)].map(|(name, full)| (name.to_owned(), full));
    Traffic {
        has_other,
        ..Traffic::new(route(router), Some(to), from, full.into())
    }
}

fn watched() -> EnvironmentSpec {
    EnvironmentSpec {
        strategy: canary(&[5, 50], &[50]),
        alarms: vec!["5xx".into(), "p99".into()],
        watch: Some(Seconds(1_800)),
        ..spec(None)
    }
}

fn at_once() -> EnvironmentSpec {
    EnvironmentSpec {
        strategy: blue_green(Router::Service, Vec::new()),
        ..spec(None)
    }
}

fn told(name: &str, target: &Bundle, traffic: &Traffic, spec: &EnvironmentSpec) -> String {
    let adoption = adoption(target, traffic, spec);
    let mut lines = adoption;
    lines.push("--".to_owned());
    lines.extend(steps(target, traffic, spec));
    format!("{name}:\n  {}", lines.join("\n  "))
}

#[test]
fn what_a_promotion_on_tracks_will_do() {
    let route = || Router::HttpRoute("mc-api".into());
    let ingress = Router::AlbIngress {
        ingress: "web".into(),
        action: "mc-api".into(),
    };
    let told = [
        told("adopted", &bundle(), &traffic(route(), None, true), &watched()),
        told(
            "the next one",
            &bundle(),
            &traffic(route(), Some(Track::Blue), true),
            &watched(),
        ),
        told(
            "the first of all",
            &bundle(),
            &traffic(route(), None, false),
            &watched(),
        ),
        told(
            "two, by an ingress",
            &two_deployments(),
            &traffic(ingress, None, true),
            &watched(),
        ),
        told(
            "at once",
            &bundle(),
            &traffic(Router::Service, None, true),
            &at_once(),
        ),
    ];
    insta::assert_snapshot!(told.join("\n\n"));
}
