//! Helm releases, as helm's own Secrets hold them.

use crate::error::ClusterError;
use crate::helm_record::{self, decode, encode, failed, fence_of_label, secret_name};
use crate::namespace::{FIELD_MANAGER, Namespace};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::ObjectMeta;
use serde_json::{Value, json};
use sluice_domain::helm::{HelmHead, HelmRevision, HelmStatus, own_fence};
use std::cmp::Reverse;

/// The type of the Secrets (Helm 3 and 4, `pkg/storage/driver/secrets.go`).
const TYPE: &str = "helm.sh/release.v1";
/// The key of the record.
const KEY: &str = "release";

impl Namespace {
    /// The revisions of a release, newest first, with everything that helm keeps of each. A Secret that cannot be read
    /// fails it, and is named.
    pub async fn helm_revisions(&self, release: &str) -> Result<Vec<HelmRevision>, ClusterError> {
        let wanted = &of_release(release);
        let list = |client| async move { Api::<Secret>::namespaced(client, self.name()).list(wanted).await };
        let found = self
            .ask(&format!("the Secrets of Helm release {release}"), list)
            .await?;
        let mut revisions = found
            .items
            .iter()
            .map(|secret| self.revision_of(secret))
            .collect::<Result<Vec<_>, _>>()?;
        let labels = found.items.iter().map(|secret| &secret.metadata);
        let labels: Vec<_> = revisions
            .iter()
            .map(|revision| revision.revision)
            .zip(labels.map(fence_of_label))
            .collect();
        for revision in &mut revisions {
            let said = Some(revision.description.as_str());
            revision.fence = own_fence(revision.revision, revision.fence, said, &labels);
        }
        revisions.sort_by_key(|revision| Reverse(revision.revision));
        Ok(revisions)
    }

    /// The revisions of a release, newest first, as far as their labels tell.
    pub async fn helm_heads(&self, release: &str) -> Result<Vec<HelmHead>, ClusterError> {
        let wanted = &of_release(release);
        let list = |client| async move {
            Api::<Secret>::namespaced(client, self.name())
                .list_metadata(wanted)
                .await
        };
        let found = self
            .ask(&format!("the Secrets of Helm release {release}"), list)
            .await?;
        let read = |metadata: &ObjectMeta| {
            helm_record::head(metadata).map_err(|message| self.unreadable(metadata, message))
        };
        let heads = found.items.iter().map(|object| read(&object.metadata));
        let mut heads = heads.collect::<Result<Vec<_>, _>>()?;
        let labels = found.items.iter().map(|object| &object.metadata);
        let labels: Vec<_> = heads
            .iter()
            .map(|head| head.revision)
            .zip(labels.map(fence_of_label))
            .collect();
        for head in &mut heads {
            head.fence = own_fence(head.revision, head.fence, None, &labels);
        }
        heads.sort_by_key(|head| Reverse(head.revision));
        Ok(heads)
    }

    /// One revision; none where helm does not have it.
    pub async fn helm_revision(
        &self,
        release: &str,
        revision: u32,
    ) -> Result<Option<HelmRevision>, ClusterError> {
        let found = self.release_secret(release, revision).await?;
        found.map(|secret| self.revision_of(&secret)).transpose()
    }

    /// Sets a revision that is pending to failed, as helm itself would have if it had not been ended, and says why: helm
    /// refuses to start beside a pending one. That helm has really ended is for the caller to know. A revision that failed
    /// already stays as it is; one that is neither is refused. It fails with a conflict where somebody changes the Secret in
    /// the same moment.
    pub async fn fail_helm_revision(
        &self,
        release: &str,
        revision: u32,
        why: &str,
    ) -> Result<(), ClusterError> {
        let name = secret_name(release, revision);
        let secret = self
            .release_secret(release, revision)
            .await?
            .ok_or_else(|| ClusterError::Missing {
                what: self.place_of(&format!("Secret {name}")),
                next: "the revision may have been pruned: look again".to_owned(),
            })?;
        let status = self.revision_of(&secret)?.status;
        if status == HelmStatus::Failed {
            return Ok(());
        }
        if !status.is_pending() {
            return Err(ClusterError::Invalid {
                object: self.place_of(&format!("revision {revision} of Helm release {release}")),
                message: format!(
                    "it is {}: only one that is pending can be given up",
                    status.word()
                ),
            });
        }
        let unreadable = |message| self.unreadable(&secret.metadata, message);
        let record = failed(self.record_of(&secret)?, why).map_err(unreadable)?;
        let data = STANDARD.encode(encode(&record).map_err(unreadable)?);
        self.write_failed(&name, secret.metadata.resource_version.as_deref(), &data)
            .await
    }

    /// Conditional on the version that was read. What comes back must say what was written.
    async fn write_failed(&self, name: &str, version: Option<&str>, data: &str) -> Result<(), ClusterError> {
        let object = format!("Secret {name}");
        let status = HelmStatus::Failed.word();
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": version, "labels": {"status": status}},
            "data": {KEY: data},
        }));
        let send = |client| {
            let (parameters, patch) = (&parameters, &patch);
            async move {
                Api::<Secret>::namespaced(client, self.name())
                    .patch(name, parameters, patch)
                    .await
            }
        };
        let written = self.ask(&object, send).await?;
        match self.revision_of(&written)?.status {
            HelmStatus::Failed => Ok(()),
            other => Err(ClusterError::Altered {
                object: self.place_of(&object),
                message: format!("its status is {}, not {status}", other.word()),
            }),
        }
    }

    async fn release_secret(&self, release: &str, revision: u32) -> Result<Option<Secret>, ClusterError> {
        let name = &secret_name(release, revision);
        let get = |client| async move { Api::<Secret>::namespaced(client, self.name()).get_opt(name).await };
        self.ask(&format!("Secret {name}"), get).await
    }

    fn revision_of(&self, secret: &Secret) -> Result<HelmRevision, ClusterError> {
        let record = self.record_of(secret)?;
        helm_record::revision(&secret.metadata, &record)
            .map_err(|message| self.unreadable(&secret.metadata, message))
    }

    fn record_of(&self, secret: &Secret) -> Result<Value, ClusterError> {
        let data = secret.data.as_ref().and_then(|data| data.get(KEY));
        data.ok_or_else(|| format!("it has no `{KEY}`"))
            .and_then(|data| decode(&data.0))
            .map_err(|message| self.unreadable(&secret.metadata, message))
    }

    fn unreadable(&self, metadata: &ObjectMeta, message: String) -> ClusterError {
        let name = metadata.name.as_deref().unwrap_or_default();
        ClusterError::Invalid {
            object: self.place_of(&format!("Secret {name}, in which helm keeps a revision,")),
            message,
        }
    }
}

fn of_release(release: &str) -> ListParams {
    ListParams::default()
        .labels(&format!("owner=helm,name={release}"))
        .fields(&format!("type={TYPE}"))
}
