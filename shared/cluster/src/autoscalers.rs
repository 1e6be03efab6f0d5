//! Which workloads an autoscaler sizes.

use crate::error::ClusterError;
use crate::namespace::Namespace;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use kube::api::ListParams;
use sluice_domain::bundle::WorkloadKind;
use sluice_domain::workload::WorkloadRef;
use std::collections::BTreeSet;

impl Namespace {
    /// The workloads that a HorizontalPodAutoscaler targets.
    pub(crate) async fn autoscaled(&self) -> Result<BTreeSet<WorkloadRef>, ClusterError> {
        Ok(targets(&self.autoscalers().await?))
    }

    pub(crate) async fn autoscalers(&self) -> Result<Vec<HorizontalPodAutoscaler>, ClusterError> {
        let list = |client| async move {
            Api::<HorizontalPodAutoscaler>::namespaced(client, self.name())
                .list(&ListParams::default())
                .await
        };
        Ok(self.ask("HorizontalPodAutoscalers", list).await?.items)
    }
}

/// The workloads that these target.
pub(crate) fn targets(autoscalers: &[HorizontalPodAutoscaler]) -> BTreeSet<WorkloadRef> {
    let targets = autoscalers
        .iter()
        .map(|autoscaler| &autoscaler.spec.scale_target_ref);
    targets
        .filter_map(|target| {
            Some(WorkloadRef {
                kind: WorkloadKind::of_name(&target.kind)?,
                name: target.name.clone(),
            })
        })
        .collect()
}
