//! What is seen of pods, and what is not believed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::budget::Budgets;
use crate::bundle::Bundle;
use crate::gates::{self, Evidence, Gate, RollbackTarget};
use crate::rollout::take_lease;
use crate::samples::{at, bundle, environment, http_route, observed, promotion, release, route, spec};
use crate::tracks::Traffic;
use crate::workload::Verdict;

fn under_way() -> Environment {
    let mut environment = environment();
    take_lease(&mut environment, &mut promotion(2), Seconds(600), at(100))
        .reason
        .take();
    environment
}

/// A Deployment whose pods were created at and ready at these seconds.
fn started(name: &str, pods: &[(i64, i64)]) -> Observation {
    let mut seen = observed(2, 7);
    let one = &mut seen.deployments[0];
    let model = one.pods[0].clone();
    one.name = name.into();
    one.wanted = i32::try_from(pods.len()).unwrap();
    one.pods = pods
        .iter()
        .map(|(created, ready)| ObservedPod {
            created_at: Some(at(*created)),
            ready_at: Some(at(*ready)),
            ..model.clone()
        })
        .collect();
    seen
}

fn noted(pods: &[(i64, i64)]) -> Option<(u64, u64, u32)> {
    let mut environment = under_way();
    note(&mut environment, &started("mc-api", pods), at(500));
    let found = environment.seen.ready.get("mc-api")?;
    Some((found.usual.get(), found.slowest.get(), found.replicas))
}

#[test]
fn what_most_pods_took_is_told_apart_from_the_slowest() {
    let table: [(&[(i64, i64)], _); 6] = [
        (&[(100, 109)], Some((10, 10, 1))),
        (&[(100, 109), (105, 124)], Some((20, 20, 2))),
        // One of four waited for a node.
        (
            &[(100, 109), (110, 119), (120, 129), (130, 329)],
            Some((10, 200, 4)),
        ),
        // What was there before the rollout became ready again, after a flap: that is no start.
        (&[(10, 400)], None),
        (&[(10, 400), (101, 110)], Some((10, 10, 2))),
        // A clock that was put back says nothing.
        (&[(300, 200)], None),
    ];
    for (pods, wanted) in table {
        assert_eq!(noted(pods), wanted, "{pods:?}");
    }
}

#[test]
fn only_pods_that_serve_the_release_count() {
    type Change = fn(&mut ObservedPod);
    let table: [Change; 6] = [
        |pod| pod.ready = false,
        |pod| pod.current = false,
        |pod| pod.terminating = true,
        |pod| pod.ended = true,
        |pod| pod.created_at = None,
        |pod| pod.ready_at = None,
    ];
    for change in table {
        let mut environment = under_way();
        let mut seen = started("mc-api", &[(100, 109)]);
        change(&mut seen.deployments[0].pods[0]);
        note(&mut environment, &seen, at(500));
        assert!(environment.seen.is_empty());
    }
}

fn on_green() -> Environment {
    let mut environment = under_way();
    let traffic = Traffic {
        decided_at: Some(at(200)),
        shifted_at: Some(at(203)),
        ..Traffic::new(
            route(http_route()),
            Some(Track::Green),
            Some(Track::Blue),
            BTreeMap::new(),
        )
    };
    environment.rollout.as_mut().unwrap().traffic = Some(Box::new(traffic));
    environment
}

#[test]
fn on_tracks_the_place_that_the_release_comes_to_is_looked_at_and_the_router() {
    let mut environment = on_green();
    note(&mut environment, &started("mc-api-blue", &[(100, 109)]), at(500));
    assert!(environment.seen.ready.is_empty(), "that is what is left");
    assert_eq!(environment.seen.accepted, Some(Seconds(3)));
    note(&mut environment, &started("mc-api-green", &[(100, 109)]), at(500));
    assert_eq!(environment.seen.ready["mc-api"].usual, Seconds(10));
    // Nothing to be compared with: nothing that had to be accepted.
    let mut first = on_green();
    first
        .rollout
        .as_mut()
        .unwrap()
        .traffic
        .as_mut()
        .unwrap()
        .has_other = false;
    note(&mut first, &started("mc-api-green", &[(100, 109)]), at(500));
    assert_eq!(first.seen.accepted, None);
}

#[test]
fn what_was_seen_before_stays_where_nothing_is_seen_now() {
    let mut environment = under_way();
    note(&mut environment, &started("mc-api", &[(100, 109)]), at(500));
    let before = environment.seen.clone();
    note(&mut environment, &started("mc-api", &[(10, 90)]), at(500));
    assert_eq!(environment.seen, before);
    let kept = serde_json::to_value(&environment).unwrap();
    assert_eq!(serde_json::from_value::<Environment>(kept).unwrap().seen, before);
}

/// A service with 20 pods, one at a time, and probes that would give each of them five minutes.
fn twenty_with_slow_probes() -> Bundle {
    let mut bundle = bundle(1);
    let one = bundle.deployments.first_mut().unwrap();
    one.replicas = Some(20);
    one.manifest = serde_json::json!({"spec": {
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"spec": {"containers": [{"name": "api", "startupProbe": {"failureThreshold": 30}}]}}}});
    bundle
}

/// What the gate says of a rollback, which may take five minutes.
fn gate(environment: &Environment) -> String {
    let budgets = Budgets::of(&twenty_with_slow_probes(), &spec(None), environment);
    let results = gates::check(&Evidence {
        release: &release(2),
        image: None,
        before: None,
        rollback: RollbackTarget::NoneYet,
        budget: Some((&budgets, Seconds(300))),
    });
    let said = results
        .iter()
        .find(|one| one.gate == Gate::RollbackBudget)
        .unwrap();
    let word = if said.verdict == Verdict::Passed {
        "passed"
    } else {
        "failed"
    };
    format!("{}\n  {word}: {}", budgets.worst, said.detail)
}

#[test]
fn slow_probes_refuse_nothing_but_what_was_seen_does() {
    let mut environment = under_way();
    let mut said = vec![gate(&environment)];
    let each = |took: i64| -> Vec<(i64, i64)> { (0..20).map(|pod| (100 + pod, 100 + pod + took)).collect() };
    for took in [8, 45] {
        note(&mut environment, &started("mc-api", &each(took)), at(500));
        said.push(gate(&environment));
    }
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn nothing_is_noted_where_nothing_is_under_way() {
    let mut environment = environment();
    note(&mut environment, &started("mc-api", &[(100, 109)]), at(500));
    assert!(environment.seen.is_empty());
}
