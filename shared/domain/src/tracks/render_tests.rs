//! A bundle on a track: nothing that was there before selects its pods, and everything of the track does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::tracks::{pointed_at, render_samples::*};
use serde_json::json;

const BOTH: [Track; 2] = [Track::Blue, Track::Green];

fn on(bundle: &Bundle, track: Track) -> Bundle {
    on_track(bundle, track).unwrap()
}

fn fault(bundle: &Bundle) -> String {
    on_track(bundle, Track::Green).unwrap_err().to_string()
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
fn what_cannot_be_on_a_track_is_told_with_what_would_be_right() {
    let with = |change: &dyn Fn(&mut Bundle)| {
        let mut changed = bundle();
        change(&mut changed);
        fault(&changed)
    };
    let long = "m".repeat(58);
    let said = [
        with(&|bundle| bundle.deployments[0].manifest["spec"]["selector"] = json!({})),
        with(&|bundle| bundle.deployments[0].manifest["spec"]["selector"]["matchLabels"] = json!({})),
        with(&|bundle| {
            let by = json!([{"key": "app", "operator": "Exists"}]);
            bundle.deployments[0].manifest["spec"]["selector"]["matchExpressions"] = by;
        }),
        with(&|bundle| bundle.deployments[0].name = long.clone()),
        with(&|bundle| bundle.objects[0]["metadata"]["name"] = json!(long)),
        with(&|bundle| bundle.objects[2]["metadata"]["name"] = json!(long)),
        with(&|bundle| {
            let deployment = &mut bundle.deployments[0].manifest;
            deployment["spec"]["selector"]["matchLabels"]["app"] = json!(long);
            deployment["spec"]["template"]["metadata"]["labels"]["app"] = json!(long);
        }),
        with(&|bundle| bundle.objects[0]["spec"]["type"] = json!("ExternalName")),
        with(&|bundle| {
            let by = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["mc-api"]}]});
            bundle.objects[2]["spec"]["selector"] = by;
        }),
        with(&|bundle| {
            let by = json!({"podSelector": {"matchLabels": {"app": "mc-api"}}, "policyTypes": ["Ingress"]});
            bundle
                .objects
                .push(json!({"kind": "NetworkPolicy", "metadata": {"name": "closed"}, "spec": by}));
        }),
        with(&|bundle| {
            let mut other = bundle.deployments[0].clone();
            other.name = "mc-api-green".into();
            bundle.deployments.push(other);
        }),
        with(&|bundle| {
            let mut other = bundle.objects[0].clone();
            other["metadata"]["name"] = json!("mc-api-green");
            other["spec"]["selector"] = json!({"app": "somebody-else"});
            bundle.objects.push(other);
        }),
        with(&|bundle| {
            // What it selects is what the pods of the track are called.
            let mut other = bundle.deployments[0].clone();
            other.name = "mc-second".into();
            let pods = json!({"app": "mc-api-green"});
            other.manifest["spec"]["selector"]["matchLabels"] = pods.clone();
            other.manifest["spec"]["template"]["metadata"]["labels"] = pods;
            bundle.deployments.push(other);
        }),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    deployment mc-api has no selector with matchLabels, so that a track of it could select nothing: give it one
    deployment mc-api has no selector with matchLabels, so that a track of it could select nothing: give it one
    deployment mc-api selects its pods by matchExpressions: use matchLabels, which each track gets of its own
    Deployment mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm is too long for tracks: `mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm-green` has more than 63 characters
    Service mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm is too long for tracks: `mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm-green` has more than 63 characters
    object mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm is too long for tracks: `mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm-green` has more than 63 characters
    label app of deployment mc-api is too long for tracks: `mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm-green` has more than 63 characters
    Service mc-api cannot be on two tracks: it is of type ExternalName
    PodDisruptionBudget mc-api cannot be on two tracks: it would not select the pods of a track: select them by a label that no Service, Deployment or PodDisruptionBudget selects by
    NetworkPolicy closed cannot be on two tracks: it would not select the pods of a track: select them by a label that no Service, Deployment or PodDisruptionBudget selects by
    Deployment mc-api cannot be on two tracks: another one has the name that it has on a track
    Service mc-api cannot be on two tracks: another one has the name that it has on a track
    Deployment mc-second cannot be on two tracks: it would select the pods of a track too: a value of its labels ends like a track's
    ");
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

#[test]
fn the_size_of_a_part_is_rounded_up_and_never_none_where_there_is_traffic() {
    let table = [
        (10, 0, 0),
        (10, 1, 1),
        (10, 5, 1),
        (10, 10, 1),
        (10, 11, 2),
        (10, 25, 3),
        (10, 50, 5),
        (10, 99, 10),
        (10, 100, 10),
        (3, 34, 2),
        (1, 1, 1),
        (0, 50, 0),
        (-3, 50, 0),
        (10, 700, 10),
        (i32::MAX, 100, i32::MAX),
    ];
    for (full, weight, size) in table {
        assert_eq!(size_for(full, weight), size, "{weight} % of {full}");
    }
}

#[test]
fn a_track_has_the_pods_of_its_part_and_its_autoscaler_goes_no_lower() {
    let full = BTreeMap::from([("mc-api".to_owned(), 8)]);
    let at = |weight| sized(&on(&bundle(), Track::Blue), Track::Blue, &full, weight);
    let bounds = |bundle: &Bundle| {
        let spec = named(bundle, "HorizontalPodAutoscaler", "mc-api-blue")["spec"].clone();
        (
            bundle.deployments[0].replicas,
            spec["minReplicas"].as_i64(),
            spec["maxReplicas"].as_i64(),
        )
    };
    assert_eq!(
        bounds(&at(0)),
        (Some(0), Some(1), Some(6)),
        "an autoscaler has one pod at least"
    );
    assert_eq!(bounds(&at(5)), (Some(1), Some(1), Some(6)));
    assert_eq!(bounds(&at(50)), (Some(4), Some(4), Some(6)));
    assert_eq!(
        bounds(&at(100)),
        (Some(8), Some(8), Some(8)),
        "never below what it has to be"
    );
    let unknown = sized(&on(&bundle(), Track::Blue), Track::Blue, &BTreeMap::new(), 50);
    assert_eq!(unknown.deployments[0].replicas, bundle().deployments[0].replicas);
}

#[test]
fn the_whole_traffic_needs_what_is_said_or_what_runs() {
    let full = |replicas, running: i32| {
        let mut bundle = bundle();
        bundle.deployments[0].replicas = replicas;
        full_size(&bundle, &BTreeMap::from([("mc-api".to_owned(), running)]))["mc-api"]
    };
    assert_eq!(
        [full(Some(4), 2), full(Some(4), 6), full(None, 6), full(None, 0)],
        [4, 6, 6, 2],
        "its autoscaler keeps two at least"
    );
    assert_eq!(full(Some(0), 0), 0, "an autoscaler leaves it alone");
}

#[test]
fn the_service_it_is_known_by_is_the_named_one_or_the_only_one() {
    let said = |bundle: &Bundle, named| match services_of(bundle, named) {
        Ok(services) => services.root,
        Err(fault) => fault.to_string(),
    };
    let mut without = bundle();
    without.objects.remove(0);
    let mut long = bundle();
    long.objects[0]["metadata"]["name"] = json!("s".repeat(56));
    let said = [
        said(&bundle(), None),
        said(&bundle(), Some("mc-api")),
        said(&bundle(), Some("mc-web")),
        said(&two_deployments(), None),
        said(&two_deployments(), Some("web")),
        said(&two_deployments(), Some("all")),
        said(&without, None),
        said(&long, None),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    mc-api
    mc-api
    there is no Service mc-web. Right: the name of a Service that selects the release's pods, or no `service`
    the Services all, web, worker select the pods of the release. Right: service = "..." in the strategy: the one whose requests the router shares out
    the Service web does not select the pods of worker, which would work whatever their weight. Right: one Service before every Deployment that runs the release; a worker without one is a service of its own, with strategy = "rolling"
    all
    no Service selects the pods of mc-api: a track of them would work whatever its weight. Right: a Service before these pods, or strategy = "rolling", which needs none
    the Service ssssssssssssssssssssssssssssssssssssssssssssssssssssssss has a name to which no `-preview` can be added. Right: a name of at most 55 characters that starts with a letter
    "#);
}

#[test]
fn a_service_points_at_each_place_and_is_found_there_again() {
    for bundle in [bundle(), two_deployments()] {
        for place in [None, Some(Track::Blue), Some(Track::Green)] {
            let at = |service: &&Value| match place {
                Some(track) => pointing(service, &bundle, track),
                None => (*service).clone(),
            };
            let there: Vec<Value> = pointed(&bundle).iter().map(at).collect();
            assert_eq!(pointed_at(&bundle, &there), Some(place));
            // Pointed at a track, it selects exactly that track's pods.
            for other in BOTH {
                for labels in pods(&on(&bundle, other)) {
                    let selecting = there
                        .iter()
                        .any(|one| matches(&json!({"matchLabels": one["spec"]["selector"]}), labels));
                    assert_eq!(selecting, Some(other) == place, "{place:?} and pods of {other}");
                }
            }
            assert_eq!(pointed_at(&bundle, &there[1..]), None, "one is missing");
        }
    }
}

#[test]
fn services_that_do_not_agree_point_nowhere() {
    let bundle = two_deployments();
    let services = pointed(&bundle);
    let mut there: Vec<Value> = services
        .iter()
        .map(|one| pointing(one, &bundle, Track::Blue))
        .collect();
    there[1] = pointing(services[1], &bundle, Track::Green);
    assert_eq!(pointed_at(&bundle, &there), None);
    there[1] = services[1].clone();
    assert_eq!(pointed_at(&bundle, &there), None);
    // The label alone does not do: other labels of it may select nothing.
    let mut there: Vec<Value> = services
        .iter()
        .map(|one| pointing(one, &bundle, Track::Blue))
        .collect();
    there[0]["spec"]["selector"]["app"] = json!("somebody-else");
    assert_eq!(pointed_at(&bundle, &there), None);
    // And one of before that somebody changed is not what was there before.
    let mut there: Vec<Value> = services.into_iter().cloned().collect();
    there[0]["spec"]["selector"]["app"] = json!("somebody-else");
    assert_eq!(pointed_at(&bundle, &there), None);
}

#[path = "render_property_tests.rs"]
mod properties;
