//! Looking at the service's workloads and their pods.

use crate::error::ClusterError;
use crate::fence::fence_of;
use crate::namespace::Namespace;
use crate::reading::{Snapshot, Surroundings, observation};
use futures::future::try_join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use sluice_domain::bundle::WorkloadKind;
use sluice_domain::ids::Fence;
use sluice_domain::plan::{MANAGED_BY, MANAGED_BY_LABEL};
use sluice_domain::workload::{Observation, WorkloadRef};
use std::collections::BTreeSet;
use std::fmt::Debug;

impl Namespace {
    /// These workloads and their pods, and the highest fence on what Sluice writes here. Each kind that is asked for is
    /// listed once, others are not; a list that fails fails the observation.
    pub async fn observe(&self, asked: &[WorkloadRef]) -> Result<Observation, ClusterError> {
        let kinds: BTreeSet<WorkloadKind> = asked.iter().map(|one| one.kind).collect();
        let any = !kinds.is_empty();
        // What keeps templates after pods: whatever a pod belongs to existed before it.
        let (workloads, pods, surroundings) = tokio::try_join!(
            try_join_all(kinds.iter().map(|kind| self.workloads(*kind))),
            self.list_if::<Pod>(any, "Pods"),
            self.surroundings()
        )?;
        let (replica_sets, revisions) = tokio::try_join!(
            self.list_if::<ReplicaSet>(kinds.contains(&WorkloadKind::Deployment), "ReplicaSets"),
            self.list_if::<ControllerRevision>(
                kinds.contains(&WorkloadKind::DaemonSet),
                "ControllerRevisions"
            ),
        )?;
        let listed = workloads.iter().map(|list| list.iter().collect());
        let snapshot = Snapshot {
            workloads: kinds.iter().copied().zip(listed).collect(),
            replica_sets: replica_sets.iter().collect(),
            revisions: revisions.iter().collect(),
            pods: pods.iter().collect(),
        };
        Ok(observation(asked, &snapshot, &surroundings))
    }

    /// What is neither a workload nor part of one, and changes seldom.
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
    async fn workloads(&self, kind: WorkloadKind) -> Result<Vec<DynamicObject>, ClusterError> {
        let list = |client| async move {
            workloads_api(client, self.name(), kind)
                .list(&ListParams::default())
                .await
        };
        Ok(self.ask(&format!("{}s", kind.name()), list).await?.items)
    }

    async fn list_if<K>(&self, wanted: bool, kinds: &str) -> Result<Vec<K>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        if wanted {
            self.list(kinds).await
        } else {
            Ok(vec![])
        }
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

pub(crate) fn workloads_api(client: kube::Client, namespace: &str, kind: WorkloadKind) -> Api<DynamicObject> {
    let resource = match kind {
        WorkloadKind::Deployment => ApiResource::erase::<Deployment>(&()),
        WorkloadKind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        WorkloadKind::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
    };
    Api::namespaced_with(client, namespace, &resource)
}
