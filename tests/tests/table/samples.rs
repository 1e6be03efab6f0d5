//! What is stored in these tests, and short ways to store it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::json;
use sluice_domain::ids::{Digest, EnvironmentName, Hash, ReleaseNumber, Repository, ServiceName};
use sluice_domain::ledger::{Event, Record};
use sluice_domain::promotion::Promotion;
use sluice_domain::release::Release;
use sluice_domain::service::Meta;
use sluice_table::{Item, Table, TableError, Transaction};

pub fn service() -> ServiceName {
    named("mc-api")
}

pub fn named(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

pub fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::parse(name).unwrap()
}

pub fn hash(number: u32) -> Hash {
    Hash::parse(&format!("{number:064x}")).unwrap()
}

pub fn digest(number: u32) -> Digest {
    Digest::parse(&format!("sha256:{number:064x}")).unwrap()
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub fn meta(service: &ServiceName) -> Meta {
    Meta {
        service: service.clone(),
        repository: Repository::parse("team/mc-api").unwrap(),
        pipeline: hash(1),
        last_number: 0,
        newest: None,
        first_applied_at: at(0),
        alarms: Default::default(),
        removed: None,
        environments: vec![environment("dev"), environment("production")],
        v: 0,
    }
}

pub fn release(number: u32) -> Release {
    Release {
        service: service(),
        number: ReleaseNumber(number),
        digest: digest(number),
        children: vec![digest(1000 + number)],
        uri: "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/mc-api".to_owned(),
        tags: vec!["latest".to_owned()],
        commit: None,
        pushed_at: at(i64::from(number)),
        recorded_at: at(i64::from(number) + 1),
        pipeline: hash(1),
        quarantine: None,
        v: 0,
    }
}

pub fn promotion(release: u32, attempt: u32) -> Promotion {
    serde_json::from_value(json!({
        "service": "mc-api",
        "environment": "dev",
        "id": {"release": release, "attempt": attempt},
        "digest": digest(release),
        "pipeline": hash(1),
        "pushed_at": at(i64::from(release)),
        "asked_by": {"kind": "person", "person": "ana", "arn": "arn:aws:iam::123456789012:role/ana"},
        "wanted_at": at(0),
        "state": "awaiting_approval",
        "approval": {
            "evidence": {"digest": digest(release), "pipeline": hash(1), "replaces": null},
            "asked_at": at(1), "expires_at": at(2),
            "votes": [{"person": "ana", "arn": "a", "at": at(1), "approve": true, "reason": null}],
        },
        "wake": {"token": "t".repeat(2048), "at": at(1)},
    }))
    .unwrap()
}

pub fn record() -> Record {
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

pub async fn create(table: &Table, item: &impl Item) {
    let mut transaction = Transaction::new();
    transaction.create(item);
    transaction.commit(table).await.unwrap();
}

pub async fn update(table: &Table, item: &impl Item) -> Result<(), TableError> {
    let mut transaction = Transaction::new();
    transaction.update(item);
    transaction.commit(table).await
}

/// Changes a stored item behind the adapter's back.
pub async fn tamper(client: &Client, table: &str, key: (&str, &str), field: &str, value: AttributeValue) {
    let request = client.update_item().table_name(table);
    let request = request
        .key("pk", AttributeValue::S(key.0.to_owned()))
        .key("sk", AttributeValue::S(key.1.to_owned()));
    let request = request
        .update_expression("SET #f = :v")
        .expression_attribute_names("#f", field);
    request
        .expression_attribute_values(":v", value)
        .send()
        .await
        .unwrap();
}
