//! `scale`: a part of the last environment's replicas.

use super::manifest::{finding, label, text_at};
use super::objects::Objects;
use super::yaml::Document;
use super::{Fault, FaultKind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The part of a number of pods, in thousandths: rounded up, and never none. At most the number itself, where that is
/// not 0.
pub(super) fn scaled(thousandths: u32, of: u64) -> u64 {
    let part = (u128::from(of) * u128::from(thousandths)).div_ceil(1_000);
    u64::try_from(part).unwrap_or(u64::MAX).max(1)
}

/// What the last environment says of its pods.
pub(super) struct Measure {
    /// `replicas` of each Deployment; none where an autoscaler sets them.
    deployments: BTreeMap<String, Option<Said>>,
    /// `minReplicas` and `maxReplicas` of each HorizontalPodAutoscaler.
    autoscalers: BTreeMap<String, (Said, Said)>,
}

/// A number that is said, or its default.
#[derive(Clone, Copy)]
struct Said {
    count: u64,
    said: bool,
}

fn count(object: &Value, pointer: &str) -> Said {
    let found = object.pointer(pointer).and_then(Value::as_u64);
    Said {
        // Kubernetes' default of `replicas` and of `minReplicas`
        count: found.unwrap_or(1),
        said: found.is_some(),
    }
}

const REPLICAS: &str = "/spec/replicas";
const BOUNDS: [&str; 2] = ["/spec/minReplicas", "/spec/maxReplicas"];

fn name_of(document: &Document) -> String {
    text_at(&document.value, "/metadata/name")
        .unwrap_or_default()
        .to_owned()
}

/// The Deployments whose replicas an autoscaler sets.
pub(super) fn autoscaled<'d>(autoscalers: impl Iterator<Item = &'d Document>) -> BTreeSet<&'d str> {
    autoscalers.filter_map(targets).collect()
}

/// The Deployment whose replicas a HorizontalPodAutoscaler sets.
pub(super) fn targets(autoscaler: &Document) -> Option<&str> {
    let kind = text_at(&autoscaler.value, "/spec/scaleTargetRef/kind");
    let name = text_at(&autoscaler.value, "/spec/scaleTargetRef/name");
    name.filter(|_| kind == Some("Deployment"))
}

impl Measure {
    pub(super) fn of(last: &Objects<'_>) -> Self {
        let autoscaled = autoscaled(last.of_kind("HorizontalPodAutoscaler"));
        let deployments = last.of_kind("Deployment").map(|document| {
            let name = name_of(document);
            let replicas = count(&document.value, REPLICAS);
            let own = !autoscaled.contains(name.as_str());
            (name, own.then_some(replicas))
        });
        let autoscalers = last.of_kind("HorizontalPodAutoscaler").map(|document| {
            let [least, most] = BOUNDS.map(|pointer| count(&document.value, pointer));
            (name_of(document), (least, most))
        });
        Self {
            deployments: deployments.collect(),
            autoscalers: autoscalers.collect(),
        }
    }

    /// Scales one object of another environment. `own`: it is from a file of that environment alone, whose numbers
    /// would be meant; what they say and is not taken is a warning.
    pub(super) fn apply(&self, document: &mut Document, thousandths: u32, own: bool) -> Vec<Fault> {
        let name = name_of(document);
        let numbers: Vec<(&str, Said)> = match text_at(&document.value, "/kind") {
            Some("Deployment") => {
                let replicas = self.deployments.get(&name).copied().flatten();
                replicas.map(|said| (REPLICAS, said)).into_iter().collect()
            }
            Some("HorizontalPodAutoscaler") => {
                let bounds = self.autoscalers.get(&name);
                bounds
                    .into_iter()
                    .flat_map(|(least, most)| BOUNDS.into_iter().zip([*least, *most]))
                    .collect()
            }
            _ => Vec::new(),
        };
        let mut faults = Vec::new();
        for (pointer, last) in numbers {
            let there = count(&document.value, pointer);
            let wanted = scaled(thousandths, last.count);
            if own && there.said && there.count != wanted {
                faults.push(overridden(document, pointer, there.count, wanted));
            }
            if there.said || last.said {
                set(&mut document.value, pointer, wanted);
            }
        }
        faults
    }
}

fn set(object: &mut Value, pointer: &str, count: u64) {
    let key = pointer.rsplit('/').next().unwrap_or_default();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert(key.to_owned(), json!(count));
    }
}

fn overridden(document: &Document, pointer: &str, found: u64, wanted: u64) -> Fault {
    let key = format!(
        "{} {}",
        label(&document.value),
        pointer.trim_start_matches('/').replace('/', ".")
    );
    let problem = format!("is {found} here, and `scale` makes it {wanted}");
    let right = "leave it out here, or no `scale` of the environment".to_owned();
    finding(document, FaultKind::Warning, &key, problem, right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_part_is_rounded_up() {
        for (thousandths, of, wanted) in [
            (200, 1, 1),
            (200, 5, 1),
            (200, 6, 2),
            (200, 10, 2),
            (200, 11, 3),
            (1, 1, 1),
            (1, 1_000, 1),
            (1, 1_001, 2),
            (333, 3, 1),
            (334, 3, 2),
            (1_000, 7, 7),
            (500, 0, 1),
            (1_000, u64::MAX, u64::MAX),
        ] {
            assert_eq!(scaled(thousandths, of), wanted, "{thousandths} of {of}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_none_and_never_more_than_the_whole(part in 1u32..=1_000, of in 1u64..) {
            let found = scaled(part, of);
            prop_assert!((1..=of).contains(&found), "{}", found);
            // the least number that is at least the part
            prop_assert!(u128::from(found) * 1_000 >= u128::from(of) * u128::from(part));
            prop_assert!(found == 1 || u128::from(found - 1) * 1_000 < u128::from(of) * u128::from(part));
        }

        #[test]
        fn more_of_more_is_never_less(
            part in 1u32..=1_000, more_part in 0u32..1_000, of in 1u64..1_000_000, more in 0u64..1_000_000,
        ) {
            let larger = (part + more_part).min(1_000);
            prop_assert!(scaled(part, of) <= scaled(larger, of));
            prop_assert!(scaled(part, of) <= scaled(part, of + more));
        }
    }
}
