//! Reaching a cluster as EKS knows it: DescribeCluster, a signed token, the access entry's group.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod kubernetes;

use kubernetes::{NAME, Place, in_namespace, manifest};
use serde_json::json;
use sluice_cluster::{ClusterAddress, ClusterError, Clusters};
use sluice_domain::ids::Fence;
use tokio::process::Command;

/// A role of its own, which may describe clusters, with or without an access entry.
struct Role {
    name: String,
    arn: String,
}

async fn aws(place: &Place, arguments: &[&str]) {
    let mut command = Command::new(place.local.sam_bin.join("aws"));
    let output = command
        .envs(place.local.variables())
        .args(arguments)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "aws {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Role {
    async fn create(place: &Place) -> Self {
        let account = &place.local.account;
        let name = place.name.clone();
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{account}:root")}, "Action": "sts:AssumeRole"}]});
        let may = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": "*"}]});
        let (trust, may) = (trust.to_string(), may.to_string());
        aws(
            place,
            &[
                "iam",
                "create-role",
                "--role-name",
                &name,
                "--assume-role-policy-document",
                &trust,
            ],
        )
        .await;
        aws(
            place,
            &[
                "iam",
                "put-role-policy",
                "--role-name",
                &name,
                "--policy-name",
                "p",
                "--policy-document",
                &may,
            ],
        )
        .await;
        Self {
            arn: format!("arn:aws:iam::{account}:role/{name}"),
            name,
        }
    }

    async fn enter(&self, place: &Place) {
        let cluster = &place.cluster.name;
        let entry = [
            "eks",
            "create-access-entry",
            "--cluster-name",
            cluster,
            "--principal-arn",
            &self.arn,
        ];
        aws(
            place,
            &[&entry[..], &["--kubernetes-groups", "sluice:deployers"]].concat(),
        )
        .await;
    }

    async fn delete(&self, place: &Place, has_entry: bool) {
        if has_entry {
            let entry = [
                "eks",
                "delete-access-entry",
                "--cluster-name",
                &place.cluster.name,
                "--principal-arn",
                &self.arn,
            ];
            aws(place, &entry).await;
        }
        aws(
            place,
            &[
                "iam",
                "delete-role-policy",
                "--role-name",
                &self.name,
                "--policy-name",
                "p",
            ],
        )
        .await;
        aws(place, &["iam", "delete-role", "--role-name", &self.name]).await;
    }
}

fn clusters(place: &Place) -> Clusters {
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .endpoint_url(&place.local.endpoint)
        .region(aws_config::Region::new(place.local.region.clone()))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
            aws_credential_types::Credentials::new("test", "test", None, None, "root"),
        ));
    Clusters::new(&config.build())
}

fn address(place: &Place, role: Option<&Role>) -> ClusterAddress {
    ClusterAddress {
        cluster: place.cluster.name.clone(),
        region: Some(place.local.region.clone()),
        role: role.map(|role| role.arn.clone()),
        namespace: place.name.clone(),
    }
}

#[tokio::test]
async fn a_role_with_an_access_entry_delivers_into_its_namespaces_and_no_other() {
    in_namespace(|place| async move {
        let role = Role::create(&place).await;
        role.enter(&place).await;
        let outcome = async {
            let clusters = clusters(&place);
            let here = clusters.connect(&address(&place, Some(&role))).await?;
            let bundle = place
                .plan(
                    &place.release_of(1, &format!("sha256:{}", "a".repeat(64))),
                    vec![manifest()],
                )
                .await;
            here.apply(&bundle, Fence(1)).await?;
            let seen = here.observe(&[NAME.to_owned()]).await?;
            let elsewhere = ClusterAddress {
                namespace: "kube-system".into(),
                ..address(&place, Some(&role))
            };
            let refused = clusters
                .connect(&elsewhere)
                .await?
                .observe(&[NAME.to_owned()])
                .await;
            Ok::<_, ClusterError>((seen.highest_fence, refused))
        }
        .await;
        role.delete(&place, true).await;
        let (fence, refused) = outcome.unwrap();
        assert_eq!(fence, Fence(1));
        assert!(
            matches!(refused, Err(ClusterError::Refused { .. })),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_role_without_an_access_entry_is_told_to_get_one() {
    in_namespace(|place| async move {
        let role = Role::create(&place).await;
        let here = clusters(&place).connect(&address(&place, Some(&role))).await;
        let observed = match &here {
            Ok(here) => here.observe(&[NAME.to_owned()]).await,
            Err(_) => Ok(Default::default()),
        };
        role.delete(&place, false).await;
        here.unwrap();
        let told = observed.unwrap_err();
        assert!(matches!(told, ClusterError::Unauthorized { .. }), "{told:?}");
        assert!(told.to_string().contains("aws eks create-access-entry"), "{told}");
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
        let gone = Role {
            name: "gone".into(),
            arn: format!("arn:aws:iam::{}:role/gone-{}", place.local.account, place.name),
        };
        let told = clusters.connect(&address(&place, Some(&gone))).await.unwrap_err();
        assert!(!told.is_transient(), "{told:?}");
    })
    .await;
}
