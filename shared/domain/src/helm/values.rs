//! Sluice's own values: the image of the release, where the chart takes it.

use crate::pipeline::ImageValues;
use crate::release::Release;
use serde_json::{Map, Value};

/// The values that name the release's image, at the dotted paths that the pipeline says.
pub fn own_values(image: &ImageValues, release: &Release) -> Value {
    // A tag that pins the digest: what stands before the `@` is for people.
    let tag = release.tags.first().map_or("sluice", String::as_str);
    let said = [
        (&image.repository, release.uri.clone()),
        (&image.digest, release.digest.to_string()),
        (&image.tag, format!("{tag}@{}", release.digest)),
        (&image.reference, release.image()),
    ];
    let mut values = Value::Object(Map::new());
    for (path, text) in said {
        if let Some(path) = path {
            nested(&mut values, path, Value::String(text));
        }
    }
    values
}

/// Sets the value at a dotted path, making maps where there are none. What is no map on the way is replaced.
pub fn nested(values: &mut Value, path: &str, value: Value) {
    let mut place = values;
    for part in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        place = map.entry(part).or_insert(Value::Null);
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::release;
    use serde_json::json;

    fn paths(repository: &str, digest: &str, tag: &str, reference: &str) -> ImageValues {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ImageValues {
            repository: some(repository),
            digest: some(digest),
            tag: some(tag),
            reference: some(reference),
        }
    }

    #[test]
    fn each_form_of_an_image_is_set_where_the_chart_takes_it() {
        let release = release(1);
        let (uri, digest, image) = (&release.uri, release.digest.to_string(), release.image());
        let tag = format!(
            "{}@{digest}",
            release.tags.first().map_or("sluice", String::as_str)
        );
        for (paths, right) in [
            (
                paths("image.repository", "image.digest", "", ""),
                json!({"image": {"repository": uri, "digest": digest}}),
            ),
            (
                paths("api.image.name", "", "api.image.tag", ""),
                json!({"api": {"image": {"name": uri, "tag": tag}}}),
            ),
            (paths("", "", "", "image"), json!({"image": image})),
        ] {
            assert_eq!(own_values(&paths, &release), right);
        }
    }

    #[test]
    fn a_path_makes_its_own_way() {
        let mut values = json!({"a": "text", "b": {"c": 1}});
        nested(&mut values, "a.x", json!(1));
        nested(&mut values, "b.d", json!(2));
        assert_eq!(values, json!({"a": {"x": 1}, "b": {"c": 1, "d": 2}}));
    }
}
