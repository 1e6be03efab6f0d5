//! Writing bundles to a real API server, under RBAC and the fence policy.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod kubernetes;

use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kubernetes::{NAME, in_namespace, manifest, manifest_with_config, member};
use serde_json::{Value, json};
use sluice_cluster::{ClusterError, Namespace};
use sluice_domain::ids::Fence;
use sluice_domain::plan::FENCE_ANNOTATION;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": 80}]}})
}

#[tokio::test]
async fn a_bundle_is_written_once_for_each_fence() {
    in_namespace(|place| async move {
        let bundle = place
            .plan(&place.release_of(1, DIGEST), vec![service(), manifest()])
            .await;
        let first = place.sluice.apply(&bundle, Fence(5)).await.unwrap();
        assert_eq!(
            (first.written.join(", "), first.already.len()),
            ("Service api, Deployment api".into(), 0)
        );
        let generation = place.deployment().await["metadata"]["generation"].clone();
        let again = place.sluice.apply(&bundle, Fence(5)).await.unwrap();
        assert_eq!(
            (again.written.len(), again.already.join(", ")),
            (0, "Service api, Deployment api".into())
        );
        assert_eq!(place.deployment().await["metadata"]["generation"], generation);
        assert_eq!(place.observe().await.highest_fence, Fence(5));
        match place.sluice.apply(&bundle, Fence(4)).await {
            Err(ClusterError::Preempted { seen, ours, .. }) => assert_eq!((seen, ours), (Fence(5), Fence(4))),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

/// A zombie does not look before it writes: what stops it is the policy, and the adapter must tell what it meant.
#[tokio::test]
async fn the_policy_refuses_a_fence_that_is_not_above() {
    in_namespace(|place| async move {
        let bundle = place.plan(&place.release_of(1, DIGEST), vec![manifest()]).await;
        place.sluice.apply(&bundle, Fence(5)).await.unwrap();
        let deployments: Api<k8s_openapi::api::apps::v1::Deployment> =
            Api::namespaced(place.member.clone(), &place.name);
        for fence in ["5", "4", "x", ""] {
            let patch =
                json!({"metadata": {"annotations": {FENCE_ANNOTATION: fence}}, "spec": {"replicas": 9}});
            let refused = deployments
                .patch(NAME, &PatchParams::default(), &Patch::Merge(patch))
                .await;
            assert!(
                matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403),
                "{fence}: {refused:?}"
            );
        }
        let inherits = json!({"spec": {"replicas": 9}});
        assert!(
            deployments
                .patch(NAME, &PatchParams::default(), &Patch::Merge(inherits))
                .await
                .is_err()
        );
        assert_eq!(place.deployment().await["spec"]["replicas"], 2);
    })
    .await;
}

#[tokio::test]
async fn what_others_put_into_a_template_is_gone_after_a_restore() {
    in_namespace(|place| async move {
        let mut first = manifest();
        first["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "a"}]);
        let planned = place.plan(&place.release_of(1, DIGEST), vec![first]).await;
        place.sluice.apply(&planned, Fence(1)).await.unwrap();
        let (template, spec) = (place.template().await, place.deployment().await["spec"].clone());
        let captured = place.capture().await;

        let mut second = manifest();
        second["spec"]["minReadySeconds"] = json!(7);
        second["spec"]["strategy"] = json!({"type": "Recreate"});
        second["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "B", "value": "b"}]);
        let next = place.plan(&place.release_of(2, OTHER), vec![second]).await;
        place.sluice.apply(&next, Fence(2)).await.unwrap();
        place
            .meddle(json!({"spec": {"template": {
                "metadata": {"annotations": {"somebody": "was here"}},
                "spec": {
                    "nodeSelector": {"disk": "fast"},
                    "volumes": [{"name": "extra", "emptyDir": {}}],
                    "containers": [
                        {"name": NAME, "command": ["sh"], "args": ["-c"], "env": [{"name": "EXTRA", "value": "1"}],
                         "envFrom": [{"secretRef": {"name": "keys"}}], "volumeMounts": [{"name": "extra", "mountPath": "/x"}]},
                        {"name": "sidecar", "image": "sidecar:1"},
                    ],
                },
            }}}))
            .await;
        assert_ne!(place.template().await, template);

        place.sluice.apply(&captured, Fence(3)).await.unwrap();
        assert_eq!(place.template().await, template);
        assert_eq!(place.deployment().await["spec"], spec, "the rest of the spec is restored as well");
        let writers = place.deployment().await["metadata"]["managedFields"].clone();
        let ours = writers.as_array().unwrap().iter().filter(|entry| entry["manager"] == "sluice");
        assert!(ours.count() > 0, "{writers}");
    })
    .await;
}

#[tokio::test]
async fn a_restored_deployment_has_its_old_configuration() {
    in_namespace(|place| async move {
        place.create_config("web", "old").await;
        let first = place
            .plan(&place.release_of(1, DIGEST), vec![manifest_with_config("web")])
            .await;
        place.sluice.apply(&first, Fence(1)).await.unwrap();
        let captured = place.capture().await;
        assert_eq!(
            captured.config_maps, first.config_maps,
            "a copy of a copy is that copy"
        );

        let new = json!({"data": {"VALUE": "new"}});
        place
            .config_maps()
            .patch("web", &PatchParams::default(), &Patch::Merge(new))
            .await
            .unwrap();
        assert_eq!(place.value_of_template().await, "old");
        let second = place
            .plan(&place.release_of(2, OTHER), vec![manifest_with_config("web")])
            .await;
        place.sluice.apply(&second, Fence(2)).await.unwrap();
        assert_eq!(place.value_of_template().await, "new");

        place.sluice.apply(&captured, Fence(3)).await.unwrap();
        assert_eq!(place.value_of_template().await, "old");
        let original = place.config_maps().get("web").await.unwrap();
        assert_eq!(
            original.data.unwrap()["VALUE"],
            "new",
            "an original is never written"
        );
    })
    .await;
}

#[tokio::test]
async fn a_copy_cannot_change_and_its_name_stands_for_its_content() {
    in_namespace(|place| async move {
        place.create_config("web", "old").await;
        let bundle = place
            .plan(&place.release_of(1, DIGEST), vec![manifest_with_config("web")])
            .await;
        let copy = bundle.config_maps[0].name.clone();
        place.create_config(&copy, "something else").await;
        let told = place.sluice.apply(&bundle, Fence(1)).await;
        assert!(matches!(told, Err(ClusterError::Altered { .. })), "{told:?}");
        assert!(
            place.observe().await.deployments.is_empty(),
            "no pod may start on it"
        );

        place
            .config_maps()
            .delete(&copy, &DeleteParams::default())
            .await
            .unwrap();
        place.sluice.apply(&bundle, Fence(1)).await.unwrap();
        let made = place.config_maps().get(&copy).await.unwrap();
        assert_eq!(made.metadata.labels.unwrap()["sluice.dev/copy-of"], "web");
        let change = json!({"data": {"VALUE": "new"}});
        let refused = place
            .config_maps()
            .patch(&copy, &PatchParams::default(), &Patch::Merge(change))
            .await;
        assert!(
            matches!(&refused, Err(kube::Error::Api(status)) if status.code == 422),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn an_autoscaler_keeps_its_number() {
    in_namespace(|place| async move {
        let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": NAME},
            "spec": {"minReplicas": 1, "maxReplicas": 9, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}}});
        let bundle = place.plan(&place.release_of(1, DIGEST), vec![autoscaler, manifest()]).await;
        place.sluice.apply(&bundle, Fence(1)).await.unwrap();
        place.meddle(json!({"spec": {"replicas": 5}})).await;
        assert!(place.observe().await.deployments[0].autoscaled);
        place.sluice.apply(&bundle, Fence(2)).await.unwrap();
        assert_eq!(place.deployment().await["spec"]["replicas"], 5);
        place.sluice.apply(&bundle.scaled_to_zero(), Fence(3)).await.unwrap();
        assert_eq!(place.deployment().await["spec"]["replicas"], 0);
        place.sluice.apply(&bundle, Fence(4)).await.unwrap();
        assert_eq!(place.deployment().await["spec"]["replicas"], 1, "an autoscaler leaves zero alone");
    })
    .await;
}

#[tokio::test]
async fn a_deployment_that_was_deleted_comes_back() {
    in_namespace(|place| async move {
        let bundle = place.plan(&place.release_of(1, DIGEST), vec![manifest()]).await;
        place.sluice.apply(&bundle, Fence(1)).await.unwrap();
        let captured = place.capture().await;
        let template = place.template().await;
        let deployments = place.objects("apps", "v1", "Deployment");
        deployments
            .delete(NAME, &DeleteParams::background())
            .await
            .unwrap();
        place.sluice.apply(&captured, Fence(2)).await.unwrap();
        assert_eq!(place.template().await, template);
        assert_eq!(place.deployment().await["spec"]["replicas"], 2);
    })
    .await;
}

#[tokio::test]
async fn an_adopted_deployment_keeps_all_but_its_image() {
    in_namespace(|place| async move {
        let mut there = manifest();
        there["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
        there["spec"]["template"]["spec"]["containers"][0]["image"] = json!("somewhere/else:1");
        place.create(there).await;
        let mut wanted = place.template().await;
        let release = place.release_of(1, DIGEST);
        wanted["spec"]["containers"][0]["image"] = json!(release.image());
        wanted["metadata"]["annotations"] = json!({"sluice.dev/release": "mc-api#1"});
        let bundle = place.plan(&release, vec![]).await;
        place.sluice.apply(&bundle, Fence(1)).await.unwrap();
        assert_eq!(place.template().await, wanted);
        assert_eq!(
            place.deployment().await["metadata"]["labels"]["app.kubernetes.io/managed-by"],
            "Helm"
        );
    })
    .await;
}

#[tokio::test]
async fn an_unknown_field_is_refused_and_not_dropped() {
    in_namespace(|place| async move {
        let wrong = |field: &str| {
            let mut manifest = manifest();
            manifest["spec"]["template"]["spec"]["containers"][0][field] = json!([]);
            manifest
        };
        let release = place.release_of(1, DIGEST);
        let told = |result: Result<_, ClusterError>| match result {
            Err(ClusterError::Invalid { message, .. }) => message,
            other => panic!("{other:?}"),
        };
        let bundle = place.plan(&release, vec![wrong("enviroment")]).await;
        let message = told(place.sluice.apply(&bundle, Fence(1)).await);
        assert!(message.contains("enviroment"), "{message}");
        let good = place.plan(&release, vec![manifest()]).await;
        place.sluice.apply(&good, Fence(1)).await.unwrap();
        let message = told(place.sluice.apply(&bundle, Fence(2)).await);
        assert!(message.contains("enviroment"), "{message}");
        assert_eq!(place.observe().await.deployments[0].fence, Fence(1));
    })
    .await;
}

#[tokio::test]
async fn who_may_not_is_told_where_and_what_to_do() {
    in_namespace(|place| async move {
        let bundle = place.plan(&place.release_of(1, DIGEST), vec![manifest()]).await;
        let elsewhere = |client, name| Namespace::with_client(client, &place.cluster.name, name);
        let stranger = elsewhere(member(&place.cluster).await, "kube-system");
        let refused = stranger.apply(&bundle, Fence(1)).await;
        assert!(
            matches!(refused, Err(ClusterError::Refused { .. })),
            "{refused:?}"
        );
        let nowhere = elsewhere(place.admin.clone(), "there-is-none")
            .apply(&bundle, Fence(1))
            .await
            .unwrap_err();
        assert!(
            nowhere
                .to_string()
                .contains("kubectl create namespace there-is-none"),
            "{nowhere}"
        );
        let zero = place.sluice.apply(&bundle, Fence(0)).await;
        assert!(matches!(zero, Err(ClusterError::Invalid { .. })), "{zero:?}");
    })
    .await;
}
