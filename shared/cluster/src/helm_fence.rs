//! The fence of what helm writes: helm's objects cannot carry one, so its session is compared with this ConfigMap
//! (`infra/cluster/30-helm-fence-policy.yaml`).

use crate::error::ClusterError;
use crate::fence::{Standing, fence_of};
use crate::namespace::{FIELD_MANAGER, Namespace};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice_domain::ids::Fence;
use sluice_domain::plan::{FENCE_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL};

/// The ConfigMap's name, which the policies know.
const NAME: &str = "sluice-fence";
/// The key of its data that the policy reads.
const KEY: &str = "fence";
const OBJECT: &str = "ConfigMap sluice-fence";

/// What became of a write that the API server answered.
enum Answer {
    Done,
    /// It was created, changed or deleted meanwhile.
    Again(String),
    Forbidden(String),
}

impl Namespace {
    /// Has the namespace refuse helm of every lower fence from now on. Written already by this decision, it is left as it
    /// is; a greater one is `Preempted`. It is read back: API servers read it from a cache that is a moment behind.
    pub async fn write_helm_fence(&self, fence: Fence) -> Result<(), ClusterError> {
        self.check_fence(fence)?;
        let answer = match self.fence_map().await? {
            None => self.create_fence(fence).await?,
            Some(found) => match self.standing(OBJECT, &found.metadata, fence)? {
                Standing::Written => Answer::Done,
                Standing::Open => {
                    self.patch_fence(fence, found.metadata.resource_version.as_deref())
                        .await?
                }
            },
        };
        match answer {
            Answer::Again(message) => {
                return Err(ClusterError::Conflict {
                    object: self.place_of(OBJECT),
                    message,
                });
            }
            Answer::Forbidden(message) => {
                let found = self.fence_map().await?;
                let metadata = found.as_ref().map(|found| &found.metadata);
                self.forbidden(OBJECT, metadata, fence, message)?;
            }
            Answer::Done => {}
        }
        self.check_fence_map(fence).await
    }

    /// The fence below which helm is refused here: the greater one of the ConfigMap's value and its annotation. None where
    /// there is no such ConfigMap; 0 where it says nothing that could be read.
    pub async fn helm_fence(&self) -> Result<Option<Fence>, ClusterError> {
        let found = self.fence_map().await?;
        Ok(found.map(|found| fence_of(&found.metadata).max(Fence::from_annotation(value_of(&found)))))
    }

    async fn check_fence_map(&self, fence: Fence) -> Result<(), ClusterError> {
        let altered = |message| {
            Err(ClusterError::Altered {
                object: self.place_of(OBJECT),
                message,
            })
        };
        let Some(found) = self.fence_map().await? else {
            return Err(ClusterError::Conflict {
                object: self.place_of(OBJECT),
                message: "it was deleted meanwhile".to_owned(),
            });
        };
        if self.standing(OBJECT, &found.metadata, fence)? == Standing::Open {
            return altered(format!("its fence is {}, not {fence}", fence_of(&found.metadata)));
        }
        match value_of(&found) {
            Some(value) if value == fence.to_string() => Ok(()),
            value => altered(format!(
                "its data says {}, not {fence}",
                value.unwrap_or("nothing")
            )),
        }
    }

    async fn fence_map(&self) -> Result<Option<ConfigMap>, ClusterError> {
        let get = |client| async move {
            Api::<ConfigMap>::namespaced(client, self.name())
                .get_opt(NAME)
                .await
        };
        self.ask(OBJECT, get).await
    }

    async fn create_fence(&self, fence: Fence) -> Result<Answer, ClusterError> {
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let map: ConfigMap =
            serde_json::from_value(body(fence, None)).map_err(|error| ClusterError::Invalid {
                object: self.place_of(OBJECT),
                message: error.to_string(),
            })?;
        let send = |client| {
            let (parameters, map) = (&parameters, &map);
            async move {
                let api = Api::<ConfigMap>::namespaced(client, self.name());
                answer(api.create(parameters, map).await)
            }
        };
        self.ask(OBJECT, send).await
    }

    /// `version` is what was read: also where no policy is, a later holder's value is not overwritten.
    async fn patch_fence(&self, fence: Fence, version: Option<&str>) -> Result<Answer, ClusterError> {
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(body(fence, version));
        let send = |client| {
            let (parameters, patch) = (&parameters, &patch);
            async move {
                let api = Api::<ConfigMap>::namespaced(client, self.name());
                answer(api.patch(NAME, parameters, patch).await)
            }
        };
        self.ask(OBJECT, send).await
    }
}

fn body(fence: Fence, version: Option<&str>) -> Value {
    let mut metadata = json!({
        "name": NAME,
        "annotations": {FENCE_ANNOTATION: fence.to_string()},
        "labels": {MANAGED_BY_LABEL: MANAGED_BY},
    });
    if let (Some(version), Some(metadata)) = (version, metadata.as_object_mut()) {
        metadata.insert("resourceVersion".to_owned(), json!(version));
    }
    json!({"metadata": metadata, "data": {KEY: fence.to_string()}})
}

fn answer(result: kube::Result<ConfigMap>) -> kube::Result<Answer> {
    match result {
        Ok(_) => Ok(Answer::Done),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Answer::Forbidden(status.message)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Answer::Again(status.message)),
        Err(error) => Err(error),
    }
}

fn value_of(map: &ConfigMap) -> Option<&str> {
    map.data.as_ref()?.get(KEY).map(String::as_str)
}
