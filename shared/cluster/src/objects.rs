//! The objects of a package other than Deployments: applied server-side, and read as they are.

use crate::error::ClusterError;
use crate::fence::{Standing, fence_of};
use crate::namespace::{FIELD_MANAGER, Namespace};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};
use sluice_domain::ids::Fence;
use sluice_domain::plan::{FENCE_ANNOTATION, without_server_fields};

/// An object of a package: what it is called, and where it lives.
struct Named<'o> {
    label: String,
    name: &'o str,
    resource: ApiResource,
}

impl Namespace {
    /// The objects of these manifests as they are in the cluster; those that are not there are left out. Deployments and
    /// ConfigMaps are left out too: a bundle has these in a form of its own.
    pub async fn objects(&self, manifests: &[Value]) -> Result<Vec<Value>, ClusterError> {
        let mut found = Vec::new();
        for manifest in manifests {
            if ["Deployment", "ConfigMap"].contains(&text(manifest, "/kind")) {
                continue;
            }
            let named = self.named(manifest)?;
            if let Some(object) = self.object(&named).await? {
                found.push(
                    serde_json::to_value(object).map_err(|error| ClusterError::Invalid {
                        object: self.place_of(&named.label),
                        message: error.to_string(),
                    })?,
                );
            }
        }
        Ok(found)
    }

    /// A Service as it is in the cluster, without what the API server adds; nothing where none is named, or none is there.
    pub async fn named_service(&self, name: Option<&str>) -> Result<Vec<Value>, ClusterError> {
        let Some(name) = name else { return Ok(Vec::new()) };
        let asked = serde_json::json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}});
        let found = self.objects(&[asked]).await?;
        Ok(found.iter().map(without_server_fields).collect())
    }

    /// Applies an object server-side, unless this decision has: its name, and whether this call wrote it. Fields that it
    /// does not name stay with whoever owns them (an address, a node port, an autoscaler's status).
    pub(crate) async fn apply_object(
        &self,
        manifest: &Value,
        fence: Fence,
    ) -> Result<(String, bool), ClusterError> {
        let named = self.named(manifest)?;
        if let Some(found) = self.object(&named).await?
            && self.standing(&named.label, &found.metadata, fence)? == Standing::Written
        {
            return Ok((named.label, false));
        }
        let written = match self.send(&named, stamped(manifest, fence)).await? {
            Ok(written) => written,
            Err(message) => {
                let found = self.object(&named).await?;
                self.forbidden(
                    &named.label,
                    found.as_ref().map(|found| &found.metadata),
                    fence,
                    message,
                )?;
                return Ok((named.label, false));
            }
        };
        let seen = fence_of(&written.metadata);
        if seen != fence {
            let message = format!("its fence is {seen}, not {fence}");
            return Err(ClusterError::Altered {
                object: self.place_of(&named.label),
                message,
            });
        }
        Ok((named.label, true))
    }

    /// The inner error is what a 403 says.
    async fn send(
        &self,
        named: &Named<'_>,
        body: Value,
    ) -> Result<Result<DynamicObject, String>, ClusterError> {
        let parameters = PatchParams::apply(FIELD_MANAGER).force().validation_strict();
        let patch = Patch::Apply(body);
        let apply = |client| {
            let (parameters, patch) = (&parameters, &patch);
            async move {
                match self.api(client, named).patch(named.name, parameters, patch).await {
                    Err(kube::Error::Api(status)) if status.code == 403 => Ok(Err(status.message)),
                    other => other.map(Ok),
                }
            }
        };
        self.ask(&named.label, apply).await
    }

    async fn object(&self, named: &Named<'_>) -> Result<Option<DynamicObject>, ClusterError> {
        let get = |client| async move { self.api(client, named).get_opt(named.name).await };
        self.ask(&named.label, get).await
    }

    fn api(&self, client: kube::Client, named: &Named<'_>) -> Api<DynamicObject> {
        Api::namespaced_with(client, self.name(), &named.resource)
    }

    fn named<'o>(&self, manifest: &'o Value) -> Result<Named<'o>, ClusterError> {
        let (version, kind, name) = (
            text(manifest, "/apiVersion"),
            text(manifest, "/kind"),
            text(manifest, "/metadata/name"),
        );
        let label = format!("{kind} {name}");
        let invalid = |message: &str| ClusterError::Invalid {
            object: self.place_of(&label),
            message: message.to_owned(),
        };
        let resource =
            resource(version, kind).ok_or_else(|| invalid("it is of a kind that Sluice does not write"))?;
        if name.is_empty() {
            return Err(invalid("it has no name"));
        }
        Ok(Named {
            label,
            name,
            resource,
        })
    }
}

/// The kinds that a bundle's objects may have; what a package may bring is decided in the domain.
fn resource(version: &str, kind: &str) -> Option<ApiResource> {
    match (version, kind) {
        ("v1", "ServiceAccount") => Some(ApiResource::erase::<ServiceAccount>(&())),
        ("v1", "Service") => Some(ApiResource::erase::<Service>(&())),
        ("v1", "ConfigMap") => Some(ApiResource::erase::<ConfigMap>(&())),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => {
            Some(ApiResource::erase::<HorizontalPodAutoscaler>(&()))
        }
        ("policy/v1", "PodDisruptionBudget") => Some(ApiResource::erase::<PodDisruptionBudget>(&())),
        _ => None,
    }
}

/// A manifest with the fence on it.
pub(crate) fn stamped(manifest: &Value, fence: Fence) -> Value {
    let mut body = manifest.clone();
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if !annotations.is_object() {
            *annotations = json!({});
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(FENCE_ANNOTATION.to_owned(), json!(fence.to_string()));
        }
    }
    body
}

pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_is_put_beside_other_annotations() {
        for (annotations, wanted) in [
            (json!({"a": "b"}), json!({"a": "b", "sluice.dev/fence": "7"})),
            (json!(null), json!({"sluice.dev/fence": "7"})),
        ] {
            let body = stamped(
                &json!({"metadata": {"name": "x", "annotations": annotations}}),
                Fence(7),
            );
            assert_eq!(body.pointer("/metadata/annotations"), Some(&wanted));
        }
    }

    #[test]
    fn a_kind_is_written_in_the_version_that_is_known() {
        assert_eq!(
            resource("v1", "Service").map(|r| r.plural),
            Some("services".to_owned())
        );
        let autoscaler = resource("autoscaling/v2", "HorizontalPodAutoscaler");
        assert_eq!(
            autoscaler.map(|r| r.plural),
            Some("horizontalpodautoscalers".to_owned())
        );
        assert!(resource("autoscaling/v1", "HorizontalPodAutoscaler").is_none());
        assert!(resource("v1", "Secret").is_none());
    }
}
