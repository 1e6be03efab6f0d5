//! What can go wrong with the registry, by what a caller does about it.

use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use sluice_aws::{Trouble, trouble};
use sluice_domain::ids::{Digest, Repository};
use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// What went wrong with the registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Too many requests, or no usable answer, for longer than the SDK tries.
    #[error("ECR does not answer ({action})")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// The function's role has no right to it.
    #[error("access to ECR is denied ({action})")]
    Denied {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// ECR says no, and will again.
    #[error("ECR refuses the request ({action})")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the SDK says.
        #[source]
        source: Source,
    },
    /// There is no such repository in this account and region.
    #[error("there is no repository {repository} in this account and region")]
    NoRepository {
        /// Its name.
        repository: Repository,
    },
    /// An index names an image that is not in the repository: not yet, or not any more.
    #[error(
        "image {digest} of {repository} is not complete: {child}, which its index names, is not in the repository"
    )]
    ChildMissing {
        /// The repository.
        repository: Repository,
        /// The image that was asked for.
        digest: Digest,
        /// What is missing.
        child: Digest,
    },
    /// ECR's lifecycle put the image into the archive, or brings it back just now: a pull answers 404.
    #[error(
        "image {digest} of {repository} cannot be pulled: ECR says {status}; restore it with `aws ecr update-image-storage-class`, which takes up to 20 minutes"
    )]
    NotPullable {
        /// The repository.
        repository: Repository,
        /// The image.
        digest: Digest,
        /// What ECR says of it.
        status: String,
    },
    /// The manifest's bytes do not hash to the digest: this is not the image that was asked for.
    #[error("image {digest} of {repository}: the manifest that ECR gives hashes to {found}")]
    WrongContent {
        /// The repository.
        repository: Repository,
        /// The image that was asked for.
        digest: Digest,
        /// What its manifest's bytes hash to.
        found: String,
    },
    /// The manifest, or what ECR says of the image, cannot be understood.
    #[error("image {digest} of {repository} cannot be understood: {what}")]
    Malformed {
        /// The repository.
        repository: Repository,
        /// The image.
        digest: Digest,
        /// The field, and what was found.
        what: String,
    },
}

impl RegistryError {
    /// Whether the same call may work a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn of<E>(action: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let meaning = trouble(&error);
        let source = error.into();
        match meaning {
            Trouble::Throttled | Trouble::Unavailable => Self::Unavailable { action, source },
            Trouble::Denied => Self::Denied { action, source },
            Trouble::Refused => Self::Refused { action, source },
        }
    }
}
