//! The table's client: consistent reads, counted.

use crate::error::TableError;
use crate::item::{Attributes, Stored, decode, key_attributes};
use crate::key::Key;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The table. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    items_read: AtomicU64,
}

/// What a [`Table`] was asked for since it was made. Repetitions by the SDK are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests sent.
    pub requests: u64,
    /// Items read.
    pub items_read: u64,
}

/// Which items of a partition, by sort key.
pub(crate) enum Range {
    All,
    Prefix(String),
    From(String),
    After(String),
    Before(String),
}

/// A question about one partition.
pub(crate) struct Question {
    pub partition: String,
    pub range: Range,
    pub newest_first: bool,
    pub limit: Option<usize>,
}

/// What was found, and whether there may be more.
pub(crate) struct Found {
    pub items: Vec<Attributes>,
    pub more: bool,
}

impl Table {
    /// The table of this name.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self {
            client,
            name: name.into(),
            counters: Arc::default(),
        }
    }

    /// What it was asked for so far.
    pub fn usage(&self) -> Usage {
        Usage {
            requests: self.counters.requests.load(Ordering::Relaxed),
            items_read: self.counters.items_read.load(Ordering::Relaxed),
        }
    }

    /// Asks for something that cannot be there, so that a function has its connection and credentials before its
    /// first real question.
    pub async fn warm(&self) -> Result<(), TableError> {
        let nothing = Key {
            pk: "WARM".to_owned(),
            sk: "UP".to_owned(),
        };
        self.attributes(&nothing).await.map(|_| ())
    }

    pub(crate) fn count(&self, items_read: usize) {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        self.counters
            .items_read
            .fetch_add(u64::try_from(items_read).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// One item, if it is there.
    pub(crate) async fn get<T: Stored>(&self, key: &Key) -> Result<Option<T>, TableError> {
        self.attributes(key).await?.map(decode).transpose()
    }

    async fn attributes(&self, key: &Key) -> Result<Option<Attributes>, TableError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.name)
            .consistent_read(true);
        let request = request.set_key(Some(key_attributes(key).into()));
        let answer = request.send().await;
        self.count(
            answer
                .as_ref()
                .map_or(0, |answer| usize::from(answer.item.is_some())),
        );
        Ok(answer.map_err(|error| TableError::of("GetItem", error))?.item)
    }

    /// The items of a partition in the order of their sort keys, over as many requests as it takes.
    pub(crate) async fn query(&self, question: Question) -> Result<Found, TableError> {
        let mut found = Found {
            items: Vec::new(),
            more: false,
        };
        let mut start = None;
        loop {
            let left = question
                .limit
                .map(|limit| limit.saturating_sub(found.items.len()));
            let request = self.page(&question, left).set_exclusive_start_key(start);
            let answer = request.send().await;
            self.count(answer.as_ref().map_or(0, |answer| answer.items().len()));
            let answer = answer.map_err(|error| TableError::of("Query", error))?;
            found.items.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            found.more = start.is_some();
            let enough = question.limit.is_some_and(|limit| found.items.len() >= limit);
            if enough || !found.more {
                return Ok(found);
            }
        }
    }

    fn page(&self, question: &Question, left: Option<usize>) -> QueryFluentBuilder {
        let (condition, value) = match &question.range {
            Range::All => ("pk = :pk", None),
            Range::Prefix(text) => ("pk = :pk AND begins_with(sk, :sk)", Some(text.clone())),
            Range::From(text) => ("pk = :pk AND sk >= :sk", Some(text.clone())),
            Range::After(text) => ("pk = :pk AND sk > :sk", Some(text.clone())),
            Range::Before(text) => ("pk = :pk AND sk < :sk", Some(text.clone())),
        };
        let request = self.client.query().table_name(&self.name).consistent_read(true);
        let request = request
            .key_condition_expression(condition)
            .expression_attribute_values(":pk", AttributeValue::S(question.partition.clone()))
            .scan_index_forward(!question.newest_first)
            .set_limit(left.and_then(|left| i32::try_from(left.max(1)).ok()));
        match value {
            Some(value) => request.expression_attribute_values(":sk", AttributeValue::S(value)),
            None => request,
        }
    }
}

impl Question {
    /// All items of a partition, oldest first.
    pub(crate) fn all(partition: String) -> Self {
        Self {
            partition,
            range: Range::All,
            newest_first: false,
            limit: None,
        }
    }

    /// The newest items of a partition, newest first.
    pub(crate) fn newest(partition: String, range: Range, limit: usize) -> Self {
        Self {
            partition,
            range,
            newest_first: true,
            limit: Some(limit),
        }
    }
}

impl Found {
    /// Every item read.
    pub(crate) fn decoded<T: Stored>(self) -> Result<Vec<T>, TableError> {
        self.items.into_iter().map(decode).collect()
    }
}
