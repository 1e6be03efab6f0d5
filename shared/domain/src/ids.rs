//! Names and numbers, each a type of its own, valid wherever they are met.
//!
//! A value of one of these types was checked when it was made, also when it was read from the table or from a request.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not the name or number that it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{found}`: {right}")]
pub struct IdError {
    /// What the text should have been: "service name".
    pub what: &'static str,
    /// The text, cut at 80 characters.
    pub found: String,
    /// What would be right.
    pub right: &'static str,
}

fn refuse(what: &'static str, found: &str, right: &'static str) -> IdError {
    IdError {
        what,
        found: found.chars().take(80).collect(),
        right,
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $right:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The checked value, or what is wrong with the text.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(refuse($what, text, $right)) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

/// A slug: lowercase letters and digits with single inner hyphens, starting with a letter.
fn is_slug(text: &str, longest: usize) -> bool {
    text.len() <= longest
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

text_id!(
    /// The name of a service: an ECR-safe slug of 2 to 40 characters, so that execution names stay under 80.
    ServiceName,
    "service name",
    "2 to 40 lowercase letters, digits and single inner hyphens, starting with a letter",
    |text| text.len() >= 2 && is_slug(text, 40)
);

text_id!(
    /// The name of an environment. It has no hyphen, so that execution names cannot collide.
    EnvironmentName,
    "environment name",
    "1 to 20 lowercase letters and digits, starting with a letter, no hyphen",
    |text| !text.is_empty() && is_slug(text, 20) && !text.contains('-')
);

text_id!(
    /// The name of a person in the pipeline file.
    PersonName,
    "person",
    "1 to 40 lowercase letters, digits and single inner hyphens, starting with a letter",
    |text| !text.is_empty() && is_slug(text, 40)
);

text_id!(
    /// The digest of a manifest in a registry: `sha256:` and 64 hexadecimal digits.
    Digest,
    "image digest",
    "`sha256:` and 64 lowercase hexadecimal digits",
    |text| text.strip_prefix("sha256:").is_some_and(is_sha256_hex)
);

text_id!(
    /// SHA-256 of some content, as 64 hexadecimal digits: the name of a pipeline version, a bundle or a ledger entry.
    Hash,
    "content hash",
    "64 lowercase hexadecimal digits",
    is_sha256_hex
);

text_id!(
    /// The name of an execution of one of our state machines: at most 80 characters of those that Step Functions takes.
    ExecutionName,
    "execution name",
    "1 to 80 letters, digits and hyphens",
    |text| !text.is_empty() && text.len() <= 80 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);

text_id!(
    /// An ECR repository's name (Amazon ECR, CreateRepository: `repositoryName`).
    Repository,
    "repository",
    "2 to 256 lowercase letters, digits and `.`, `_`, `-`, in parts divided by `/`",
    |text| (2..=256).contains(&text.len())
        && text.split('/').all(|part| {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            part.bytes().all(|b| inner(b) || b"._-".contains(&b))
                && part.bytes().next().is_some_and(inner)
                && part.bytes().last().is_some_and(inner)
        })
);

fn is_sha256_hex(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl Digest {
    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(7..19).unwrap_or(&self.0)
    }
}

impl Hash {
    /// The first 12 digits, for people and for names of objects.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// A release's number within its service: 1, 2, 3, ... Written `#42`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseNumber(pub u32);

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The environment's counter. Every decision that writes the cluster has a greater one than the decision before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl Fence {
    /// The value for the next decision: above the table's own and above everything seen in the cluster, so that a
    /// restored table cannot lock a rollback out.
    pub fn next(self, highest_in_cluster: Fence) -> Fence {
        Fence(self.0.max(highest_in_cluster.0).saturating_add(1))
    }

    /// Reads the annotation `sluice.dev/fence`. Missing or malformed counts as 0, as in the admission policy.
    pub fn from_annotation(text: Option<&str>) -> Fence {
        let digits = |t: &&str| (1..=18).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit());
        Fence(text.filter(digits).and_then(|t| t.parse().ok()).unwrap_or(0))
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One try to bring one release into one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PromotionId {
    /// The release.
    pub release: ReleaseNumber,
    /// 1 for the first try in this environment, then up.
    pub attempt: u32,
}

impl PromotionId {
    /// The name of the execution that does it: `{service}-{number}-{environment}-{attempt}`.
    pub fn execution(&self, service: &ServiceName, environment: &EnvironmentName) -> ExecutionName {
        ExecutionName(format!(
            "{service}-{}-{environment}-{}",
            self.release.0, self.attempt
        ))
    }
}

impl fmt::Display for PromotionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (attempt {})", self.release, self.attempt)
    }
}

/// The name of the execution of a rollback that was recorded with this fence value: `{service}-{environment}-r{fence}`.
pub fn rollback_execution(
    service: &ServiceName,
    environment: &EnvironmentName,
    fence: Fence,
) -> ExecutionName {
    ExecutionName(format!("{service}-{environment}-r{fence}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_checked_also_when_read() {
        for bad in [
            "",
            "a",
            "A-b",
            "a--b",
            "-ab",
            "ab-",
            "a_b",
            "9ab",
            &"a".repeat(41),
        ] {
            assert!(ServiceName::parse(bad).is_err(), "{bad}");
            assert!(
                serde_json::from_value::<ServiceName>(serde_json::json!(bad)).is_err(),
                "{bad}"
            );
        }
        assert_eq!(ServiceName::parse("mc-api").unwrap().as_str(), "mc-api");
        assert!(EnvironmentName::parse("pre-prod").is_err());
        assert!(Digest::parse(&format!("sha256:{}", "A".repeat(64))).is_err());
        assert_eq!(
            Digest::parse(&format!("sha256:{}", "ab".repeat(32)))
                .unwrap()
                .short(),
            "abababababab"
        );
        for (name, good) in [
            ("team/mc-api", true),
            ("team//api", false),
            ("Team/api", false),
            ("-a/b", false),
        ] {
            assert_eq!(Repository::parse(name).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn the_longest_execution_name_is_one_that_step_functions_takes() {
        let service = ServiceName::parse(&"s".repeat(40)).unwrap();
        let environment = EnvironmentName::parse(&"e".repeat(20)).unwrap();
        let id = PromotionId {
            release: ReleaseNumber(99_999_999),
            attempt: 9_999,
        };
        assert!(ExecutionName::parse(id.execution(&service, &environment).as_str()).is_ok());
        let name = rollback_execution(&service, &environment, Fence(999_999_999_999_999));
        assert!(ExecutionName::parse(name.as_str()).is_ok());
    }

    #[test]
    fn a_fence_is_above_the_table_and_the_cluster() {
        assert_eq!(Fence(4).next(Fence(9)), Fence(10));
        assert_eq!(Fence(9).next(Fence(4)), Fence(10));
        for (text, value) in [
            (None, 0),
            (Some("7"), 7),
            (Some("-7"), 0),
            (Some("x"), 0),
            (Some("1234567890123456789"), 0),
        ] {
            assert_eq!(Fence::from_annotation(text), Fence(value), "{text:?}");
        }
    }
}
