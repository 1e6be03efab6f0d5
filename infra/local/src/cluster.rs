//! The administrator of a cluster: clients, files applied, and namespaces for isolated tests.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{GroupVersionKind, ObjectMeta};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, Config, ResourceExt, discovery};
use serde_json::json;

use crate::environment::Cluster;

/// Namespaces that carry this label are Sluice's to deliver to; the policies of `infra/cluster` select it.
pub const MANAGED: &str = "sluice.dev/managed";

const FIELD_MANAGER: &str = "sluice-local";
const SERVED_WITHIN: Duration = Duration::from_secs(30);

impl Cluster {
    /// A client with all rights, straight to the API server.
    pub async fn admin(&self) -> Result<Client> {
        admin(&self.kubeconfig).await
    }

    /// A namespace `t-<name>` for one test, set up as the cluster's first namespace is: the same labels, Roles and
    /// RoleBindings.
    pub async fn create_test_namespace(&self, name: &str) -> Result<String> {
        let client = self.admin().await?;
        let first = self
            .namespaces
            .first()
            .context("the cluster has no namespace to copy")?;
        let model = Api::<Namespace>::all(client.clone()).get(first).await?;
        let namespace = format!("t-{name}");
        let mut labels = model.labels().clone();
        labels.remove("kubernetes.io/metadata.name");
        let wanted = Namespace {
            metadata: ObjectMeta {
                name: Some(namespace.clone()),
                labels: Some(labels),
                ..Default::default()
            },
            ..Default::default()
        };
        Api::all(client.clone())
            .create(&PostParams::default(), &wanted)
            .await?;
        copy_all::<Role>(&client, first, &namespace).await?;
        copy_all::<RoleBinding>(&client, first, &namespace).await?;
        Ok(namespace)
    }

    /// Deletes a namespace with everything in it, without waiting until it is gone.
    pub async fn delete_namespace(&self, name: &str) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.admin().await?);
        match namespaces.delete(name, &DeleteParams::background()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error).with_context(|| format!("deleting namespace {name}")),
        }
    }
}

async fn copy_all<K>(client: &Client, from: &str, to: &str) -> Result<()>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
{
    for mut object in Api::<K>::namespaced(client.clone(), from)
        .list(&Default::default())
        .await?
    {
        let name = object.name_any();
        *object.meta_mut() = ObjectMeta {
            name: Some(name),
            labels: object.meta().labels.clone(),
            ..Default::default()
        };
        Api::<K>::namespaced(client.clone(), to)
            .create(&PostParams::default(), &object)
            .await?;
    }
    Ok(())
}

/// A client from a kubeconfig file.
pub async fn admin(kubeconfig: &Path) -> Result<Client> {
    let read =
        Kubeconfig::read_from(kubeconfig).with_context(|| format!("reading {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Creates the namespaces that Sluice delivers to, labelled as its policies need.
pub async fn ensure_namespaces(client: &Client, names: &[String]) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in names {
        let wanted = json!({"apiVersion": "v1", "kind": "Namespace",
                            "metadata": {"name": name, "labels": {MANAGED: "true"}}});
        namespaces
            .patch(
                name,
                &PatchParams::apply(FIELD_MANAGER).force(),
                &Patch::Apply(wanted),
            )
            .await?;
    }
    Ok(())
}

/// Applies every YAML file of a folder, by name; a namespaced object that names no namespace goes into each of
/// `namespaces`. A folder that does not exist has nothing to apply.
pub async fn apply_folder(client: &Client, folder: &Path, namespaces: &[String]) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
    });
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file)?;
        apply_text(client, &text, namespaces)
            .await
            .with_context(|| format!("applying {}", file.display()))?;
    }
    Ok(())
}

/// Waits until the API server serves every definition of these names.
pub async fn wait_until_served(client: &Client, names: &[String]) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in names {
        let served = await_condition(definitions.clone(), name, conditions::is_crd_established());
        tokio::time::timeout(SERVED_WITHIN, served)
            .await
            .with_context(|| format!("the definition {name} is not served"))??;
    }
    Ok(())
}

/// Applies every definition of a folder and waits until they are served.
pub async fn define(client: &Client, folder: &Path) -> Result<()> {
    apply_folder(client, folder, &[]).await?;
    let mut names = Vec::new();
    for definition in Api::<CustomResourceDefinition>::all(client.clone())
        .list_metadata(&Default::default())
        .await?
    {
        names.push(definition.name_any());
    }
    wait_until_served(client, &names).await
}

/// Opts namespaces in as people do it: with the folder's `namespace.yaml.example`.
pub async fn opt_in(client: &Client, folder: &Path, namespaces: &[String]) -> Result<()> {
    match fs::read_to_string(folder.join("namespace.yaml.example")) {
        Ok(text) => apply_text(client, &text, namespaces)
            .await
            .context("opting namespaces in"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).context("reading namespace.yaml.example"),
    }
}

/// Applies every document of a YAML text, server-side.
pub async fn apply_text(client: &Client, text: &str, namespaces: &[String]) -> Result<()> {
    let documents: Vec<Option<DynamicObject>> = serde_saphyr::from_multiple(text)?;
    for object in documents.into_iter().flatten() {
        apply_object(client, &object, namespaces).await?;
    }
    Ok(())
}

async fn apply_object(client: &Client, object: &DynamicObject, namespaces: &[String]) -> Result<()> {
    let types = object
        .types
        .as_ref()
        .context("a document has no apiVersion and kind")?;
    let kind = GroupVersionKind::try_from(types)?;
    let (resource, capabilities) = discovery::pinned_kind(client, &kind).await?;
    let targets: Vec<Api<DynamicObject>> = match (&capabilities.scope, object.namespace()) {
        (discovery::Scope::Cluster, _) => vec![Api::all_with(client.clone(), &resource)],
        (_, Some(namespace)) => vec![Api::namespaced_with(client.clone(), &namespace, &resource)],
        (_, None) => namespaces
            .iter()
            .map(|name| Api::namespaced_with(client.clone(), name, &resource))
            .collect(),
    };
    let name = object.name_any();
    for api in targets {
        api.patch(
            &name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(object),
        )
        .await
        .with_context(|| format!("applying {} {name}", types.kind))?;
    }
    Ok(())
}
