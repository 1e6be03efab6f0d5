//! What is told of a promotion on tracks.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::pipeline::{BlueGreen, Canary, CanaryStep, Seconds};
use crate::samples::spec;
use crate::tracks::TrackServices;
use crate::tracks::render_samples::{bundle, two_deployments};

fn traffic(router: Router, from: Option<Track>, has_other: bool) -> Traffic {
    let route = Route {
        router,
        services: TrackServices {
            root: "mc-api".into(),
        },
    };
    let to = from.map_or(Track::Blue, Track::other);
    let full = [("mc-api", 8), ("web", 3), ("worker", 1)].map(|(name, full)| (name.to_owned(), full));
    Traffic {
        has_other,
        ..Traffic::new(route, Some(to), from, full.into())
    }
}

fn canary() -> EnvironmentSpec {
    let step = |weight, pause| CanaryStep {
        weight,
        bake: Seconds(300),
        pause,
    };
    EnvironmentSpec {
        strategy: Strategy::Canary(Canary {
            router: Router::HttpRoute("mc-api".into()),
            service: None,
            steps: vec![step(5, None), step(50, Some(Seconds(3_600)))],
            requests: None,
        }),
        alarms: vec!["5xx".into(), "p99".into()],
        watch: Some(Seconds(1_800)),
        ..spec(None)
    }
}

fn blue_green() -> EnvironmentSpec {
    EnvironmentSpec {
        strategy: Strategy::BlueGreen(BlueGreen {
            router: Router::Service,
            service: None,
            preview: Vec::new(),
        }),
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
        told("adopted", &bundle(), &traffic(route(), None, true), &canary()),
        told(
            "the next one",
            &bundle(),
            &traffic(route(), Some(Track::Blue), true),
            &canary(),
        ),
        told(
            "the first of all",
            &bundle(),
            &traffic(route(), None, false),
            &canary(),
        ),
        told(
            "two, by an ingress",
            &two_deployments(),
            &traffic(ingress, None, true),
            &canary(),
        ),
        told(
            "at once",
            &bundle(),
            &traffic(Router::Service, None, true),
            &blue_green(),
        ),
    ];
    insta::assert_snapshot!(told.join("\n\n"));
}
