//! Writing a bundle.

use crate::error::ClusterError;
use crate::namespace::Namespace;
use futures::future::try_join_all;
use serde_json::Value;
use sluice_domain::bundle::{Bundle, WorkloadKind};
use sluice_domain::ids::Fence;
use sluice_domain::workload::WorkloadRef;

/// What became of a bundle's objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Those that this call wrote: `Deployment mc-api`.
    pub written: Vec<String>,
    /// Those that an earlier call with the same fence had written.
    pub already: Vec<String>,
}

impl Namespace {
    /// Writes a bundle under a fence: copies of ConfigMaps, other objects, then Deployments, so that no pod starts before
    /// what it refers to is there. Deployments keep the order of the bundle.
    ///
    /// It may be repeated after any failure with the same fence: what has been written is not written again. What another
    /// holder has written since fails it with `Preempted`. What comes back from each write is compared with what was
    /// written; the pods' state is not awaited.
    ///
    /// A bundle with a workload that is no Deployment is helm's to write, and is refused before anything is written.
    pub async fn apply(&self, bundle: &Bundle, fence: Fence) -> Result<Applied, ClusterError> {
        self.check_fence(fence)?;
        self.check_kinds(bundle)?;
        let mut applied = Applied::default();
        try_join_all(bundle.config_maps.iter().map(|copy| self.ensure_copy(copy))).await?;
        for object in &bundle.objects {
            let (name, written) = self.apply_object(object, fence).await?;
            applied.note(name, written);
        }
        let autoscaled = self.autoscaled().await?;
        for deployment in &bundle.deployments {
            let is_autoscaled = autoscaled.contains(&WorkloadRef::from(deployment));
            let written = self.write_deployment(deployment, is_autoscaled, fence).await?;
            applied.note(format!("Deployment {}", deployment.name), written);
        }
        Ok(applied)
    }

    /// Writes one object that is no Deployment under a fence, as [`Namespace::apply`] does.
    pub async fn apply_one(&self, object: &Value, fence: Fence) -> Result<(), ClusterError> {
        self.check_fence(fence)?;
        self.apply_object(object, fence).await.map(drop)
    }

    fn check_kinds(&self, bundle: &Bundle) -> Result<(), ClusterError> {
        let mut workloads = WorkloadRef::all_of(bundle).into_iter();
        match workloads.find(|workload| workload.kind != WorkloadKind::Deployment) {
            None => Ok(()),
            Some(other) => Err(ClusterError::Invalid {
                object: self.place_of(&other.to_string()),
                message: "Sluice itself writes Deployments only; others are written by helm".to_owned(),
            }),
        }
    }
}

impl Applied {
    fn note(&mut self, object: String, written: bool) {
        if written {
            self.written.push(object)
        } else {
            self.already.push(object)
        }
    }
}
