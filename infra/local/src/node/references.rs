//! ConfigMaps and Secrets that a pod cannot start without.

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, PodSpec, Secret};
use kube::api::Api;
use kube::{Client, ResourceExt};

/// Something that must exist before a container can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// A ConfigMap, or one key of it.
    ConfigMap(String, Option<String>),
    /// A Secret, or one key of it.
    Secret(String, Option<String>),
}

/// What the environment of a container needs; without it a kubelet says CreateContainerConfigError.
pub fn of_container(container: &Container) -> Vec<Needed> {
    let mut needed = Vec::new();
    for source in container.env_from.iter().flatten() {
        if let Some(map) = source
            .config_map_ref
            .as_ref()
            .filter(|map| map.optional != Some(true))
        {
            needed.push(Needed::ConfigMap(map.name.clone(), None));
        }
        if let Some(secret) = source
            .secret_ref
            .as_ref()
            .filter(|secret| secret.optional != Some(true))
        {
            needed.push(Needed::Secret(secret.name.clone(), None));
        }
    }
    for source in container
        .env
        .iter()
        .flatten()
        .filter_map(|variable| variable.value_from.as_ref())
    {
        if let Some(map) = source
            .config_map_key_ref
            .as_ref()
            .filter(|map| map.optional != Some(true))
        {
            needed.push(Needed::ConfigMap(map.name.clone(), Some(map.key.clone())));
        }
        if let Some(secret) = source
            .secret_key_ref
            .as_ref()
            .filter(|secret| secret.optional != Some(true))
        {
            needed.push(Needed::Secret(secret.name.clone(), Some(secret.key.clone())));
        }
    }
    needed
}

/// What a pod's volumes need, with the volume's name; without it a kubelet leaves the pod in ContainerCreating and
/// says FailedMount in an event.
pub fn of_volumes(spec: &PodSpec) -> Vec<(String, Needed)> {
    let mut needed = Vec::new();
    for volume in spec.volumes.iter().flatten() {
        let mut need = |what| needed.push((volume.name.clone(), what));
        if let Some(map) = volume
            .config_map
            .as_ref()
            .filter(|map| map.optional != Some(true))
        {
            need(Needed::ConfigMap(map.name.clone(), None));
        }
        if let Some(secret) = volume
            .secret
            .as_ref()
            .filter(|secret| secret.optional != Some(true))
        {
            need(Needed::Secret(
                secret.secret_name.clone().unwrap_or_default(),
                None,
            ));
        }
        for source in volume
            .projected
            .iter()
            .filter_map(|projected| projected.sources.as_ref())
            .flatten()
        {
            if let Some(map) = source
                .config_map
                .as_ref()
                .filter(|map| map.optional != Some(true))
            {
                need(Needed::ConfigMap(map.name.clone(), None));
            }
            if let Some(secret) = source
                .secret
                .as_ref()
                .filter(|secret| secret.optional != Some(true))
            {
                need(Needed::Secret(secret.name.clone(), None));
            }
        }
    }
    needed
}

/// What is wrong with a needed object, in a kubelet's words; none when it is there.
pub async fn missing(client: &Client, pod: &Pod, needed: &Needed) -> Option<String> {
    let namespace = pod.namespace().unwrap_or_default();
    match needed {
        Needed::ConfigMap(name, key) => {
            let found = Api::<ConfigMap>::namespaced(client.clone(), &namespace)
                .get_opt(name)
                .await;
            let has = |map: &ConfigMap, key: &String| {
                map.data.as_ref().is_some_and(|data| data.contains_key(key))
                    || map
                        .binary_data
                        .as_ref()
                        .is_some_and(|data| data.contains_key(key))
            };
            judge(found, "ConfigMap", &namespace, name, key.as_ref(), has)
        }
        Needed::Secret(name, key) => {
            let found = Api::<Secret>::namespaced(client.clone(), &namespace)
                .get_opt(name)
                .await;
            let has = |secret: &Secret, key: &String| {
                secret.data.as_ref().is_some_and(|data| data.contains_key(key))
            };
            judge(found, "Secret", &namespace, name, key.as_ref(), has)
        }
    }
}

fn judge<K>(
    found: kube::Result<Option<K>>,
    kind: &str,
    namespace: &str,
    name: &str,
    key: Option<&String>,
    has: impl Fn(&K, &String) -> bool,
) -> Option<String> {
    match (found, key) {
        (Err(error), _) => Some(format!("{} \"{name}\": {error}", kind.to_lowercase())),
        (Ok(None), _) => Some(format!("{} \"{name}\" not found", kind.to_lowercase())),
        (Ok(Some(object)), Some(key)) if !has(&object, key) => {
            Some(format!("couldn't find key {key} in {kind} {namespace}/{name}"))
        }
        (Ok(Some(_)), _) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn optional_references_are_not_needed() {
        let container: Container = serde_json::from_value(json!({"name": "api",
            "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b", "optional": true}}],
            "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "c", "key": "k"}}},
                    {"name": "Y", "valueFrom": {"configMapKeyRef": {"name": "d", "key": "k", "optional": true}}}]})).unwrap();
        assert_eq!(
            of_container(&container),
            [
                Needed::ConfigMap("a".into(), None),
                Needed::Secret("c".into(), Some("k".into()))
            ]
        );
    }

    #[test]
    fn volumes_name_what_they_mount() {
        let spec: PodSpec = serde_json::from_value(json!({"containers": [], "volumes": [
            {"name": "v", "configMap": {"name": "a"}}, {"name": "w", "secret": {"secretName": "b", "optional": true}},
            {"name": "x", "projected": {"sources": [{"secret": {"name": "c"}}]}}]})).unwrap();
        assert_eq!(
            of_volumes(&spec),
            [
                ("v".into(), Needed::ConfigMap("a".into(), None)),
                ("x".into(), Needed::Secret("c".into(), None))
            ]
        );
    }
}
