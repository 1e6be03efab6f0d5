//! Content too large for one item, or shared by several: named by its SHA-256, cut into parts, each compressed.
//!
//! The content is cut *before* it is compressed, at fixed places. So parts written by different versions of the
//! compressor fit together, and two writers of the same content cannot spoil each other's.

use crate::error::TableError;
use crate::item::{Attributes, key_attributes, key_of};
use crate::key::{Key, blob_partition};
use crate::table::{Question, Table};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use futures::stream::{self, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_domain::bundle::Bundle;
use sluice_domain::canonical::{canonical_json, sha256_hex};
use sluice_domain::ids::Hash;
use std::io::Read;

/// How many bytes of content a part has. Compressed, a part stays below DynamoDB's 400 KB even where nothing shrinks.
const PART: usize = 300 * 1024;

/// The most bytes of a blob.
pub(crate) const MOST: usize = 16 * 1024 * 1024;

/// How many parts are written at once.
const AT_ONCE: usize = 4;

impl Table {
    /// Stores content and reads it back. Storing it again changes nothing.
    pub async fn put_blob(&self, content: &[u8]) -> Result<Hash, TableError> {
        let hash = name_of(content)?;
        if content.len() > MOST {
            return Err(TableError::TooLarge {
                key: blob_partition(&hash),
                bytes: content.len(),
                most: MOST,
            });
        }
        let parts = cut(&hash, content)?;
        stream::iter(parts.into_iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |part| self.put_part(part))
            .await?;
        self.blob(&hash).await.map(|_| hash)
    }

    /// Content by its name. Parts that are missing or not that content are an error.
    pub async fn blob(&self, hash: &Hash) -> Result<Vec<u8>, TableError> {
        let found = self.query(Question::all(blob_partition(hash))).await?;
        let Some(first) = found.items.first() else {
            return Err(TableError::Missing {
                key: blob_partition(hash),
            });
        };
        let wanted = count_of(first)?;
        if found.items.len() != wanted {
            let what = format!("it has {} of {wanted} parts", found.items.len());
            return Err(TableError::Corrupt {
                key: blob_partition(hash),
                what,
                source: None,
            });
        }
        let mut content = Vec::new();
        for part in &found.items {
            content.extend(unpacked(part)?);
        }
        checked(hash, content)
    }

    /// Stores a value as canonical JSON.
    pub async fn put_json(&self, value: &impl Serialize) -> Result<Hash, TableError> {
        let refused = |error: serde_json::Error| TableError::Refused {
            action: "writing JSON",
            source: error.into(),
        };
        self.put_blob(&canonical_json(value).map_err(refused)?).await
    }

    /// A value stored by [`Table::put_json`].
    pub async fn json<T: DeserializeOwned>(&self, hash: &Hash) -> Result<T, TableError> {
        let content = self.blob(hash).await?;
        let mut reader = serde_json::Deserializer::from_slice(&content);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| TableError::Corrupt {
            key: blob_partition(hash),
            what: format!("field `{}`: {}", error.path(), error.inner()),
            source: Some(Box::new(error.into_inner())),
        })
    }

    /// Stores a bundle; its name is what [`Bundle::named`] says.
    pub async fn put_bundle(&self, bundle: &Bundle) -> Result<Hash, TableError> {
        self.put_json(bundle).await
    }

    /// A bundle by its name.
    pub async fn bundle(&self, hash: &Hash) -> Result<Bundle, TableError> {
        self.json(hash).await
    }

    async fn put_part(&self, part: Attributes) -> Result<(), TableError> {
        let answer = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(part))
            .send()
            .await;
        self.count(0);
        answer
            .map(|_| ())
            .map_err(|error| TableError::of("PutItem", error))
    }
}

/// The content's name.
fn name_of(content: &[u8]) -> Result<Hash, TableError> {
    Hash::parse(&sha256_hex(content)).map_err(|error| TableError::Refused {
        action: "naming a blob",
        source: error.into(),
    })
}

/// The content, if it is what its name says.
fn checked(hash: &Hash, content: Vec<u8>) -> Result<Vec<u8>, TableError> {
    let found = name_of(&content)?;
    if found == *hash {
        return Ok(content);
    }
    let what = format!("its content hashes to {found}");
    Err(TableError::Corrupt {
        key: blob_partition(hash),
        what,
        source: None,
    })
}

/// The items that hold the content. Empty content has one part.
fn cut(hash: &Hash, content: &[u8]) -> Result<Vec<Attributes>, TableError> {
    let count = content.len().div_ceil(PART).max(1);
    let mut chunks = content.chunks(PART);
    (0..count)
        .map(|place| {
            part(
                &Key::blob_part(hash, place),
                count,
                chunks.next().unwrap_or_default(),
            )
        })
        .collect()
}

fn part(key: &Key, count: usize, content: &[u8]) -> Result<Attributes, TableError> {
    let mut packed = Vec::new();
    let refused = |error: std::io::Error| TableError::Refused {
        action: "compressing a blob",
        source: error.into(),
    };
    GzEncoder::new(content, Compression::default())
        .read_to_end(&mut packed)
        .map_err(refused)?;
    let mut attributes: Attributes = key_attributes(key).into();
    attributes.insert("parts".to_owned(), AttributeValue::N(count.to_string()));
    attributes.insert("data".to_owned(), AttributeValue::B(Blob::new(packed)));
    Ok(attributes)
}

/// How many parts a part says there are.
fn count_of(part: &Attributes) -> Result<usize, TableError> {
    let count = part
        .get("parts")
        .and_then(|value| value.as_n().ok())
        .and_then(|digits| digits.parse().ok());
    count.ok_or_else(|| corrupt(part, "field `parts` is no number", None))
}

/// A part's content. What unpacks to more than a part is corrupt, and is not unpacked further.
fn unpacked(part: &Attributes) -> Result<Vec<u8>, TableError> {
    let packed = part.get("data").and_then(|value| value.as_b().ok());
    let packed = packed.ok_or_else(|| corrupt(part, "field `data` holds no bytes", None))?;
    let mut content = Vec::new();
    let most = u64::try_from(PART).unwrap_or(u64::MAX).saturating_add(1);
    let read = GzDecoder::new(packed.as_ref())
        .take(most)
        .read_to_end(&mut content);
    read.map_err(|error| corrupt(part, "field `data` does not unpack", Some(error)))?;
    if content.len() > PART {
        return Err(corrupt(part, "field `data` is longer than a part", None));
    }
    Ok(content)
}

fn corrupt(part: &Attributes, what: &str, source: Option<std::io::Error>) -> TableError {
    TableError::Corrupt {
        key: key_of(part),
        what: what.to_owned(),
        source: source.map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::item::MOST_BYTES;
    use proptest::prelude::*;

    /// Bytes that no compressor makes smaller.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes().into_iter().next().unwrap()
        };
        (0..length).map(|_| next()).collect()
    }

    fn joined(parts: &[Attributes]) -> Vec<u8> {
        parts.iter().flat_map(|part| unpacked(part).unwrap()).collect()
    }

    #[test]
    fn content_is_cut_into_parts_that_fit_however_little_they_shrink() {
        for (length, count) in [(0, 1), (1, 1), (PART, 1), (PART + 1, 2), (1_500_000, 5)] {
            let content = noise(length);
            let parts = cut(&name_of(&content).unwrap(), &content).unwrap();
            assert_eq!(parts.len(), count, "{length}");
            assert!(parts.iter().all(|part| count_of(part).unwrap() == count));
            assert!(
                parts
                    .iter()
                    .all(|part| part["data"].as_b().unwrap().as_ref().len() < MOST_BYTES)
            );
            assert_eq!(joined(&parts), content);
        }
    }

    #[test]
    fn a_part_that_is_not_one_is_corrupt() {
        let key = Key {
            pk: "BLOB#x".to_owned(),
            sk: "0000".to_owned(),
        };
        let good = part(&key, 1, b"content").unwrap();
        let with = |name: &str, value| {
            let mut bad = good.clone();
            bad.insert(name.to_owned(), value);
            bad
        };
        let blob = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
        for bad in [
            with("data", blob(b"not gzip")),
            with("data", blob(b"")),
            with("data", AttributeValue::Bool(true)),
        ] {
            assert!(
                matches!(unpacked(&bad), Err(TableError::Corrupt { .. })),
                "{bad:?}"
            );
        }
        assert!(count_of(&with("parts", AttributeValue::N("many".to_owned()))).is_err());
        let bomb = part(&key, 1, &vec![0; 64 * PART]).unwrap();
        let TableError::Corrupt { what, .. } = unpacked(&bomb).unwrap_err() else {
            panic!()
        };
        assert_eq!(what, "field `data` is longer than a part");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn content_comes_back_and_nothing_else_passes_for_it(content: Vec<u8>, other: Vec<u8>) {
            let hash = name_of(&content).unwrap();
            let parts = cut(&hash, &content).unwrap();
            prop_assert_eq!(checked(&hash, joined(&parts)).unwrap(), content.clone());
            prop_assert_eq!(checked(&hash, other.clone()).is_ok(), other == content);
        }
    }
}
