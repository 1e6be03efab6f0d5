//! What `plan` shows, asked of a real API server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod kubernetes;

use kube::api::{Patch, PatchParams};
use kubernetes::{NAME, Place, in_namespace, manifest};
use serde_json::{Value, json};
use sluice_domain::difference::{Change, Difference};
use sluice_domain::ids::Fence;

const MANAGER: &str = "helm";

/// Objects as helm 4 has them.
async fn applied(place: &Place, object: Value) {
    let version = object["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    place
        .objects(group, version, object["kind"].as_str().unwrap())
        .patch(
            object["metadata"]["name"].as_str().unwrap(),
            &PatchParams::apply(MANAGER).force(),
            &Patch::Apply(&object),
        )
        .await
        .unwrap();
}

/// As a session of helm that holds nothing: a plan needs no fence.
async fn differences(place: &Place, wanted: &[Value], gone: &[Value]) -> Vec<Difference> {
    let here = place.helm("plan").await;
    here.differences(wanted, gone, MANAGER).await.unwrap()
}

fn deployment(image: &str) -> Value {
    let mut deployment = manifest();
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    deployment
}

fn config(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"VALUE": value}})
}

fn secret(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"KEY": value}})
}

fn told(differences: &[Difference]) -> Vec<String> {
    let line = |one: &Difference| {
        let fields = one
            .fields
            .iter()
            .map(|field| format!("{}: {:?} -> {:?}", field.path, field.from, field.to));
        let fields: Vec<_> = fields.collect();
        format!("{:?} {} {} {fields:?}", one.change, one.kind, one.name)
    };
    differences.iter().map(line).collect()
}

#[tokio::test]
async fn what_would_be_made_changed_and_deleted_is_told_and_nothing_is_done() {
    in_namespace(|place| async move {
        applied(&place, deployment("a:1")).await;
        applied(&place, config("same", "1")).await;
        applied(&place, config("old", "1")).await;
        let kept = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "kept", "annotations": {"helm.sh/resource-policy": "keep"}}});
        applied(&place, kept).await;
        place.sluice.write_helm_fence(Fence(9)).await.unwrap();
        let before = place.deployment().await;
        let found = differences(
            &place,
            &[deployment("a:2"), config("same", "1"), config("new", "1")],
            &[config("old", "1"), config("kept", "1"), config("never", "1")],
        )
        .await;
        assert_eq!(
            told(&found),
            [
                r#"Change Deployment api ["spec.template.spec.containers[api].image: Some(String(\"a:1\")) -> Some(String(\"a:2\"))"]"#,
                "Create ConfigMap new []",
                "Delete ConfigMap old []",
            ]
        );
        assert!(
            found
                .iter()
                .all(|one| one.namespace.as_deref() == Some(place.name.as_str()) && one.managers.is_empty())
        );
        let after = place.deployment().await;
        assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"]);
        assert!(place.config_maps().get_opt("new").await.unwrap().is_none());
        assert!(place.config_maps().get_opt("old").await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn fields_of_others_that_are_taken_over_name_their_managers() {
    in_namespace(|place| async move {
        applied(&place, deployment("a:1")).await;
        assert!(differences(&place, &[deployment("a:1")], &[]).await.is_empty());
        place
            .meddle(json!({"spec": {"template": {"spec": {"containers": [{"name": NAME, "image": "a:3"}]}}}}))
            .await;
        let found = differences(&place, &[deployment("a:1")], &[]).await;
        assert_eq!(found[0].managers, ["kubectl-set"]);
        assert_eq!(found[0].fields.len(), 1, "{found:?}");
        assert_eq!(found[0].fields[0].to, Some(json!("a:1")));
    })
    .await;
}

#[tokio::test]
async fn what_an_autoscaler_sizes_has_no_difference_in_size() {
    in_namespace(|place| async move {
        applied(&place, deployment("a:1")).await;
        place.meddle(json!({"spec": {"replicas": 7}})).await;
        let found = differences(&place, &[deployment("a:1")], &[]).await;
        assert_eq!(found[0].fields[0].path, "spec.replicas", "{found:?}");
        place
            .create(json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": NAME},
                "spec": {"maxReplicas": 9, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}},
            }))
            .await;
        let found = differences(&place, &[deployment("a:1")], &[]).await;
        assert!(found.iter().all(|one| one.fields.is_empty()), "{found:?}");
    })
    .await;
}

#[tokio::test]
async fn no_content_of_a_secret_is_shown() {
    in_namespace(|place| async move {
        applied(&place, secret("old sesame")).await;
        assert!(differences(&place, &[secret("old sesame")], &[]).await.is_empty());
        let found = differences(&place, &[secret("new sesame")], &[secret("old sesame")]).await;
        let text = serde_json::to_string(&found).unwrap();
        for planted in ["sesame", "b2xkIHNlc2FtZQ", "bmV3IHNlc2FtZQ"] {
            assert!(!text.contains(planted), "{text}");
        }
        assert_eq!(found[0].fields[0].path, "data.KEY");
        assert_eq!(found[0].fields[0].to, Some(json!("(secret)")));
        let mut bad = secret("new sesame");
        bad["data"] = json!({"OTHER": "sesame!"});
        let found = differences(&place, &[bad], &[]).await;
        let note = found[0].note.as_deref().unwrap();
        assert!(
            note.starts_with("the API server fails on it") && !note.contains("sesame"),
            "{note}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_told_is_said_and_does_not_fail_the_rest() {
    in_namespace(|place| async move {
        let unknown = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
        let wide = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "w"}, "rules": []});
        let mut elsewhere = config("settings", "1");
        elsewhere["metadata"]["namespace"] = json!("kube-system");
        let mut wrong = deployment("a:1");
        wrong["spec"]["replicas"] = json!(-1);
        let wanted = [unknown.clone(), wide, elsewhere, wrong, config("new", "1")];
        let found = differences(&place, &wanted, &[unknown]).await;
        let notes: Vec<_> = found
            .iter()
            .map(|one| one.note.clone().unwrap_or_default())
            .collect();
        for (note, part) in notes.iter().zip([
            "kind Widget of example.com/v1 is not known",
            "it may not be read",
            "it may not be read",
            "it would be refused",
            "",
        ]) {
            assert!(note.contains(part), "{notes:?} lacks {part}");
        }
        assert_eq!(
            (notes.len(), found[1].namespace.as_deref(), found[2].namespace.as_deref()),
            (5, None, Some("kube-system"))
        );
        assert_eq!((found[4].change, notes[4].as_str()), (Change::Create, ""));
    })
    .await;
}
