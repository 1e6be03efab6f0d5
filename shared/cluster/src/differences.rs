//! What a server-side apply would change: asked of the API server by a dry run, so that its defaults, webhooks and conflicts
//! count, and nothing is written.

use crate::autoscalers::targets;
use crate::error::ClusterError;
use crate::namespace::Namespace;
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::{Discovery, Scope};
use serde_json::Value;
use sluice_domain::bundle::WorkloadKind;
use sluice_domain::difference::{Change, Difference, compare, taken_over};
use sluice_domain::workload::WorkloadRef;
use std::collections::{BTreeMap, BTreeSet};

/// Requests at a time.
const AT_ONCE: usize = 8;
/// How often an object that changes while it is compared is looked at.
const TRIES: u32 = 5;
/// The annotation by which a chart keeps an object that it no longer has (Helm, "Chart Development Tips and Tricks").
const RESOURCE_POLICY: &str = "/metadata/annotations/helm.sh~1resource-policy";

/// What the API server's refusal of one object means for the whole comparison.
enum Answer {
    /// As it would be.
    Object(Box<Value>),
    /// A sentence about this one object.
    Note(String),
}

/// An object of a manifest, and where it lives.
struct Placed<'m> {
    manifest: &'m Value,
    kind: String,
    name: String,
    namespace: Option<String>,
    resource: ApiResource,
}

/// What all comparisons of one call share.
struct Around {
    discovery: Discovery,
    autoscaled: BTreeSet<WorkloadRef>,
    manager: String,
}

impl Namespace {
    /// What applying `wanted` as this field manager, with force, and deleting `gone` would change. Objects that would stay
    /// as they are, or are not there to be deleted, are left out.
    ///
    /// One without a namespace is in this one. A kind that the cluster does not know (yet), an object that may not be read
    /// or tried, and one that is refused for its content have a note that says so instead of failing the rest.
    ///
    /// A field that was written otherwise than by server-side apply (Helm 3, `kubectl edit`) and that the manifest does not
    /// name stays as it is in a server-side apply, and is not told.
    pub async fn differences(
        &self,
        wanted: &[Value],
        gone: &[Value],
        manager: &str,
    ) -> Result<Vec<Difference>, ClusterError> {
        let discover = |client| async move { Discovery::new(client).run_aggregated().await };
        let (discovery, autoscalers) = tokio::try_join!(
            self.ask("the kinds that the cluster knows", discover),
            self.autoscalers()
        )?;
        let mut autoscaled = targets(&autoscalers);
        autoscaled.extend(wanted.iter().filter_map(target_of));
        let around = &Around {
            discovery,
            autoscaled,
            manager: manager.to_owned(),
        };
        let changed = stream::iter(wanted).map(|manifest| self.difference(manifest, around));
        let changed: Vec<_> = changed.buffered(AT_ONCE).try_collect().await?;
        let deleted = stream::iter(gone).map(|manifest| self.deletion(manifest, around));
        let deleted: Vec<_> = deleted.buffered(AT_ONCE).try_collect().await?;
        Ok(changed.into_iter().chain(deleted).flatten().collect())
    }

    async fn difference(
        &self,
        manifest: &Value,
        around: &Around,
    ) -> Result<Option<Difference>, ClusterError> {
        let placed = match self.placed(manifest, around) {
            Ok(placed) => placed,
            Err(unknown) => return Ok(Some(*unknown)),
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let live = match self.live(&placed).await? {
                Ok(live) => live,
                Err(note) => return Ok(Some(placed.noted(Change::Change, note))),
            };
            let change = live.as_ref().map_or(Change::Create, |_| Change::Change);
            let applied = match self.try_apply(&placed, &around.manager).await? {
                Answer::Object(applied) => applied,
                Answer::Note(note) => return Ok(Some(placed.noted(change, note))),
            };
            let Some(live) = live else {
                return Ok(Some(placed.difference(Change::Create)));
            };
            // Else somebody's write in between, such as a controller's annotation, would be told as ours.
            if version(&live) == version(&applied) || tries == TRIES {
                return Ok(placed.compared(&live, &applied, around));
            }
        }
    }

    async fn deletion(&self, manifest: &Value, around: &Around) -> Result<Option<Difference>, ClusterError> {
        // Of a kind that the cluster does not know there is nothing to delete.
        let Ok(placed) = self.placed(manifest, around) else {
            return Ok(None);
        };
        match self.live(&placed).await? {
            Ok(None) => Ok(None),
            Ok(Some(live)) if is_kept(&live) || is_kept(manifest) => Ok(None),
            Ok(Some(_)) => Ok(Some(placed.difference(Change::Delete))),
            Err(note) => Ok(Some(placed.noted(Change::Delete, note))),
        }
    }

    /// The error is the difference that says that its kind is not known.
    fn placed<'m>(&self, manifest: &'m Value, around: &Around) -> Result<Placed<'m>, Box<Difference>> {
        let text = |pointer: &str| {
            let found = manifest.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        let own = Some(text("/metadata/namespace")).filter(|own| !own.is_empty());
        let (group, of_group) = version.split_once('/').unwrap_or(("", &version));
        let known = around
            .discovery
            .resolve_gvk(&GroupVersionKind::gvk(group, of_group, &kind));
        match known {
            Some((resource, capabilities)) => Ok(Placed {
                manifest,
                kind,
                name,
                namespace: (capabilities.scope == Scope::Namespaced)
                    .then(|| own.unwrap_or_else(|| self.name().to_owned())),
                resource,
            }),
            None => Err(Box::new(Difference {
                note: Some(format!(
                    "kind {kind} of {version} is not known to cluster {} yet",
                    self.cluster()
                )),
                name,
                namespace: own,
                change: Change::Create,
                fields: vec![],
                managers: vec![],
                taken: BTreeMap::new(),
                kind,
            })),
        }
    }

    /// As it is. The inner error is why that may not be known.
    async fn live(&self, placed: &Placed<'_>) -> Result<Result<Option<Value>, String>, ClusterError> {
        let get = |client| async move {
            match placed.api(client).get_opt(&placed.name).await {
                Err(kube::Error::Api(status)) if status.code == 403 => Ok(Err(status.message)),
                other => other.map(Ok),
            }
        };
        match self.ask(&placed.label(), get).await? {
            Ok(found) => found
                .map(|found| self.value_of(placed, found))
                .transpose()
                .map(Ok),
            Err(message) => Ok(Err(format!("it may not be read: {message}"))),
        }
    }

    async fn try_apply(&self, placed: &Placed<'_>, manager: &str) -> Result<Answer, ClusterError> {
        let parameters = &PatchParams::apply(manager).force().dry_run().validation_warn();
        let patch = &Patch::Apply(placed.manifest);
        let apply = |client| async move {
            let api = placed.api(client);
            match api.patch(&placed.name, parameters, patch).await {
                Err(kube::Error::Api(status)) => match placed.note_of(status.code, &status.message) {
                    Some(note) => Ok(Err(note)),
                    None => Err(kube::Error::Api(status)),
                },
                other => other.map(Ok),
            }
        };
        match self.ask(&placed.label(), apply).await? {
            Ok(applied) => Ok(Answer::Object(Box::new(self.value_of(placed, applied)?))),
            Err(note) => Ok(Answer::Note(note)),
        }
    }

    fn value_of(&self, placed: &Placed<'_>, object: DynamicObject) -> Result<Value, ClusterError> {
        serde_json::to_value(object).map_err(|error| ClusterError::Invalid {
            object: self.place_of(&placed.label()),
            message: error.to_string(),
        })
    }
}

impl Placed<'_> {
    fn label(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    fn api(&self, client: kube::Client) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.resource),
            None => Api::all_with(client, &self.resource),
        }
    }

    /// What the API server's word about this one object means; none where it is about more than that.
    fn note_of(&self, code: u16, message: &str) -> Option<String> {
        // What is wrong with a Secret may be said by showing it.
        let said = if self.kind == "Secret" && code != 403 {
            "what the API server says may show its content"
        } else {
            message
        };
        match code {
            400 | 422 => Some(format!("it would be refused: {said}")),
            403 => Some(format!("it may not be tried: {said}")),
            404 => Some(format!("it cannot be made yet: {said}")),
            // Also what no schema takes, such as a Secret's data that is no base64. Busy is 429 or 503.
            500 => Some(format!("the API server fails on it: {said}")),
            _ => None,
        }
    }

    fn is_autoscaled(&self, around: &Around) -> bool {
        WorkloadKind::of_name(&self.kind).is_some_and(|kind| {
            let name = self.name.clone();
            around.autoscaled.contains(&WorkloadRef { kind, name })
        })
    }

    fn compared(&self, live: &Value, applied: &Value, around: &Around) -> Option<Difference> {
        let fields = compare(live, applied, self.is_autoscaled(around));
        let taken = taken_over(live, applied, &around.manager);
        let is_same = fields.is_empty() && taken.is_empty();
        (!is_same).then(|| Difference {
            fields,
            managers: taken.keys().cloned().collect(),
            taken,
            ..self.difference(Change::Change)
        })
    }

    fn difference(&self, change: Change) -> Difference {
        Difference {
            kind: self.kind.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            change,
            fields: vec![],
            managers: vec![],
            taken: BTreeMap::new(),
            note: None,
        }
    }

    fn noted(&self, change: Change, note: String) -> Difference {
        Difference {
            note: Some(note),
            ..self.difference(change)
        }
    }
}

/// Of a dry run it is the version that it was tried on.
fn version(object: &Value) -> Option<&Value> {
    object.pointer("/metadata/resourceVersion")
}

fn is_kept(object: &Value) -> bool {
    object.pointer(RESOURCE_POLICY).and_then(Value::as_str) == Some("keep")
}

/// What a HorizontalPodAutoscaler among the manifests would size.
fn target_of(manifest: &Value) -> Option<WorkloadRef> {
    if manifest.get("kind")? != "HorizontalPodAutoscaler" {
        return None;
    }
    let target = manifest.pointer("/spec/scaleTargetRef")?;
    Some(WorkloadRef {
        kind: WorkloadKind::of_name(target.get("kind")?.as_str()?)?,
        name: target.get("name")?.as_str()?.to_owned(),
    })
}
