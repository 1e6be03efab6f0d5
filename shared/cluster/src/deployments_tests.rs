#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use std::collections::BTreeMap;

fn bundle(replicas: Option<i32>, spec: Value) -> WorkloadBundle {
    WorkloadBundle {
        kind: Default::default(),
        name: "api".into(),
        container: Some("api".into()),
        replicas,
        manifest: json!({"metadata": {"labels": {"team": "mc"}}, "spec": spec}),
        images: BTreeMap::new(),
    }
}

fn whole() -> Value {
    json!({
        "minReadySeconds": 5,
        "selector": {"matchLabels": {"app": "api"}},
        "template": {"spec": {"containers": [{"name": "api", "image": "x"}]}},
    })
}

fn of_size(replicas: i32) -> Deployment {
    serde_json::from_value(json!({"spec": {"replicas": replicas, "selector": {}, "template": {}}})).unwrap()
}

#[test]
fn a_whole_spec_is_replaced_but_for_its_replicas() {
    let patch = patch(&bundle(None, whole()), None, Fence(7));
    insta::assert_json_snapshot!(patch, @r#"
    {
      "metadata": {
        "annotations": {
          "sluice.dev/fence": "7"
        },
        "labels": {
          "team": "mc"
        }
      },
      "spec": {
        "$retainKeys": [
          "minReadySeconds",
          "selector",
          "template",
          "replicas"
        ],
        "minReadySeconds": 5,
        "selector": {
          "$patch": "replace",
          "matchLabels": {
            "app": "api"
          }
        },
        "template": {
          "$patch": "replace",
          "spec": {
            "containers": [
              {
                "image": "x",
                "name": "api"
              }
            ]
          }
        }
      }
    }
    "#);
}

#[test]
fn a_template_alone_says_nothing_about_the_rest() {
    let patch = patch(
        &bundle(Some(3), json!({"template": {"spec": {}}})),
        Some(3),
        Fence(7),
    );
    assert_eq!(
        patch["spec"],
        json!({"replicas": 3, "template": {"$patch": "replace", "spec": {}}})
    );
}

#[test]
fn a_creation_has_everything_and_no_directives() {
    let body = creation(&bundle(Some(3), whole()), Fence(7));
    assert_eq!(body["metadata"]["name"], "api");
    assert_eq!(body["metadata"]["annotations"], json!({"sluice.dev/fence": "7"}));
    assert_eq!(body["spec"]["replicas"], 3);
    assert!(!body.to_string().contains('$'), "{body}");
    assert_eq!(
        creation(&bundle(None, whole()), Fence(7))["spec"].get("replicas"),
        None
    );
}

#[test]
fn an_autoscalers_number_stays_unless_it_is_zero() {
    for (bundle_says, autoscaled, present, written) in [
        (Some(3), false, 5, Some(3)),
        (Some(3), false, 3, Some(3)),
        (Some(3), true, 5, None),
        (Some(3), true, 0, Some(3)),
        (None, true, 5, None),
        (None, true, 0, Some(1)),
        (None, false, 5, None),
        (Some(0), true, 5, Some(0)),
        (Some(0), false, 5, Some(0)),
    ] {
        let replicas = replicas_to_write(&bundle(bundle_says, whole()), autoscaled, &of_size(present));
        assert_eq!(
            replicas, written,
            "bundle {bundle_says:?}, autoscaled {autoscaled}, present {present}"
        );
    }
}
