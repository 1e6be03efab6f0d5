//! ConfigMaps: reading originals, and making their immutable copies.

use crate::error::ClusterError;
use crate::namespace::{FIELD_MANAGER, Namespace};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::try_join_all;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use sluice_domain::bundle::ConfigCopy;
use sluice_domain::plan::{ConfigData, MANAGED_BY, MANAGED_BY_LABEL};
use std::collections::{BTreeMap, BTreeSet};

/// The annotation of a copy that names its original.
const COPY_OF: &str = "sluice.dev/copy-of";
/// The longest value of a label (Kubernetes, labels and selectors); names of ConfigMaps may be longer.
const LONGEST_LABEL: usize = 63;

impl Namespace {
    /// The content of these ConfigMaps; none for one that does not exist.
    pub async fn config_maps(
        &self,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Option<ConfigData>>, ClusterError> {
        let read = |name: &String| {
            let name = name.clone();
            async move { Ok::<_, ClusterError>((name.clone(), self.config_map(&name).await?.map(content))) }
        };
        Ok(try_join_all(names.iter().map(read)).await?.into_iter().collect())
    }

    pub(crate) async fn config_map(&self, name: &str) -> Result<Option<ConfigMap>, ClusterError> {
        let get = |client| async move {
            Api::<ConfigMap>::namespaced(client, self.name())
                .get_opt(name)
                .await
        };
        self.ask(&format!("ConfigMap {name}"), get).await
    }

    /// Makes a copy. One that exists must hold the same: its name is a hash of its content, and it cannot be changed.
    pub(crate) async fn ensure_copy(&self, copy: &ConfigCopy) -> Result<(), ClusterError> {
        let object = format!("ConfigMap {}", copy.name);
        let wanted = config_map_of(copy).map_err(|error| ClusterError::Invalid {
            object: self.place_of(&object),
            message: format!("binaryData is no base64: {error}"),
        })?;
        let found = match self.create_copy(&object, &wanted).await? {
            Some(created) => Some(created),
            None => self.config_map(&copy.name).await?,
        };
        match found {
            Some(found) if content(found.clone()) == content(wanted) => Ok(()),
            Some(_) => {
                let message = "its name stands for other content: delete it, and try again".to_owned();
                Err(ClusterError::Altered {
                    object: self.place_of(&object),
                    message,
                })
            }
            None => Err(ClusterError::Conflict {
                object,
                message: "it was deleted while it was read".to_owned(),
            }),
        }
    }

    /// None where it exists already.
    async fn create_copy(&self, object: &str, copy: &ConfigMap) -> Result<Option<ConfigMap>, ClusterError> {
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let create = |client| {
            let parameters = &parameters;
            async move {
                match Api::<ConfigMap>::namespaced(client, self.name())
                    .create(parameters, copy)
                    .await
                {
                    Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
                    other => other.map(Some),
                }
            }
        };
        self.ask(object, create).await
    }
}

fn config_map_of(copy: &ConfigCopy) -> Result<ConfigMap, base64::DecodeError> {
    let binary = copy
        .binary_data
        .iter()
        .map(|(key, text)| Ok((key.clone(), ByteString(STANDARD.decode(text)?))));
    let binary: BTreeMap<_, _> = binary.collect::<Result<_, _>>()?;
    let mut label: String = copy.original.chars().take(LONGEST_LABEL).collect();
    label.truncate(label.trim_end_matches(['-', '.', '_']).len());
    let labels = [
        (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
        (COPY_OF.to_owned(), label),
    ];
    Ok(ConfigMap {
        metadata: ObjectMeta {
            name: Some(copy.name.clone()),
            labels: Some(labels.into()),
            annotations: Some([(COPY_OF.to_owned(), copy.original.clone())].into()),
            ..ObjectMeta::default()
        },
        data: (!copy.data.is_empty()).then(|| copy.data.clone()),
        binary_data: (!binary.is_empty()).then_some(binary),
        immutable: Some(true),
    })
}

fn content(map: ConfigMap) -> ConfigData {
    let binary = map.binary_data.unwrap_or_default();
    ConfigData {
        data: map.data.unwrap_or_default(),
        binary_data: binary
            .into_iter()
            .map(|(key, ByteString(bytes))| (key, STANDARD.encode(bytes)))
            .collect(),
    }
}
