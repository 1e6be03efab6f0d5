#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn lines(live: &Value, wanted: &Value) -> Vec<String> {
    let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
    let fields = compare(live, wanted, false);
    fields
        .iter()
        .map(|field| format!("{}: {} -> {}", field.path, text(&field.from), text(&field.to)))
        .collect()
}

#[test]
fn what_changes_is_told_by_its_path() {
    let container = |image: &str, env: Value| json!({"name": "api", "image": image, "env": env});
    let of = |spec: Value| json!({"kind": "Deployment", "metadata": {"name": "api"}, "spec": spec});
    for (live, wanted, told) in [
        (of(json!({})), of(json!({})), vec![]),
        (
            of(json!({"containers": [container("a:1", json!([{"name": "A", "value": "1"}]))]})),
            of(
                json!({"containers": [container("a:2", json!([{"name": "B", "value": "1"}])), {"name": "new"}]}),
            ),
            vec![
                r#"spec.containers[api].env[A]: {"name":"A","value":"1"} -> -"#,
                r#"spec.containers[api].env[B]: - -> {"name":"B","value":"1"}"#,
                r#"spec.containers[api].image: "a:1" -> "a:2""#,
                r#"spec.containers[new]: - -> {"name":"new"}"#,
            ],
        ),
        (
            of(json!({"ports": [{"port": 80}], "args": ["a"]})),
            of(json!({"ports": [{"port": 81}], "args": ["a", "b"]})),
            vec![r#"spec.args: ["a"] -> ["a","b"]"#, "spec.ports[0].port: 80 -> 81"],
        ),
        (
            of(json!({"strategy": {"rollingUpdate": {"maxSurge": 1}}})),
            of(json!({"strategy": "x"})),
            vec![r#"spec.strategy: {"rollingUpdate":{"maxSurge":1}} -> "x""#],
        ),
    ] {
        assert_eq!(lines(&live, &wanted), told);
    }
}

#[test]
fn what_says_nothing_about_what_runs_is_not_compared() {
    let live = json!({
        "kind": "Deployment",
        "metadata": {
            "name": "api", "uid": "u", "resourceVersion": "7", "generation": 3, "creationTimestamp": "t",
            "managedFields": [{}],
            "labels": {"app.kubernetes.io/managed-by": "Helm", "team": "mc"},
            "annotations": {
                FENCE_ANNOTATION: "7", "meta.helm.sh/release-name": "api", "meta.helm.sh/release-namespace": "dev",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
        },
        "spec": {"replicas": 7},
        "status": {"replicas": 7},
    });
    let wanted = json!({"kind": "Deployment", "metadata": {"name": "api"}, "spec": {"replicas": 2}});
    assert_eq!(
        lines(&live, &wanted),
        [r#"metadata.labels.team: "mc" -> -"#, "spec.replicas: 7 -> 2"]
    );
    let autoscaled: Vec<_> = compare(&live, &wanted, true)
        .into_iter()
        .map(|field| field.path)
        .collect();
    assert_eq!(autoscaled, ["metadata.labels.team"]);
    assert_eq!(
        lines(&wanted, &live)[0],
        r#"metadata.annotations[meta.helm.sh/release-name]: - -> "api""#,
        "that helm puts its mark on an object of others is told"
    );
}

#[test]
fn of_a_secret_only_that_it_changes_is_told() {
    let secret = |data: Value, kept: &str| {
        json!({"kind": "Secret", "metadata": {"name": "s", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": kept}}, "data": data, "type": "Opaque"})
    };
    let live = secret(
        json!({"a.key": "b25l", "gone": "b25l", "same": "c2FtZQ=="}),
        "b25l",
    );
    let wanted = secret(
        json!({"a.key": "dHdv", "same": "c2FtZQ==", "new": "bmV3"}),
        "dHdv",
    );
    assert_eq!(
        lines(&live, &wanted),
        [
            r#"data[a.key]: "(secret)" -> "(secret)""#,
            r#"data.gone: "(secret)" -> -"#,
            r#"data.new: - -> "(secret)""#,
        ]
    );
    let bare = json!({"kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque"});
    for told in lines(&bare, &wanted).iter().chain(&lines(&wanted, &bare)) {
        assert!(told.contains("(secret)") && !told.contains("dHdv"), "{told}");
    }
}

#[test]
fn who_loses_fields_to_us_is_named() {
    let entry = |manager: &str, operation: &str, fields: Value| json!({"manager": manager, "operation": operation, "fieldsV1": fields});
    let object = |entries: Value| json!({"metadata": {"managedFields": entries}});
    let image = json!({"f:spec": {"f:image": {}}});
    let both = json!({"f:spec": {"f:image": {}, "f:replicas": {}}});
    let replicas = json!({"f:spec": {"f:replicas": {}}});
    let live = object(json!([
        entry("kubectl-set", "Update", both.clone()),
        entry("hpa", "Update", replicas.clone()),
        entry("helm", "Update", image.clone()),
    ]));
    for (wanted, taken) in [
        (live.clone(), ""),
        (
            object(json!([
                entry("helm", "Apply", image.clone()),
                entry("kubectl-set", "Update", replicas.clone()),
                entry("hpa", "Update", replicas.clone()),
            ])),
            "kubectl-set: spec.image",
        ),
        (
            object(json!([entry("helm", "Apply", both)])),
            "hpa: spec.replicas; kubectl-set: spec.image spec.replicas",
        ),
        // Gone with nobody after them.
        (
            object(json!([entry(
                "helm",
                "Apply",
                json!({"f:spec": {"f:other": {}}})
            )])),
            "",
        ),
    ] {
        let found: Vec<String> = taken_over(&live, &wanted, "helm")
            .into_iter()
            .map(|(manager, fields)| format!("{manager}: {}", fields.join(" ")))
            .collect();
        assert_eq!(found.join("; "), taken);
    }
}

#[test]
fn a_field_that_is_taken_over_is_named_as_a_changed_one_is() {
    for (leaf, path) in [
        (
            "\0f:spec\0f:containers\0k:{\"name\":\"api\"}\0f:image",
            "spec.containers[api].image",
        ),
        (
            "\0f:spec\0f:ports\0k:{\"port\":80,\"protocol\":\"TCP\"}\0.",
            "spec.ports[80 TCP]",
        ),
        (
            "\0f:metadata\0f:finalizers\0v:\"a/b\"",
            "metadata.finalizers[\"a/b\"]",
        ),
        ("\0f:metadata\0f:labels\0f:a/b", "metadata.labels[a/b]"),
    ] {
        assert_eq!(readable(leaf), path);
    }
}

fn any_object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[a-d]|name", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn equal_specs_alone_have_no_difference(one in any_object(), other in any_object()) {
        let of = |spec: &Value| json!({"kind": "X", "spec": spec});
        prop_assert_eq!(compare(&of(&one), &of(&other), false).is_empty(), one == other);
    }

    #[test]
    fn no_content_of_a_secret_is_ever_told(data in any_object()) {
        let secret = |data: &Value| json!({"kind": "Secret", "data": {"k": data, "planted": "sesame"}});
        let bare = json!({"kind": "Secret"});
        for fields in [compare(&secret(&data), &bare, false), compare(&bare, &secret(&data), false)] {
            prop_assert!(!serde_json::to_string(&fields).unwrap().contains("sesame"));
        }
    }
}
