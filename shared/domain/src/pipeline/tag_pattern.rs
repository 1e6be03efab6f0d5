//! Which tags make a pushed image a release.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A regular expression over an image's tag. Matching is over bytes: ECR's tags are ASCII.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagPattern(regex::bytes::Regex);

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagPatternError {
    /// It is longer than a pattern over tags of 128 characters needs to be.
    #[error("has {0} characters, more than {LONGEST}")]
    TooLong(usize),
    /// The regular expression's own error, on one line.
    #[error("is no regular expression: {0}")]
    Regex(String),
}

const LONGEST: usize = 200;
/// Bytes of a compiled pattern: `[a-z]{1000}{1000}` must not fill a function's memory.
const LARGEST: usize = 1 << 20;

impl TagPattern {
    /// Compiles the pattern (syntax of the `regex` crate, ASCII only).
    pub fn parse(text: &str) -> Result<Self, TagPatternError> {
        let characters = text.chars().count();
        if characters > LONGEST {
            return Err(TagPatternError::TooLong(characters));
        }
        let built = regex::bytes::RegexBuilder::new(text)
            .unicode(false)
            .size_limit(LARGEST)
            .build();
        built
            .map(Self)
            .map_err(|error| TagPatternError::Regex(last_line(&error)))
    }

    /// Whether the tag is one of a release.
    pub fn matches(&self, tag: &str) -> bool {
        self.0.is_match(tag.as_bytes())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it says where a tag starts and ends. Else `release` also matches `pre-release-old`.
    pub fn is_anchored(&self) -> bool {
        let text = self.as_str();
        text.starts_with('^') && text.ends_with('$') && !text.ends_with("\\$") || text == ".*"
    }
}

/// A regex error draws the pattern over several lines and says what is wrong in the last.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("cannot be read")
        .trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

impl PartialEq for TagPattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for TagPattern {}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl TryFrom<String> for TagPattern {
    type Error = TagPatternError;
    fn try_from(text: String) -> Result<Self, TagPatternError> {
        Self::parse(&text)
    }
}

impl From<TagPattern> for String {
    fn from(pattern: TagPattern) -> String {
        pattern.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pattern_matches_tags() {
        let commit = TagPattern::parse("^[0-9a-f]{7,40}$").unwrap();
        for (tag, wanted) in [
            ("0a1b2c3", true),
            ("latest", false),
            ("0a1b2c", false),
            ("v0a1b2c3", false),
        ] {
            assert_eq!(commit.matches(tag), wanted, "{tag}");
        }
    }

    #[test]
    fn a_pattern_that_is_open_at_an_end_is_seen() {
        for (text, anchored) in [
            ("^a$", true),
            ("^a", false),
            ("a$", false),
            ("^a\\$", false),
            (".*", true),
        ] {
            assert_eq!(TagPattern::parse(text).unwrap().is_anchored(), anchored, "{text}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_compiled_says_why() {
        let refused = |text: &str| TagPattern::parse(text).unwrap_err().to_string();
        assert_eq!(refused("^("), "is no regular expression: unclosed group");
        assert!(
            refused("(?:[a-z]{1000}){1000}").contains("size limit"),
            "{}",
            refused("(?:[a-z]{1000}){1000}")
        );
        assert_eq!(refused(&"a".repeat(201)), "has 201 characters, more than 200");
    }
}
