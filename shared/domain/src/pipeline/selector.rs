//! Which pods a selector selects, by Kubernetes' rules ("Labels and Selectors").

use serde_json::{Map, Value};

/// Whether a Service's selector selects pods with these labels. A Service without one selects none.
pub(super) fn service_selects(service: &Value, labels: &Map<String, Value>) -> bool {
    let wanted = service.pointer("/spec/selector").and_then(Value::as_object);
    wanted.is_some_and(|wanted| !wanted.is_empty() && has_all(wanted, labels))
}

/// Whether a LabelSelector selects pods with these labels. An empty one selects every pod, and null none.
pub(super) fn selects(selector: &Value, labels: &Map<String, Value>) -> bool {
    let Some(selector) = selector.as_object() else {
        return false;
    };
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    wanted.is_none_or(|wanted| has_all(wanted, labels))
        && expressions.is_none_or(|all| all.iter().all(|one| holds(one, labels)))
}

/// Whether a LabelSelector wants nothing.
pub(super) fn is_empty(selector: &Value) -> bool {
    let nothing = |key: &str| match selector.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    };
    selector.is_object() && nothing("matchLabels") && nothing("matchExpressions")
}

fn has_all(wanted: &Map<String, Value>, labels: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// An expression that Kubernetes does not know selects nothing here: the API server refuses it.
fn holds(expression: &Value, labels: &Map<String, Value>) -> bool {
    let text = |key: &str| expression.get(key).and_then(Value::as_str);
    let Some(found) = text("key").map(|key| labels.get(key)) else {
        return false;
    };
    let values = expression.get("values").and_then(Value::as_array);
    let listed = found.is_some_and(|found| values.is_some_and(|values| values.contains(found)));
    match text("operator") {
        Some("In") => listed,
        Some("NotIn") => !listed,
        Some("Exists") => found.is_some(),
        Some("DoesNotExist") => found.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_and_expressions_must_all_hold() {
        let labels = json!({"app": "api", "tier": "web"});
        let labels = labels.as_object().unwrap();
        let one = |operator: &str, key: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        let table = [
            (json!({}), true),
            (Value::Null, false),
            (json!({"matchLabels": {"app": "api"}}), true),
            (json!({"matchLabels": {"app": "api", "x": "y"}}), false),
            (one("In", "tier", &["web", "job"]), true),
            (one("In", "tier", &["job"]), false),
            (one("In", "x", &["job"]), false),
            (one("NotIn", "tier", &["web"]), false),
            (one("NotIn", "x", &["web"]), true),
            (one("Exists", "tier", &[]), true),
            (one("Exists", "x", &[]), false),
            (one("DoesNotExist", "x", &[]), true),
            (one("DoesNotExist", "tier", &[]), false),
            (one("Likes", "tier", &["web"]), false),
            (json!({"matchExpressions": [{}]}), false),
        ];
        for (selector, wanted) in table {
            assert_eq!(selects(&selector, labels), wanted, "{selector}");
        }
        for (selector, wanted) in [
            (json!({"app": "api"}), true),
            (json!({"app": "web"}), false),
            (json!({}), false),
            (Value::Null, false),
        ] {
            let service = json!({"spec": {"selector": selector}});
            assert_eq!(service_selects(&service, labels), wanted, "{service}");
        }
    }

    #[test]
    fn what_wants_nothing_is_empty() {
        for (selector, wanted) in [
            (json!({}), true),
            (json!({"matchLabels": {}, "matchExpressions": null}), true),
            (json!({"matchLabels": {"a": "b"}}), false),
            (json!({"matchExpressions": [{}]}), false),
            (Value::Null, false),
        ] {
            assert_eq!(is_empty(&selector), wanted, "{selector}");
        }
    }
}
