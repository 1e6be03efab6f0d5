//! Reaching a cluster as EKS knows it: DescribeCluster, a signed token, the access entry's group.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod kubernetes;

use kubernetes::identity::{Role, address, clusters, with_role};
use kubernetes::{NAME, in_namespace, manifest};
use sluice_cluster::{ClusterAddress, ClusterError};
use sluice_domain::ids::Fence;
use sluice_domain::workload::WorkloadRef;

#[tokio::test]
async fn a_role_with_an_access_entry_delivers_into_its_namespaces_and_no_other() {
    with_role(true, |place, role| async move {
        let clusters = clusters(&place);
        let here = clusters.connect(&address(&place, Some(&role))).await.unwrap();
        let bundle = place
            .plan(
                &place.release_of(1, &format!("sha256:{}", "a".repeat(64))),
                vec![manifest()],
            )
            .await;
        here.apply(&bundle, Fence(1)).await.unwrap();
        assert_eq!(
            here.observe(&[WorkloadRef::deployment(NAME)])
                .await
                .unwrap()
                .highest_fence,
            Fence(1)
        );
        let elsewhere = ClusterAddress {
            namespace: "kube-system".into(),
            ..address(&place, Some(&role))
        };
        let refused = clusters
            .connect(&elsewhere)
            .await
            .unwrap()
            .observe(&[WorkloadRef::deployment(NAME)])
            .await;
        assert!(
            matches!(refused, Err(ClusterError::Refused { .. })),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_role_without_an_access_entry_is_told_to_get_one() {
    with_role(false, |place, role| async move {
        let here = clusters(&place)
            .connect(&address(&place, Some(&role)))
            .await
            .unwrap();
        let told = here.observe(&[WorkloadRef::deployment(NAME)]).await.unwrap_err();
        assert!(matches!(told, ClusterError::Unauthorized { .. }), "{told:?}");
        assert!(told.to_string().contains("aws eks create-access-entry"), "{told}");
        let wait = here
            .wait_for(
                &[WorkloadRef::deployment(NAME)],
                kubernetes::PATIENCE,
                Fence(1),
                |_| false,
            )
            .await;
        assert!(matches!(wait, Err(ClusterError::Unauthorized { .. })), "{wait:?}");
    })
    .await;
}

#[tokio::test]
async fn a_cluster_or_role_that_is_not_there_is_told() {
    in_namespace(|place| async move {
        let clusters = clusters(&place);
        let no_cluster = ClusterAddress {
            cluster: "there-is-none".into(),
            ..address(&place, None)
        };
        let told = clusters.connect(&no_cluster).await.unwrap_err();
        assert!(
            matches!(&told, ClusterError::Missing { what, .. } if what == "cluster there-is-none"),
            "{told:?}"
        );
        let gone = Role::named(&place, "gone");
        let told = clusters.connect(&address(&place, Some(&gone))).await.unwrap_err();
        assert!(!told.is_transient(), "{told:?}");
    })
    .await;
}
