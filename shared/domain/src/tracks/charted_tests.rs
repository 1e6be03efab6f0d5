//! Charts that can be on two tracks, and those that cannot.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::bundle::ChartRef;
use crate::environment::{Phase, Rollout};
use crate::ids::Fence;
use crate::pipeline::{ChartSource, HelmWorkload, ImageValues, Router, Seconds};
use crate::samples::{blue_green, canary, environment, hash, http_route, release, rolling, route, spec};
use crate::tracks::{brought, chart_adoption, cold, placed, pointed_at, pointing, steps};
use crate::workload::ObservedDeployment;

fn workload() -> HelmWorkload {
    HelmWorkload {
        chart: ChartSource::Path("charts/api".into()),
        release: None,
        image: ImageValues::default(),
        replicas: Vec::new(),
        history_limit: 10,
        tracks: None,
    }
}

fn helm() -> HelmBundle {
    HelmBundle {
        release: "mc-api".into(),
        chart: ChartRef {
            name: "api".into(),
            version: "1.0.0".into(),
            archive: Some(hash(7)),
        },
        values: vec!["message: one".into()],
        secret_values: Vec::new(),
        revision: None,
        content: None,
        tracks: BTreeMap::new(),
        replicas: vec!["replicaCount".into()],
    }
}

fn service(name: &str, selector: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
           "spec": {"selector": selector, "ports": [{"port": 80, "nodePort": 30_080}]}})
}

fn deployment(name: &str, labels: &Value, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
           "spec": {"replicas": 4, "selector": {"matchLabels": labels}, "template": {
               "metadata": {"labels": labels},
               "spec": {"containers": [{"name": "api", "image": image}]}}}})
}

fn autoscaler(name: &str) -> Value {
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
           "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                    "minReplicas": 2, "maxReplicas": 8, "metrics": [{"type": "Resource"}]}})
}

/// As a chart of `helm create` renders it.
fn good(track: Track) -> Vec<Value> {
    let name = track.of("mc-api");
    let labels = json!({"app.kubernetes.io/name": "api", "app.kubernetes.io/instance": name});
    vec![
        service(&name, labels.clone()),
        deployment(&name, &labels, &release(2).image()),
        autoscaler(&name),
    ]
}

fn rendered(objects: impl Fn(Track) -> Vec<Value>) -> BTreeMap<Track, Rendered> {
    let of = |track: Track| Rendered {
        release: track.of("mc-api"),
        values: values_of(&workload(), "mc-api", track),
        objects: objects(track),
    };
    [Track::Blue, Track::Green].map(|track| (track, of(track))).into()
}

struct Case {
    service: Option<&'static str>,
    root: Option<Value>,
    before: Vec<Value>,
    adopts: bool,
    live: Vec<Value>,
}

const ALONE: Case = Case {
    service: None,
    root: None,
    before: Vec::new(),
    adopts: false,
    live: Vec::new(),
};

fn judged(tracks: &BTreeMap<Track, Rendered>, case: &Case) -> Result<Bundle, Lacks> {
    charted(&Charts {
        release: &release(2),
        helm: &helm(),
        tracks,
        namespace: "production",
        service: case.service,
        root: case.root.as_ref(),
        before: &case.before,
        adopts: case.adopts,
        idle: Track::Blue,
        live: &case.live,
    })
}

fn bundle() -> Bundle {
    judged(&rendered(good), &ALONE).unwrap()
}

fn on_tracks() -> EnvironmentSpec {
    EnvironmentSpec {
        strategy: canary(&[25, 50], &[]),
        watch: Some(Seconds(1_800)),
        ..spec(None)
    }
}

fn traffic(to: Option<Track>, from: Option<Track>) -> Traffic {
    let full = [("mc-api".to_owned(), 4)].into();
    Traffic {
        by_helm: true,
        ..Traffic::new(route(http_route()), to, from, full)
    }
}

fn observed(name: &str, wanted: i32, image: &str) -> ObservedDeployment {
    ObservedDeployment {
        name: name.to_owned(),
        wanted,
        images: [("api".to_owned(), image.to_owned())].into(),
        ..crate::samples::observed(1, 1).deployments.remove(0)
    }
}

fn seen(all: Vec<ObservedDeployment>) -> Observation {
    Observation {
        deployments: all,
        highest_fence: Fence(1),
    }
}

fn placed_by(rollout: &Rollout, bundle: Bundle) -> Bundle {
    placed(rollout, &on_tracks(), bundle).unwrap()
}

/// `#2` comes, under fence 12.
fn rollout(phase: Phase, traffic: Traffic) -> Rollout {
    Rollout {
        release: None,
        step: None,
        fence: Fence(12),
        baseline: None,
        target: None,
        traffic: Some(Box::new(traffic)),
        written_at: None,
        ..rolling(environment(), 2, phase).rollout.unwrap()
    }
}

#[test]
fn a_release_on_a_track_is_the_chart_s_with_the_track_s_values_and_size() {
    let placed = brought(
        &traffic(Some(Track::Green), Some(Track::Blue)),
        &on_tracks(),
        &bundle(),
    )
    .unwrap();
    let helm = placed.helm.unwrap();
    assert_eq!(helm.release, "mc-api-green");
    assert_eq!(
        helm.values,
        [
            "message: one",
            "{\"fullnameOverride\":\"mc-api-green\",\"podLabels\":{\"sluice.dev/track\":\"green\"}}",
            "{\"replicaCount\":1}"
        ]
    );
    let [only] = placed.deployments.as_slice() else {
        panic!("{:?}", placed.deployments)
    };
    // Nothing of helm's template is Sluice's to write.
    assert_eq!(
        (only.name.as_str(), only.replicas, &only.manifest),
        ("mc-api-green", Some(1), &json!({}))
    );
    assert_eq!(only.images["api"], release(2).image());
    // An autoscaler keeps its metrics, which helm owns.
    let [autoscaler] = placed.objects.as_slice() else {
        panic!("{:?}", placed.objects)
    };
    assert_eq!(autoscaler["spec"]["minReplicas"], 1);
    assert_eq!(autoscaler["spec"].get("metrics"), None);
}

#[test]
fn the_first_release_brings_the_other_track_s_service_as_helm_s() {
    let first = Traffic {
        has_other: false,
        ..traffic(Some(Track::Blue), None)
    };
    let placed = brought(&first, &on_tracks(), &bundle()).unwrap();
    let other = placed.objects.last().unwrap();
    assert_eq!(other["metadata"]["name"], "mc-api-green");
    assert_eq!(
        other["metadata"]["annotations"]["meta.helm.sh/release-name"],
        "mc-api-green"
    );
    assert_eq!(
        other["metadata"]["annotations"]["meta.helm.sh/release-namespace"],
        "production"
    );
    assert_eq!(placed.deployments[0].replicas, Some(4));
}

#[test]
fn the_service_of_the_workload_selects_what_a_track_s_own_does() {
    let bundle = bundle();
    let [root] = bundle.objects.as_slice() else {
        panic!("{:?}", bundle.objects)
    };
    assert_eq!(root["metadata"]["name"], "mc-api");
    assert_eq!(root["spec"]["ports"], json!([{"port": 80}]));
    for track in [Track::Blue, Track::Green] {
        let there = pointing(root, &bundle, track);
        assert_eq!(
            there["spec"]["selector"]["app.kubernetes.io/instance"],
            track.of("mc-api")
        );
        assert_eq!(pointed_at(&bundle, &[there]), Some(Some(track)));
    }
    assert_eq!(pointed_at(&bundle, &bundle.objects), Some(None));
    // One that others made stays as it is, and what it selects without a track is brought back.
    let theirs = service("mc-api", json!({"app": "old"}));
    let case = Case {
        root: Some(theirs.clone()),
        ..ALONE
    };
    assert_eq!(judged(&rendered(good), &case).unwrap().objects, [theirs]);
    // But not where it was left at a track, as that is none that was there before.
    let left = pointing(&service("mc-api", json!({})), &bundle, Track::Blue);
    let case = Case {
        root: Some(left),
        ..ALONE
    };
    let again = judged(&rendered(good), &case).unwrap();
    assert_eq!(
        again.objects[0]["spec"]["selector"],
        json!({"sluice.dev/track": "none"})
    );
}

#[test]
fn a_preview_shows_the_track_and_nothing_goes_away_with_it() {
    let spec = EnvironmentSpec {
        strategy: blue_green(Router::Service, Vec::new()),
        ..on_tracks()
    };
    let placed = brought(&traffic(Some(Track::Green), Some(Track::Blue)), &spec, &bundle()).unwrap();
    let preview = placed.objects.last().unwrap();
    assert_eq!(preview["metadata"]["name"], "mc-api-preview");
    assert_eq!(
        preview["spec"]["selector"]["app.kubernetes.io/instance"],
        "mc-api-green"
    );
    assert_eq!(
        preview["metadata"].get("annotations"),
        None,
        "helm does not own it"
    );
    let cold = cold(&bundle(), Some(Track::Green)).unwrap();
    assert_eq!((cold.helm, cold.deployments[0].replicas), (None, Some(0)));
}

#[test]
fn a_name_is_known_without_its_track() {
    for (name, track, wanted) in [
        ("mc-api-blue", Track::Blue, Some("mc-api")),
        ("mc-api-blue-worker", Track::Blue, Some("mc-api-worker")),
        ("blue-mc-api", Track::Blue, Some("mc-api")),
        ("mc-api-blue", Track::Green, None),
        ("mc-apiblue", Track::Blue, None),
        ("blue", Track::Blue, None),
    ] {
        assert_eq!(neutral(name, track).as_deref(), wanted, "{name}");
    }
}

#[test]
fn the_pipeline_s_own_values_say_the_track_where_they_name_it() {
    let said = json!({"web": {"name": "web-{track}", "labels": [{"track": "{track}"}]}, "count": 1});
    let workload = HelmWorkload {
        tracks: said.as_object().cloned(),
        ..workload()
    };
    assert_eq!(
        values_of(&workload, "mc-api", Track::Green),
        json!({"web": {"name": "web-green", "labels": [{"track": "green"}]}, "count": 1})
    );
}

#[test]
fn what_a_promotion_of_a_chart_will_do() {
    let old = json!({"app": "old"});
    let case = Case {
        root: Some(service("mc-api", old.clone())),
        before: vec![deployment("mc-api", &old, "api:1")],
        adopts: true,
        ..ALONE
    };
    let target = judged(&rendered(good), &case).unwrap();
    let first = traffic(Some(Track::Blue), None);
    let original = Bundle {
        helm: None,
        ..target.clone()
    };
    let mut told = chart_adoption(&target, Some(&original), &first, &on_tracks());
    told.push("--".into());
    told.extend(steps(&target, &first, &on_tracks()));
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!("what_a_promotion_of_a_chart_will_do", told.join("\n"))
    });
}

#[path = "charted_helm_tests.rs"]
mod by_helm;
#[path = "charted_lacks_tests.rs"]
mod lacking;
#[path = "charted_sizes_tests.rs"]
mod sizes;
