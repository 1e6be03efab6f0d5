#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::tests::{data, manifest, observed_of, package, release};
use super::*;
use crate::ids::Fence;
use crate::workload::ObservedDeployment;
use proptest::prelude::*;
use serde_json::json;

/// What the cluster shows once this bundle has been applied.
fn observed_after(bundle: &Bundle) -> Observation {
    let deployments = bundle.deployments.iter().map(|deployment| {
        let mut spec = deployment.manifest["spec"].clone();
        let template = spec.as_object_mut().unwrap().remove("template").unwrap();
        ObservedDeployment {
            kind: Default::default(),
            name: deployment.name.clone(),
            wanted: deployment.replicas.unwrap_or(7),
            autoscaled: deployment.replicas.is_none(),
            images: deployment.images.clone(),
            spec,
            ..observed_of(template)
        }
    });
    Observation {
        deployments: deployments.collect(),
        highest_fence: Fence(1),
    }
}

/// What the cluster holds of ConfigMaps once this bundle has been applied over `before`.
fn config_after(
    bundle: &Bundle,
    before: &BTreeMap<String, Option<ConfigData>>,
) -> BTreeMap<String, Option<ConfigData>> {
    let copies = bundle.config_maps.iter().map(|copy| {
        let data = ConfigData {
            data: copy.data.clone(),
            binary_data: copy.binary_data.clone(),
        };
        (copy.name.clone(), Some(data))
    });
    before.clone().into_iter().chain(copies).collect()
}

fn any_template() -> impl Strategy<Value = Value> {
    let name = prop_oneof![Just("web"), Just("proxy"), Just("absent"), Just("other")];
    let reference = (name, 0..4u8).prop_map(|(name, place)| match place {
        0 => json!({"container": {"envFrom": [{"configMapRef": {"name": name}}]}}),
        1 => json!({"container": {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": name, "key": "k"}}}]}}),
        2 => json!({"volume": {"name": "v", "configMap": {"name": name}}}),
        _ => json!({"volume": {"name": "v", "projected": {"sources": [{"configMap": {"name": name}}]}}}),
    });
    prop::collection::vec(reference, 0..8).prop_map(|references| {
        let mut containers = vec![json!({"name": "api", "image": "x"})];
        let mut volumes = vec![];
        for (place, reference) in references.into_iter().enumerate() {
            if let Some(container) = reference.get("container") {
                let mut container = container.clone();
                container["name"] = json!(format!("c{place}"));
                container["image"] = json!("y");
                containers.push(container);
            }
            volumes.extend(reference.get("volume").cloned());
        }
        json!({"metadata": {"labels": {"app": "api"}}, "spec": {"containers": containers, "volumes": volumes}})
    })
}

fn any_config() -> impl Strategy<Value = BTreeMap<String, Option<ConfigData>>> {
    let content = prop::option::of(("[a-z]{1,4}", "[a-z]{0,6}").prop_map(|(key, value)| data(&key, &value)));
    (content.clone(), content.clone(), content).prop_map(|(web, proxy, other)| {
        [
            ("web".into(), web),
            ("proxy".into(), proxy),
            ("other".into(), other),
            ("absent".into(), None),
        ]
        .into()
    })
}

proptest! {
    #[test]
    fn what_is_captured_after_a_plan_is_the_plan(template in any_template(), config in any_config()) {
        let mut manifest = manifest();
        manifest["spec"]["template"] = template;
        let package = package(vec![manifest], &[("api", Some("api"))]);
        let release = release(42);
        let planned = plan_bundle(&release, &package, &Observation::default(), &config).unwrap();
        let observed = observed_after(&planned);
        let after = config_after(&planned, &config);
        prop_assert!(config_wanted(&package, &observed).iter().all(|name| after.contains_key(name)));
        let captured = capture_bundle(&observed, &[], &after, Some(&release)).unwrap();
        prop_assert_eq!(&captured.config_maps, &planned.config_maps);
        prop_assert_eq!(&captured.digest, &planned.digest);
        let (before, after) = (&planned.deployments[0], &captured.deployments[0]);
        prop_assert_eq!(&before.manifest["spec"], &after.manifest["spec"]);
        prop_assert_eq!(&before.images, &after.images);
        prop_assert_eq!((&before.container, before.replicas), (&after.container, after.replicas));
    }

    #[test]
    fn no_template_names_an_original_that_has_a_copy(template in any_template(), config in any_config()) {
        let observed = Observation { deployments: vec![observed_of(template)], highest_fence: Fence(0) };
        let captured = capture_bundle(&observed, &[], &config, None).unwrap();
        let named = config_names(&captured.deployments[0].manifest["spec"]["template"]);
        let copies: BTreeSet<String> = captured.config_maps.iter().map(|copy| copy.name.clone()).collect();
        for name in &named {
            prop_assert!(copies.contains(name) || config[name].is_none(), "{name}");
        }
        prop_assert!(copies.is_subset(&named), "a copy that nobody names");
    }
}
