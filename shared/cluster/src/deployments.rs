//! Writing a Deployment so that its pod template is the bundle's, and nothing else.
//!
//! Server-side apply cannot do that: it leaves every field alone that another manager owns, so that a variable added by
//! `kubectl set env` would stay in a template that is being restored. A strategic merge patch can, with its directives
//! (Kubernetes, strategic merge patch): `$patch: replace` puts a whole map in the place of the present one, and
//! `$retainKeys` removes the keys that it does not list. So one request writes template, replicas and fence together,
//! which it must: the admission policy takes one write per fence. What the patch does not name, such as `replicas` of an
//! autoscaled Deployment, others' labels and the status, stays.

use crate::error::ClusterError;
use crate::fence::{Standing, fence_of};
use crate::namespace::{FIELD_MANAGER, Namespace};
use crate::request::strict;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams, PostParams, Request};
use kube::core::Status;
use kube::{Api, Client, Resource};
use serde_json::{Map, Value, json};
use sluice_domain::bundle::WorkloadBundle;
use sluice_domain::ids::Fence;
use sluice_domain::plan::FENCE_ANNOTATION;

/// What became of a write that the API server answered.
enum Answer {
    Done(Box<Deployment>),
    /// It must be looked at again: it is there although it was not, or the reverse.
    Again,
    /// The admission policy, RBAC or another admission controller said no.
    Forbidden(String),
}

impl Namespace {
    /// Writes a Deployment, unless this decision has; whether this call wrote it.
    pub(crate) async fn write_deployment(
        &self,
        wanted: &WorkloadBundle,
        is_autoscaled: bool,
        fence: Fence,
    ) -> Result<bool, ClusterError> {
        let object = format!("Deployment {}", wanted.name);
        let answer = match self.deployment(&wanted.name).await? {
            None => self.create_deployment(&object, &creation(wanted, fence)).await?,
            Some(found) => match self.standing(&object, &found.metadata, fence)? {
                Standing::Written => return Ok(false),
                Standing::Open => {
                    let replicas = replicas_to_write(wanted, is_autoscaled, &found);
                    self.patch_deployment(&object, &wanted.name, patch(wanted, replicas, fence))
                        .await?
                }
            },
        };
        match answer {
            Answer::Done(written) => self
                .check_written(&object, wanted, fence, &written)
                .map(|()| true),
            Answer::Again => {
                let message = "it was created or deleted meanwhile".to_owned();
                Err(ClusterError::Conflict {
                    object: self.place_of(&object),
                    message,
                })
            }
            Answer::Forbidden(message) => {
                let found = self.deployment(&wanted.name).await?;
                self.forbidden(
                    &object,
                    found.as_ref().map(|found| &found.metadata),
                    fence,
                    message,
                )
                .map(|()| false)
            }
        }
    }

    pub(crate) async fn deployment(&self, name: &str) -> Result<Option<Deployment>, ClusterError> {
        let get = |client| async move {
            Api::<Deployment>::namespaced(client, self.name())
                .get_opt(name)
                .await
        };
        self.ask(&format!("Deployment {name}"), get).await
    }

    async fn create_deployment(&self, object: &str, body: &Value) -> Result<Answer, ClusterError> {
        let send = |client: Client| async move { answer(self.send_creation(client, body, false).await) };
        self.ask(object, send).await
    }

    async fn patch_deployment(&self, object: &str, name: &str, patch: Value) -> Result<Answer, ClusterError> {
        let parameters = patch_parameters();
        let patch = Patch::Strategic(patch);
        let send = |client| {
            let (parameters, patch) = (&parameters, &patch);
            async move {
                answer(
                    Api::<Deployment>::namespaced(client, self.name())
                        .patch(name, parameters, patch)
                        .await,
                )
            }
        };
        self.ask(object, send).await
    }

    /// What writing a Deployment would make of it, asked of the API server by the very write with `dryRun=All`. The outer
    /// none is that it would be made; the inner error is why the API server would refuse it.
    pub(crate) async fn try_deployment(
        &self,
        wanted: &WorkloadBundle,
        is_autoscaled: bool,
        fence: Fence,
        found: Option<&Deployment>,
    ) -> Result<Result<Option<Deployment>, String>, ClusterError> {
        let object = format!("Deployment {}", wanted.name);
        let refused = |error| match error {
            kube::Error::Api(status) if [400, 403, 422].contains(&status.code) => Ok(Err(status.message)),
            error => Err(error),
        };
        let Some(found) = found else {
            let body = creation(wanted, fence);
            let send = |client: Client| {
                let body = &body;
                async move {
                    let sent = self.send_creation(client, body, true).await;
                    sent.map(|_| Ok(None)).or_else(refused)
                }
            };
            return self.ask(&object, send).await;
        };
        let patch = Patch::Strategic(patch(
            wanted,
            replicas_to_write(wanted, is_autoscaled, found),
            fence,
        ));
        let parameters = patch_parameters().dry_run();
        let send = |client| {
            let (parameters, patch) = (&parameters, &patch);
            async move {
                let api = Api::<Deployment>::namespaced(client, self.name());
                let sent = api.patch(&wanted.name, parameters, patch).await;
                sent.map(|written| Ok(Some(written))).or_else(refused)
            }
        };
        self.ask(&object, send).await
    }

    async fn send_creation(&self, client: Client, body: &Value, dry_run: bool) -> kube::Result<Deployment> {
        let parameters = PostParams {
            dry_run,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        let body = serde_json::to_vec(body).map_err(kube::Error::SerdeError)?;
        let collection = Request::new(Deployment::url_path(&(), Some(self.name())));
        let request = collection
            .create(&parameters, body)
            .map_err(kube::Error::BuildRequest)?;
        client.request(strict(request)?).await
    }

    /// Never trust the 200: what came back must carry our fence and our images.
    fn check_written(
        &self,
        object: &str,
        wanted: &WorkloadBundle,
        fence: Fence,
        written: &Deployment,
    ) -> Result<(), ClusterError> {
        let altered = |message| {
            Err(ClusterError::Altered {
                object: self.place_of(object),
                message,
            })
        };
        let seen = fence_of(&written.metadata);
        if seen != fence {
            return altered(format!("its fence is {seen}, not {fence}"));
        }
        let pod = written.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        let containers = pod
            .into_iter()
            .flat_map(|pod| pod.init_containers.iter().flatten().chain(&pod.containers));
        let containers: Vec<_> = containers.collect();
        for (name, image) in &wanted.images {
            let there = containers.iter().find(|container| container.name == *name);
            match there.and_then(|container| container.image.as_ref()) {
                Some(there) if there == image => {}
                Some(there) => return altered(format!("container {name} has image {there}, not {image}")),
                None => return altered(format!("container {name} is not there")),
            }
        }
        Ok(())
    }
}

fn patch_parameters() -> PatchParams {
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    parameters.validation_strict()
}

fn answer(result: kube::Result<Deployment>) -> kube::Result<Answer> {
    match result {
        Ok(written) => Ok(Answer::Done(Box::new(written))),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Answer::Forbidden(status.message)),
        Err(kube::Error::Api(status)) if status.is_already_exists() || is_gone(&status) => Ok(Answer::Again),
        Err(error) => Err(error),
    }
}

/// Whether it was the Deployment that was not found, and not its namespace.
fn is_gone(status: &Status) -> bool {
    status.code == 404
        && status
            .details
            .as_ref()
            .is_some_and(|details| details.kind == "deployments")
}

/// How many replicas the patch sets; none to leave them as they are.
///
/// An autoscaler's number is not ours, also when the bundle is older than the autoscaler. But an autoscaler leaves a
/// Deployment of size 0 alone (Kubernetes, horizontal pod autoscaling: "implicit maintenance-mode deactivation"), so
/// what was scaled to zero is brought back to one.
fn replicas_to_write(wanted: &WorkloadBundle, is_autoscaled: bool, found: &Deployment) -> Option<i32> {
    let present = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    match wanted.replicas {
        Some(0) => Some(0),
        Some(replicas) if !is_autoscaled => Some(replicas),
        _ if present == 0 => Some(wanted.replicas.unwrap_or(1)),
        _ => None,
    }
}

fn creation(wanted: &WorkloadBundle, fence: Fence) -> Value {
    let mut spec = wanted
        .manifest
        .get("spec")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if let Some(replicas) = wanted.replicas {
        spec.insert("replicas".to_owned(), json!(replicas));
    }
    let mut metadata = metadata(wanted, fence);
    metadata.insert("name".to_owned(), json!(wanted.name));
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
}

/// Replaces each map of the spec as a whole. Labels and annotations of the Deployment itself are merged: others' do no
/// harm there.
fn patch(wanted: &WorkloadBundle, replicas: Option<i32>, fence: Fence) -> Value {
    let mut spec = wanted
        .manifest
        .get("spec")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut keys: Vec<String> = spec.keys().cloned().collect();
    for map in spec.values_mut().filter_map(Value::as_object_mut) {
        map.insert("$patch".to_owned(), json!("replace"));
    }
    if let Some(replicas) = replicas {
        spec.insert("replicas".to_owned(), json!(replicas));
    }
    // A bundle of a template alone says nothing about the rest of the spec.
    if spec.contains_key("selector") {
        keys.push("replicas".to_owned());
        spec.insert("$retainKeys".to_owned(), json!(keys));
    }
    json!({"metadata": metadata(wanted, fence), "spec": spec})
}

fn metadata(wanted: &WorkloadBundle, fence: Fence) -> Map<String, Value> {
    let part = |key| {
        wanted
            .manifest
            .pointer(&format!("/metadata/{key}"))
            .and_then(Value::as_object)
            .cloned()
    };
    let mut annotations = part("annotations").unwrap_or_default();
    annotations.insert(FENCE_ANNOTATION.to_owned(), json!(fence.to_string()));
    let mut metadata = Map::new();
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
    metadata.insert(
        "labels".to_owned(),
        Value::Object(part("labels").unwrap_or_default()),
    );
    metadata
}

#[cfg(test)]
#[path = "deployments_tests.rs"]
mod tests;
