//! Helm's fence, helm's sessions and helm's records on a real API server. The records were made by helm 4.3.1.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod kubernetes;

use base64::Engine;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kubernetes::identity::{address, clusters, with_role_in};
use kubernetes::{PATIENCE, Place, in_namespace};
use serde_json::{Value, json};
use sluice_cluster::{ClusterAccess, ClusterError};
use sluice_domain::helm::HelmStatus;
use sluice_domain::ids::Fence;
use sluice_domain::plan::FENCE_ANNOTATION;
use sluice_tests::wait::until;

const FENCE: &str = "sluice-fence";
const RELEASE: &str = "mc-api";
const RECORDS: [&str; 3] = [
    include_str!("../../shared/cluster/src/golden/helm-4-v1.json"),
    include_str!("../../shared/cluster/src/golden/helm-4-v2.json"),
    include_str!("../../shared/cluster/src/golden/helm-4-v3.json"),
];

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

/// What the API server says to this session's attempt to make a ConfigMap.
async fn attempt(place: &Place, session: &str, name: &str, dry_run: bool) -> Result<(), String> {
    let api: Api<ConfigMap> = Api::namespaced(place.helm_client(session).await, &place.name);
    let parameters = PostParams {
        dry_run,
        ..PostParams::default()
    };
    match api.create(&parameters, &map(name)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(other) => panic!("{other:?}"),
    }
}

/// The fence of helm is there, and the API server's cache knows it.
async fn held(place: &Place, fence: u64) {
    place.sluice.write_helm_fence(Fence(fence)).await.unwrap();
    let (nobody, holder) = ("fence-0".to_owned(), format!("fence {fence} holds"));
    let seen = until("the policy's parameter", PATIENCE, || async {
        Ok(match attempt(place, &nobody, "probe", false).await {
            Err(said) if said.contains(&holder) => Ok(()),
            other => {
                let _ = place
                    .config_maps()
                    .delete("probe", &DeleteParams::default())
                    .await;
                Err(format!("{other:?}"))
            }
        })
    });
    seen.await.unwrap();
}

async fn records(place: &Place) -> Api<Secret> {
    let secrets = Api::<Secret>::namespaced(place.admin.clone(), &place.name);
    for text in RECORDS {
        let mut secret: Secret = serde_json::from_str(text).unwrap();
        secret.metadata.namespace = None;
        secrets.create(&PostParams::default(), &secret).await.unwrap();
    }
    secrets
}

#[tokio::test]
async fn the_fence_of_helm_only_rises() {
    in_namespace(|place| async move {
        assert_eq!(place.sluice.helm_fence().await.unwrap(), None);
        for fence in [5, 5, 6] {
            place.sluice.write_helm_fence(Fence(fence)).await.unwrap();
            assert_eq!(place.sluice.helm_fence().await.unwrap(), Some(Fence(fence)));
        }
        let late = place.sluice.write_helm_fence(Fence(5)).await;
        assert!(
            matches!(
                late,
                Err(ClusterError::Preempted {
                    seen: Fence(6),
                    ours: Fence(5),
                    ..
                })
            ),
            "{late:?}"
        );
        let none = place.sluice.write_helm_fence(Fence(0)).await;
        assert!(matches!(none, Err(ClusterError::Invalid { .. })), "{none:?}");
        place
            .config_maps()
            .patch(
                FENCE,
                &PatchParams::default(),
                &Patch::Merge(json!({"data": {"fence": "9"}})),
            )
            .await
            .unwrap();
        assert_eq!(
            place.sluice.helm_fence().await.unwrap(),
            Some(Fence(9)),
            "what the policy reads counts too"
        );
        let altered = place.sluice.write_helm_fence(Fence(6)).await;
        assert!(
            matches!(altered, Err(ClusterError::Altered { .. })),
            "{altered:?}"
        );
    })
    .await;
}

/// A zombie does not look before it writes.
#[tokio::test]
async fn the_policy_lets_the_fence_of_helm_only_rise() {
    in_namespace(|place| async move {
        place.sluice.write_helm_fence(Fence(5)).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(place.member.clone(), &place.name);
        for (annotation, data) in [("5", "5"), ("4", "4"), ("6", "7"), ("6", ""), ("x", "x")] {
            let patch =
                json!({"metadata": {"annotations": {FENCE_ANNOTATION: annotation}}, "data": {"fence": data}});
            let refused = maps
                .patch(FENCE, &PatchParams::default(), &Patch::Merge(patch))
                .await;
            assert!(
                matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403),
                "{annotation}, {data}: {refused:?}"
            );
        }
        let only_data = json!({"data": {"fence": "6"}});
        assert!(
            maps.patch(FENCE, &PatchParams::default(), &Patch::Merge(only_data))
                .await
                .is_err()
        );
        place.create_config("settings", "a").await;
        let other = json!({"metadata": {"annotations": {FENCE_ANNOTATION: "9"}}, "data": {"VALUE": "b"}});
        assert!(
            maps.patch("settings", &PatchParams::default(), &Patch::Merge(other))
                .await
                .is_err(),
            "another ConfigMap is not ours to change"
        );
        maps.create(&PostParams::default(), &map("copy"))
            .await
            .expect("a copy needs no fence");
        assert_eq!(place.sluice.helm_fence().await.unwrap(), Some(Fence(5)));
    })
    .await;
}

#[tokio::test]
async fn a_session_of_helm_writes_only_while_it_holds_the_namespace() {
    in_namespace(|place| async move {
        attempt(&place, "fence-5", "before", false)
            .await
            .expect("nobody holds it yet");
        held(&place, 6).await;
        let refused = attempt(&place, "fence-5", "late", false).await.unwrap_err();
        assert!(
            refused.contains("fence 6 holds this namespace") && refused.contains("fence-5"),
            "{refused}"
        );
        attempt(&place, "fence-5", "late", true)
            .await
            .expect("a dry run changes nothing");
        attempt(&place, "fence-6", "present", false)
            .await
            .expect("it holds the namespace");
        let api: Api<ConfigMap> = Api::namespaced(place.helm_client("fence-5").await, &place.name);
        let gone = api.delete("before", &DeleteParams::default()).await;
        assert!(gone.is_err(), "{gone:?}");
        let api: Api<ConfigMap> = Api::namespaced(place.helm_client("fence-6").await, &place.name);
        let fence = json!({"data": {"fence": "7"}});
        let own = api
            .patch(FENCE, &PatchParams::default(), &Patch::Merge(fence))
            .await
            .unwrap_err();
        assert!(own.to_string().contains("not helm's to write"), "{own}");
        let present = json!({"data": {"a": "b"}});
        api.patch("present", &PatchParams::default(), &Patch::Merge(present))
            .await
            .unwrap();
        api.delete("present", &DeleteParams::default()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn revisions_are_read_newest_first() {
    in_namespace(|place| async move {
        records(&place).await;
        let here = place.helm("fence-1").await;
        let heads = here.helm_heads(RELEASE).await.unwrap();
        let seen: Vec<_> = heads
            .iter()
            .map(|head| (head.revision, head.status, head.fence))
            .collect();
        let by = |fence| Some(Fence(fence));
        assert_eq!(
            seen,
            [
                (3, HelmStatus::PendingRollback, None),
                (2, HelmStatus::Deployed, by(12)),
                (1, HelmStatus::Superseded, by(11)),
            ]
        );
        let whole = here.helm_revisions(RELEASE).await.unwrap();
        let fences: Vec<_> = whole
            .iter()
            .map(|revision| (revision.revision, revision.fence))
            .collect();
        assert_eq!(fences, [(3, by(13)), (2, by(12)), (1, by(11))]);
        assert_eq!(
            here.helm_revision(RELEASE, 2).await.unwrap().as_ref(),
            whole.get(1)
        );
        assert_eq!(here.helm_revision(RELEASE, 4).await.unwrap(), None);
        assert!(here.helm_revisions("other").await.unwrap().is_empty());
        assert!(here.helm_heads("other").await.unwrap().is_empty());
        let ours = place.sluice.helm_heads(RELEASE).await;
        assert!(
            matches!(ours, Err(ClusterError::Refused { .. })),
            "Secrets are helm's alone: {ours:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named() {
    in_namespace(|place| async move {
        let secrets = records(&place).await;
        let broken = json!({"data": {"release": base64::engine::general_purpose::STANDARD.encode("%%")}});
        let name = "sh.helm.release.v1.mc-api.v1";
        secrets
            .patch(name, &PatchParams::default(), &Patch::Merge(broken))
            .await
            .unwrap();
        let here = place.helm("fence-1").await;
        let told = here.helm_revisions(RELEASE).await.unwrap_err();
        assert!(told.to_string().contains(name) && !told.is_transient(), "{told}");
        assert_eq!(here.helm_heads(RELEASE).await.unwrap().len(), 3);
        assert!(here.helm_revision(RELEASE, 2).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn only_a_pending_revision_is_given_up() {
    in_namespace(|place| async move {
        let secrets = records(&place).await;
        held(&place, 13).await;
        let stale = place.helm("fence-12").await;
        let refused = stale.fail_helm_revision(RELEASE, 3, "its helm is gone").await;
        assert!(
            matches!(refused, Err(ClusterError::Refused { .. })),
            "{refused:?}"
        );
        let here = place.helm("fence-13").await;
        for _ in 0..2 {
            here.fail_helm_revision(RELEASE, 3, "its helm is gone")
                .await
                .unwrap();
        }
        let failed = here.helm_revision(RELEASE, 3).await.unwrap().unwrap();
        assert_eq!(
            (failed.status, failed.description.as_str()),
            (HelmStatus::Failed, "its helm is gone")
        );
        assert_eq!(
            here.helm_heads(RELEASE).await.unwrap()[0].status,
            HelmStatus::Failed
        );
        let secret = secrets.get("sh.helm.release.v1.mc-api.v3").await.unwrap();
        assert_eq!(
            secret.metadata.labels.unwrap()["owner"],
            "helm",
            "other labels stay"
        );
        let deployed = here.fail_helm_revision(RELEASE, 2, "x").await.unwrap_err();
        assert!(deployed.to_string().contains("it is deployed"), "{deployed}");
        let missing = here.fail_helm_revision(RELEASE, 9, "x").await;
        assert!(
            matches!(missing, Err(ClusterError::Missing { .. })),
            "{missing:?}"
        );
    })
    .await;
}

async fn client_of(access: &ClusterAccess) -> kube::Client {
    use base64::engine::general_purpose::STANDARD;
    let config: Value = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {
            "server": access.endpoint, "certificate-authority-data": STANDARD.encode(&access.certificate)}}],
        "users": [{"name": "c", "user": {"token": access.token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    });
    let config = serde_json::from_value(config).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(config, &options).await;
    kube::Client::try_from(config.unwrap()).unwrap()
}

#[tokio::test]
async fn a_session_of_the_role_is_known_by_its_name_in_the_cluster() {
    with_role_in(Some("sluice:helm"), |place, role| async move {
        records(&place).await;
        held(&place, 13).await;
        let clusters = clusters(&place);
        let address = address(&place, Some(&role));
        let late = clusters.connect_as(&address, "fence-12").await.unwrap();
        let refused = late.fail_helm_revision(RELEASE, 3, "x").await.unwrap_err();
        assert!(
            refused.to_string().contains("fence 13 holds") && refused.to_string().contains("/fence-12"),
            "{refused}"
        );
        let here = clusters.connect_as(&address, "fence-13").await.unwrap();
        here.fail_helm_revision(RELEASE, 3, "its helm is gone")
            .await
            .unwrap();
        for (session, may) in [("fence-12", false), ("fence-13", true)] {
            let access = clusters.access(&address, session).await.unwrap();
            let maps: Api<ConfigMap> = Api::namespaced(client_of(&access).await, &place.name);
            let made = maps.create(&PostParams::default(), &map(session)).await;
            assert_eq!(made.is_ok(), may, "{session}: {made:?}");
        }
        let nobody = kubernetes::identity::address(&place, None);
        let told = clusters.connect_as(&nobody, "fence-13").await;
        assert!(matches!(told, Err(ClusterError::Invalid { .. })), "{told:?}");
    })
    .await;
}
