//! Looking at the service's Deployments and their pods.

use crate::error::ClusterError;
use crate::fence::fence_of;
use crate::namespace::Namespace;
use crate::reading::{Snapshot, Surroundings, observation};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use sluice_domain::ids::Fence;
use sluice_domain::plan::{MANAGED_BY, MANAGED_BY_LABEL};
use sluice_domain::workload::Observation;
use std::fmt::Debug;

impl Namespace {
    /// The Deployments of these names and their pods, and the highest fence on what Sluice writes here. Each kind is
    /// listed once; a list that fails fails the observation.
    pub async fn observe(&self, names: &[String]) -> Result<Observation, ClusterError> {
        // ReplicaSets after pods: whatever a pod belongs to existed before it.
        let (deployments, pods, surroundings) =
            tokio::try_join!(self.deployments(), self.list::<Pod>("Pods"), self.surroundings())?;
        let replica_sets = self.list::<ReplicaSet>("ReplicaSets").await?;
        let snapshot = Snapshot {
            deployments: deployments.iter().collect(),
            replica_sets: replica_sets.iter().collect(),
            pods: pods.iter().collect(),
        };
        Ok(observation(names, &snapshot, &surroundings))
    }

    /// What is not Deployment, ReplicaSet or pod, and changes seldom.
    pub(crate) async fn surroundings(&self) -> Result<Surroundings, ClusterError> {
        let (autoscalers, services, budgets, accounts) = tokio::try_join!(
            self.autoscalers(),
            self.fences::<Service>("Services"),
            self.fences::<PodDisruptionBudget>("PodDisruptionBudgets"),
            self.fences::<ServiceAccount>("ServiceAccounts"),
        )?;
        let ours = |metadata: &&ObjectMeta| {
            metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(MANAGED_BY_LABEL))
                .is_some_and(|by| by == MANAGED_BY)
        };
        let scalers = autoscalers
            .iter()
            .map(|autoscaler| &autoscaler.metadata)
            .filter(ours)
            .map(fence_of)
            .max();
        let highest_fence = scalers
            .into_iter()
            .chain([services, budgets, accounts])
            .max()
            .unwrap_or_default();
        Ok(Surroundings {
            autoscaled: crate::autoscalers::targets(&autoscalers),
            highest_fence,
        })
    }

    /// Whole and untyped: a captured template must keep fields that are newer than this program.
    async fn deployments(&self) -> Result<Vec<DynamicObject>, ClusterError> {
        let list = |client| async move {
            deployments_api(client, self.name())
                .list(&ListParams::default())
                .await
        };
        Ok(self.ask("Deployments", list).await?.items)
    }

    async fn list<K>(&self, kinds: &str) -> Result<Vec<K>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let list = |client| async move {
            Api::<K>::namespaced(client, self.name())
                .list(&ListParams::default())
                .await
        };
        Ok(self.ask(kinds, list).await?.items)
    }

    /// The highest fence of the objects of a kind that Sluice manages.
    async fn fences<K>(&self, kinds: &str) -> Result<Fence, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let ours = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
        let list = |client| {
            let ours = &ours;
            async move {
                Api::<K>::namespaced(client, self.name())
                    .list_metadata(ours)
                    .await
            }
        };
        let found = self.ask(kinds, list).await?;
        Ok(found
            .items
            .iter()
            .map(|object: &PartialObjectMeta<K>| fence_of(&object.metadata))
            .max()
            .unwrap_or_default())
    }
}

pub(crate) fn deployments_api(client: kube::Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &ApiResource::erase::<Deployment>(&()))
}
