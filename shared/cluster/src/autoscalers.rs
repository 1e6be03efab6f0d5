//! Which Deployments an autoscaler sizes.

use crate::error::ClusterError;
use crate::namespace::Namespace;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use kube::api::ListParams;
use std::collections::BTreeSet;

impl Namespace {
    /// The names of the Deployments that a HorizontalPodAutoscaler targets.
    pub(crate) async fn autoscaled(&self) -> Result<BTreeSet<String>, ClusterError> {
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

/// The names of the Deployments that these target.
pub(crate) fn targets(autoscalers: &[HorizontalPodAutoscaler]) -> BTreeSet<String> {
    let targets = autoscalers
        .iter()
        .map(|autoscaler| &autoscaler.spec.scale_target_ref);
    targets
        .filter(|target| target.kind == "Deployment")
        .map(|target| target.name.clone())
        .collect()
}
