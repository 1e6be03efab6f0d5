//! Where helm works, and as whom.

use crate::files::Files;
use crate::handler::Tools;
use sluice_cluster::{ClusterAddress, Namespace};
use sluice_domain::helm::HelmRevision;
use sluice_domain::ids::Fence;
use sluice_domain::pipeline::EnvironmentSpec;
use sluice_lambda::Failure;
use sluice_transitions::address_of;

/// An environment's namespace, as helm sees it.
#[derive(Debug)]
pub(crate) struct Place<'t> {
    tools: &'t Tools,
    address: ClusterAddress,
    session: String,
    /// The namespace, reached as helm reaches it.
    pub namespace: Namespace,
}

/// The session name under which helm writes: the end of its user's name, which the cluster compares with the fence.
pub(crate) fn writing(fence: Fence) -> String {
    format!("fence-{fence}")
}

/// The session name under which helm and this function only look, and try out.
pub(crate) const LOOKING: &str = "plan";

impl<'t> Place<'t> {
    /// Helm's own role in the environment's cluster, under a session name.
    pub(crate) async fn connect(
        tools: &'t Tools,
        spec: &EnvironmentSpec,
        session: &str,
    ) -> Result<Self, Failure> {
        let role = spec.helm_role.clone().unwrap_or_else(|| tools.helm_role.clone());
        let address = ClusterAddress {
            role: Some(role),
            ..address_of(spec)
        };
        let namespace = tools.clusters.connect_as(&address, session).await?;
        Ok(Self {
            tools,
            address,
            session: session.to_owned(),
            namespace,
        })
    }

    /// What the cluster holds of a release, newest first.
    pub(crate) async fn revisions(&self, release: &str) -> Result<Vec<HelmRevision>, Failure> {
        Ok(self.namespace.helm_revisions(release).await?)
    }

    /// A folder for one run of helm.
    pub(crate) async fn files(&self) -> Result<Files, Failure> {
        let access = self.tools.clusters.access(&self.address, &self.session).await?;
        Files::new(&access, &self.address.namespace).await
    }
}
