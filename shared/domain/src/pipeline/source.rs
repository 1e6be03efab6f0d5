//! `[source]`: where a service's images come from.

use super::reading::Reading;
use super::section::{Section, Text};
use super::{FaultKind, Source, TagPattern, keys};
use crate::ids::Repository;

const TAGS: &str = "at least one pattern, such as \"^[0-9a-f]{7,40}$\" for commits";

pub(super) fn read(reading: &mut Reading<'_>, root: &Section<'_, '_>) -> Option<Source> {
    if !root.has("source") {
        reading.missing(root, "source", "[source] with repository and tags");
    }
    let section = reading.section(root, "source")?;
    reading.keys(&section, &keys::SOURCE);
    let repository = reading.required_text(&section, "repository", "an ECR repository's name");
    let repository = repository.and_then(|text| {
        let right = "a name without registry and tag: 2 to 256 lowercase letters, digits, `.`, `_`, `-`, `/`";
        reading.parsed(&text, right, |text| {
            Repository::parse(text).map_err(|_| "is no name of an ECR repository")
        })
    });
    let tags = tags(reading, &section);
    let github = reading
        .text(&section, "github")
        .and_then(|text| github(reading, &text));
    Some(Source {
        repository: repository?,
        tags: tags?,
        github,
    })
}

fn tags(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Option<Vec<TagPattern>> {
    if !section.has("tags") {
        reading.missing(section, "tags", TAGS);
    }
    let texts = reading.texts(section, "tags")?;
    if texts.is_empty() {
        reading.fault(
            FaultKind::Value,
            &section.place_of("tags"),
            None,
            "no push would be a release",
            TAGS,
        );
    }
    Some(texts.iter().filter_map(|text| tag(reading, text)).collect())
}

fn tag(reading: &mut Reading<'_>, text: &Text<'_>) -> Option<TagPattern> {
    let right = "a regular expression over tags, such as \"^v[0-9]+$\"";
    let pattern = reading.parsed(text, right, TagPattern::parse)?;
    if !pattern.is_anchored() {
        let problem = "also matches inside a longer tag";
        let right = format!(
            "`^` at the start and `$` at the end, unless that is meant: \"{}\"",
            anchored(text.text)
        );
        reading.fault(FaultKind::Warning, &text.place, text.quoted(), problem, right);
    }
    Some(pattern)
}

fn anchored(text: &str) -> String {
    let inner = text.strip_prefix('^').unwrap_or(text);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    if inner.contains('|') {
        format!("^({inner})$")
    } else {
        format!("^{inner}$")
    }
}

fn github(reading: &mut Reading<'_>, text: &Text<'_>) -> Option<String> {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let owner_and_name = text
        .text
        .split_once('/')
        .filter(|(owner, name)| part(owner) && part(name));
    if owner_and_name.is_none() {
        let problem = "is no repository at GitHub";
        reading.fault(
            FaultKind::Value,
            &text.place,
            text.quoted(),
            problem,
            "\"owner/name\"",
        );
        return None;
    }
    super::people::unused(reading, text);
    Some(text.text.to_owned())
}
