//! The environment of a container, as far as a simulated log can show it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret};
use kube::api::Api;
use kube::{Client, ResourceExt};

/// Its variables: literal ones, of ConfigMaps and Secrets, and the pod's name and namespace. What cannot be read is empty.
pub async fn of_container(client: &Client, pod: &Pod, container: &Container) -> BTreeMap<String, String> {
    let place = Place {
        client,
        namespace: pod.namespace().unwrap_or_default(),
    };
    let mut variables = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.clone().unwrap_or_default();
        let data = match (&source.config_map_ref, &source.secret_ref) {
            (Some(map), _) => place.config_map(&map.name).await,
            (None, Some(secret)) => place.secret(&secret.name).await,
            (None, None) => BTreeMap::new(),
        };
        variables.extend(
            data.into_iter()
                .map(|(key, value)| (format!("{prefix}{key}"), value)),
        );
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => place.value(pod, source).await,
            None => variable.value.clone().unwrap_or_default(),
        };
        variables.insert(variable.name.clone(), value);
    }
    variables
}

struct Place<'c> {
    client: &'c Client,
    namespace: String,
}

impl Place<'_> {
    async fn value(&self, pod: &Pod, source: &EnvVarSource) -> String {
        let field = source.field_ref.as_ref().map(|field| field.field_path.as_str());
        let found = match (&source.config_map_key_ref, &source.secret_key_ref, field) {
            (Some(map), _, _) => self.config_map(&map.name).await.remove(&map.key),
            (_, Some(secret), _) => self.secret(&secret.name).await.remove(&secret.key),
            (_, _, Some("metadata.name")) => Some(pod.name_any()),
            (_, _, Some("metadata.namespace")) => Some(self.namespace.clone()),
            _ => None,
        };
        found.unwrap_or_default()
    }

    async fn config_map(&self, name: &str) -> BTreeMap<String, String> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace);
        let found = api.get_opt(name).await.ok().flatten();
        found.and_then(|map| map.data).unwrap_or_default()
    }

    async fn secret(&self, name: &str) -> BTreeMap<String, String> {
        let api = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let found = api.get_opt(name).await.ok().flatten();
        let data = found.and_then(|secret| secret.data).unwrap_or_default();
        let text = |(key, value): (String, k8s_openapi::ByteString)| {
            (key, String::from_utf8_lossy(&value.0).into_owned())
        };
        data.into_iter().map(text).collect()
    }
}

/// The text with each `$NAME` replaced by that variable's value; a name that is no variable stays as it is.
pub fn replaced(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut parts = text.split('$');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        match variables.get(name) {
            Some(value) => whole.push_str(value),
            None => {
                whole.push('$');
                whole.push_str(name);
            }
        }
        whole.push_str(rest);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_nothing_else() {
        let variables =
            [("SLUICE_IMAGE", "a@sha256:1"), ("A", "x")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        for (text, wanted) in [
            ("migrated with $SLUICE_IMAGE.", "migrated with a@sha256:1."),
            ("$A$A/$A", "xx/x"),
            ("$AB costs 5$", "$AB costs 5$"),
            ("", ""),
        ] {
            assert_eq!(replaced(text, &variables.clone().into()), wanted);
        }
    }
}
