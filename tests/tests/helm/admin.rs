//! What the cluster's administrator does and sees: definitions, rights, and what is written in a namespace.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use sluice_domain::helm::documents;
use sluice_tests::seen::PATIENCE;
use sluice_tests::service::Delivered;
use sluice_tests::wait::until;
use std::path::Path;

/// API groups, and resources in them.
pub type Rights = [(&'static str, &'static [&'static str])];

const RBAC: &str = "rbac.authorization.k8s.io";

/// The images of every pod template in a namespace.
#[derive(Debug, Default)]
pub struct Images {
    pub found: Vec<String>,
}

/// A workload, and how often its spec was changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Generation {
    pub name: String,
    pub uid: String,
    pub generation: i64,
}

async fn definitions(service: &Delivered, chart: &Path) -> Result<Vec<CustomResourceDefinition>> {
    let chart = chart.display().to_string();
    let text = service.helm("dev", &["show", "crds", &chart]).await?.well()?;
    let parsed = documents(&text).map_err(|fault| anyhow::anyhow!(fault.to_string()))?;
    parsed
        .into_iter()
        .map(|one| serde_json::from_value(one).context("a definition"))
        .collect()
}

/// Applies the definitions of a chart: `helm show crds <chart> | kubectl apply --server-side -f -`.
pub async fn show_definitions(service: &Delivered, chart: &Path) -> Result<()> {
    let (client, _) = service.admin("dev").await?;
    let all: Api<CustomResourceDefinition> = Api::all(client);
    for one in definitions(service, chart).await? {
        let name = one.name_any();
        all.patch(
            &name,
            &PatchParams::apply("administrator").force(),
            &Patch::Apply(&one),
        )
        .await?;
        until(&format!("the definition {name}"), PATIENCE, || async {
            let found = all.get(&name).await?.status.unwrap_or_default();
            let conditions = found.conditions.unwrap_or_default();
            let there = conditions
                .iter()
                .any(|one| one.type_ == "Established" && one.status == "True");
            Ok(if there {
                Ok(())
            } else {
                Err(format!("{conditions:?}"))
            })
        })
        .await?;
    }
    Ok(())
}

/// Takes the definitions of a chart away again.
pub async fn forget_definitions(service: &Delivered, chart: &Path) -> Result<()> {
    let (client, _) = service.admin("dev").await?;
    let all: Api<CustomResourceDefinition> = Api::all(client);
    for one in definitions(service, chart).await? {
        all.delete(&one.name_any(), &DeleteParams::default()).await?;
    }
    Ok(())
}

fn rules(rights: &Rights) -> Vec<PolicyRule> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let rule = |(group, resources): &(&str, &[&str])| {
        let mut verbs = words(&["get", "list", "watch", "create", "update", "patch", "delete"]);
        if *group == RBAC {
            // Instead of everything that the chart's own Roles grant.
            verbs.extend(words(&["escalate", "bind"]));
        }
        PolicyRule {
            api_groups: Some(words(&[group])),
            resources: Some(words(resources)),
            verbs,
            ..PolicyRule::default()
        }
    };
    rights.iter().map(rule).collect()
}

/// Gives the group of helm more rights, in a service's namespace and in its cluster, as infra/cluster/README.md says.
pub async fn grant(service: &Delivered, rights: &Rights, cluster_rights: &Rights) -> Result<()> {
    let (client, namespace) = service.admin("dev").await?;
    let name = format!("sluice-helm-{}", service.name);
    let metadata = ObjectMeta {
        name: Some(name.clone()),
        ..ObjectMeta::default()
    };
    let subjects = Some(vec![Subject {
        kind: "Group".to_owned(),
        name: "sluice:helm".to_owned(),
        api_group: Some(RBAC.to_owned()),
        namespace: None,
    }]);
    let reference = |kind: &str| RoleRef {
        api_group: Some(RBAC.to_owned()),
        kind: kind.to_owned(),
        name: name.clone(),
    };
    let role = Role {
        metadata: metadata.clone(),
        rules: Some(rules(rights)),
    };
    let binding = RoleBinding {
        metadata: metadata.clone(),
        role_ref: reference("Role"),
        subjects: subjects.clone(),
    };
    let create = PostParams::default();
    Api::namespaced(client.clone(), &namespace)
        .create(&create, &role)
        .await?;
    Api::namespaced(client.clone(), &namespace)
        .create(&create, &binding)
        .await?;
    until_granted(&client, rights, Some(&namespace)).await?;
    if cluster_rights.is_empty() {
        return Ok(());
    }
    let role = ClusterRole {
        metadata: metadata.clone(),
        rules: Some(rules(cluster_rights)),
        ..ClusterRole::default()
    };
    let binding = ClusterRoleBinding {
        metadata,
        role_ref: reference("ClusterRole"),
        subjects,
    };
    Api::all(client.clone()).create(&create, &role).await?;
    Api::all(client.clone()).create(&create, &binding).await?;
    until_granted(&client, cluster_rights, None).await
}

/// Waits until the API server has heard of it: it decides from a cache, which is a moment behind.
async fn until_granted(client: &kube::Client, rights: &Rights, namespace: Option<&str>) -> Result<()> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    for (group, resource) in rights
        .iter()
        .flat_map(|(group, resources)| resources.iter().map(move |resource| (*group, *resource)))
    {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some("helm".to_owned()),
                groups: Some(vec!["sluice:helm".to_owned()]),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(group.to_owned()),
                    resource: Some(resource.to_owned()),
                    namespace: namespace.map(str::to_owned),
                    verb: Some("patch".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        until(&format!("the right to {resource}"), PATIENCE, || async {
            let status = reviews.create(&PostParams::default(), &review).await?.status;
            let allowed = status.as_ref().is_some_and(|status| status.allowed);
            Ok(if allowed {
                Ok(())
            } else {
                Err(format!("{status:?}"))
            })
        })
        .await?;
    }
    Ok(())
}

/// Takes back what a service's helm was granted in the cluster.
pub async fn revoke(service: &Delivered) -> Result<()> {
    let (client, _) = service.admin("dev").await?;
    let name = format!("sluice-helm-{}", service.name);
    let gone = DeleteParams::default();
    Api::<ClusterRoleBinding>::all(client.clone())
        .delete(&name, &gone)
        .await?;
    Api::<ClusterRole>::all(client).delete(&name, &gone).await?;
    Ok(())
}

/// The images that the workloads of a service's namespace name.
pub async fn images(service: &Delivered) -> Result<Images> {
    let (client, namespace) = service.admin("dev").await?;
    let all = ListParams::default();
    let mut specs: Vec<Option<PodSpec>> = Vec::new();
    let found: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let found = found.list(&all).await?.into_iter();
    specs.extend(found.filter_map(|one| Some(one.spec?.template.spec)));
    let found: Api<StatefulSet> = Api::namespaced(client.clone(), &namespace);
    let found = found.list(&all).await?.into_iter();
    specs.extend(found.filter_map(|one| Some(one.spec?.template.spec)));
    let found: Api<DaemonSet> = Api::namespaced(client.clone(), &namespace);
    let found = found.list(&all).await?.into_iter();
    specs.extend(found.filter_map(|one| Some(one.spec?.template.spec)));
    let found: Api<CronJob> = Api::namespaced(client, &namespace);
    let found = found.list(&all).await?.into_iter();
    specs.extend(found.filter_map(|one| Some(one.spec.job_template.spec?.template.spec)));
    let containers = specs.into_iter().flatten().flat_map(|spec| spec.containers);
    Ok(Images {
        found: containers.filter_map(|container| container.image).collect(),
    })
}

/// How often the workloads of a service's namespace were changed.
pub async fn generations(service: &Delivered) -> Result<Vec<Generation>> {
    let (client, namespace) = service.admin("dev").await?;
    let all = ListParams::default();
    let mut found = Vec::new();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    found.extend(deployments.list(&all).await?.into_iter().map(|one| one.metadata));
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &namespace);
    found.extend(sets.list(&all).await?.into_iter().map(|one| one.metadata));
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), &namespace);
    found.extend(sets.list(&all).await?.into_iter().map(|one| one.metadata));
    let jobs: Api<CronJob> = Api::namespaced(client, &namespace);
    found.extend(jobs.list(&all).await?.into_iter().map(|one| one.metadata));
    let told = found.into_iter().map(|metadata| Generation {
        name: metadata.name.unwrap_or_default(),
        uid: metadata.uid.unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
    });
    Ok(told.collect())
}
