//! The event that ECR sends for a push, as far as it is believed: a hint which image to read again.
//!
//! Shape: Amazon ECR user guide, "Sample events from Amazon ECR". ECR sends on a best-effort basis, at least once and in
//! no order, and adds fields over time; so nothing but what names the image is looked at.

use crate::ids::{Digest, Repository};
use serde_json::Value;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An image was pushed.
    Push {
        /// Where to.
        repository: Repository,
        /// What.
        digest: Digest,
        /// Under which tag; none for an untagged one, such as an index's child.
        tag: Option<String>,
    },
    /// Nothing that concerns Sluice, or nothing that can be understood: why, for the log.
    Noise(String),
}

/// Reads an event, whatever it is.
pub fn parse(event: &Value) -> Heard {
    match push(event) {
        Ok(push) => push,
        Err(reason) => Heard::Noise(reason),
    }
}

fn push(event: &Value) -> Result<Heard, String> {
    is(event, "source", "aws.ecr")?;
    is(event, "detail-type", "ECR Image Action")?;
    let detail = event.get("detail").ok_or("field `detail` is missing")?;
    is(detail, "action-type", "PUSH")?;
    is(detail, "result", "SUCCESS")?;
    let id_error = |error: crate::ids::IdError| error.to_string();
    Ok(Heard::Push {
        repository: Repository::parse(text(detail, "repository-name")?).map_err(id_error)?,
        digest: Digest::parse(text(detail, "image-digest")?).map_err(id_error)?,
        tag: tag(detail),
    })
}

/// The tag: an untagged push has an empty one, or none. The image's tags are read from ECR, so a tag that is no text
/// is as good as none.
fn tag(detail: &Value) -> Option<String> {
    detail
        .get("image-tag")
        .and_then(Value::as_str)
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
}

fn is(object: &Value, field: &str, right: &str) -> Result<(), String> {
    match text(object, field)? {
        found if found == right => Ok(()),
        found => Err(format!("field `{field}` is `{}`, not `{right}`", cut(found))),
    }
}

fn text<'a>(object: &'a Value, field: &str) -> Result<&'a str, String> {
    match object.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("field `{field}` is no text")),
        None => Err(format!("field `{field}` is missing")),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Any JSON; objects often have an event's own field names, so that the parser is met at every depth.
    fn any_json() -> impl Strategy<Value = Value> {
        let words = "aws.ecr|ECR Image Action|PUSH|SUCCESS|mc-api|latest|.{0,12}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            words.prop_map(Value::from),
            "sha256:[0-9a-f]{64}".prop_map(Value::from),
        ];
        let field =
            "source|detail-type|detail|action-type|result|repository-name|image-digest|image-tag|.{0,6}";
        leaf.prop_recursive(4, 64, 10, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((field, inner), 0..10)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// An event of a good push, with a few of its fields replaced.
    fn damaged() -> impl Strategy<Value = Value> {
        let detail = ["action-type", "result", "repository-name", "image-digest"];
        let change = (prop::sample::select(detail.to_vec()), any_json());
        prop::collection::vec(change, 1..4).prop_map(|changes| {
            let mut event = good();
            for (name, value) in changes {
                event["detail"][name] = value;
            }
            event
        })
    }

    fn good() -> Value {
        json!({
            "source": "aws.ecr",
            "detail-type": "ECR Image Action",
            "detail": {
                "result": "SUCCESS",
                "action-type": "PUSH",
                "repository-name": "mc-api",
                "image-digest": format!("sha256:{}", "ab".repeat(32)),
                "image-tag": "latest",
            },
        })
    }

    #[test]
    fn a_tag_that_is_no_text_is_no_reason_to_miss_a_push() {
        for (tag, read) in [
            (json!("v1"), Some("v1")),
            (json!(""), None),
            (json!(null), None),
            (json!(["v1"]), None),
        ] {
            let mut event = good();
            event["detail"]["image-tag"] = tag;
            let Heard::Push { tag, .. } = parse(&event) else {
                panic!("{event}")
            };
            assert_eq!(tag.as_deref(), read);
        }
    }

    #[test]
    fn noise_says_what_it_is() {
        let mut event = good();
        event["detail"]["action-type"] = json!("DELETE");
        assert_eq!(
            parse(&event),
            Heard::Noise("field `action-type` is `DELETE`, not `PUSH`".to_owned())
        );
        assert_eq!(
            parse(&json!([1])),
            Heard::Noise("field `source` is missing".to_owned())
        );
    }

    proptest! {
        #[test]
        fn any_json_is_heard(event in any_json()) {
            let _ = parse(&event);
        }

        #[test]
        fn what_is_heard_as_a_push_says_so_in_every_field(event in damaged()) {
            if let Heard::Push { repository, digest, .. } = parse(&event) {
                let detail = &event["detail"];
                prop_assert_eq!((&detail["action-type"], &detail["result"]), (&json!("PUSH"), &json!("SUCCESS")));
                prop_assert_eq!(&detail["repository-name"], &json!(repository));
                prop_assert_eq!(&detail["image-digest"], &json!(digest));
            }
        }
    }
}
