//! Values of a chart: merged as Helm merges them, and looked up by their dotted path.

use serde_json::{Map, Value};

/// Puts values over others: maps are merged key by key, everything else is replaced. A null stays as one, and is what
/// Helm takes for "remove the chart's own".
pub(in super::super) fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(there) => merge(there, value),
                    None => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (base, over) => *base = over,
    }
}

/// The value at a path; none where there is none, or null.
pub(in super::super) fn at<'v>(values: &'v Value, path: &str) -> Option<&'v Value> {
    let found = path.split('.').try_fold(values, |value, key| value.get(key))?;
    Some(found).filter(|value| !value.is_null())
}

/// Whether the values name the path, also where its value is null or empty.
pub(in super::super) fn names(values: &Value, path: &str) -> bool {
    path.split('.')
        .try_fold(values, |value, key| value.get(key))
        .is_some()
}

/// Values with nothing but this one.
pub(in super::super) fn only(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |value, key| {
        Value::Object(Map::from_iter([(key.to_owned(), value)]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_later_value_wins_and_maps_are_merged() {
        let mut values = json!({"image": {"tag": "1", "digest": ""}, "list": [1, 2], "gone": {"a": 1}});
        merge(
            &mut values,
            json!({"image": {"tag": "2"}, "list": [3], "gone": null, "new": true}),
        );
        assert_eq!(
            values,
            json!({"image": {"tag": "2", "digest": ""}, "list": [3], "gone": null, "new": true})
        );
        assert_eq!(at(&values, "image.tag"), Some(&json!("2")));
        assert_eq!(at(&values, "gone"), None);
        assert_eq!(at(&values, "gone.a"), None);
        assert_eq!(at(&values, "image.tag.x"), None);
        assert!(names(&values, "gone") && !names(&values, "image.repository"));
        assert_eq!(only("a.b", json!(2)), json!({"a": {"b": 2}}));
    }
}
