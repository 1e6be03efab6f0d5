//! StatefulSets that cannot go on by themselves.
//!
//! A StatefulSet goes pod by pod and waits for each to be ready, also for one whose template is wrong. When the right
//! template is back, its controller still waits for that pod: somebody must delete it (Kubernetes, "StatefulSets", "Forced
//! rollback").

use crate::error::ClusterError;
use crate::namespace::Namespace;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Preconditions};
use std::time::Duration;

/// How often is looked whether the controller has seen the template.
const EVERY: Duration = Duration::from_millis(200);
/// How often at most: a controller needs milliseconds.
const LOOKS: u32 = 50;

impl Namespace {
    /// Deletes the pods that keep a StatefulSet from its present template: of an older one, and not ready. Answers their
    /// names. A set that is not there, or that a person updates pod by pod (`OnDelete`), is left alone.
    pub async fn free_stuck_set(&self, set: &str) -> Result<Vec<String>, ClusterError> {
        let Some(found) = self.settled_set(set).await? else {
            return Ok(Vec::new());
        };
        let selector = found
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.match_labels.clone());
        let labels: Vec<String> = selector
            .unwrap_or_default()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let wanted = &ListParams::default().labels(&labels.join(","));
        let list = |client| async move { Api::<Pod>::namespaced(client, self.name()).list(wanted).await };
        let pods = self.ask(&format!("the pods of StatefulSet {set}"), list).await?;
        let mut freed = Vec::new();
        for pod in pods.items.iter().filter(|pod| is_in_the_way(pod, &found)) {
            let (Some(name), Some(uid)) = (&pod.metadata.name, &pod.metadata.uid) else {
                continue;
            };
            if self.delete_pod(name, uid).await? {
                freed.push(name.clone());
            }
        }
        Ok(freed)
    }

    /// The set as its controller has seen it.
    async fn settled_set(&self, set: &str) -> Result<Option<StatefulSet>, ClusterError> {
        let get = |client| async move {
            Api::<StatefulSet>::namespaced(client, self.name())
                .get_opt(set)
                .await
        };
        for _ in 0..LOOKS {
            let Some(found) = self.ask(&format!("StatefulSet {set}"), get).await? else {
                return Ok(None);
            };
            let spec = found.spec.as_ref();
            let strategy = spec.and_then(|spec| spec.update_strategy.as_ref()?.type_.as_deref());
            if strategy.is_some_and(|strategy| strategy != "RollingUpdate") {
                return Ok(None);
            }
            let seen = found
                .status
                .as_ref()
                .and_then(|status| status.observed_generation);
            if seen >= found.metadata.generation {
                return Ok(Some(found));
            }
            tokio::time::sleep(EVERY).await;
        }
        Ok(None)
    }

    /// Whether it was there to delete, and still the same.
    async fn delete_pod(&self, name: &str, uid: &str) -> Result<bool, ClusterError> {
        let parameters = &DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let delete = |client| async move {
            match Api::<Pod>::namespaced(client, self.name())
                .delete(name, parameters)
                .await
            {
                Ok(_) => Ok(true),
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.ask(&format!("Pod {name}"), delete).await
    }
}

/// Whether a pod is the set's, of another template than the present one, and neither ready nor on its way out.
fn is_in_the_way(pod: &Pod, set: &StatefulSet) -> bool {
    let owners = pod.metadata.owner_references.iter().flatten();
    let is_its = owners
        .into_iter()
        .any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref());
    let present = set
        .status
        .as_ref()
        .and_then(|status| status.update_revision.as_ref());
    let labels = pod.metadata.labels.as_ref();
    let own = labels.and_then(|labels| labels.get("controller-revision-hash"));
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let is_ready = conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    is_its
        && present.is_some()
        && own.is_some()
        && own != present
        && !is_ready
        && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn set() -> StatefulSet {
        let text = json!({"metadata": {"name": "db", "uid": "1"}, "status": {"replicas": 2, "updateRevision": "db-2"}});
        serde_json::from_value(text).unwrap()
    }

    fn pod(owner: &str, revision: &str, ready: &str, more: Value) -> Pod {
        let mut text = json!({
            "metadata": {
                "name": "db-1", "labels": {"controller-revision-hash": revision},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": owner}],
            },
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        if let (Some(metadata), Value::Object(more)) = (text.pointer_mut("/metadata"), more) {
            metadata.as_object_mut().unwrap().extend(more);
        }
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn only_what_keeps_the_set_from_its_template_is_in_the_way() {
        let going = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        for (what, pod, wanted) in [
            (
                "broken, of the template before",
                pod("1", "db-1", "False", json!({})),
                true,
            ),
            (
                "well, of the template before",
                pod("1", "db-1", "True", json!({})),
                false,
            ),
            (
                "broken, of the present template",
                pod("1", "db-2", "False", json!({})),
                false,
            ),
            ("on its way out", pod("1", "db-1", "False", going), false),
            ("another's", pod("2", "db-1", "False", json!({})), false),
        ] {
            assert_eq!(is_in_the_way(&pod, &set()), wanted, "{what}");
        }
    }
}
