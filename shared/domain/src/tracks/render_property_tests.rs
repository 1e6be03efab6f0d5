//! Whatever labels there are, and whatever selects by them.
use super::*;
use crate::ids::{Digest, ReleaseNumber};
use proptest::prelude::*;

/// Labels of a few keys and values, so that they often coincide.
fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key = prop::sample::select(vec!["app", "tier", "team", "part"]);
    let value = prop::sample::select(vec!["a", "b", "", "a-blue"]);
    prop::collection::btree_map(key.prop_map(str::to_owned), value.prop_map(str::to_owned), 1..4)
}

/// Some of these labels, one at least.
fn some_of(labels: &BTreeMap<String, String>, mask: u8) -> BTreeMap<String, String> {
    let kept = labels
        .iter()
        .enumerate()
        .filter(|(place, _)| *place == 0 || mask & (1 << place) != 0);
    kept.map(|(_, (key, value))| (key.clone(), value.clone()))
        .collect()
}

fn any_bundle() -> impl Strategy<Value = Bundle> {
    let deployment = (labels(), any::<u8>());
    let deployments = prop::collection::vec(deployment, 1..3);
    let services = prop::collection::vec((0..2_usize, any::<u8>()), 0..3);
    let budgets = prop::collection::vec((0..2_usize, any::<u8>()), 0..3);
    (deployments, services, budgets).prop_map(|(deployments, services, budgets)| {
        let made = |(place, (labels, mask)): (usize, &(BTreeMap<String, String>, u8))| {
            let selector = json!({"matchLabels": some_of(labels, *mask)});
            let manifest = json!({"spec": {"selector": selector, "template": {"metadata": {"labels": labels}, "spec": {}}}});
            deployment_of(&format!("d{place}"), manifest)
        };
        let selecting = |kind: &'static str| {
            let deployments = deployments.clone();
            move |(place, (of, mask)): (usize, (usize, u8))| {
                let (labels, _) = &deployments[of % deployments.len()];
                let selector = json!(some_of(labels, mask));
                let selector = if kind == "Service" { selector } else { json!({"matchLabels": selector}) };
                json!({"kind": kind, "metadata": {"name": format!("{}{place}", kind.to_lowercase())}, "spec": {"selector": selector}})
            }
        };
        let of_services = services.into_iter().enumerate().map(selecting("Service"));
        let of_budgets = budgets.into_iter().enumerate().map(selecting("PodDisruptionBudget"));
        Bundle {
            release: Some(ReleaseNumber(1)),
            digest: Digest::parse(&format!("sha256:{:064x}", 1)).ok(),
            children: vec![],
            deployments: deployments.iter().enumerate().map(made).collect(),
            objects: of_services.chain(of_budgets).collect(),
            config_maps: vec![],
            helm: None,
        }
    })
}

proptest! {
    /// Whatever selects what: either the bundle is refused, or nothing of before and nothing of the other track touches the
    /// pods of a track, and each selects on the track exactly what it selected before.
    #[test]
    fn tracks_are_apart_whatever_the_labels_are(bundle in any_bundle()) {
        let faulty = BOTH.iter().any(|track| on_track(&bundle, *track).is_err());
        prop_assume!(!faulty);
        assert_apart(&bundle);
        for track in BOTH {
            let rendered = on(&bundle, track);
            for (before, after) in selectors(&bundle).into_iter().zip(selectors(&rendered)) {
                for (old, new) in pods(&bundle).into_iter().zip(pods(&rendered)) {
                    assert_eq!(matches(&before.1, old), matches(&after.1, new), "{before:?} {after:?} {old} {new}");
                }
            }
        }
    }

    /// Tracks are not refused without need: only where a value of before is called like a track's.
    #[test]
    fn a_bundle_without_values_like_a_tracks_is_never_refused(bundle in any_bundle()) {
        let text = serde_json::to_string(&bundle).unwrap();
        prop_assume!(!text.contains("a-blue"));
        for track in BOTH {
            prop_assert!(on_track(&bundle, track).is_ok(), "{:?}", on_track(&bundle, track));
        }
    }

    #[test]
    fn sizes_are_enough_and_not_more(full in 0..10_000_i32, weight in 0..=100_u32) {
        let size = size_for(full, weight);
        let exact = f64::from(full) * f64::from(weight) / 100.0;
        prop_assert!(f64::from(size) >= exact - 1e-9 && f64::from(size) < exact + 1.0);
        prop_assert_eq!(size > 0, full > 0 && weight > 0);
    }
}
