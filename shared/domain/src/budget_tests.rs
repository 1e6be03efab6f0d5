//! Worst cases, and what is told of those that are too long.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{Budget, Known, Pods, Ready, RouterKind, Way, larger_batch, waves};
use crate::pipeline::{BlueGreen, Canary, Router, Seconds, Strategy as Replacing};
use crate::seen::PodsSeen;
use proptest::prelude::*;
use serde_json::{Value, json};

fn seen(seconds: u64) -> Ready {
    Ready::Seen {
        usual: Seconds(seconds),
        slowest: Seconds(seconds),
    }
}

fn pods(name: &str, replicas: u32, ready: u64, surge: u32, unavailable: u32) -> Pods {
    Pods {
        name: name.to_owned(),
        replicas,
        ready: seen(ready),
        settled: Seconds(0),
        max_surge: surge,
        max_unavailable: unavailable,
        grace: Seconds(30),
    }
}

fn known(way: Way, pods: Vec<Pods>) -> Known {
    Known {
        way,
        pods,
        accepted: None,
        deregistration: Seconds(0),
    }
}

fn seconds(known: &Known) -> u64 {
    Budget::of(known).seconds.get()
}

#[test]
fn each_way_has_its_worst_case() {
    use RouterKind::{AlbIngress, HttpRoute, Service};
    let ten = || vec![pods("api", 10, 20, 3, 2)];
    let both = vec![pods("api", 10, 20, 3, 2), pods("slow", 4, 60, 1, 0)];
    let table = [
        // 2 until the first write; 2 waves of 20; 30 to stop
        (Way::Rolling, ten(), 72),
        (Way::Rolling, vec![pods("api", 10, 20, 1, 0)], 232),
        (Way::Rolling, vec![pods("api", 10, 20, 10, 0)], 52),
        (Way::Rolling, vec![pods("api", 10, 20, 0, 0)], 232),
        (Way::Rolling, vec![pods("api", 0, 20, 1, 0)], 32),
        (Way::Rolling, both.clone(), 272),
        (Way::Rolling, vec![], 2),
        (Way::Warm(HttpRoute), ten(), 12),
        (Way::Warm(AlbIngress), both.clone(), 17),
        (Way::Warm(Service), ten(), 7),
        (Way::Cold(HttpRoute), ten(), 32),
        (Way::Cold(HttpRoute), vec![pods("api", 1_000, 20, 1, 0)], 32),
        (Way::Cold(HttpRoute), both.clone(), 72),
        (Way::Cold(AlbIngress), ten(), 67),
        (Way::Cold(Service), vec![pods("api", 0, 20, 1, 0)], 7),
    ];
    for (way, pods, wanted) in table {
        assert_eq!(seconds(&known(way, pods.clone())), wanted, "{way:?} {pods:?}");
    }
}

#[test]
fn what_was_seen_is_believed_rather_than_what_is_usual() {
    let mut warm = known(Way::Warm(RouterKind::AlbIngress), vec![]);
    warm.accepted = Some(Seconds(3));
    assert_eq!(seconds(&warm), 5);
    let mut rolling = known(Way::Rolling, vec![pods("api", 1, 20, 1, 0)]);
    rolling.deregistration = Seconds(300);
    assert_eq!(
        seconds(&rolling),
        322,
        "a pod leaves the load balancer while it stops"
    );
    rolling.pods = vec![Pods {
        settled: Seconds(10),
        ..pods("api", 4, 20, 1, 0)
    }];
    assert_eq!(seconds(&rolling), 2 + 4 * 30 + 300);
}

#[test]
fn the_way_back_is_that_of_the_strategy() {
    let canary = Replacing::Canary(Canary {
        router: Router::HttpRoute("api".to_owned()),
        service: None,
        steps: Vec::new(),
        requests: None,
    });
    let blue_green = |router| {
        Replacing::BlueGreen(BlueGreen {
            router,
            service: None,
            preview: Vec::new(),
        })
    };
    let ingress = Router::AlbIngress {
        ingress: "api".to_owned(),
        action: "api".to_owned(),
    };
    assert_eq!(Way::of(&Replacing::Rolling, true), Way::Rolling);
    assert_eq!(Way::of(&canary, true), Way::Warm(RouterKind::HttpRoute));
    assert_eq!(
        Way::of(&blue_green(ingress), false),
        Way::Cold(RouterKind::AlbIngress)
    );
    assert_eq!(
        Way::of(&blue_green(Router::Service), true),
        Way::Warm(RouterKind::Service)
    );
}

/// Of a workload with four pods, each took so long.
fn took(seconds: u64) -> PodsSeen {
    PodsSeen {
        usual: Seconds(seconds),
        slowest: Seconds(seconds),
        replicas: 4,
    }
}

#[test]
fn one_slow_pod_does_not_stand_for_all() {
    let mut rolling = known(Way::Rolling, vec![pods("api", 20, 0, 1, 0)]);
    rolling.pods[0].ready = Ready::Seen {
        usual: Seconds(10),
        slowest: Seconds(100),
    };
    assert_eq!(seconds(&rolling), 2 + 19 * 10 + 100 + 30);
    let said = Budget::of(&rolling).to_string();
    assert!(
        said.contains("20 waves of pods of api, 10s each as seen before, one of them 1m40s (4m50s)"),
        "{said}"
    );
    // A track's pods all come at once: the slowest counts.
    rolling.way = Way::Cold(RouterKind::Service);
    assert_eq!(seconds(&rolling), 2 + 100 + 5);
    // Replicas that an autoscaler says are those that were seen.
    assert_eq!(Pods::of(&json!({}), None, Some(took(10))).replicas, 4);
}

fn deployment(spec: Value) -> Value {
    json!({"metadata": {"name": "api"}, "spec": spec})
}

fn containers(containers: Value) -> Value {
    deployment(json!({"template": {"spec": {"containers": containers}}}))
}

#[test]
fn a_manifest_says_how_long_its_pods_may_take() {
    let probe = json!({"initialDelaySeconds": 5, "periodSeconds": 2, "failureThreshold": 30});
    let table = [
        (deployment(json!({})), 5),
        (containers(json!([{"name": "a"}])), 5),
        // Kubernetes' defaults: 3 tries, one each 10 s
        (containers(json!([{"readinessProbe": {}}])), 35),
        (
            containers(json!([{"readinessProbe": null}, {"readinessProbe": probe}])),
            70,
        ),
        (
            containers(json!([{"startupProbe": probe, "readinessProbe": {"periodSeconds": 1}}])),
            73,
        ),
        (
            containers(json!([{"startupProbe": probe}, {"readinessProbe": {}}])),
            70,
        ),
        (
            containers(json!([{"readinessProbe": {"periodSeconds": u64::MAX}}])),
            u64::MAX,
        ),
    ];
    for (manifest, wanted) in table {
        let found = Pods::of(&manifest, None, None);
        assert_eq!(found.ready, Ready::Probes(Seconds(wanted)), "{manifest}");
    }
    let sidecars = deployment(
        json!({"template": {"spec": {"containers": [{"readinessProbe": {}}], "initContainers": [
            {"name": "migrate", "startupProbe": probe},
            {"name": "proxy", "restartPolicy": "Always", "startupProbe": {"periodSeconds": 1, "failureThreshold": 9}},
        ]}}}),
    );
    assert_eq!(Pods::of(&sidecars, None, None).ready, Ready::Probes(Seconds(44)));
}

#[test]
fn a_manifest_says_how_many_pods_are_replaced_at_once() {
    let said = deployment(
        json!({"replicas": 10, "minReadySeconds": 7, "strategy": {"rollingUpdate": {"maxSurge": 1}},
        "template": {"spec": {"terminationGracePeriodSeconds": 90}}}),
    );
    let found = Pods::of(&said, Some(8), Some(took(12)));
    let wanted = Pods {
        name: "api".to_owned(),
        replicas: 8,
        ready: seen(12),
        settled: Seconds(7),
        max_surge: 1,
        max_unavailable: 2,
        grace: Seconds(90),
    };
    assert_eq!(found, wanted);
    let count = |replicas| Pods::of(&said, replicas, None).replicas;
    assert_eq!((count(None), count(Some(-1)), count(Some(0))), (10, 0, 0));
    let bare = Pods::of(&json!({}), None, None);
    assert_eq!((bare.replicas, bare.max_surge, bare.max_unavailable), (1, 1, 0));
    assert_eq!(bare.grace, Seconds(30));
    let recreated = deployment(json!({"replicas": 5, "strategy": {"type": "Recreate"}}));
    let recreated = Pods::of(&recreated, None, Some(took(10)));
    assert_eq!(seconds(&known(Way::Rolling, vec![recreated])), 42, "all at once");
}

#[test]
fn what_is_too_long_is_named_with_what_would_be_right() {
    let slow_start = Pods {
        ready: Ready::Probes(Seconds(400)),
        ..pods("mc-api", 3, 0, 1, 0)
    };
    let slow_stop = Pods {
        grace: Seconds(4_000),
        ..pods("mc-api", 3, 5, 1, 0)
    };
    let mut slow_router = known(Way::Warm(RouterKind::HttpRoute), vec![]);
    slow_router.accepted = Some(Seconds(600));
    let cases = [
        known(Way::Rolling, vec![pods("mc-api", 20, 35, 1, 0)]),
        known(Way::Rolling, vec![slow_start.clone()]),
        known(Way::Cold(RouterKind::AlbIngress), vec![slow_start]),
        known(Way::Rolling, vec![slow_stop]),
        slow_router,
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|known| Budget::of(known).over(Seconds(300)).unwrap())
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    a rollback may take 12m12s, and rollback_within is 5m: 11m40s of it is 20 waves of pods of mc-api, 35s each as seen before. Right: maxSurge and maxUnavailable of 3 pods together, which are 1 now, or pods that are ready sooner, or rollback_within = "12m12s"
    a rollback may take 20m32s, and rollback_within is 5m: 20m of it is 3 waves of pods of mc-api, 6m40s each by its probes. Right: pods that are ready sooner, or rollback_within = "20m32s"
    a rollback may take 7m27s, and rollback_within is 5m: 6m40s of it is the start of all pods of mc-api on their track, by its probes. Right: pods that are ready sooner, or rollback_within = "7m27s"
    a rollback may take 1h6m57s, and rollback_within is 5m: 1h6m40s of it is the stop of the last old pods of mc-api. Right: a shorter terminationGracePeriodSeconds or deregistration delay
    a rollback may take 10m2s, and rollback_within is 5m: 10m of it is the gateway's acceptance of the weights. Right: a router that takes weights sooner, or rollback_within = "10m2s"
    "#);
    let first = Budget::of(&cases[0]);
    insta::assert_snapshot!(first, @"at most 12m12s: the first write (2s); 20 waves of pods of mc-api, 35s each as seen before (11m40s); the stop of the last old pods of mc-api (30s)");
    let exactly = Budget::of(&known(Way::Rolling, vec![pods("mc-api", 10, 20, 3, 2)]));
    assert_eq!(exactly.over(Seconds(72)), None);
    assert!(exactly.over(Seconds(71)).is_some());
}

#[test]
fn a_budget_is_kept_as_it_is() {
    let budget = Budget::of(&known(Way::Rolling, vec![pods("api", 10, 20, 3, 2)]));
    let stored = serde_json::to_value(&budget).unwrap();
    assert_eq!(serde_json::from_value::<Budget>(stored).unwrap(), budget);
}

fn any_way() -> impl Strategy<Value = Way> {
    use RouterKind::{AlbIngress, HttpRoute, Service};
    let router = || prop_oneof![Just(HttpRoute), Just(AlbIngress), Just(Service)];
    prop_oneof![
        Just(Way::Rolling),
        router().prop_map(Way::Warm),
        router().prop_map(Way::Cold)
    ]
}

prop_compose! {
    fn any_pods()(
        replicas in 0u32..2_000, ready in 0u64..2_000, settled in 0u64..100,
        surge in 0u32..50, unavailable in 0u32..50, grace in 0u64..4_000,
    ) -> Pods {
        Pods {
            settled: Seconds(settled),
            grace: Seconds(grace),
            ..pods("api", replicas, ready, surge, unavailable)
        }
    }
}

prop_compose! {
    fn any_known()(
        way in any_way(), pods in prop::collection::vec(any_pods(), 0..4),
        accepted in prop::option::of((0u64..600).prop_map(Seconds)), deregistration in (0u64..600).prop_map(Seconds),
    ) -> Known {
        Known { way, pods, accepted, deregistration }
    }
}

proptest! {
    /// More of anything that takes time never takes less.
    #[test]
    fn more_pods_and_slower_ones_never_take_less(
        base in any_known(), more in 0u32..500, slower in 0u64..500,
    ) {
        let before = seconds(&base);
        let changed = |change: &dyn Fn(&mut Pods)| {
            let mut known = base.clone();
            known.pods.iter_mut().for_each(change);
            seconds(&known)
        };
        prop_assert!(changed(&|pods| pods.replicas += more) >= before);
        let start_slower = changed(&|pods| if let Ready::Seen { usual, .. } = pods.ready {
            pods.ready = seen(usual.get() + slower);
        });
        prop_assert!(start_slower >= before);
        prop_assert!(changed(&|pods| pods.settled = Seconds(pods.settled.get() + slower)) >= before);
        prop_assert!(changed(&|pods| pods.grace = Seconds(pods.grace.get() + slower)) >= before);
        prop_assert!(changed(&|pods| pods.max_surge += more) <= before);
        prop_assert!(changed(&|pods| pods.max_unavailable += more) <= before);
        let mut drained = base.clone();
        drained.deregistration = Seconds(drained.deregistration.get() + slower);
        prop_assert!(seconds(&drained) >= before);
        let mut another = base.clone();
        another.pods.push(pods("another", more, slower, 1, 0));
        prop_assert!(seconds(&another) >= before);
    }

    /// A warm track has its pods, whatever they are: only the weights count.
    #[test]
    fn a_warm_track_never_takes_longer_than_a_cold_one(base in any_known(), other in any_known()) {
        let with = |way, pods: &[Pods]| {
            let mut known = base.clone();
            (known.way, known.pods) = (way, pods.to_vec());
            seconds(&known)
        };
        for router in [RouterKind::HttpRoute, RouterKind::AlbIngress, RouterKind::Service] {
            let warm = with(Way::Warm(router), &base.pods);
            prop_assert!(warm <= with(Way::Cold(router), &base.pods));
            prop_assert_eq!(warm, with(Way::Warm(router), &other.pods));
        }
    }

    #[test]
    fn the_parts_are_all_of_it_and_a_refusal_says_what_is_enough(
        base in any_known(), limit in 1u64..5_000,
    ) {
        let budget = Budget::of(&base);
        let all: u64 = budget.parts.iter().map(|part| part.seconds.get()).sum();
        prop_assert_eq!(all, budget.seconds.get());
        let over = budget.over(Seconds(limit));
        prop_assert_eq!(over.is_some(), all > limit);
        if let Some(over) = over {
            let named = budget.parts.iter().max_by_key(|part| part.seconds).unwrap();
            prop_assert!(over.contains(&named.what), "{}", over);
            prop_assert!(over.contains("Right: ") && !over.ends_with("Right: "), "{}", over);
            prop_assert_eq!(budget.over(budget.seconds), None);
        }
    }

    /// So many pods at once are enough, and one fewer would not be.
    #[test]
    fn the_batch_that_is_told_is_the_least_that_fits(
        replicas in 1u32..500, each in 1u64..100, room in 0u64..5_000,
    ) {
        let fits = |batch: u32| waves(replicas, batch) * each <= room;
        match larger_batch(replicas, each, room) {
            Some(batch) => prop_assert!(fits(batch) && (batch == 1 || !fits(batch - 1)), "{}", batch),
            None => prop_assert!(!fits(replicas)),
        }
    }
}
