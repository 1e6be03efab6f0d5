//! Items of the table: domain types as plain maps, with their key beside them.

use crate::error::TableError;
use crate::key::Key;
use crate::rows::{AlarmRow, DigestRow, RepositoryRow, ServiceRow};
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
    AlarmRow, row => Key::alarm_row(&row.alarm, &row.service);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use sluice_domain::ids::{Fence, ReleaseNumber};

    /// Every kind of field at once: enums with content, options full and empty, lists, numbers at their ends.
    fn environment() -> Value {
        let hash = "ab".repeat(32);
        let digest = format!("sha256:{hash}");
        let queued = json!({"id": {"release": 43, "attempt": 1}, "pushed_at": "2026-11-01T10:00:00.123Z", "automatic": true});
        json!({
            "service": "mc-api", "name": "production", "v": 7, "fence": u64::MAX,
            "lease": {"owner": "mc-api-42-production-1", "since": "2026-11-01T10:00:00Z"},
            "rollout": {
                "owner": "mc-api-production-r17",
                "kind": {"kind": "rollback", "leaving": null, "by": "ana", "restore": false},
                "release": 41, "pipeline": hash, "phase": "rolling", "step": 0, "fence": 17,
                "baseline": {"kind": "bundle", "hash": hash}, "target": hash,
                "started_at": "2026-11-01T10:00:00Z", "deadline": "2026-11-01T10:10:00Z", "reason": null,
            },
            "live": {"release": null, "digest": null, "bundle": hash, "since": "2026-11-01T09:00:00.000000001Z"},
            "completed": [{
                "release": 41, "digest": digest, "bundle": hash, "pipeline": hash, "at": "2026-11-01T09:00:00Z",
                "pushed_at": "2026-11-01T08:00:00Z",
                "rolled_back_at": null,
            }],
            "hold": {"by": "ana", "at": "2026-11-01T09:00:00Z", "reason": "", "after_rollback": true},
            "queue": {"current": queued, "next": null},
            "last_rollback": null,
            "ledger": {"seq": 3, "hash": hash},
        })
    }

    fn read(mut change: impl FnMut(&mut Attributes)) -> Result<Environment, TableError> {
        let environment: Environment = serde_json::from_value(environment()).unwrap();
        let mut attributes = encode(&environment).unwrap();
        change(&mut attributes);
        decode(attributes)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let environment: Environment = serde_json::from_value(environment()).unwrap();
        assert_eq!(read(|_| ()).unwrap(), environment);
        let written = encode(&environment).unwrap();
        assert_eq!(written["pk"], AttributeValue::S("SERVICE#mc-api".to_owned()));
        assert_eq!(written["fence"], AttributeValue::N(u64::MAX.to_string()));
        assert!(
            written["lease"].is_m(),
            "plain maps, for people who look with the console"
        );
    }

    #[test]
    fn a_ledger_entry_is_read_back_and_still_hashes_to_its_hash() {
        let mut environment: Environment = serde_json::from_value(environment()).unwrap();
        environment.ledger = Default::default();
        let record = json!({"event": "rollback_started", "by": "ana", "release": 41, "fence": 17, "reason": "p99 \u{e9}"});
        let record = serde_json::from_value(record).unwrap();
        let (service, name) = (environment.service.clone(), environment.name.clone());
        let entry = sluice_domain::ledger::append(
            &mut environment.ledger,
            &service,
            &name,
            record,
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        let read: Entry = decode(encode(&entry).unwrap()).unwrap();
        assert_eq!(read, entry);
        let mut check = sluice_domain::ledger::Check::default();
        check.next(&read);
        assert_eq!(check.finish(Some(&environment.ledger)), []);
    }

    #[test]
    fn what_cannot_be_read_names_item_and_field() {
        let bad = |name: &'static str, value: AttributeValue| {
            let error =
                read(|attributes| drop(attributes.insert(name.to_owned(), value.clone()))).unwrap_err();
            let TableError::Corrupt { key, what, .. } = error else {
                panic!("{error:?}")
            };
            assert_eq!(key, "SERVICE#mc-api / ENVIRONMENT#production");
            what
        };
        let what = bad("fence", AttributeValue::S("17".to_owned()));
        assert!(what.starts_with("field `fence`: "), "{what}");
        let what = bad("v", AttributeValue::N("-1".to_owned()));
        assert!(what.starts_with("field `v`: "), "{what}");
        let what = bad(
            "lease",
            AttributeValue::M([("owner".to_owned(), AttributeValue::S("a b".to_owned()))].into()),
        );
        assert!(
            what.starts_with("field `lease.owner`: ") && what.contains("`a b`"),
            "{what}"
        );
        let what = bad("completed", AttributeValue::L(vec![AttributeValue::M([].into())]));
        assert!(what.starts_with("field `completed[0]`: "), "{what}");
        let what = bad("name", AttributeValue::S("staging".to_owned()));
        assert_eq!(
            what,
            "its content is that of SERVICE#mc-api / ENVIRONMENT#staging"
        );
        let error = read(|attributes| drop(attributes.remove("service"))).unwrap_err();
        assert!(error.to_string().contains("missing field `service`"), "{error}");
    }

    #[test]
    fn an_item_that_no_table_takes_is_refused_before_it_is_sent() {
        let request = RollbackRequest {
            id: "r-1".to_owned(),
            service: sluice_domain::ids::ServiceName::parse("mc-api").unwrap(),
            environment: sluice_domain::ids::EnvironmentName::parse("production").unwrap(),
            to: Some(ReleaseNumber(41)),
            reason: Some("x".repeat(MOST_BYTES)),
            by: "ana".to_owned(),
            restore: false,
            undoes: None,
            expires: 1,
        };
        let TableError::TooLarge { bytes, most, .. } = encode(&request).unwrap_err() else {
            panic!()
        };
        assert!(bytes > most);
        let fits = RollbackRequest {
            reason: Some("x".repeat(MOST_BYTES - 400)),
            ..request
        };
        assert_eq!(decode::<RollbackRequest>(encode(&fits).unwrap()).unwrap(), fits);
    }

    proptest! {
        #[test]
        fn any_numbers_and_texts_are_read_back(fence: u64, v: u64, seconds in -1_000_000_000_i64..10_000_000_000, text in ".{0,40}") {
            let mut environment: Environment = serde_json::from_value(environment()).unwrap();
            (environment.fence, environment.v) = (Fence(fence), v);
            environment.hold.as_mut().unwrap().reason = text.clone();
            environment.lease.as_mut().unwrap().since = Timestamp::from_second(seconds).unwrap();
            prop_assert_eq!(decode::<Environment>(encode(&environment).unwrap()).unwrap(), environment);
        }
    }
}
