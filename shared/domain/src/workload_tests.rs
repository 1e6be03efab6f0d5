//! The verdict over a rolling workload, as a table over states.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use serde_json::json;

fn digest(letter: &str) -> Digest {
    Digest::parse(&format!("sha256:{}", letter.repeat(64))).unwrap()
}

fn images(letter: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("api".to_owned(), format!("registry/mc-api@{}", digest(letter)))])
}

fn bundle() -> Bundle {
    Bundle {
        release: None,
        digest: Some(digest("b")),
        children: vec![digest("c")],
        deployments: vec![WorkloadBundle {
            kind: Default::default(),
            name: "api".into(),
            container: Some("api".into()),
            replicas: Some(2),
            manifest: json!({}),
            images: images("b"),
        }],
        objects: vec![],
        config_maps: vec![],
        helm: None,
    }
}

fn pod(name: &str, current: bool) -> ObservedPod {
    let letter = if current { "b" } else { "a" };
    ObservedPod {
        name: name.into(),
        current,
        terminating: false,
        ended: false,
        ready: true,
        created_at: None,
        ready_at: None,
        images: images(letter),
        image_ids: images(letter),
        problem: None,
        unscheduled: None,
    }
}

fn good() -> ObservedDeployment {
    ObservedDeployment {
        kind: Default::default(),
        name: "api".into(),
        generation: 2,
        observed_generation: 2,
        wanted: 2,
        total: 2,
        updated: 2,
        available: 2,
        fence: Fence(3),
        images: images("b"),
        template: json!({}),
        spec: json!({}),
        labels: BTreeMap::new(),
        failures: vec![],
        autoscaled: false,
        pods: vec![pod("api-1", true), pod("api-2", true)],
    }
}

type Change = fn(&mut ObservedDeployment);

fn judge(change: Change, leaving: Leaving) -> Verdict {
    let mut deployment = good();
    change(&mut deployment);
    verdict(
        &bundle(),
        &Observation {
            deployments: vec![deployment],
            highest_fence: Fence(3),
        },
        leaving,
    )
}

#[test]
fn passes_only_when_every_pod_is_on_the_release() {
    let passing: [(&str, Change); 4] = [
        ("all there", |_| {}),
        ("a child of the index", |d| {
            d.pods[0].image_ids = images("c");
        }),
        ("an ended old pod", |d| {
            let mut old = pod("old", false);
            old.ended = true;
            d.pods.push(old);
        }),
        ("scaled to zero", |d| {
            (d.wanted, d.total, d.updated, d.available) = (0, 0, 0, 0);
            d.pods.clear();
        }),
    ];
    for (name, change) in passing {
        assert_eq!(judge(change, Leaving::Awaited), Verdict::Passed, "{name}");
    }
}

#[test]
fn waits_for_what_may_still_come() {
    let waiting: [(Change, &str); 9] = [
        (|d| d.observed_generation = 1, "has not looked at the change"),
        (|d| d.updated = 1, "1 of 2 pods are updated"),
        (|d| d.total = 3, "1 old pods are left"),
        (|d| d.available = 1, "1 of 2 pods are available"),
        (
            |d| {
                d.available = 1;
                d.pods[1].unscheduled = Some("0/3 nodes are available".into());
            },
            "not scheduled: 0/3 nodes",
        ),
        (|d| d.pods[0].ready = false, "1 of 2 pods are ready"),
        (|d| d.pods.clear(), "0 of 2 pods are ready"),
        (|d| d.pods[0].image_ids.clear(), "does not say yet"),
        (|d| d.pods[0].image_ids = images("d"), "runs sha256:dddd"),
    ];
    for (change, part) in waiting {
        match judge(change, Leaving::Awaited) {
            Verdict::Inconclusive(reason) => assert!(reason.contains(part), "{reason} has no {part}"),
            other => panic!("{part}: {other:?}"),
        }
    }
}

#[test]
fn an_old_pod_that_is_ending_is_awaited_until_time_is_up() {
    let ending: Change = |d| {
        let mut old = pod("old", false);
        old.terminating = true;
        d.pods.push(old);
    };
    assert!(matches!(
        judge(ending, Leaving::Awaited),
        Verdict::Inconclusive(_)
    ));
    assert_eq!(judge(ending, Leaving::LeftAlone), Verdict::Passed);
    let staying: Change = |d| d.pods.push(pod("old", false));
    assert!(matches!(
        judge(staying, Leaving::LeftAlone),
        Verdict::Inconclusive(_)
    ));
}

#[test]
fn fails_at_once_where_waiting_does_not_help() {
    let failing: [(Change, &str); 4] = [
        (|d| d.failures.push("exceeded quota".into()), "exceeded quota"),
        (|d| d.images = images("a"), "somebody else changed it"),
        (|d| d.images.clear(), "is gone"),
        (
            |d| {
                d.available = 1;
                let why = ("api".into(), "ImagePullBackOff".into(), "not found".into());
                d.pods[0].problem = Some(PodProblem {
                    container: why.0,
                    reason: why.1,
                    message: why.2,
                });
            },
            "pod api-1, container api: ImagePullBackOff: not found",
        ),
    ];
    for (change, part) in failing {
        match judge(change, Leaving::Awaited) {
            Verdict::Failed(reason) => assert!(reason.contains(part), "{reason} has no {part}"),
            other => panic!("{part}: {other:?}"),
        }
    }
}

#[test]
fn an_old_pods_problem_is_not_the_new_releases() {
    let change: Change = |d| {
        let mut old = pod("old", false);
        old.problem = Some(PodProblem {
            container: "api".into(),
            reason: "CrashLoopBackOff".into(),
            message: String::new(),
        });
        d.pods.push(old);
    };
    assert!(matches!(
        judge(change, Leaving::Awaited),
        Verdict::Inconclusive(_)
    ));
}

#[test]
fn a_deployment_that_is_missing_is_not_success() {
    assert!(matches!(
        verdict(&bundle(), &Observation::default(), Leaving::LeftAlone),
        Verdict::Inconclusive(_)
    ));
}

#[test]
fn every_kind_is_called_by_its_own_name() {
    for (kind, wanted) in [
        (
            WorkloadKind::Deployment,
            "deployment api: 1 of 2 pods are updated",
        ),
        (
            WorkloadKind::StatefulSet,
            "statefulset api: 1 of 2 pods are updated",
        ),
        (WorkloadKind::DaemonSet, "daemonset api: 1 of 2 pods are updated"),
    ] {
        let (mut bundle, mut found) = (bundle(), good());
        bundle.deployments[0].kind = kind;
        found.kind = kind;
        found.updated = 1;
        let seen = Observation {
            deployments: vec![found],
            highest_fence: Fence(3),
        };
        let judged = verdict(&bundle, &seen, Leaving::Awaited);
        assert_eq!(judged, Verdict::Inconclusive(wanted.into()));
        assert_eq!(WorkloadKind::of_name(kind.name()), Some(kind));
    }
}

#[test]
fn a_workload_of_the_same_name_and_another_kind_is_another() {
    let mut bundle = bundle();
    bundle.deployments[0].kind = WorkloadKind::StatefulSet;
    let seen = Observation {
        deployments: vec![good()],
        highest_fence: Fence(3),
    };
    let judged = verdict(&bundle, &seen, Leaving::Awaited);
    assert_eq!(
        judged,
        Verdict::Inconclusive("statefulset api is not there".into())
    );
}
