//! Writing: everything that one decision records, in one conditional transaction.

use crate::error::{TableError, Unsendable};
use crate::item::{Attributes, Item, encode, key_attributes};
use crate::key::Key;
use crate::rows::{AlarmRow, DigestRow, RepositoryRow, ServiceRow};
use crate::table::Table;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use jiff::Timestamp;
use sluice_domain::alarm::AlarmId;
use sluice_domain::environment::Environment;
use sluice_domain::ledger::{Entry, Record, append};
use sluice_domain::release::Release;
use sluice_domain::service::Meta;

/// The most writes of one transaction (DynamoDB's quota).
pub const MOST_WRITES: usize = 100;

const ACTION: &str = "TransactWriteItems";
const ABSENT: &str = "attribute_not_exists(pk)";
const UNCHANGED: &str = "v = :read";

/// What one decision records: all of it or nothing.
///
/// An item that cannot be written (too large, say) is reported by [`Transaction::commit`], so that additions chain.
#[derive(Debug, Default)]
#[must_use = "nothing is written before `commit`"]
pub struct Transaction {
    writes: Vec<(Key, Write)>,
    recorded: Vec<Key>,
    fault: Option<TableError>,
}

#[derive(Debug)]
enum Write {
    Put {
        attributes: Attributes,
        read: Option<u64>,
    },
    Check {
        read: u64,
    },
    Remove,
}

impl Transaction {
    /// One that writes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it writes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.fault.is_none()
    }

    /// Writes an item that must not exist yet. One with a version starts at version 1.
    pub fn create(&mut self, item: &impl Item) -> &mut Self {
        self.put(item, item.version().map(|_| 0))
    }

    /// Writes an item that must still be as it was read, as its next version. Version 0 must not exist yet.
    pub fn update(&mut self, item: &impl Item) -> &mut Self {
        match item.version() {
            Some(read) => self.put(item, Some(read)),
            None => self.refuse(Unsendable::Unversioned(item.key().to_string())),
        }
    }

    /// Demands that an item is as it was read, without writing it. Version 0 must not exist.
    pub fn check_unchanged(&mut self, item: &impl Item) -> &mut Self {
        match item.version() {
            Some(read) => self.add(item.key(), Write::Check { read }),
            None => self.refuse(Unsendable::Unversioned(item.key().to_string())),
        }
    }

    /// Removes an item, if it is there: for rows that only point.
    pub fn remove(&mut self, item: &impl Item) -> &mut Self {
        self.add(item.key(), Write::Remove)
    }

    /// Writes a ledger entry, which must not exist yet. [`Transaction::record`] makes one and adds it.
    pub fn entry(&mut self, entry: &Entry) -> &mut Self {
        self.recorded
            .push(Key::environment(&entry.service, &entry.environment));
        self.create(entry)
    }

    /// Adds to the environment's ledger: moves its head and writes the entry. The environment itself is still to be
    /// passed to [`Transaction::update`], after the last record; without that the transaction is refused.
    pub fn record(&mut self, environment: &mut Environment, record: Record, now: Timestamp) -> &mut Self {
        let (service, name) = (environment.service.clone(), environment.name.clone());
        let key = Key::environment(&service, &name);
        if self.writes_item(&key) {
            return self.refuse(Unsendable::Late(key.to_string()));
        }
        match append(&mut environment.ledger, &service, &name, record, now) {
            Ok(entry) => self.entry(&entry),
            Err(error) => self.fail(TableError::Refused {
                action: "writing a ledger entry",
                source: error.into(),
            }),
        }
    }

    /// Writes a new release, and the row that makes it the only one of its digest.
    pub fn new_release(&mut self, release: &Release) -> &mut Self {
        let (service, digest) = (release.service.clone(), release.digest.clone());
        self.create(release).create(&DigestRow {
            service,
            digest,
            number: release.number,
        })
    }

    /// Writes a service that is applied for the first time, and the rows that lead to it.
    pub fn new_service(&mut self, meta: &Meta) -> &mut Self {
        let service = meta.service.clone();
        let row = RepositoryRow {
            repository: meta.repository.clone(),
            service: service.clone(),
        };
        let listed = ServiceRow {
            service,
            first_applied_at: meta.first_applied_at,
        };
        self.create(meta).create(&row).create(&listed);
        for row in alarm_rows(meta) {
            self.create(&row);
        }
        self
    }

    /// Writes a service as it comes after `before`, with the rows that lead to it from its repository and its alarms: they
    /// move with these, go when the service is removed, and come back with it.
    pub fn update_service(&mut self, meta: &Meta, before: &Meta) -> &mut Self {
        let row = |meta: &Meta| {
            let (repository, service) = (meta.repository.clone(), meta.service.clone());
            meta.removed
                .is_none()
                .then_some(RepositoryRow { repository, service })
        };
        let (now, then) = (row(meta), row(before));
        if now != then {
            if let Some(then) = then {
                self.remove(&then);
            }
            if let Some(now) = now {
                self.create(&now);
            }
        }
        let (now, then) = (alarm_rows(meta), alarm_rows(before));
        for row in then.iter().filter(|row| !now.contains(row)) {
            self.remove(row);
        }
        for row in now.iter().filter(|row| !then.contains(row)) {
            self.create(row);
        }
        self.update(meta)
    }

    /// Writes all of it, or nothing.
    ///
    /// After [`TableError::Conflict`] load again and decide again; after [`TableError::Unavailable`] it may have been
    /// written, which loading again shows as well.
    pub async fn commit(self, table: &Table) -> Result<(), TableError> {
        let writes = self.checked()?;
        let keys: Vec<_> = writes.iter().map(|(key, _)| key.to_string()).collect();
        let writes: Result<Vec<_>, _> = writes
            .into_iter()
            .map(|(key, write)| write.built(&table.name, &key))
            .collect();
        let writes = writes.map_err(|error| TableError::Refused {
            action: ACTION,
            source: error.into(),
        })?;
        let answer = table
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        table.count(0);
        answer
            .map(|_| ())
            .map_err(|error| TableError::of_transaction(ACTION, &keys, error))
    }

    /// What is to be sent, unless it cannot be.
    fn checked(self) -> Result<Vec<(Key, Write)>, TableError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let unmoved = self.recorded.iter().find(|key| !self.writes_item(key));
        let unsendable = match (self.writes.len(), unmoved) {
            (0, _) => Unsendable::Empty,
            (count, _) if count > MOST_WRITES => Unsendable::TooMany(count),
            (_, Some(key)) => Unsendable::HeadNotMoved(key.to_string()),
            _ => return Ok(self.writes),
        };
        Err(unsendable.into())
    }

    fn put(&mut self, item: &impl Item, read: Option<u64>) -> &mut Self {
        match encode(item) {
            Ok(attributes) => self.add(item.key(), Write::put(attributes, read)),
            Err(error) => self.fail(error),
        }
    }

    fn add(&mut self, key: Key, write: Write) -> &mut Self {
        if self.writes.iter().any(|(written, _)| *written == key) {
            return self.refuse(Unsendable::Twice(key.to_string()));
        }
        self.writes.push((key, write));
        self
    }

    fn writes_item(&self, key: &Key) -> bool {
        self.writes
            .iter()
            .any(|(written, write)| written == key && matches!(write, Write::Put { .. }))
    }

    fn refuse(&mut self, why: Unsendable) -> &mut Self {
        self.fail(why.into())
    }

    fn fail(&mut self, error: TableError) -> &mut Self {
        self.fault.get_or_insert(error);
        self
    }
}

impl Write {
    /// A put of the version after `read`.
    fn put(mut attributes: Attributes, read: Option<u64>) -> Self {
        if let Some(read) = read {
            attributes.insert("v".to_owned(), number(read.saturating_add(1)));
        }
        Self::Put { attributes, read }
    }

    fn built(self, table: &str, key: &Key) -> Result<TransactWriteItem, BuildError> {
        let item = TransactWriteItem::builder();
        Ok(match self {
            Self::Put { attributes, read } => {
                let put = Put::builder().table_name(table).set_item(Some(attributes));
                let put = put.condition_expression(condition(read));
                item.put(put.set_expression_attribute_values(values(read)).build()?)
            }
            Self::Check { read } => {
                let check = ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key_attributes(key).into()));
                let check = check.condition_expression(condition(Some(read)));
                item.condition_check(
                    check
                        .set_expression_attribute_values(values(Some(read)))
                        .build()?,
                )
            }
            Self::Remove => {
                let delete = Delete::builder()
                    .table_name(table)
                    .set_key(Some(key_attributes(key).into()));
                item.delete(delete.build()?)
            }
        }
        .build())
    }
}

/// What leads to a service from its alarms: nothing while it is removed.
fn alarm_rows(meta: &Meta) -> Vec<AlarmRow> {
    let row = |alarm: &AlarmId| AlarmRow {
        alarm: alarm.clone(),
        service: meta.service.clone(),
    };
    let alarms = meta.alarms.iter().filter(|_| meta.removed.is_none());
    alarms.map(row).collect()
}

fn condition(read: Option<u64>) -> &'static str {
    if read.unwrap_or(0) == 0 { ABSENT } else { UNCHANGED }
}

fn values(read: Option<u64>) -> Option<Attributes> {
    let read = read.filter(|read| *read > 0)?;
    Some([(":read".to_owned(), number(read))].into())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

impl From<Unsendable> for TableError {
    fn from(why: Unsendable) -> Self {
        Self::Refused {
            action: ACTION,
            source: why.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::rows::RepositoryRow;
    use sluice_domain::ids::{EnvironmentName, Repository, ServiceName};
    use sluice_domain::ledger::Event;

    fn environment(v: u64) -> Environment {
        let service = ServiceName::parse("mc-api").unwrap();
        Environment {
            v,
            ..Environment::new(service, EnvironmentName::parse("dev").unwrap())
        }
    }

    fn record() -> Record {
        let by = "ana".to_owned();
        Record {
            event: Event::Held,
            by,
            release: None,
            digest: None,
            execution: None,
            fence: None,
            reason: None,
        }
    }

    fn why(transaction: Transaction) -> String {
        let TableError::Refused { source, .. } = transaction.checked().unwrap_err() else {
            panic!()
        };
        source.to_string()
    }

    #[test]
    fn an_update_is_the_next_version_of_what_was_read() {
        for (v, condition) in [(0, "attribute_not_exists(pk)"), (7, "v = :read")] {
            let mut transaction = Transaction::new();
            transaction.update(&environment(v));
            let (key, write) = transaction.checked().unwrap().remove(0);
            let put = write.built("t", &key).unwrap().put.unwrap();
            assert_eq!(put.item()["v"], number(v + 1));
            assert_eq!(put.condition_expression(), Some(condition));
            assert_eq!(put.expression_attribute_values().is_some(), v > 0);
        }
    }

    #[test]
    fn what_is_created_must_not_exist_and_is_version_1() {
        let mut transaction = Transaction::new();
        transaction.create(&environment(7));
        let (key, write) = transaction.checked().unwrap().remove(0);
        let put = write.built("t", &key).unwrap().put.unwrap();
        assert_eq!(
            (put.condition_expression(), &put.item()["v"]),
            (Some(ABSENT), &number(1))
        );
    }

    #[test]
    fn a_ledger_is_added_to_only_with_its_head() {
        let mut environment = environment(3);
        let mut transaction = Transaction::new();
        transaction.record(&mut environment, record(), Timestamp::UNIX_EPOCH);
        transaction.record(&mut environment, record(), Timestamp::UNIX_EPOCH);
        assert_eq!(environment.ledger.seq, 2);
        transaction.check_unchanged(&environment);
        assert!(why(transaction).contains("adds to the ledger of SERVICE#mc-api / ENVIRONMENT#dev without"));

        let mut late = self::environment(3);
        let mut transaction = Transaction::new();
        transaction
            .update(&late)
            .record(&mut late, record(), Timestamp::UNIX_EPOCH);
        assert!(
            why(transaction).contains("after that item"),
            "the head that is written lacks the entry"
        );
    }

    #[test]
    fn what_dynamodb_would_refuse_is_not_sent() {
        assert_eq!(why(Transaction::new()), "it has no write");
        let mut twice = Transaction::new();
        twice.update(&environment(1)).check_unchanged(&environment(1));
        assert_eq!(why(twice), "it writes SERVICE#mc-api / ENVIRONMENT#dev twice");
        let row = |place: usize| RepositoryRow {
            repository: Repository::parse(&format!("r{place}")).unwrap(),
            service: ServiceName::parse("mc-api").unwrap(),
        };
        let mut unversioned = Transaction::new();
        unversioned.update(&row(1));
        assert!(why(unversioned).contains("no version"));
        let mut many = Transaction::new();
        for place in 0..=MOST_WRITES {
            many.create(&row(place));
        }
        assert_eq!(why(many), "it has 101 writes, at most 100 fit");
    }
}
