//! When helm runs for a chart on tracks, and when Sluice alone does what is to be done.
use super::*;
use crate::bundle::Baseline;
use crate::environment::{HelmRun, Live, RolloutKind};
use crate::ids::{ExecutionName, Hash};
use crate::rollback::{self, Target};
use crate::rollout::{awaits_helm, is_warm};
use crate::samples::{at, digest};
use crate::tracks::Held;
use crate::workload::Verdict;

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
        let placed = placed(&rollout, &on_tracks(), bundle()).unwrap();
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
    let placed = placed(&rollout, &on_tracks(), bundle().scaled_to_zero()).unwrap();
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
