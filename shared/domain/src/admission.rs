//! From image to release: which images are releases, and which of them go on by themselves.

use crate::pipeline::Pipeline;
use crate::release::{Image, Release};
use crate::service::{Meta, Newest};
use jiff::Timestamp;

/// What an image is to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// A new release.
    Release {
        /// The release, numbered.
        release: Box<Release>,
        /// Whether it goes into the first environment by itself. One that was pushed before a release that is known
        /// already does not: it is recorded, and a person may promote it.
        promote: bool,
    },
    /// No release, for this reason.
    Ignored(String),
}

/// Decides over an image that is not recorded yet, and numbers it.
pub fn admit(meta: &mut Meta, pipeline: &Pipeline, image: &Image, now: Timestamp) -> Admission {
    if image.repository != pipeline.source.repository {
        return Admission::Ignored(format!(
            "{} is delivered from {}",
            meta.service, pipeline.source.repository
        ));
    }
    if !image.tags.iter().any(|tag| pipeline.source.takes(tag)) {
        return Admission::Ignored(format!(
            "no tag of {} is one of a release: {}",
            image.digest,
            shown(&image.tags)
        ));
    }
    if image.pushed_at < meta.first_applied_at {
        let why = format!(
            "{} was pushed before {} was first applied",
            image.digest, meta.service
        );
        return Admission::Ignored(why);
    }
    let Some(number) = meta.next_number() else {
        return Admission::Ignored(format!("{} has no release number left", meta.service));
    };
    let release = Release {
        service: meta.service.clone(),
        number,
        digest: image.digest.clone(),
        children: image.children.clone(),
        uri: image.uri.clone(),
        tags: image.tags.clone(),
        commit: image
            .revision
            .clone()
            .or_else(|| image.tags.iter().find(|tag| is_commit(tag)).cloned()),
        pushed_at: image.pushed_at,
        recorded_at: now,
        pipeline: meta.pipeline.clone(),
        quarantine: None,
        v: 0,
    };
    let promote = meta
        .newest
        .as_ref()
        .is_none_or(|newest| release.is_newer_than(newest.pushed_at, newest.number));
    meta.last_number = number.0;
    if promote {
        meta.newest = Some(Newest {
            number,
            pushed_at: image.pushed_at,
        });
    }
    Admission::Release {
        release: Box::new(release),
        promote,
    }
}

fn shown(tags: &[String]) -> String {
    if tags.is_empty() {
        "it has none".to_owned()
    } else {
        tags.join(", ")
    }
}

/// A tag that looks like a Git commit: 7 to 40 hexadecimal digits.
fn is_commit(tag: &str) -> bool {
    (7..=40).contains(&tag.len())
        && tag
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
