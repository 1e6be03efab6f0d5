//! Dotted paths of a chart's values, such as `image.digest`.

/// What is right where a path is asked for.
pub(super) const PATH: &str = "the keys from the top of the values with dots between, such as \"image.digest\": letters, digits, `_` and `-`";

/// The longest path, in bytes, and the most keys in it. Charts that people write have 2 to 5.
const LONGEST: usize = 200;
const DEEPEST: usize = 12;

/// A path as it is written in the file, checked. Keys of other characters and places in lists cannot be named.
pub(super) fn parse(text: &str) -> Result<String, &'static str> {
    let is_key = |key: &str| {
        !key.is_empty()
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    if text.len() > LONGEST || text.split('.').count() > DEEPEST {
        return Err("is longer than the path of any value");
    }
    if text.split('.').all(is_key) {
        Ok(text.to_owned())
    } else {
        Err("is no path of a value")
    }
}

/// Whether one is the other, or lies in it: setting both would lose one.
pub(super) fn clash(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    within(one, other) || within(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_keys_with_dots() {
        for (text, right) in [
            ("image", true),
            ("image.digest", true),
            ("sub-chart.image_1.Tag", true),
            ("", false),
            (".image", false),
            ("image.", false),
            ("image..tag", false),
            ("containers[0].image", false),
            ("image tag", false),
            ("a.b.c.d.e.f.g.h.i.j.k.l", true),
            ("a.b.c.d.e.f.g.h.i.j.k.l.m", false),
        ] {
            assert_eq!(parse(text).is_ok(), right, "{text}");
        }
        assert!(parse(&"x".repeat(201)).is_err());
    }

    #[test]
    fn paths_clash_where_one_is_in_the_other() {
        for (one, other, wanted) in [
            ("image", "image", true),
            ("image", "image.tag", true),
            ("image.tag", "image", true),
            ("image.tag", "image.tags", false),
            ("image", "images.tag", false),
        ] {
            assert_eq!(clash(one, other), wanted, "{one} {other}");
        }
    }
}
