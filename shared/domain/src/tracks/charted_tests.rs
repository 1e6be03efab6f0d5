//! Charts that can be on two tracks, and those that cannot.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::bundle::{Baseline, ChartRef};
use crate::environment::{HelmRun, Live, Phase, Rollout, RolloutKind};
use crate::ids::{ExecutionName, Fence, Hash};
use crate::pipeline::{
    BlueGreen, Canary, CanaryStep, ChartSource, HelmWorkload, ImageValues, Router, Seconds, Strategy,
};
use crate::rollback::{self, Target};
use crate::rollout::{awaits_helm, is_warm};
use crate::samples::{at, digest, environment, hash, id, release, spec};
use crate::tracks::{
    Held, behind, brought, chart_adoption, cold, everywhere, pin, pins, placed, pointed_at, pointing, steps,
};
use crate::workload::{ObservedDeployment, Verdict};

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

fn canary() -> EnvironmentSpec {
    let step = |weight| CanaryStep {
        weight,
        bake: Seconds(300),
        pause: None,
    };
    EnvironmentSpec {
        strategy: Strategy::Canary(Canary {
            router: Router::HttpRoute("mc-api".into()),
            service: None,
            steps: vec![step(25), step(50)],
            requests: None,
        }),
        watch: Some(Seconds(1_800)),
        ..spec(None)
    }
}

fn traffic(to: Option<Track>, from: Option<Track>) -> Traffic {
    let route = Route {
        router: Router::HttpRoute("mc-api".into()),
        services: TrackServices {
            root: "mc-api".into(),
        },
    };
    Traffic {
        by_helm: true,
        ..Traffic::new(route, to, from, [("mc-api".to_owned(), 4)].into())
    }
}

#[test]
fn a_release_on_a_track_is_the_chart_s_with_the_track_s_values_and_size() {
    let placed = brought(
        &traffic(Some(Track::Green), Some(Track::Blue)),
        &canary(),
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
    let placed = brought(&first, &canary(), &bundle()).unwrap();
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
        strategy: Strategy::BlueGreen(BlueGreen {
            router: Router::Service,
            service: None,
            preview: Vec::new(),
        }),
        ..canary()
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

/// Each object that one of these names is another.
fn edited(edit: fn(Track, &mut Vec<Value>)) -> BTreeMap<Track, Rendered> {
    rendered(|track| {
        let mut objects = good(track);
        edit(track, &mut objects);
        objects
    })
}

#[test]
fn what_a_chart_lacks() {
    type Edit = fn(Track, &mut Vec<Value>);
    let cases: [(&str, Edit, Case); 15] = [
        ("nothing", |_, _| {}, ALONE),
        (
            "names that follow nothing",
            |_, all| {
                *all = good(Track::Blue);
                all.push(json!({"kind": "ConfigMap", "metadata": {"name": "api-config"}}));
            },
            ALONE,
        ),
        (
            "selectors that are one",
            |_, all| {
                for (at, pointer) in [(0, "/spec/selector"), (1, "/spec/selector/matchLabels")] {
                    *all[at].pointer_mut(pointer).unwrap() = json!({"app.kubernetes.io/name": "api"});
                }
                let budget = json!({"matchLabels": {"app.kubernetes.io/name": "api"}});
                all.push(json!({"kind": "PodDisruptionBudget", "metadata": {"name": "api"},
                                "spec": {"selector": budget}}));
            },
            ALONE,
        ),
        ("no Service", |_, all| drop(all.remove(0)), ALONE),
        (
            "a Service of another name",
            |track, all| all[0]["metadata"]["name"] = json!(format!("{track}-web")),
            ALONE,
        ),
        (
            "two Services",
            |track, all| {
                let mut other = all[0].clone();
                other["metadata"]["name"] = json!(track.of("mc-admin"));
                all.push(other);
            },
            ALONE,
        ),
        (
            "the strategy names another",
            |_, _| {},
            Case {
                service: Some("web"),
                ..ALONE
            },
        ),
        (
            "what must not be there twice",
            |track, all| {
                for kind in ["StatefulSet", "DaemonSet", "CronJob", "Ingress", "HTTPRoute"] {
                    all.push(json!({"kind": kind, "metadata": {"name": track.of("x")}}));
                }
            },
            ALONE,
        ),
        (
            "an address of the outside",
            |_, all| all[0]["spec"]["type"] = json!("LoadBalancer"),
            ALONE,
        ),
        (
            "an old autoscaler",
            |_, all| all[2]["apiVersion"] = json!("autoscaling/v1"),
            ALONE,
        ),
        (
            "a Deployment with a name of chance",
            |track, all| {
                let name = if track == Track::Blue {
                    "worker-1a"
                } else {
                    "worker-2b"
                };
                all.push(deployment(name, &json!({"worker": name}), "worker:1"));
            },
            ALONE,
        ),
        (
            "what is there selects its pods",
            |_, _| {},
            Case {
                root: Some(service("mc-api", json!({"app.kubernetes.io/name": "api"}))),
                before: vec![deployment(
                    "mc-api",
                    &json!({"app.kubernetes.io/name": "api"}),
                    "api:1",
                )],
                adopts: true,
                ..ALONE
            },
        ),
        (
            "what is there is known by another Service",
            |_, _| {},
            Case {
                before: vec![
                    deployment("api", &json!({"app": "old"}), "api:1"),
                    service("web", json!({"app": "old"})),
                ],
                adopts: true,
                ..ALONE
            },
        ),
        (
            "the live track is of a chart before",
            |track, all| {
                if track == Track::Green {
                    return;
                }
                let labels = json!({"app.kubernetes.io/instance": "mc-api-blue", "old": "yes", "app.kubernetes.io/name": "api"});
                *all[1].pointer_mut("/spec/template/metadata/labels").unwrap() = labels;
            },
            Case {
                live: vec![
                    deployment(
                        "mc-api-green",
                        &json!({"app.kubernetes.io/name": "api", "old": "yes"}),
                        "api:1",
                    ),
                    service("mc-api-green", json!({"old": "yes"})),
                ],
                ..ALONE
            },
        ),
        (
            "what is there has its names",
            |_, _| {},
            Case {
                before: vec![json!({"kind": "Service", "metadata": {"name": "mc-api-blue"}})],
                ..ALONE
            },
        ),
    ];
    let mut told = String::new();
    for (what, edit, case) in cases {
        let said = match judged(&edited(edit), &case) {
            Ok(_) => vec!["nothing".to_owned()],
            Err(Lacks(all)) => all.iter().map(ToString::to_string).collect(),
        };
        told += &format!("{what}:\n  {}\n", said.join("\n  "));
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("what_a_chart_lacks", told) });
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

#[test]
fn the_whole_size_is_the_chart_s_or_what_runs_where_the_traffic_is() {
    let bundle = bundle();
    let image = release(1).image();
    let there = seen(vec![
        observed("mc-api", 5, &image),
        observed("mc-api-blue", 9, &image),
    ]);
    for (live, wanted) in [(None, 5), (Some(Track::Blue), 8), (Some(Track::Green), 4)] {
        let tracks = Tracks {
            live,
            ..Tracks::default()
        };
        let planned = planned_chart(bundle.clone(), &canary(), &tracks, &there, Some(&bundle)).unwrap();
        assert_eq!(planned.full["mc-api"], wanted, "{live:?}");
        assert_eq!(planned.route.services.root, "mc-api");
        assert_eq!(planned.to, tracks.idle());
    }
    // Without an autoscaler the chart's word counts, also where more run; what is left goes back to what it had.
    let plain = rendered(|track| good(track).drain(..2).collect());
    let plain = judged(&plain, &ALONE).unwrap();
    let tracks = Tracks {
        live: Some(Track::Blue),
        ..Tracks::default()
    };
    let planned = planned_chart(plain.clone(), &canary(), &tracks, &there, Some(&plain)).unwrap();
    assert_eq!((planned.full["mc-api"], planned.left["mc-api"]), (4, 9));
}

#[test]
fn on_a_track_a_chart_has_names_of_its_own() {
    let bundle = judged(&rendered(with_worker), &ALONE).unwrap();
    let names: Vec<String> = everywhere([&bundle]).into_iter().map(|one| one.name).collect();
    let wanted = [
        "mc-api",
        "mc-api-blue",
        "mc-api-blue-worker",
        "mc-api-green",
        "mc-api-green-worker",
        "mc-api-worker",
    ];
    assert_eq!(names, wanted);
}

/// A chart with a second Deployment whose names say the track in the middle, which its Service does not select.
fn with_worker(track: Track) -> Vec<Value> {
    let name = format!("mc-api-{track}-worker");
    let mut all = good(track);
    all.push(deployment(&name, &json!({"app": name}), "jobs:1"));
    all.push(autoscaler(&name));
    all
}

#[test]
fn as_many_endpoints_are_asked_for_as_the_chart_puts_behind_the_service() {
    let bundle = judged(&rendered(with_worker), &ALONE).unwrap();
    let mut moves = traffic(Some(Track::Green), Some(Track::Blue));
    moves.full.insert("mc-api-worker".into(), 7);
    let placed = brought(&moves, &canary(), &bundle).unwrap();
    assert_eq!(placed.deployments.len(), 2);
    // A quarter of 4; the worker's 2 are behind no Service.
    assert_eq!(behind(&placed, "mc-api-green"), 1);
    let mut back = rollout(Phase::Restoring, moves);
    back.traffic.as_mut().unwrap().left = [("mc-api".to_owned(), 6)].into();
    let placed = placed_by(&back, bundle);
    assert_eq!(behind(&placed, "mc-api-blue"), 6, "as many as it had");
}

fn placed_by(rollout: &Rollout, bundle: Bundle) -> Bundle {
    placed(rollout, &canary(), bundle).unwrap()
}

#[test]
fn what_is_left_of_a_chart_is_kept_at_its_size_by_its_own_names() {
    let bundle = judged(&rendered(with_worker), &ALONE).unwrap();
    let there = seen(vec![
        observed("mc-api-blue", 6, "x"),
        observed("mc-api-blue-worker", 3, "x"),
    ]);
    let mut environment = environment();
    let moves = traffic(Some(Track::Green), Some(Track::Blue));
    environment.rollout = Some(rollout(Phase::Rolling, moves));
    pin(&mut environment, &bundle, &there);
    let moves = environment.rollout.unwrap().traffic.unwrap();
    assert_eq!(
        moves.pinned,
        [("mc-api".to_owned(), 6), ("mc-api-worker".to_owned(), 3)].into()
    );
    let least = |objects: Vec<Value>| -> Vec<(String, Value)> {
        let each = objects.iter();
        each.map(|one| (name_of(one).to_owned(), one["spec"]["minReplicas"].clone()))
            .collect()
    };
    assert_eq!(
        least(pins(&bundle, &moves).unwrap()),
        [
            ("mc-api-blue".to_owned(), json!(6)),
            ("mc-api-blue-worker".to_owned(), json!(3))
        ]
    );
    // Cooled, they have bounds of their own again.
    assert_eq!(
        least(cold(&bundle, Some(Track::Blue)).unwrap().objects),
        [
            ("mc-api-blue".to_owned(), json!(2)),
            ("mc-api-blue-worker".to_owned(), json!(2))
        ]
    );
}

fn rollout(phase: Phase, traffic: Traffic) -> Rollout {
    Rollout {
        owner: ExecutionName::parse("mc-api-2-production-1").unwrap(),
        kind: RolloutKind::Promotion { id: id(2) },
        release: None,
        pipeline: hash(900),
        phase,
        step: None,
        fence: Fence(12),
        baseline: None,
        target: None,
        started_at: at(0),
        deadline: at(600),
        reason: None,
        checks: Vec::new(),
        held_until: None,
        asked_again: false,
        waits_for: None,
        traffic: Some(Box::new(traffic)),
        written_at: None,
        despite: Vec::new(),
    }
}

#[test]
fn a_chart_s_warm_track_gets_its_traffic_by_the_call_only_where_helm_has_nothing_to_do() {
    let sizes = Traffic {
        by_helm: false,
        full: [("mc-api".to_owned(), 1)].into(),
        ..traffic(Some(Track::Green), Some(Track::Blue))
    };
    let brings = Traffic {
        by_helm: true,
        ..sizes.clone()
    };
    let there = |number| seen(vec![observed_of("mc-api-green", number)]);
    for (what, traffic, there, endpoints, wanted) in [
        ("warm", &sizes, there(2), 1, ""),
        ("no endpoint", &sizes, there(2), 0, "has 0 ready endpoints"),
        (
            "another release is there",
            &sizes,
            there(1),
            1,
            "helm brings it there",
        ),
        ("helm brings it", &brings, there(2), 1, "helm brings it there"),
    ] {
        let back = Rollout {
            kind: RolloutKind::Rollback {
                leaving: None,
                by: "ana".into(),
                restore: false,
            },
            ..rollout(Phase::Rolling, traffic.clone())
        };
        let placed = placed_by(&back, bundle());
        match is_warm(&back, &placed, &there, &[(Track::Green, endpoints)].into()) {
            Verdict::Passed => assert_eq!(wanted, "", "{what}"),
            Verdict::Inconclusive(reason) => {
                assert!(!wanted.is_empty() && reason.contains(wanted), "{what}: {reason}")
            }
            Verdict::Failed(reason) => panic!("{what}: {reason}"),
        }
    }
}

/// As a release runs that is ready, and written by the rollout.
fn observed_of(name: &str, number: u32) -> ObservedDeployment {
    ObservedDeployment {
        name: name.to_owned(),
        ..crate::samples::observed(number, 12).deployments.remove(0)
    }
}

fn run(owner: &str, decision: u64, revision: Option<u32>) -> HelmRun {
    HelmRun {
        fence: Fence(decision + 1),
        execution: ExecutionName::parse(owner).unwrap(),
        decision: Fence(decision),
        revision,
        content: None,
        removed: false,
        healed: None,
    }
}

#[test]
fn helm_is_asked_once_to_bring_a_release_and_then_sluice_sizes_it() {
    let there = seen(vec![observed("mc-api-green", 1, &release(2).image())]);
    let other = seen(vec![observed("mc-api-green", 1, &release(1).image())]);
    let (own, others) = ("mc-api-2-production-1", "mc-api-1-production-1");
    let brings = traffic(Some(Track::Green), Some(Track::Blue));
    let sizes = Traffic {
        by_helm: false,
        ..brings.clone()
    };
    let back = traffic(Some(Track::Blue), Some(Track::Green));
    for (what, phase, traffic, seen, run, wanted) in [
        ("never ran", Phase::Rolling, &brings, &there, None, true),
        (
            "another's run",
            Phase::Rolling,
            &brings,
            &there,
            Some(run(others, 12, Some(3))),
            true,
        ),
        (
            "runs",
            Phase::Rolling,
            &brings,
            &there,
            Some(run(own, 12, None)),
            true,
        ),
        (
            "ran",
            Phase::Rolling,
            &brings,
            &there,
            Some(run(own, 12, Some(3))),
            false,
        ),
        (
            "ran at an earlier step",
            Phase::Rolling,
            &brings,
            &there,
            Some(run(own, 4, Some(3))),
            false,
        ),
        ("is there", Phase::Rolling, &sizes, &there, None, false),
        ("another is there", Phase::Rolling, &sizes, &other, None, true),
        (
            "goes back to what is there",
            Phase::Restoring,
            &back,
            &there,
            Some(run(own, 4, Some(3))),
            false,
        ),
        (
            "goes back to what is not",
            Phase::Restoring,
            &back,
            &other,
            Some(run(own, 4, Some(3))),
            true,
        ),
        (
            "was brought back",
            Phase::Restoring,
            &back,
            &other,
            Some(run(own, 12, Some(3))),
            false,
        ),
    ] {
        let rollout = rollout(phase, traffic.clone());
        let placed = placed(&rollout, &canary(), bundle()).unwrap();
        assert_eq!(
            awaits_helm(&rollout, &placed, seen, run.as_ref()),
            wanted,
            "{what}"
        );
    }
}

#[test]
fn a_first_release_that_fails_is_taken_away_by_helm() {
    let first = Traffic {
        has_other: false,
        ..traffic(Some(Track::Blue), None)
    };
    let mut rollout = rollout(Phase::Restoring, first);
    rollout.baseline = Some(Baseline::Nothing);
    let placed = placed(&rollout, &canary(), bundle().scaled_to_zero()).unwrap();
    assert!(placed.deployments.is_empty() && placed.objects.is_empty());
    assert_eq!(placed.helm.as_ref().unwrap().release, "mc-api-blue");
    assert!(awaits_helm(&rollout, &placed, &seen(Vec::new()), None));
    let gone = HelmRun {
        removed: true,
        ..run("mc-api-2-production-1", 12, None)
    };
    assert!(!awaits_helm(&rollout, &placed, &seen(Vec::new()), Some(&gone)));
}

fn target(bundle: Hash) -> Target {
    Target {
        release: Some(crate::ids::ReleaseNumber(1)),
        digest: Some(digest(1)),
        bundle,
        pipeline: None,
        without_pods: false,
    }
}

#[test]
fn a_rollback_needs_helm_only_where_another_release_is_on_the_track() {
    let uncharted = Bundle {
        helm: Some(helm()),
        ..bundle()
    };
    let captured = Bundle {
        helm: None,
        ..bundle()
    };
    let held = |bundle: Hash, cooling: Option<Fence>| Held {
        cooling,
        ..Held::new(bundle, None)
    };
    for (what, on_blue, original, bundle, wanted) in [
        (
            "warm",
            held(hash(1), None),
            None,
            bundle(),
            Ok((Some(Track::Blue), false)),
        ),
        (
            "cold",
            held(hash(1), Some(Fence(3))),
            None,
            bundle(),
            Ok((Some(Track::Blue), false)),
        ),
        (
            "written over",
            held(hash(5), None),
            None,
            bundle(),
            Ok((Some(Track::Blue), true)),
        ),
        (
            "warm original",
            held(hash(5), None),
            Some(held(hash(1), None)),
            captured.clone(),
            Ok((None, false)),
        ),
        (
            "cold original",
            held(hash(5), None),
            Some(held(hash(1), Some(Fence(3)))),
            captured,
            Ok((None, false)),
        ),
        ("before tracks", held(hash(5), None), None, uncharted, Err(())),
    ] {
        let mut environment = environment();
        environment.lease = None;
        environment.rollout = None;
        environment.live = Some(Live {
            release: Some(crate::ids::ReleaseNumber(2)),
            digest: None,
            bundle: hash(2),
            since: at(0),
        });
        environment.tracks = Some(Tracks {
            live: Some(Track::Green),
            route: Some(traffic(None, None).route),
            by_helm: true,
            full: [("mc-api".to_owned(), 4)].into(),
            held: [(Track::Blue, on_blue), (Track::Green, held(hash(2), None))].into(),
            original,
            ..Tracks::default()
        });
        let found = rollback::place(&environment, &target(hash(1)), &bundle);
        let found = found.map(|traffic| traffic.map(|traffic| (traffic.to, traffic.by_helm)).unwrap());
        assert_eq!(found.map_err(drop), wanted, "{what}");
    }
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
    let mut told = chart_adoption(&target, Some(&original), &first, &canary());
    told.push("--".into());
    told.extend(steps(&target, &first, &canary()));
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!("what_a_promotion_of_a_chart_will_do", told.join("\n"))
    });
}
