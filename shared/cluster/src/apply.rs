//! Writing a bundle.

use crate::error::ClusterError;
use crate::namespace::Namespace;
use futures::future::try_join_all;
use sluice_domain::bundle::Bundle;
use sluice_domain::ids::Fence;

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
    pub async fn apply(&self, bundle: &Bundle, fence: Fence) -> Result<Applied, ClusterError> {
        self.check_fence(fence)?;
        let mut applied = Applied::default();
        try_join_all(bundle.config_maps.iter().map(|copy| self.ensure_copy(copy))).await?;
        for object in &bundle.objects {
            let (name, written) = self.apply_object(object, fence).await?;
            applied.note(name, written);
        }
        let autoscaled = self.autoscaled().await?;
        for deployment in &bundle.deployments {
            let is_autoscaled = autoscaled.contains(&deployment.name);
            let written = self.write_deployment(deployment, is_autoscaled, fence).await?;
            applied.note(format!("Deployment {}", deployment.name), written);
        }
        Ok(applied)
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
