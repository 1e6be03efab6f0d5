//! A namespace of a cluster, and how it is asked.

use crate::connection::{Clusters, Session};
use crate::error::ClusterError;
use kube::Client;
use std::future::Future;

/// Who writes, for Kubernetes' managed fields.
pub(crate) const FIELD_MANAGER: &str = "sluice";

/// One namespace of one cluster.
#[derive(Clone)]
pub struct Namespace {
    way: Way,
    cluster: String,
    name: String,
}

#[derive(Clone)]
enum Way {
    /// Through EKS, with tokens that end.
    Eks(Box<(Clusters, Session)>),
    /// As somebody else made the client.
    Client(Client),
}

impl std::fmt::Debug for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "namespace {} of cluster {}", self.name, self.cluster)
    }
}

impl Namespace {
    pub(crate) fn of_cluster(clusters: Clusters, session: Session) -> Self {
        let (cluster, name) = (session.address.cluster.clone(), session.address.namespace.clone());
        Self {
            way: Way::Eks(Box::new((clusters, session))),
            cluster,
            name,
        }
    }

    /// A namespace that is reached with a client made elsewhere, such as one of a kubeconfig.
    pub fn with_client(client: Client, cluster: &str, namespace: &str) -> Self {
        Self {
            way: Way::Client(client),
            cluster: cluster.to_owned(),
            name: namespace.to_owned(),
        }
    }

    /// The namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    pub(crate) async fn client(&self) -> Result<Client, ClusterError> {
        match &self.way {
            Way::Eks(eks) => eks.0.client(&eks.1).await,
            Way::Client(client) => Ok(client.clone()),
        }
    }

    /// A client with a new token; none where there are no tokens of ours.
    pub(crate) async fn renewed_client(&self) -> Result<Option<Client>, ClusterError> {
        match &self.way {
            Way::Eks(eks) => eks.0.renew(&eks.1).await.map(Some),
            Way::Client(_) => Ok(None),
        }
    }

    /// Sends a request about `object`; once more with a new token where the first is not accepted.
    pub(crate) async fn ask<T, F>(
        &self,
        object: &str,
        request: impl Fn(Client) -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let first = request(self.client().await?).await;
        let answer = match first {
            Err(kube::Error::Api(status)) if status.code == 401 => match self.renewed_client().await? {
                Some(client) => request(client).await,
                None => Err(kube::Error::Api(status)),
            },
            other => other,
        };
        answer.map_err(|error| self.error(object, error))
    }

    pub(crate) fn error(&self, object: &str, error: kube::Error) -> ClusterError {
        ClusterError::from_kube(&self.cluster, &self.name, object, error)
    }

    /// How an object of this namespace is called in errors.
    pub(crate) fn place_of(&self, object: &str) -> String {
        format!("{object} in namespace {} of cluster {}", self.name, self.cluster)
    }
}
