//! An Ingress as the AWS Load Balancer Controller reads it
//! (<https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/>): its rules, and the
//! forward actions with weights of `alb.ingress.kubernetes.io/actions.<name>`. TLS, redirects, authentication, conditions
//! of their own and groups of Ingresses are not looked at.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Backend, Rule};

const PREFIX: &str = "alb.ingress.kubernetes.io/";
/// The port's name of a backend that is an action.
const ACTION: &str = "use-annotation";

/// What a load balancer is to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    /// In order of priority; the default backend, where there is one, is the last.
    pub rules: Vec<Routed>,
}

/// A rule with what it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// Any host where there is none.
    pub host: Option<String>,
    /// Patterns of which one must match; any path where there is none.
    pub paths: Vec<String>,
    /// Whether it is the listener's default.
    pub default: bool,
    /// Where its requests go.
    pub rule: Rule,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    #[serde(rename = "type")]
    kind: String,
    target_group: Option<Group>,
    forward_config: Option<ForwardConfig>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ForwardConfig {
    #[serde(default)]
    target_groups: Vec<Group>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    service_name: Option<String>,
    /// A number, or text.
    service_port: Option<Value>,
    weight: Option<u32>,
}

/// Whether an Ingress is of the class of Application Load Balancers.
pub fn is_ours(ingress: &Value) -> bool {
    let class = ingress.pointer("/spec/ingressClassName");
    let old = ingress.pointer("/metadata/annotations/kubernetes.io~1ingress.class");
    [class, old].into_iter().flatten().any(|class| class == "alb")
}

/// What the Ingress asks for, or why the controller does not build that.
pub fn model(ingress: &Value) -> Result<Model, String> {
    let annotations: BTreeMap<String, String> = ingress
        .pointer("/metadata/annotations")
        .and_then(|all| Deserialize::deserialize(all).ok())
        .unwrap_or_default();
    let annotation = |name: &str| annotations.get(&format!("{PREFIX}{name}")).map(String::as_str);
    if annotation("target-type") != Some("ip") {
        return Err(
            "target-type instance needs Services of type NodePort: this simulation knows target-type ip"
                .into(),
        );
    }
    if annotation("group.name").is_some() {
        return Err("groups of Ingresses are not simulated".into());
    }
    let namespace = text(ingress, "/metadata/namespace").unwrap_or_default();
    let action = |name: &str| annotation(&format!("actions.{name}"));
    let mut model = Model::default();
    for rule in list(ingress, "/spec/rules") {
        for path in list(rule, "/http/paths") {
            model.rules.push(Routed {
                host: text(rule, "/host").map(str::to_owned),
                paths: patterns(path),
                default: false,
                rule: backend(path.get("backend"), namespace, &action)?,
            });
        }
    }
    if let Some(found) = ingress.pointer("/spec/defaultBackend") {
        model.rules.push(Routed {
            host: None,
            paths: Vec::new(),
            default: true,
            rule: backend(Some(found), namespace, &action)?,
        });
    }
    Ok(model)
}

/// The rules alone, as far as they can be read.
pub fn rules(ingress: &Value) -> Vec<Rule> {
    let rules = model(ingress).unwrap_or_default().rules;
    rules.into_iter().map(|routed| routed.rule).collect()
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Of `/api`: itself and what lies below; of a pattern: the pattern.
fn patterns(path: &Value) -> Vec<String> {
    let written = text(path, "/path").unwrap_or("/");
    match text(path, "/pathType") {
        Some("Prefix") if written == "/" => vec!["/*".into()],
        Some("Prefix") => {
            let stem = written.trim_end_matches('/');
            vec![stem.into(), format!("{stem}/*")]
        }
        _ => vec![written.into()],
    }
}

fn backend<'a>(
    backend: Option<&Value>,
    namespace: &str,
    action: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Rule, String> {
    let backend = backend.ok_or("a path has no backend")?;
    let name = text(backend, "/service/name").ok_or("a backend is no Service")?;
    if text(backend, "/service/port/name") == Some(ACTION) {
        let written = action(name).ok_or_else(|| format!("missing {PREFIX}actions.{name} configuration"))?;
        return forward(name, written, namespace);
    }
    let number = backend.pointer("/service/port/number").map(Value::to_string);
    let port = number.or_else(|| text(backend, "/service/port/name").map(str::to_owned));
    Ok(Rule {
        backends: vec![Backend {
            namespace: namespace.to_owned(),
            service: name.to_owned(),
            port: port.unwrap_or_default(),
            weight: 1,
        }],
    })
}

fn forward(name: &str, written: &str, namespace: &str) -> Result<Rule, String> {
    let wrong = |why: String| format!("{PREFIX}actions.{name}: {why}");
    let action: Action = serde_json::from_str(written).map_err(|error| wrong(error.to_string()))?;
    if action.kind != "forward" {
        return Err(wrong(format!(
            "actions of type {} are not simulated",
            action.kind
        )));
    }
    let groups: Vec<Group> = match (action.forward_config, action.target_group) {
        (Some(config), _) => config.target_groups,
        (None, alone) => alone.into_iter().collect(),
    };
    if groups.is_empty() {
        return Err(wrong("it names no target groups".into()));
    }
    let several = groups.len() > 1;
    let read = |group: Group| {
        let (Some(service), Some(port)) = (group.service_name, group.service_port) else {
            return Err(wrong("a target group needs serviceName and servicePort".into()));
        };
        if several && group.weight.is_none() {
            return Err(wrong(format!(
                "weight of {service} must be set: there are several target groups"
            )));
        }
        let weight = group.weight.unwrap_or(1);
        if weight > 999 {
            return Err(wrong(format!(
                "weight of {service} is {weight}: 0 to 999 is wanted"
            )));
        }
        Ok(Backend {
            namespace: namespace.to_owned(),
            service,
            port: port.as_str().map_or_else(|| port.to_string(), str::to_owned),
            weight,
        })
    };
    let backends = groups.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok(Rule { backends })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn ingress(action: Value) -> Value {
        json!({"metadata": {"namespace": "dev", "annotations": {
                "alb.ingress.kubernetes.io/target-type": "ip",
                "alb.ingress.kubernetes.io/actions.api": action.to_string()}},
            "spec": {"ingressClassName": "alb",
                "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
                "rules": [{"host": "x.example.com", "http": {"paths": [
                    {"path": "/v1/", "pathType": "Prefix",
                     "backend": {"service": {"name": "api", "port": {"name": "use-annotation"}}}}]}}]}})
    }

    fn groups(groups: Value) -> Value {
        json!({"type": "forward", "forwardConfig": {"targetGroups": groups}})
    }

    #[test]
    fn actions_are_weights() {
        let action = groups(
            json!([{"serviceName": "api-blue", "servicePort": 80, "weight": 95},
                                   {"serviceName": "api-green", "servicePort": "http", "weight": 5}]),
        );
        let ingress = ingress(action);
        assert!(is_ours(&ingress));
        let model = model(&ingress).unwrap();
        let [api, web] = &model.rules[..] else {
            panic!("{model:?}")
        };
        assert_eq!(api.paths, ["/v1", "/v1/*"]);
        assert_eq!(api.host.as_deref(), Some("x.example.com"));
        let read = |rule: &Rule| -> Vec<(String, String, u32)> {
            let backends = rule.backends.iter();
            backends
                .map(|one| (one.service.clone(), one.port.clone(), one.weight))
                .collect()
        };
        let backend = |name: &str, port: &str, weight| (name.to_owned(), port.to_owned(), weight);
        assert_eq!(
            read(&api.rule),
            [backend("api-blue", "80", 95), backend("api-green", "http", 5)]
        );
        assert!(web.default);
        assert_eq!(read(&web.rule), [backend("web", "80", 1)]);
    }

    #[test]
    fn what_the_controller_does_not_build_is_said() {
        for (action, fault) in [
            (json!({"type": "redirect"}), "type redirect"),
            (groups(json!([])), "names no target groups"),
            (
                groups(
                    json!([{"serviceName": "a", "servicePort": 80}, {"serviceName": "b", "servicePort": 80, "weight": 1}]),
                ),
                "weight of a must be set",
            ),
            (
                groups(json!([{"serviceName": "a"}])),
                "needs serviceName and servicePort",
            ),
            (
                groups(json!([{"serviceName": "a", "servicePort": 80, "weight": 1000}])),
                "0 to 999",
            ),
        ] {
            let said = model(&ingress(action)).unwrap_err();
            assert!(said.contains(fault) && said.contains("actions.api"), "{said}");
        }
        let mut unknown = ingress(groups(json!([{"serviceName": "a", "servicePort": 80}])));
        unknown["metadata"]["annotations"]["alb.ingress.kubernetes.io/target-type"] = "instance".into();
        assert!(model(&unknown).unwrap_err().contains("target-type"));
        unknown["spec"]["ingressClassName"] = "nginx".into();
        assert!(!is_ours(&unknown));
    }
}
