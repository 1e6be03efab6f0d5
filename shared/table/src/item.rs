//! Items of the table: domain types as plain maps, with their key beside them.

use crate::error::TableError;
use crate::key::Key;
use crate::rows::{DigestRow, RepositoryRow, ServiceRow};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_dynamo::Deserializer;
use sluice_domain::environment::Environment;
use sluice_domain::ledger::Entry;
use sluice_domain::promotion::Promotion;
use sluice_domain::release::Release;
use sluice_domain::service::{Meta, PipelineVersion, RollbackRequest};
use std::collections::HashMap;

/// An item as DynamoDB has it.
pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// The most bytes of an item (DynamoDB's quota is 400 KB; the rest is for what our estimate does not see).
pub(crate) const MOST_BYTES: usize = 390 * 1024;

/// Something that is stored as one item.
pub trait Item: Serialize {
    /// Where it is.
    fn key(&self) -> Key;

    /// Its version as it was read, 0 before it is stored; none for an item that never changes.
    fn version(&self) -> Option<u64> {
        None
    }
}

/// An [`Item`] that can be read back.
pub trait Stored: Item + DeserializeOwned {}
impl<T: Item + DeserializeOwned> Stored for T {}

macro_rules! items {
    ($($type:ty, $this:ident => $key:expr $(, $version:expr)?;)*) => {$(
        impl Item for $type {
            fn key(&self) -> Key {
                let $this = self;
                $key
            }
            $(fn version(&self) -> Option<u64> {
                let $this = self;
                Some($version)
            })?
        }
    )*};
}

items! {
    Meta, meta => Key::meta(&meta.service), meta.v;
    Environment, environment => Key::environment(&environment.service, &environment.name), environment.v;
    Release, release => Key::release(&release.service, release.number), release.v;
    Promotion, promotion => Key::promotion(&promotion.service, &promotion.environment, promotion.id), promotion.v;
    Entry, entry => Key::entry(&entry.service, &entry.environment, entry.seq);
    PipelineVersion, version => Key::pipeline(&version.service, &version.hash);
    RollbackRequest, request => Key::request(&request.service, &request.id);
    ServiceRow, row => Key::service_row(&row.service);
    RepositoryRow, row => Key::repository_row(&row.repository, &row.service);
    DigestRow, row => Key::digest_row(&row.service, &row.digest);
}

/// The item with its key, as it is written.
pub(crate) fn encode(item: &impl Item) -> Result<Attributes, TableError> {
    let key = item.key();
    let refused = |source| TableError::Refused {
        action: "writing an item",
        source: Box::new(source),
    };
    let mut attributes: Attributes = serde_dynamo::to_item(item).map_err(refused)?;
    attributes.extend(key_attributes(&key));
    let bytes = size_of(&attributes);
    if bytes > MOST_BYTES {
        return Err(TableError::TooLarge {
            key: key.to_string(),
            bytes,
            most: MOST_BYTES,
        });
    }
    Ok(attributes)
}

/// The item that the attributes say. What stands under another item's key is corrupt, however well it reads.
pub(crate) fn decode<T: Stored>(attributes: Attributes) -> Result<T, TableError> {
    let key = key_of(&attributes);
    let item: T = decode_anywhere(attributes)?;
    if item.key().to_string() != key {
        let what = format!("its content is that of {}", item.key());
        return Err(TableError::Corrupt {
            key,
            what,
            source: None,
        });
    }
    Ok(item)
}

/// The item that the attributes say, wherever it stands.
pub(crate) fn decode_anywhere<T: Stored>(attributes: Attributes) -> Result<T, TableError> {
    let key = key_of(&attributes);
    let item: serde_dynamo::Item = attributes.into();
    let reader = Deserializer::from_attribute_value(serde_dynamo::AttributeValue::M(item.into()));
    serde_path_to_error::deserialize(reader).map_err(|error| TableError::Corrupt {
        key,
        what: format!("field `{}`: {}", error.path(), error.inner()),
        source: Some(Box::new(error.into_inner())),
    })
}

/// The key as attributes.
pub(crate) fn key_attributes(key: &Key) -> [(String, AttributeValue); 2] {
    [
        ("pk".to_owned(), AttributeValue::S(key.pk.clone())),
        ("sk".to_owned(), AttributeValue::S(key.sk.clone())),
    ]
}

/// The key of what was read, for messages.
pub(crate) fn key_of(attributes: &Attributes) -> String {
    let part = |name| {
        attributes
            .get(name)
            .and_then(|value| value.as_s().ok())
            .map_or("?", String::as_str)
    };
    format!("{} / {}", part("pk"), part("sk"))
}

/// The size of an item as DynamoDB counts it, or a little more (developer guide, "DynamoDB item sizes and formats").
fn size_of(attributes: &Attributes) -> usize {
    attributes
        .iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::M(map) => 3 + map.len() + size_of(map),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_size(value)).sum::<usize>(),
        _ => 1,
    }
}
