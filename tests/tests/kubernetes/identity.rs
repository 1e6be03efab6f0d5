//! Roles of EKS, and clusters that are reached by them: through the proxy that DescribeCluster answers.

use super::{Place, in_namespace};
use serde_json::{Value, json};
use sluice_cluster::{ClusterAddress, Clusters};
use sluice_tests::alone::cleaned;
use std::sync::Arc;
use tokio::process::Command;

/// A role of its own, which may describe clusters.
pub struct Role {
    name: String,
    arn: String,
}

/// Runs a test in a namespace of its own with a role of its own, which has an access entry or has none.
pub async fn with_role<Fut: Future<Output = ()>>(
    has_entry: bool,
    test: impl FnOnce(Arc<Place>, Arc<Role>) -> Fut,
) {
    with_role_in(has_entry.then_some("sluice:deployers"), test).await;
}

/// The same, with an access entry of this group.
pub async fn with_role_in<Fut: Future<Output = ()>>(
    group: Option<&str>,
    test: impl FnOnce(Arc<Place>, Arc<Role>) -> Fut,
) {
    in_namespace(|place| async move {
        let role = Arc::new(Role::create(&place, group).await);
        let cleanup = role.delete(&place, group.is_some());
        // On the heap: a test that holds several calls at once is larger than a test thread's stack.
        let test = Box::pin(test(place.clone(), role.clone()));
        cleaned(test, cleanup).await;
    })
    .await;
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
    /// A role of this name, which may not exist.
    pub fn named(place: &Place, prefix: &str) -> Self {
        let name = format!("{prefix}-{}", place.name);
        Self {
            arn: format!("arn:aws:iam::{}:role/{name}", place.local.account),
            name,
        }
    }

    async fn create(place: &Place, group: Option<&str>) -> Self {
        let role = Self::named(place, "role");
        let statement =
            |statement: Value| json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        let root = format!("arn:aws:iam::{}:root", place.local.account);
        let trust =
            statement(json!({"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}));
        let may = statement(json!({"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": "*"}));
        let name = &role.name;
        aws(
            place,
            &[
                "iam",
                "create-role",
                "--role-name",
                name,
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
                name,
                "--policy-name",
                "p",
                "--policy-document",
                &may,
            ],
        )
        .await;
        if let Some(group) = group {
            let cluster = &place.cluster.name;
            let entry = [
                "eks",
                "create-access-entry",
                "--cluster-name",
                cluster,
                "--principal-arn",
                &role.arn,
            ];
            aws(place, &[&entry[..], &["--kubernetes-groups", group]].concat()).await;
        }
        role
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

/// Clusters as a function meets them, with root's keys.
pub fn clusters(place: &Place) -> Clusters {
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .endpoint_url(&place.local.endpoint)
        .region(aws_config::Region::new(place.local.region.clone()))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
            aws_credential_types::Credentials::new("test", "test", None, None, "root"),
        ));
    Clusters::new(&config.build())
}

/// The namespace's address.
pub fn address(place: &Place, role: Option<&Role>) -> ClusterAddress {
    ClusterAddress {
        cluster: place.cluster.name.clone(),
        region: Some(place.local.region.clone()),
        role: role.map(|role| role.arn.clone()),
        namespace: place.name.clone(),
    }
}
