//! An Ingress of the AWS Load Balancer Controller: the weighted target groups of one `actions.` annotation.
//!
//! Sources: AWS Load Balancer Controller, "Ingress annotations" (`actions.${action-name}`: the backend service name is the
//! action's, its port `use-annotation`; `weight` must be set where there are several target groups; `target-type` ip or
//! instance, from the Ingress, its Services or its class); Elastic Load Balancing API, TargetGroupTuple (weight 0 to 999) and
//! "Quotas for your Application Load Balancers" (5 target groups per action); Application Load Balancers, "Sticky sessions"
//! (a client with the cookie stays on its target group, whatever the weights).

use super::backends::Form;
use super::{RouterFault, Routing, Shares};
use crate::tracks::{Track, Weights};
use serde_json::{Value, json};

const PREFIX: &str = "alb.ingress.kubernetes.io/";
const HIGHEST: u64 = 999;
const MOST: usize = 5;

pub(super) fn weights(
    routing: &Routing<'_>,
    ingress: &str,
    action: &str,
    object: &Value,
) -> Result<Weights, RouterFault> {
    let shares = meets(routing, ingress, action, object)?;
    let read = Action::read(routing, ingress, action, object)?;
    read.check(object)?;
    routing.weights_of(read.place(), &shares)
}

pub(super) fn meets(
    routing: &Routing<'_>,
    ingress: &str,
    action: &str,
    object: &Value,
) -> Result<Shares, RouterFault> {
    let read = Action::read(routing, ingress, action, object)?;
    let list = read.list()?;
    let name = |entry: &Value| read.name_of(entry);
    read.form(list, &name).shares(list)
}

pub(super) fn with_weights(
    routing: &Routing<'_>,
    ingress: &str,
    action: &str,
    object: &Value,
    weights: Weights,
) -> Result<Value, RouterFault> {
    let read = Action::read(routing, ingress, action, object)?;
    let list = read.list()?;
    let name = |entry: &Value| read.name_of(entry);
    let list = read.form(list, &name).with_weights(routing, list, weights)?;
    let mut content = read.content.clone();
    if let Some(forward) = content
        .pointer_mut("/forwardConfig")
        .and_then(Value::as_object_mut)
    {
        forward.insert("targetGroups".to_owned(), Value::Array(list));
    }
    let mut written = object.clone();
    let annotations = written
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.insert(read.annotation.clone(), json!(content.to_string()));
    }
    Ok(written)
}

/// An action of an Ingress, read.
pub(super) struct Action<'a> {
    pub routing: &'a Routing<'a>,
    pub ingress: &'a str,
    pub action: &'a str,
    annotation: String,
    content: Value,
    pub namespace: String,
}

impl<'a> Action<'a> {
    pub fn read(
        routing: &'a Routing<'a>,
        ingress: &'a str,
        action: &'a str,
        object: &Value,
    ) -> Result<Self, RouterFault> {
        let annotation = format!("{PREFIX}actions.{action}");
        let wanted = example(routing);
        let Some(found) = annotations(object).find(|(name, _)| *name == annotation) else {
            let others = annotations(object)
                .filter_map(|(name, _)| name.strip_prefix(PREFIX)?.strip_prefix("actions."));
            let others: Vec<_> = others.collect();
            return Err(RouterFault::NoAction {
                object: routing.object(),
                annotation,
                found: if others.is_empty() {
                    "no action".to_owned()
                } else {
                    others.join(", ")
                },
                wanted,
            });
        };
        let content = serde_json::from_str(found.1).map_err(|error| RouterFault::NotJson {
            object: routing.object(),
            annotation: annotation.clone(),
            reason: error.to_string(),
            wanted,
        })?;
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
        Ok(Self {
            routing,
            ingress,
            action,
            annotation,
            content,
            namespace: namespace.unwrap_or_default().to_owned(),
        })
    }

    /// Its target groups, one of which is of a governed Service.
    pub fn list(&self) -> Result<&[Value], RouterFault> {
        let kind = self.content.get("type").and_then(Value::as_str);
        let list = self
            .content
            .pointer("/forwardConfig/targetGroups")
            .and_then(Value::as_array);
        let (Some("forward"), Some(list)) = (kind, list) else {
            return Err(RouterFault::NotForward {
                object: self.routing.object(),
                annotation: self.annotation.clone(),
                found: self.content.to_string(),
                wanted: example(self.routing),
            });
        };
        let names: Vec<_> = list.iter().map(|entry| self.name_of(entry)).collect();
        if names.iter().any(|(_, is_ours)| *is_ours) {
            return Ok(list);
        }
        let found: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        Err(RouterFault::NotNamed {
            object: self.place(),
            found: if found.is_empty() {
                "no target group".to_owned()
            } else {
                found.join(", ")
            },
            ours: self.routing.names(),
            root: self.routing.services.root.clone(),
        })
    }

    fn place(&self) -> String {
        format!("{}, action {}", self.routing.object(), self.action)
    }

    pub fn name_of(&self, entry: &Value) -> (String, bool) {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        match (
            text("serviceName"),
            text("targetGroupARN"),
            text("targetGroupName"),
        ) {
            (Some(service), ..) => (service.to_owned(), self.routing.governs(service)),
            (None, Some(group), _) | (None, None, Some(group)) => (group.to_owned(), false),
            (None, None, None) => ("an entry without a name".to_owned(), false),
        }
    }

    fn form<'f>(&self, list: &[Value], name: &'f dyn Fn(&Value) -> (String, bool)) -> Form<'f> {
        Form {
            object: self.place(),
            field: "forwardConfig.targetGroups".to_owned(),
            key: "serviceName",
            default: (list.len() == 1).then_some(1),
            highest: HIGHEST,
            most: MOST,
            name,
        }
    }

    /// What would make the weights say something else than what requests meet.
    fn check(&self, object: &Value) -> Result<(), RouterFault> {
        let (place, annotation) = (self.routing.object(), self.annotation.clone());
        if self.paths(object) == 0 {
            let action = self.action.to_owned();
            return Err(RouterFault::ActionUnused {
                object: place,
                action,
            });
        }
        let others = self.other_actions(object);
        if !others.is_empty() {
            return Err(RouterFault::SeveralActions {
                object: place,
                found: others.join(", "),
                annotation,
                ours: self.routing.names(),
            });
        }
        let sticky = self
            .content
            .pointer("/forwardConfig/targetGroupStickinessConfig/enabled");
        if sticky.and_then(Value::as_bool) == Some(true) {
            return Err(RouterFault::Sticky {
                object: place,
                annotation,
            });
        }
        let kind = annotations(object).find(|(name, _)| *name == format!("{PREFIX}target-type"));
        match kind {
            Some((_, found)) if found != "ip" => Err(RouterFault::TargetType {
                object: place,
                found: found.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Other actions that name the Service of a track. The root alone may be named elsewhere: it follows the live track.
    fn other_actions(&self, object: &Value) -> Vec<String> {
        let services = self.routing.services;
        let names_a_track = |text: &str| {
            let read: Value = serde_json::from_str(text).unwrap_or_default();
            let list = read
                .pointer("/forwardConfig/targetGroups")
                .and_then(Value::as_array)
                .cloned();
            let mut names = list.into_iter().flatten().map(|entry| self.name_of(&entry).0);
            names.any(|name| name == services.of(Track::Blue) || name == services.of(Track::Green))
        };
        let others = annotations(object).filter(|(name, text)| {
            name.starts_with(&format!("{PREFIX}actions.")) && *name != self.annotation && names_a_track(text)
        });
        others.map(|(name, _)| name.to_owned()).collect()
    }

    /// How many of the Ingress's paths lead to the action; its default backend is one.
    pub fn paths(&self, object: &Value) -> usize {
        backends(object)
            .filter(|backend| {
                text(backend, "/service/name") == self.action
                    && text(backend, "/service/port/name") == "use-annotation"
            })
            .count()
    }

    /// Whether a path leads to the root Service itself, beside the action.
    pub fn has_direct_path(&self, object: &Value) -> bool {
        backends(object).any(|backend| text(backend, "/service/name") == self.routing.services.root)
    }
}

/// What the annotation says before there are tracks.
fn example(routing: &Routing<'_>) -> String {
    let group = json!({"serviceName": routing.services.root, "servicePort": 80, "weight": 100});
    json!({"type": "forward", "forwardConfig": {"targetGroups": [group]}}).to_string()
}

fn annotations(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    let all = object.pointer("/metadata/annotations").and_then(Value::as_object);
    all.into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

/// The backends of an Ingress: of its paths, and the default one.
fn backends(object: &Value) -> impl Iterator<Item = &Value> {
    let rules = object.pointer("/spec/rules").and_then(Value::as_array);
    let paths = rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule.pointer("/http/paths").and_then(Value::as_array))
        .flatten();
    let of_paths = paths.filter_map(|path| path.get("backend"));
    of_paths.chain(object.pointer("/spec/defaultBackend"))
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
