//! Events as ECR and its neighbours send them (Amazon ECR user guide, "Sample events from Amazon ECR"; Amazon Inspector
//! user guide, "Amazon EventBridge event schema"), and what is wrong with some.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use sluice_domain::ids::{Digest, Repository};
use sluice_domain::image_event::{Heard, parse};
use std::path::Path;

const DIGEST: &str = "sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd12340000";

fn push(repository: &str, tag: Option<&str>) -> Heard {
    Heard::Push {
        repository: Repository::parse(repository).unwrap(),
        digest: Digest::parse(DIGEST).unwrap(),
        tag: tag.map(str::to_owned),
    }
}

fn noise(reason: &str) -> Heard {
    Heard::Noise(reason.to_owned())
}

fn expected() -> Vec<(&'static str, Heard)> {
    let type_is = |found| {
        noise(&format!(
            "field `detail-type` is `{found}`, not `ECR Image Action`"
        ))
    };
    let action_is = |found| noise(&format!("field `action-type` is `{found}`, not `PUSH`"));
    vec![
        (
            "bad-digest",
            noise("image digest `sha256:7F5B`: `sha256:` and 64 lowercase hexadecimal digits"),
        ),
        (
            "bad-repository",
            noise(
                "repository `Mc Api/../x`: 2 to 256 lowercase letters, digits and `.`, `_`, `-`, in parts divided by `/`",
            ),
        ),
        ("delete", action_is("DELETE")),
        ("detail-is-text", noise("field `action-type` is missing")),
        ("garbage", noise("field `source` is missing")),
        ("image-scan", type_is("ECR Image Scan")),
        (
            "inspector2-scan",
            noise("field `source` is `aws.inspector2`, not `aws.ecr`"),
        ),
        ("missing-action", noise("field `action-type` is missing")),
        ("missing-detail", noise("field `detail` is missing")),
        ("missing-digest", noise("field `image-digest` is missing")),
        ("missing-repository", noise("field `repository-name` is missing")),
        (
            "other-source",
            noise("field `source` is `com.example.ecr`, not `aws.ecr`"),
        ),
        ("pull-through-cache", type_is("ECR Pull Through Cache Action")),
        (
            "push-failure",
            noise("field `result` is `FAILURE`, not `SUCCESS`"),
        ),
        ("push-index", push("mc-api", Some("3f2c1a9"))),
        ("push-nested-repository", push("team/mc-api", Some("3f2c1a9"))),
        ("push-tagged", push("mc-api", Some("3f2c1a9"))),
        ("push-untagged-empty-tag", push("mc-api", None)),
        ("push-without-tag", push("mc-api", None)),
        ("replication", type_is("ECR Replication Action")),
        ("update-storage-class", action_is("UPDATE_STORAGE_CLASS")),
        ("wrong-types", noise("field `action-type` is no text")),
    ]
}

#[test]
fn every_recorded_event_is_heard_for_what_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/events");
    let expected = expected();
    let mut recorded: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    recorded.sort();
    assert_eq!(
        recorded,
        expected.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    );
    for (name, heard) in expected {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parse(&event), heard, "{name}");
    }
}
