//! Images, read from ECR and checked against their digests.

use crate::error::RegistryError;
use crate::manifest::{self, Manifest};
use aws_sdk_ecr::Client;
use aws_sdk_ecr::operation::batch_get_image::BatchGetImageError;
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::primitives::DateTime;
use aws_sdk_ecr::types::{
    DescribeImagesFilter, Image as Fetched, ImageDetail, ImageFailure, ImageFailureCode, ImageIdentifier,
    ImageStatus, TagStatus,
};
use jiff::Timestamp;
use sluice_domain::canonical::sha256_hex;
use sluice_domain::ids::{Digest, Repository};
use sluice_domain::release::Image;
use std::collections::{BTreeMap, BTreeSet};

/// How many images one BatchGetImage takes (API reference, BatchGetImage: `imageIds`).
const BATCH: usize = 100;

/// How many images one page of DescribeImages has at most (API reference, DescribeImages: `maxResults`).
const PAGE: i32 = 1000;

/// The registry of this account and region.
#[derive(Debug, Clone)]
pub struct Registry {
    pub(crate) client: Client,
}

/// An image in a listing: to be read by [`Registry::image`] before anything is decided on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// Its digest.
    pub digest: Digest,
    /// All tags it has now; never empty.
    pub tags: Vec<String>,
    /// When ECR received it.
    pub pushed_at: Timestamp,
}

/// What is being read: for messages.
pub(crate) struct Reading<'a> {
    pub repository: &'a Repository,
    pub digest: &'a Digest,
}

impl Registry {
    /// The registry that this client talks to.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// An image as it is stored now: its manifest hashes to the digest, and for an index every child is there. None
    /// when there is no such image.
    pub async fn image(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Image>, RegistryError> {
        let of = Reading { repository, digest };
        let Some(detail) = self.describe(&of).await? else {
            return Ok(None);
        };
        of.pullable(&detail)?;
        let mut fetched = self.fetch(&of, std::slice::from_ref(digest)).await?;
        let Some((media_type, top)) = fetched.remove(digest) else {
            return Ok(None);
        };
        let children = self.children(&of, &top).await?;
        let image = Image {
            repository: repository.clone(),
            uri: self.uri(&of, &detail)?,
            digest: digest.clone(),
            media_type,
            children,
            tags: detail.image_tags().to_vec(),
            pushed_at: of.pushed_at(&detail)?,
            revision: top.revision,
        };
        Ok(Some(image))
    }

    /// The tagged images that ECR received at `since` or later. Reads the whole listing: ECR gives it in no order.
    pub async fn pushed_since(
        &self,
        repository: &Repository,
        since: Timestamp,
    ) -> Result<Vec<ImageSummary>, RegistryError> {
        let filter = DescribeImagesFilter::builder()
            .tag_status(TagStatus::Tagged)
            .build();
        let request = self
            .client
            .describe_images()
            .repository_name(repository.as_str())
            .filter(filter);
        let mut pages = request.into_paginator().page_size(PAGE).send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| match error.as_service_error() {
                Some(DescribeImagesError::RepositoryNotFoundException(_)) => no_repository(repository),
                _ => RegistryError::of("DescribeImages", error),
            })?;
            for detail in page.image_details() {
                found.extend(summary(repository, detail)?.filter(|image| image.pushed_at >= since));
            }
        }
        Ok(found)
    }

    /// What ECR says of the image. A missing one is an error of ECR's, or an empty answer.
    async fn describe(&self, of: &Reading<'_>) -> Result<Option<ImageDetail>, RegistryError> {
        let request = self
            .client
            .describe_images()
            .repository_name(of.repository.as_str());
        match request.image_ids(identifier(of.digest)).send().await {
            Ok(answer) => {
                let details = answer.image_details.unwrap_or_default();
                Ok(details
                    .into_iter()
                    .find(|detail| detail.image_digest() == Some(of.digest.as_str())))
            }
            Err(error) => match error.as_service_error() {
                Some(DescribeImagesError::ImageNotFoundException(_)) => Ok(None),
                Some(DescribeImagesError::RepositoryNotFoundException(_)) => {
                    Err(no_repository(of.repository))
                }
                _ => Err(RegistryError::of("DescribeImages", error)),
            },
        }
    }

    /// All images that an index names, and those that indexes among them name. Each is there, by its content.
    async fn children(&self, of: &Reading<'_>, top: &Manifest) -> Result<Vec<Digest>, RegistryError> {
        let first = self.all(of, &top.children).await?;
        let inner: Vec<_> = first
            .values()
            .flat_map(|(_, manifest)| manifest.children.clone())
            .collect();
        let second = self.all(of, &inner).await?;
        if second
            .values()
            .any(|(media_type, _)| manifest::is_index(media_type))
        {
            return Err(of.malformed("its indexes are nested more than two deep".to_owned()));
        }
        let mut seen = BTreeSet::new();
        Ok(top
            .children
            .iter()
            .chain(&inner)
            .filter(|child| seen.insert((*child).clone()))
            .cloned()
            .collect())
    }

    /// Manifests of all these images, each with its media type; that one is missing is an error.
    async fn all(
        &self,
        of: &Reading<'_>,
        digests: &[Digest],
    ) -> Result<BTreeMap<Digest, (String, Manifest)>, RegistryError> {
        let mut found = BTreeMap::new();
        for batch in digests.chunks(BATCH) {
            found.extend(self.fetch(of, batch).await?);
        }
        match digests.iter().find(|digest| !found.contains_key(digest)) {
            Some(missing) => Err(of.child_missing(missing)),
            None => Ok(found),
        }
    }

    /// Manifests of those of these images that are there, at most [`BATCH`].
    async fn fetch(
        &self,
        of: &Reading<'_>,
        digests: &[Digest],
    ) -> Result<BTreeMap<Digest, (String, Manifest)>, RegistryError> {
        let request = self
            .client
            .batch_get_image()
            .repository_name(of.repository.as_str());
        let request = request.set_image_ids(Some(digests.iter().map(identifier).collect()));
        let request = request.set_accepted_media_types(Some(manifest::ACCEPTED.map(str::to_owned).to_vec()));
        let answer = request
            .send()
            .await
            .map_err(|error| match error.as_service_error() {
                Some(BatchGetImageError::RepositoryNotFoundException(_)) => no_repository(of.repository),
                _ => RegistryError::of("BatchGetImage", error),
            })?;
        of.no_failure(answer.failures())?;
        answer.images().iter().map(|image| of.verified(image)).collect()
    }

    /// What a pod pulls from (Amazon ECR user guide, "Private registries").
    fn uri(&self, of: &Reading<'_>, detail: &ImageDetail) -> Result<String, RegistryError> {
        let account = detail
            .registry_id()
            .ok_or_else(|| of.malformed("field `registryId` is missing".to_owned()))?;
        let region = self
            .client
            .config()
            .region()
            .map(|region| region.as_ref().to_owned());
        let region = region.ok_or_else(|| of.malformed("no region is set (AWS_REGION)".to_owned()))?;
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        Ok(format!(
            "{account}.dkr.ecr.{region}.amazonaws.com{china}/{}",
            of.repository
        ))
    }
}

impl Reading<'_> {
    /// That something is not there is no failure.
    pub(crate) fn no_failure(&self, failures: &[ImageFailure]) -> Result<(), RegistryError> {
        for failure in failures {
            if failure.failure_code() != Some(&ImageFailureCode::ImageNotFound) {
                let code = failure.failure_code().map_or("no code", ImageFailureCode::as_str);
                let reason = failure.failure_reason().unwrap_or("no reason");
                return Err(self.malformed(format!("ECR does not give its manifest: {code}, {reason}")));
            }
        }
        Ok(())
    }

    /// What does not say otherwise can be pulled: older answers have no status.
    fn pullable(&self, detail: &ImageDetail) -> Result<(), RegistryError> {
        match detail.image_status() {
            None | Some(ImageStatus::Active) => Ok(()),
            Some(status) => Err(RegistryError::NotPullable {
                repository: self.repository.clone(),
                digest: self.digest.clone(),
                status: status.as_str().to_owned(),
            }),
        }
    }

    fn pushed_at(&self, detail: &ImageDetail) -> Result<Timestamp, RegistryError> {
        let pushed_at = detail.image_pushed_at().and_then(timestamp);
        pushed_at.ok_or_else(|| self.malformed("field `imagePushedAt` is missing or no time".to_owned()))
    }

    /// A manifest whose bytes are those of its digest, with its media type.
    fn verified(&self, image: &Fetched) -> Result<(Digest, (String, Manifest)), RegistryError> {
        let missing = |field| self.malformed(format!("field `{field}` is missing"));
        let bytes = image
            .image_manifest()
            .ok_or_else(|| missing("imageManifest"))?
            .as_bytes();
        let digest = image
            .image_id()
            .and_then(|id| id.image_digest())
            .ok_or_else(|| missing("imageId.imageDigest"))?;
        let digest = Digest::parse(digest).map_err(|error| self.malformed(error.to_string()))?;
        let found = format!("sha256:{}", sha256_hex(bytes));
        if found != digest.as_str() {
            return Err(RegistryError::WrongContent {
                repository: self.repository.clone(),
                digest,
                found,
            });
        }
        let media_type = image
            .image_manifest_media_type()
            .ok_or_else(|| missing("imageManifestMediaType"))?;
        let read = manifest::read(media_type, bytes).map_err(|what| self.malformed_child(&digest, what))?;
        Ok((digest, (media_type.to_owned(), read)))
    }

    fn child_missing(&self, child: &Digest) -> RegistryError {
        RegistryError::ChildMissing {
            repository: self.repository.clone(),
            digest: self.digest.clone(),
            child: child.clone(),
        }
    }

    pub(crate) fn malformed(&self, what: String) -> RegistryError {
        malformed(self.repository, self.digest, what)
    }

    fn malformed_child(&self, child: &Digest, what: String) -> RegistryError {
        malformed(self.repository, child, what)
    }
}

fn malformed(repository: &Repository, digest: &Digest, what: String) -> RegistryError {
    RegistryError::Malformed {
        repository: repository.clone(),
        digest: digest.clone(),
        what,
    }
}

pub(crate) fn no_repository(repository: &Repository) -> RegistryError {
    RegistryError::NoRepository {
        repository: repository.clone(),
    }
}

pub(crate) fn identifier(digest: &Digest) -> ImageIdentifier {
    ImageIdentifier::builder().image_digest(digest.as_str()).build()
}

/// An image of a listing, if it has a tag.
fn summary(repository: &Repository, detail: &ImageDetail) -> Result<Option<ImageSummary>, RegistryError> {
    let tags = detail.image_tags().to_vec();
    let digest = detail.image_digest().map(Digest::parse);
    let (Some(Ok(digest)), false) = (digest, tags.is_empty()) else {
        return Ok(None);
    };
    let pushed_at = Reading {
        repository,
        digest: &digest,
    }
    .pushed_at(detail)?;
    Ok(Some(ImageSummary {
        digest,
        tags,
        pushed_at,
    }))
}

/// ECR's time, to the millisecond: it comes as a floating-point number of seconds, whose last digits are noise.
fn timestamp(time: &DateTime) -> Option<Timestamp> {
    let milliseconds = time.as_nanos().checked_add(500_000)?.div_euclid(1_000_000);
    Timestamp::from_millisecond(i64::try_from(milliseconds).ok()?).ok()
}
