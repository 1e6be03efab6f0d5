//! The Service by which a workload with tracks is known: what the tracks' own Services are made after.

use super::is_root_service;
use super::manifest::text_at;
use super::selector::service_selects;
use serde_json::{Map, Value};

/// Why no Service can be the one by which a workload with tracks is known. Each is the whole of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootServiceError {
    /// The pipeline names one that is not there.
    #[error("there is no Service {0}")]
    NotThere(String),
    /// Nothing sends requests to the pods, so that nothing could be shared out between tracks.
    #[error("no Service selects the pods of {0}: a track of them would work whatever its weight")]
    None(String),
    /// The pipeline names none, and it could be each of these.
    #[error("the Services {} select the pods of the release", .0.join(", "))]
    Several(Vec<String>),
    /// Its pods would follow no weight.
    #[error(
        "the Service {service} does not select the pods of {deployment}, which would work whatever their weight"
    )]
    SelectsNot {
        /// The Service.
        service: String,
        /// A Deployment that runs the release.
        deployment: String,
    },
    /// A name in the DNS, without pods.
    #[error("the Service {0} is of type ExternalName: it is a name in the DNS and has no pods")]
    ExternalName(String),
    /// Clients get the pods' addresses and keep them: no weight and no selector reaches them.
    #[error("the Service {0} is headless: clients keep the pods' own addresses, whatever it selects")]
    Headless(String),
    /// The tracks' Services could not be named after it.
    #[error("the Service {0} has a name to which no `-preview` can be added")]
    NoRoom(String),
}

impl RootServiceError {
    /// What would be right.
    pub fn right(&self) -> &'static str {
        match self {
            Self::NotThere(_) => "the name of a Service that selects the release's pods, or no `service`",
            Self::None(_) => "a Service before these pods, or strategy = \"rolling\", which needs none",
            Self::Several(_) => {
                "service = \"...\" in the strategy: the one whose requests the router shares out"
            }
            Self::SelectsNot { .. } => {
                "one Service before every Deployment that runs the release; a worker without one is a service of its own, \
                 with strategy = \"rolling\""
            }
            Self::ExternalName(_) | Self::Headless(_) => {
                "a Service with an address of its own (type ClusterIP)"
            }
            Self::NoRoom(_) => "a name of at most 55 characters that starts with a letter",
        }
    }
}

/// The Service by which a workload with tracks is known: the one that the pipeline names, or the only one with an address
/// of its own that selects the pods of a Deployment which runs the release. It selects those of all of them.
///
/// `services` and `deployments` are whole objects, of a package or read from the cluster; `deployments` are those that run
/// the release.
pub fn root_service<'v>(
    named: Option<&str>,
    services: impl IntoIterator<Item = &'v Value>,
    deployments: &[&Value],
) -> Result<String, RootServiceError> {
    let services: Vec<&Value> = services.into_iter().collect();
    let root = match named {
        Some(wanted) => {
            let found = services.into_iter().find(|service| name(service) == wanted);
            found.ok_or_else(|| RootServiceError::NotThere(wanted.to_owned()))?
        }
        None => only(services, deployments)?,
    };
    check(root)?;
    for deployment in deployments {
        if !selects(root, deployment) {
            return Err(RootServiceError::SelectsNot {
                service: name(root).to_owned(),
                deployment: name(deployment).to_owned(),
            });
        }
    }
    Ok(name(root).to_owned())
}

/// Headless Services beside the one with an address are common: they are for metrics.
fn only<'v>(services: Vec<&'v Value>, deployments: &[&Value]) -> Result<&'v Value, RootServiceError> {
    let before = |service: &&Value| deployments.iter().any(|deployment| selects(service, deployment));
    let (whole, others): (Vec<&Value>, Vec<&Value>) = services
        .into_iter()
        .filter(before)
        .partition(|service| check_kind(service).is_ok());
    match (whole.as_slice(), others.as_slice()) {
        ([only], _) => Ok(only),
        ([], [other, ..]) => Ok(other),
        ([], []) => {
            let names: Vec<&str> = deployments.iter().map(|deployment| name(deployment)).collect();
            Err(RootServiceError::None(names.join(", ")))
        }
        (several, _) => {
            let mut names: Vec<String> = several.iter().map(|one| name(one).to_owned()).collect();
            names.sort();
            Err(RootServiceError::Several(names))
        }
    }
}

fn check(service: &Value) -> Result<(), RootServiceError> {
    check_kind(service)?;
    let name = name(service);
    if is_root_service(name) {
        Ok(())
    } else {
        Err(RootServiceError::NoRoom(name.to_owned()))
    }
}

fn check_kind(service: &Value) -> Result<(), RootServiceError> {
    let name = || name(service).to_owned();
    if text_at(service, "/spec/type") == Some("ExternalName") {
        return Err(RootServiceError::ExternalName(name()));
    }
    if is_headless(service) {
        return Err(RootServiceError::Headless(name()));
    }
    Ok(())
}

pub(super) fn is_headless(service: &Value) -> bool {
    text_at(service, "/spec/clusterIP") == Some("None")
}

/// Whether a Service sends requests to the pods of a Deployment.
pub(super) fn selects(service: &Value, deployment: &Value) -> bool {
    pod_labels(deployment).is_some_and(|labels| service_selects(service, labels))
}

/// The labels of a Deployment's pods.
pub(super) fn pod_labels(deployment: &Value) -> Option<&Map<String, Value>> {
    deployment.pointer("/spec/template/metadata/labels")?.as_object()
}

fn name(object: &Value) -> &str {
    text_at(object, "/metadata/name").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(name: &str, app: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"selector": {"app": app}}})
    }

    fn deployment(name: &str, app: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"template": {"metadata": {"labels": {"app": app, "v": "1"}}}}})
    }

    fn headless(name: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"selector": {"app": "api"}, "clusterIP": "None"}})
    }

    fn external(name: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"selector": {"app": "api"}, "type": "ExternalName"}})
    }

    #[test]
    fn the_service_is_the_named_one_or_the_only_one() {
        use RootServiceError as Error;
        let long = "a".repeat(56);
        let selects_not = |service: &str, deployment: &str| Error::SelectsNot {
            service: service.to_owned(),
            deployment: deployment.to_owned(),
        };
        let (api, web) = (service("api", "api"), service("web", "web"));
        let (one, two) = (deployment("api", "api"), deployment("worker", "worker"));
        let both = deployment("second", "api");
        type Case<'c> = (
            Option<&'c str>,
            Vec<Value>,
            Vec<&'c Value>,
            Result<&'c str, Error>,
        );
        let table: Vec<Case<'_>> = vec![
            (None, vec![api.clone(), web.clone()], vec![&one], Ok("api")),
            (None, vec![api.clone()], vec![&one, &both], Ok("api")),
            (
                None,
                vec![api.clone()],
                vec![&one, &two],
                Err(selects_not("api", "worker")),
            ),
            (
                None,
                vec![web.clone()],
                vec![&one],
                Err(Error::None("api".to_owned())),
            ),
            (
                None,
                vec![],
                vec![&one, &two],
                Err(Error::None("api, worker".to_owned())),
            ),
            (None, vec![headless("m"), api.clone()], vec![&one], Ok("api")),
            (
                None,
                vec![headless("m")],
                vec![&one],
                Err(Error::Headless("m".to_owned())),
            ),
            (
                None,
                vec![service("b", "api"), service("a", "api")],
                vec![&one],
                Err(Error::Several(vec!["a".to_owned(), "b".to_owned()])),
            ),
            (
                Some("b"),
                vec![service("b", "api"), service("a", "api")],
                vec![&one],
                Ok("b"),
            ),
            (
                Some("c"),
                vec![api.clone()],
                vec![&one],
                Err(Error::NotThere("c".to_owned())),
            ),
            (
                Some("web"),
                vec![api.clone(), web],
                vec![&one],
                Err(selects_not("web", "api")),
            ),
            (
                Some("m"),
                vec![headless("m"), api],
                vec![&one],
                Err(Error::Headless("m".to_owned())),
            ),
            (
                Some("x"),
                vec![external("x")],
                vec![&one],
                Err(Error::ExternalName("x".to_owned())),
            ),
            (
                None,
                vec![service(&long, "api")],
                vec![&one],
                Err(Error::NoRoom(long.clone())),
            ),
        ];
        for (named, services, deployments, wanted) in table {
            let found = root_service(named, &services, &deployments);
            assert_eq!(found, wanted.map(str::to_owned), "{named:?} {services:?}");
        }
    }
}
