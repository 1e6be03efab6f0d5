//! A release: one image digest of one service, immutable, numbered.

use crate::ids::{Digest, Hash, ReleaseNumber, Repository, ServiceName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An image as ECR holds it now: read from the registry, never taken from an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The repository's name.
    pub repository: Repository,
    /// What a pod pulls from, without tag or digest: `123456789012.dkr.ecr.eu-west-1.amazonaws.com/mc-api`.
    pub uri: String,
    /// The digest that was asked for, and that the manifest's bytes hash to.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// For an index: the digests of all its children, each of which exists. Empty for a single image.
    pub children: Vec<Digest>,
    /// All tags it has now.
    pub tags: Vec<String>,
    /// When ECR received it.
    pub pushed_at: Timestamp,
    /// `org.opencontainers.image.revision` of the manifest's annotations.
    pub revision: Option<String>,
}

/// One image digest of one service, numbered per service (`mc-api#42`). Only `tags` and `quarantine` ever change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The service.
    pub service: ServiceName,
    /// Its number within the service.
    pub number: ReleaseNumber,
    /// What is promoted.
    pub digest: Digest,
    /// For an index, its children's digests.
    #[serde(default)]
    pub children: Vec<Digest>,
    /// What a pod pulls from, without tag or digest.
    pub uri: String,
    /// The tags that it had when it was recorded.
    pub tags: Vec<String>,
    /// The source commit: the image's own revision, else the tag that looks like one.
    pub commit: Option<String>,
    /// When ECR received it, as first read. This, and never the number, says which release is newer.
    pub pushed_at: Timestamp,
    /// When Sluice recorded it.
    pub recorded_at: Timestamp,
    /// The pipeline version that it started with and keeps.
    pub pipeline: Hash,
    /// Set while it may be neither promoted nor rolled back to.
    #[serde(default)]
    pub quarantine: Option<Quarantine>,
    /// The item's version in the table; 0 before it is stored.
    #[serde(default)]
    pub v: u64,
}

/// Why a digest may be neither promoted nor rolled back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Who said so.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, in that person's words.
    pub reason: String,
}

impl Release {
    /// The reference that goes into pod specs: the image by digest.
    pub fn image(&self) -> String {
        format!("{}@{}", self.uri, self.digest)
    }

    /// Newer means pushed later, by ECR's own time; the number only orders what was pushed in the same instant.
    pub fn is_newer_than(&self, pushed_at: Timestamp, number: ReleaseNumber) -> bool {
        (self.pushed_at, self.number) > (pushed_at, number)
    }
}
