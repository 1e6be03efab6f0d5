//! What can go wrong with a cluster, sorted by what to do about it.

use aws_sdk_eks::error::{ProvideErrorMetadata, SdkError};
use kube::core::Status;
use sluice_aws::{AssumeError, Trouble};
use sluice_domain::ids::Fence;
use sluice_domain::router::RouterFault;
use std::error::Error;

/// A failure's own error.
pub(crate) type Source = Box<dyn Error + Send + Sync>;

/// What can go wrong with a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No answer: no connection, a connection that broke, a time-out. A write may have taken effect. Transient.
    #[error("{place} cannot be reached")]
    Unreachable {
        /// What was asked.
        place: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// Too many requests. Transient.
    #[error("{place} is limiting requests: {message}")]
    Throttled {
        /// What was asked.
        place: String,
        /// What it said.
        message: String,
    },
    /// It answered that it cannot answer now. Transient.
    #[error("{place} is not available: {message}")]
    Unavailable {
        /// What was asked.
        place: String,
        /// What it said.
        message: String,
    },
    /// An object was changed or deleted in the same moment. Transient: look again.
    #[error("{object} was changed by somebody else in the same moment: {message}")]
    Conflict {
        /// The object.
        object: String,
        /// What the API server said.
        message: String,
    },
    /// The cluster does not know who we are, also with a token that was just made.
    #[error(
        "cluster {cluster} does not know Sluice's role ({message}): give the role an access entry with \
         `aws eks create-access-entry --cluster-name {cluster} --principal-arn <role> --kubernetes-groups sluice:deployers`"
    )]
    Unauthorized {
        /// The cluster.
        cluster: String,
        /// What the API server said.
        message: String,
    },
    /// The other side says no, and will again: IAM, RBAC, an admission policy, a quota.
    #[error("{object} is refused: {message}")]
    Refused {
        /// What was asked for.
        object: String,
        /// What the other side said.
        message: String,
    },
    /// Another holder has written the object since.
    #[error(
        "{object} has fence {seen}, which is above ours, {ours}: another execution holds the environment"
    )]
    Preempted {
        /// The object.
        object: String,
        /// The fence that it has.
        seen: Fence,
        /// The fence that was to be written.
        ours: Fence,
    },
    /// What was sent or what came back makes no sense: an unknown field, an immutable field, no JSON.
    #[error("{object} is invalid: {message}")]
    Invalid {
        /// The object.
        object: String,
        /// What is wrong with it.
        message: String,
    },
    /// Something that must exist does not.
    #[error("{what} does not exist: {next}")]
    Missing {
        /// What.
        what: String,
        /// What to do about it.
        next: String,
    },
    /// A router's object is not one whose weights can be written.
    #[error("{object} cannot share traffic between tracks")]
    Router {
        /// The object.
        object: String,
        /// Why.
        #[source]
        source: Box<RouterFault>,
    },
    /// The write was accepted, and what came back is not what was written.
    #[error("{object} was written, but reads differently: {message}; look for a webhook that changes it")]
    Altered {
        /// The object.
        object: String,
        /// The difference.
        message: String,
    },
}

impl ClusterError {
    /// Whether the same call may succeed in a while with nothing changed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Throttled { .. }
            | Self::Unavailable { .. }
            | Self::Conflict { .. } => true,
            Self::Unauthorized { .. }
            | Self::Refused { .. }
            | Self::Preempted { .. }
            | Self::Invalid { .. }
            | Self::Missing { .. }
            | Self::Router { .. }
            | Self::Altered { .. } => false,
        }
    }

    /// The error of a request about `object` in this cluster and namespace.
    pub(crate) fn from_kube(cluster: &str, namespace: &str, object: &str, error: kube::Error) -> Self {
        let here = format!("{object} in namespace {namespace} of cluster {cluster}");
        match error {
            kube::Error::Api(status) => Self::from_status(cluster, namespace, here, *status),
            kube::Error::HttpError(_)
            | kube::Error::SerdeError(_)
            | kube::Error::BuildRequest(_)
            | kube::Error::FromUtf8(_) => Self::Invalid {
                object: here,
                message: chain(&error),
            },
            transport => Self::Unreachable {
                place: format!("the API server of cluster {cluster}"),
                source: transport.into(),
            },
        }
    }

    /// Kubernetes, API conventions: the code says what to do; `details.kind` says what was not found.
    fn from_status(cluster: &str, namespace: &str, object: String, status: Status) -> Self {
        let message = status.message.clone();
        let place = format!("the API server of cluster {cluster}");
        match status.code {
            401 => Self::Unauthorized {
                cluster: cluster.to_owned(),
                message,
            },
            403 => Self::Refused { object, message },
            404 if status.details.is_some_and(|details| details.kind == "namespaces") => Self::Missing {
                what: format!("namespace {namespace} in cluster {cluster}"),
                next: format!(
                    "create it with `kubectl create namespace {namespace}` and bind Sluice's role there \
                     (infra/cluster/namespace.yaml.example)"
                ),
            },
            404 => Self::Missing {
                what: object,
                next: message,
            },
            409 => Self::Conflict { object, message },
            429 => Self::Throttled { place, message },
            // 410: what a list or watch continues from is gone; begun anew, it works.
            408 | 410 | 500.. => Self::Unavailable { place, message },
            _ => Self::Invalid { object, message },
        }
    }

    /// The error of a role that is assumed to reach a cluster.
    pub(crate) fn from_assume(error: AssumeError) -> Self {
        match error {
            AssumeError::Failed { role, source } => Self::from_aws(&format!("role {role}"), *source),
            AssumeError::Empty { role } => Self::Invalid {
                object: format!("role {role}"),
                message: "STS answered without credentials".to_owned(),
            },
        }
    }

    /// The error of an AWS call about `what`: "cluster mc-prod-eks".
    pub(crate) fn from_aws<E>(what: &str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let code = error.code().unwrap_or("no error code");
        let message = error
            .message()
            .map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"));
        match (sluice_aws::trouble(&error), code) {
            (Trouble::Throttled, _) => Self::Throttled {
                place: "AWS".to_owned(),
                message,
            },
            (Trouble::Unavailable, _) if error.as_service_error().is_some() => Self::Unavailable {
                place: "AWS".to_owned(),
                message,
            },
            (Trouble::Unavailable, _) => Self::Unreachable {
                place: format!("AWS ({what})"),
                source: error.into(),
            },
            (Trouble::Refused, "ResourceNotFoundException") => Self::Missing {
                what: what.to_owned(),
                next: format!("correct `cluster` and `region` in the pipeline file ({message})"),
            },
            (Trouble::Refused | Trouble::Denied, _) if error.as_service_error().is_some() => Self::Refused {
                object: what.to_owned(),
                message,
            },
            (Trouble::Refused | Trouble::Denied, _) => Self::Refused {
                object: what.to_owned(),
                message: chain(&error),
            },
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| {
        Error::source(*error)
    });
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use kube::core::response::StatusDetails;

    fn of(code: u16, kind: &str) -> ClusterError {
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: kind.to_owned(),
            uid: String::new(),
            causes: vec![],
            retry_after_seconds: 0,
        };
        let status = Status::failure("said so", "")
            .with_code(code)
            .with_details(details);
        ClusterError::from_kube(
            "mc-dev-eks",
            "dev",
            "Deployment api",
            kube::Error::Api(status.boxed()),
        )
    }

    #[test]
    fn what_waiting_heals_is_transient() {
        for (code, transient) in [
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (408, true),
            (409, true),
            (410, true),
            (415, false),
            (422, false),
            (429, true),
            (500, true),
            (503, true),
            (504, true),
        ] {
            assert_eq!(of(code, "deployments").is_transient(), transient, "{code}");
        }
    }

    #[test]
    fn a_refusal_says_where_and_why_and_what_to_do() {
        assert_eq!(
            of(403, "deployments").to_string(),
            "Deployment api in namespace dev of cluster mc-dev-eks is refused: said so"
        );
        assert_eq!(
            of(404, "namespaces").to_string(),
            "namespace dev in cluster mc-dev-eks does not exist: create it with `kubectl create namespace dev` and bind \
             Sluice's role there (infra/cluster/namespace.yaml.example)"
        );
        assert!(
            of(401, "")
                .to_string()
                .contains("aws eks create-access-entry --cluster-name mc-dev-eks")
        );
    }

    #[test]
    fn an_error_keeps_its_causes() {
        let error = kube::Error::ReadEvents(std::io::Error::other("the line went dead"));
        let error = ClusterError::from_kube("mc-dev-eks", "dev", "Pods", error);
        assert!(error.is_transient());
        assert!(chain(&error).contains("the line went dead"), "{}", chain(&error));
    }
}
