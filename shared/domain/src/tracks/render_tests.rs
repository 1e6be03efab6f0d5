//! A bundle on a track: nothing that was there before selects its pods, and everything of the track does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::tracks::render_samples::*;
use serde_json::json;

const BOTH: [Track; 2] = [Track::Blue, Track::Green];

fn on(bundle: &Bundle, track: Track) -> Bundle {
    on_track(bundle, track).unwrap()
}

/// The pod labels of each Deployment.
fn pods(bundle: &Bundle) -> Vec<&Value> {
    let label = |one: &'_ WorkloadBundle| one.manifest.pointer("/spec/template/metadata/labels").is_some();
    let all = bundle.deployments.iter().filter(|one| label(one));
    all.map(|one| &one.manifest["spec"]["template"]["metadata"]["labels"])
        .collect()
}

/// Everything of a bundle that selects pods, as selectors with `matchLabels` and `matchExpressions`.
fn selectors(bundle: &Bundle) -> Vec<(String, Value)> {
    let deployments = bundle.deployments.iter().map(|one| {
        (
            format!("Deployment {}", one.name),
            one.manifest["spec"]["selector"].clone(),
        )
    });
    let objects = bundle.objects.iter().filter_map(|object| {
        let kind = object["kind"].as_str()?;
        let name = format!("{kind} {}", object["metadata"]["name"].as_str()?);
        match kind {
            "Service" => Some((name, json!({"matchLabels": object["spec"].get("selector")?}))),
            "PodDisruptionBudget" => Some((name, object["spec"].get("selector")?.clone())),
            "NetworkPolicy" => Some((name, object["spec"].get("podSelector")?.clone())),
            _ => None,
        }
    });
    deployments.chain(objects).collect()
}

/// What Kubernetes makes of a selector ("Labels and Selectors"), for the operators that are used here.
fn matches(selector: &Value, labels: &Value) -> bool {
    let by_label = selector["matchLabels"]
        .as_object()
        .is_none_or(|all| all.iter().all(|(key, value)| labels.get(key) == Some(value)));
    let by_expression = selector["matchExpressions"].as_array().is_none_or(|all| {
        all.iter().all(|one| {
            let found = labels.get(one["key"].as_str().unwrap());
            let listed = |found: &Value| one["values"].as_array().unwrap().contains(found);
            match one["operator"].as_str().unwrap() {
                "In" => found.is_some_and(listed),
                "NotIn" => !found.is_some_and(listed),
                "Exists" => found.is_some(),
                other => panic!("{other}"),
            }
        })
    });
    by_label && by_expression
}

fn named<'b>(bundle: &'b Bundle, kind: &str, name: &str) -> &'b Value {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    bundle
        .objects
        .iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("no {kind} {name} in {:#?}", bundle.objects))
}

/// The rule of every other test here: the tracks and what was there before do not touch each other's pods.
fn assert_apart(bundle: &Bundle) {
    let tracks = BOTH.map(|track| on(bundle, track));
    for (track, rendered) in BOTH.iter().zip(&tracks) {
        for (of, labels) in rendered.deployments.iter().zip(pods(rendered)) {
            for (who, selector) in selectors(bundle) {
                assert!(
                    !matches(&selector, labels),
                    "{who} of before selects {of:?} on {track}"
                );
            }
            let other = if *track == Track::Blue {
                &tracks[1]
            } else {
                &tracks[0]
            };
            for (who, selector) in selectors(other) {
                let shared = selectors(bundle).contains(&(who.clone(), selector.clone()));
                assert!(
                    shared || !matches(&selector, labels),
                    "{who} selects {of:?} on {track}"
                );
            }
            assert!(
                matches(&of.manifest["spec"]["selector"], labels),
                "Deployment {} does not select its own pods {labels}",
                of.name
            );
        }
    }
}

#[test]
fn nothing_of_before_nor_of_the_other_track_selects_the_pods_of_a_track() {
    assert_apart(&bundle());
    assert_apart(&two_deployments());
}

#[test]
fn what_is_of_a_track_selects_the_pods_of_that_track() {
    for track in BOTH {
        let rendered = on(&bundle(), track);
        let labels = pods(&rendered)[0];
        for (who, selector) in selectors(&rendered) {
            assert!(
                matches(&selector, labels),
                "{who} on {track}: {selector} and {labels}"
            );
        }
    }
}

#[test]
fn each_object_of_a_track_has_a_name_of_its_own_and_the_shared_ones_keep_theirs() {
    let names = |bundle: &Bundle| -> Vec<String> {
        let object = |one: &Value| format!("{} {}", one["kind"], one["metadata"]["name"]).replace('"', "");
        let deployments = bundle
            .deployments
            .iter()
            .map(|one| format!("Deployment {}", one.name));
        deployments.chain(bundle.objects.iter().map(object)).collect()
    };
    insta::assert_snapshot!(names(&on(&bundle(), Track::Green)).join("\n"), @r"
    Deployment mc-api-green
    Service mc-api-green
    HorizontalPodAutoscaler mc-api-green
    PodDisruptionBudget mc-api-green
    ServiceAccount mc-api
    ");
}

#[test]
fn a_deployment_on_a_track_is_the_same_but_for_names_and_labels() {
    let rendered = on(&bundle(), Track::Blue);
    insta::assert_json_snapshot!(rendered.deployments[0].manifest, @r#"
    {
      "metadata": {
        "labels": {
          "app": "mc-api-blue",
          "sluice.dev/track": "blue"
        }
      },
      "spec": {
        "selector": {
          "matchLabels": {
            "app": "mc-api-blue",
            "sluice.dev/track": "blue"
          }
        },
        "template": {
          "metadata": {
            "labels": {
              "app": "mc-api-blue",
              "sluice.dev/track": "blue",
              "team": "payments",
              "tier": "web-blue"
            }
          },
          "spec": {
            "affinity": {
              "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                  {
                    "labelSelector": {
                      "matchLabels": {
                        "app": "mc-api-blue",
                        "sluice.dev/track": "blue"
                      }
                    },
                    "topologyKey": "kubernetes.io/hostname"
                  },
                  {
                    "labelSelector": {
                      "matchExpressions": [
                        {
                          "key": "app",
                          "operator": "In",
                          "values": [
                            "mc-api-blue",
                            "mc-db"
                          ]
                        }
                      ]
                    },
                    "topologyKey": "topology.kubernetes.io/zone"
                  },
                  {
                    "labelSelector": {
                      "matchLabels": {
                        "app": "mc-db"
                      }
                    },
                    "topologyKey": "kubernetes.io/hostname"
                  }
                ]
              }
            },
            "containers": [
              {
                "image": "mc-api@sha256:1",
                "name": "api"
              }
            ],
            "topologySpreadConstraints": [
              {
                "labelSelector": {
                  "matchLabels": {
                    "app": "mc-api-blue",
                    "sluice.dev/track": "blue"
                  }
                },
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway"
              }
            ]
          }
        }
      }
    }
    "#);
}

#[test]
fn a_service_of_a_track_has_no_address_of_the_outside() {
    let rendered = on(&bundle(), Track::Green);
    insta::assert_json_snapshot!(named(&rendered, "Service", "mc-api-green"), @r#"
    {
      "apiVersion": "v1",
      "kind": "Service",
      "metadata": {
        "annotations": {
          "alb.ingress.kubernetes.io/healthcheck-path": "/health"
        },
        "labels": {
          "app": "mc-api"
        },
        "name": "mc-api-green"
      },
      "spec": {
        "ports": [
          {
            "port": 80,
            "targetPort": 8080
          }
        ],
        "selector": {
          "app": "mc-api-green",
          "sluice.dev/track": "green",
          "tier": "web-green"
        },
        "sessionAffinity": "None"
      }
    }
    "#);
    let mut headless = bundle();
    headless.objects[0]["spec"]["clusterIP"] = json!("None");
    let rendered = on(&headless, Track::Green);
    assert_eq!(
        named(&rendered, "Service", "mc-api-green")["spec"]["clusterIP"],
        "None"
    );
}

#[test]
fn what_others_select_is_left_to_them() {
    let mut bundle = bundle();
    let others = [
        json!({"kind": "PodDisruptionBudget", "metadata": {"name": "mc-db"}, "spec": {"selector": {"matchLabels": {"app": "mc-db"}}}}),
        json!({"kind": "PodDisruptionBudget", "metadata": {"name": "everything"}, "spec": {"selector": {}}}),
        json!({"kind": "HorizontalPodAutoscaler", "metadata": {"name": "mc-db"}, "spec": {"scaleTargetRef": {"name": "mc-db"}}}),
        json!({"kind": "Service", "metadata": {"name": "mc-db"}, "spec": {"selector": {"app": "mc-db"}}}),
        json!({"kind": "Service", "metadata": {"name": "by-hand"}, "spec": {"ports": []}}),
        json!({"kind": "Service", "metadata": {"name": "empty"}, "spec": {"selector": {}}}),
        json!({"kind": "NetworkPolicy", "metadata": {"name": "all"}, "spec": {"podSelector": {}}}),
        json!({"kind": "NetworkPolicy", "metadata": {"name": "team"}, "spec": {"podSelector": {"matchLabels": {"team": "payments"}}}}),
    ];
    bundle.objects.extend(others.clone());
    let rendered = on(&bundle, Track::Blue);
    for other in &others {
        assert!(rendered.objects.contains(other), "{other}");
    }
}

/// A disruption budget may select by labels that neither the Deployment nor a Service selects by.
#[test]
fn a_budget_with_labels_of_its_own_protects_its_own_track_alone() {
    let mut bundle = bundle();
    bundle.objects[2]["spec"]["selector"]["matchLabels"] = json!({"team": "payments"});
    assert_apart(&bundle);
    let rendered = on(&bundle, Track::Blue);
    let budget = named(&rendered, "PodDisruptionBudget", "mc-api-blue");
    assert!(matches(&budget["spec"]["selector"], pods(&rendered)[0]));
    assert_eq!(
        budget["spec"]["selector"]["matchLabels"],
        json!({"team": "payments-blue", "sluice.dev/track": "blue"})
    );
}

#[test]
fn two_deployments_and_two_services_keep_to_themselves_on_a_track() {
    let rendered = on(&two_deployments(), Track::Green);
    let labels = pods(&rendered);
    let selects = |service: &str| -> Vec<bool> {
        let selector = json!({"matchLabels": named(&rendered, "Service", service)["spec"]["selector"]});
        labels.iter().map(|labels| matches(&selector, labels)).collect()
    };
    assert_eq!(selects("web-green"), [true, false]);
    assert_eq!(selects("worker-green"), [false, true]);
    assert_eq!(selects("all-green"), [true, true]);
}

#[test]
fn an_empty_value_of_a_label_stays_a_valid_one() {
    let mut bundle = bundle();
    let deployment = &mut bundle.deployments[0].manifest;
    deployment["spec"]["selector"]["matchLabels"] = json!({"app": "mc-api", "mc-api": ""});
    deployment["spec"]["template"]["metadata"]["labels"]["mc-api"] = json!("");
    let rendered = on(&bundle, Track::Blue);
    assert_eq!(
        rendered.deployments[0].manifest["spec"]["selector"]["matchLabels"]["mc-api"],
        "blue"
    );
    assert_apart(&bundle);
}

#[test]
fn the_deployment_selects_its_own_pods_where_its_template_repeats_its_labels() {
    // Kubernetes refuses a Deployment whose template does not have what its selector wants; this stays so.
    for track in BOTH {
        let rendered = on(&two_deployments(), track);
        for one in &rendered.deployments {
            let spec = &one.manifest["spec"];
            assert!(
                matches(&spec["selector"], &spec["template"]["metadata"]["labels"]),
                "{}",
                one.name
            );
        }
    }
}

#[path = "render_fault_tests.rs"]
mod faults;
#[path = "render_property_tests.rs"]
mod properties;
#[path = "render_service_tests.rs"]
mod services;
#[path = "render_size_tests.rs"]
mod sizes;
