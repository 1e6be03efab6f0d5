//! A pipeline version: the pipeline and the manifests that it names, named by the hash of both.

use super::{Package, Pipeline};
use crate::canonical::{canonical_json, sha256_hex};
use crate::ids::{Hash, IdError};
use serde::{Deserialize, Serialize};

/// A published pipeline. Comments, layout, the order of keys and how manifests are spread over files do not change its
/// hash: they are not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// SHA-256 of the canonical JSON of `{"package", "pipeline"}`.
    pub hash: Hash,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Its manifests.
    pub package: Package,
}

/// Why a version has no hash, or not the one that it says.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// The content has no JSON form.
    #[error("the pipeline version cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The hash is none.
    #[error(transparent)]
    Hash(#[from] IdError),
    /// The content is not the one that was published under this name.
    #[error(
        "the pipeline version says it is {said}, but its content is {found}: it was changed after it was stored"
    )]
    Changed {
        /// What the version says.
        said: Hash,
        /// What its content hashes to.
        found: Hash,
    },
}

impl Version {
    /// Names the content.
    pub fn of(pipeline: Pipeline, package: Package) -> Result<Self, VersionError> {
        let hash = hash_of(&pipeline, &package)?;
        Ok(Self {
            hash,
            pipeline,
            package,
        })
    }

    /// Whether a version that was read from somewhere is what its name says.
    pub fn verified(self) -> Result<Self, VersionError> {
        let found = hash_of(&self.pipeline, &self.package)?;
        if found == self.hash {
            Ok(self)
        } else {
            Err(VersionError::Changed {
                said: self.hash,
                found,
            })
        }
    }
}

fn hash_of(pipeline: &Pipeline, package: &Package) -> Result<Hash, VersionError> {
    let json = canonical_json(&serde_json::json!({"pipeline": pipeline, "package": package}))?;
    Ok(Hash::parse(&sha256_hex(&json))?)
}
