//! The table adapter against the local AWS's DynamoDB.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod aws;

use aws::with_table;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::json;
use sluice_domain::bundle::Bundle;
use sluice_domain::environment::Environment;
use sluice_domain::ids::{
    Digest, EnvironmentName, Hash, PromotionId, ReleaseNumber, Repository, ServiceName,
};
use sluice_domain::ledger::{Check, Event, Record};
use sluice_domain::promotion::Promotion;
use sluice_domain::release::Release;
use sluice_domain::service::{Meta, PipelineVersion, RollbackRequest};
use sluice_table::{Item, Table, TableError, Transaction};

fn service() -> ServiceName {
    named("mc-api")
}

fn named(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::parse(name).unwrap()
}

fn hash(number: u32) -> Hash {
    Hash::parse(&format!("{number:064x}")).unwrap()
}

fn digest(number: u32) -> Digest {
    Digest::parse(&format!("sha256:{number:064x}")).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn meta(service: &ServiceName) -> Meta {
    Meta {
        service: service.clone(),
        repository: Repository::parse("team/mc-api").unwrap(),
        pipeline: hash(1),
        last_number: 0,
        newest: None,
        first_applied_at: at(0),
        environments: vec![environment("dev"), environment("production")],
        v: 0,
    }
}

fn release(number: u32) -> Release {
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

fn promotion(release: u32, attempt: u32) -> Promotion {
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

async fn create(table: &Table, item: &impl Item) {
    let mut transaction = Transaction::new();
    transaction.create(item);
    transaction.commit(table).await.unwrap();
}

async fn update(table: &Table, item: &impl Item) -> Result<(), TableError> {
    let mut transaction = Transaction::new();
    transaction.update(item);
    transaction.commit(table).await
}

/// Changes a stored item behind the adapter's back.
async fn tamper(client: &Client, table: &str, key: (&str, &str), field: &str, value: AttributeValue) {
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

#[tokio::test]
async fn what_was_never_stored_is_not_there() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        let (service, dev) = (service(), environment("dev"));
        table.warm().await.unwrap();
        assert_eq!(table.service(&service).await.unwrap(), None);
        assert_eq!(table.overview(&service).await.unwrap(), None);
        assert_eq!(
            table.environment(&service, &dev).await.unwrap(),
            Environment::new(service.clone(), dev.clone())
        );
        assert_eq!(table.release(&service, ReleaseNumber(1)).await.unwrap(), None);
        assert_eq!(table.release_by_digest(&service, &digest(1)).await.unwrap(), None);
        assert_eq!(
            table
                .latest_attempt(&service, &dev, ReleaseNumber(1))
                .await
                .unwrap(),
            None
        );
        assert_eq!(table.request(&service, "r-1").await.unwrap(), None);
        assert_eq!(table.find_pipeline(&service, &hash(1)).await.unwrap(), None);
        assert!(matches!(
            table.pipeline(&service, &hash(1)).await,
            Err(TableError::Missing { .. })
        ));
        assert!(matches!(
            table.blob(&hash(1)).await,
            Err(TableError::Missing { .. })
        ));
        assert!(table.services(None, 10).await.unwrap().items.is_empty());
        assert!(
            table
                .services_of(&meta(&service).repository)
                .await
                .unwrap()
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn a_service_is_found_by_its_name_its_repository_and_in_the_listing() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        let names: Vec<_> = ["aa", "bb", "cc", "dd", "ee"].map(named).to_vec();
        for name in &names {
            let mut transaction = Transaction::new();
            transaction.new_service(&meta(name));
            transaction.commit(&table).await.unwrap();
        }
        assert_eq!(
            table.services_of(&meta(&names[0]).repository).await.unwrap(),
            names
        );
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = table.services(after.as_ref(), 2).await.unwrap();
            assert!(page.items.len() <= 2);
            listed.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(listed, names);

        let before = table.service(&names[0]).await.unwrap().unwrap();
        assert_eq!(before.v, 1);
        let moved = Meta {
            repository: Repository::parse("other").unwrap(),
            ..before.clone()
        };
        let mut transaction = Transaction::new();
        transaction.update_service(&moved, &before);
        transaction.commit(&table).await.unwrap();
        assert_eq!(table.services_of(&before.repository).await.unwrap(), names[1..]);
        assert_eq!(table.services_of(&moved.repository).await.unwrap(), names[..1]);
        assert_eq!(
            table.service(&names[0]).await.unwrap(),
            Some(Meta { v: 2, ..moved })
        );
    })
    .await;
}

#[tokio::test]
async fn an_overview_is_one_question_whatever_has_happened() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        let mut transaction = Transaction::new();
        transaction.new_service(&meta(&service()));
        for name in ["dev", "production"] {
            transaction.update(&Environment::new(service(), environment(name)));
        }
        transaction.commit(&table).await.unwrap();
        for number in 1..=30 {
            let mut transaction = Transaction::new();
            transaction
                .new_release(&release(number))
                .create(&promotion(number, 1));
            transaction.commit(&table).await.unwrap();
        }
        let before = table.usage();
        let overview = table.overview(&service()).await.unwrap().unwrap();
        let after = table.usage();
        assert_eq!(
            (
                after.requests - before.requests,
                after.items_read - before.items_read
            ),
            (1, 3)
        );
        assert_eq!(
            overview.meta,
            Meta {
                v: 1,
                ..meta(&service())
            }
        );
        let names: Vec<_> = overview
            .environments
            .iter()
            .map(|environment| environment.name.as_str())
            .collect();
        assert_eq!(names, ["dev", "production"]);
    })
    .await;
}

#[tokio::test]
async fn of_concurrent_updates_exactly_one_wins() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        create(&table, &Environment::new(service(), environment("dev"))).await;
        for round in 1..=5 {
            let read = table.environment(&service(), &environment("dev")).await.unwrap();
            assert_eq!(read.v, round);
            let writers = (0..10_u64).map(|writer| {
                let mut mine = read.clone();
                mine.fence.0 = round * 100 + writer;
                let table = table.clone();
                async move { (mine.fence, update(&table, &mine).await) }
            });
            let outcomes = futures::future::join_all(writers).await;
            let won: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).collect();
            assert_eq!(won.len(), 1, "{outcomes:?}");
            assert_eq!(
                table
                    .environment(&service(), &environment("dev"))
                    .await
                    .unwrap()
                    .fence,
                won[0].0
            );
            for (_, outcome) in outcomes.iter().filter(|(_, outcome)| outcome.is_err()) {
                let Err(TableError::Conflict { .. }) = outcome else {
                    panic!("{outcome:?}")
                };
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_digest_is_one_release_however_many_record_it() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        let recorders = (1..=20).map(|number| {
            let table = table.clone();
            async move {
                let mut transaction = Transaction::new();
                transaction.new_release(&Release {
                    digest: digest(7),
                    ..release(number)
                });
                transaction.commit(&table).await
            }
        });
        let outcomes = futures::future::join_all(recorders).await;
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            1,
            "{outcomes:?}"
        );
        let releases = table.releases(&service(), None, 100).await.unwrap().items;
        assert_eq!(releases.len(), 1);
        assert_eq!(
            table
                .release_by_digest(&service(), &digest(7))
                .await
                .unwrap()
                .as_ref(),
            releases.first()
        );
        assert_eq!(
            table
                .release(&service(), releases[0].number)
                .await
                .unwrap()
                .as_ref(),
            releases.first()
        );
    })
    .await;
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing_and_says_what_changed() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        create(&table, &Environment::new(service(), environment("dev"))).await;
        let stale = Environment::new(service(), environment("dev"));
        let mut transaction = Transaction::new();
        transaction.new_release(&release(1)).check_unchanged(&stale);
        let error = transaction.commit(&table).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "SERVICE#mc-api / ENVIRONMENT#dev changed meanwhile"
        );
        assert!(!error.is_transient());
        assert_eq!(table.release(&service(), ReleaseNumber(1)).await.unwrap(), None);

        let read = table.environment(&service(), &environment("dev")).await.unwrap();
        let mut transaction = Transaction::new();
        transaction.new_release(&release(1)).check_unchanged(&read);
        transaction.commit(&table).await.unwrap();
        assert_eq!(
            table
                .environment(&service(), &environment("dev"))
                .await
                .unwrap()
                .v,
            read.v
        );
    })
    .await;
}

#[tokio::test]
async fn promotions_are_found_by_release_and_newest_first() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        // 10 and 100 would be mixed up with 1, were the numbers not padded
        for (number, attempts) in [(1, 12), (2, 1), (10, 2), (100, 1)] {
            for attempt in 1..=attempts {
                create(&table, &promotion(number, attempt)).await;
            }
        }
        let (service, dev) = (service(), environment("dev"));
        let latest = table
            .latest_attempt(&service, &dev, ReleaseNumber(1))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            latest,
            Promotion {
                v: 1,
                ..promotion(1, 12)
            }
        );
        let attempts = table
            .promotions_of(&service, &dev, ReleaseNumber(10))
            .await
            .unwrap();
        assert_eq!(
            attempts
                .iter()
                .map(|promotion| promotion.id.attempt)
                .collect::<Vec<_>>(),
            [2, 1]
        );
        let page = table.promotions(&service, &dev, None, 4).await.unwrap();
        let id = |release, attempt| PromotionId {
            release: ReleaseNumber(release),
            attempt,
        };
        let ids: Vec<_> = page.items.iter().map(|promotion| promotion.id).collect();
        assert_eq!(ids, [id(100, 1), id(10, 2), id(10, 1), id(2, 1)]);
        let page = table.promotions(&service, &dev, page.next, 100).await.unwrap();
        assert_eq!(
            (page.items.len(), page.items[0].id, page.next),
            (12, id(1, 12), None)
        );
        assert_eq!(
            table
                .promotion(&service, &dev, id(10, 2))
                .await
                .unwrap()
                .unwrap()
                .wake,
            promotion(10, 2).wake
        );
        assert_eq!(
            table
                .promotion(&service, &environment("staging"), id(10, 2))
                .await
                .unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn releases_are_paged_newest_first() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        for number in 1..=25 {
            create(&table, &release(number)).await;
        }
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = table.releases(&service(), before, 10).await.unwrap();
            seen.extend(page.items.iter().map(|release| release.number.0));
            match page.next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, (1..=25).rev().collect::<Vec<_>>());
    })
    .await;
}

/// Writes `count` entries into dev's ledger, some to a transaction.
async fn fill_ledger(table: &Table, count: usize) -> Environment {
    let dev = environment("dev");
    let mut written = 0;
    while written < count {
        let mut state = table.environment(&service(), &dev).await.unwrap();
        let mut transaction = Transaction::new();
        for _ in 0..(count - written).min(90) {
            transaction.record(&mut state, record(), at(i64::try_from(written).unwrap()));
            written += 1;
        }
        transaction.update(&state);
        transaction.commit(table).await.unwrap();
    }
    table.environment(&service(), &dev).await.unwrap()
}

#[tokio::test]
async fn a_long_ledger_is_paged_and_whole() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        let dev = environment("dev");
        let state = fill_ledger(&table, 1050).await;
        assert_eq!(state.ledger.seq, 1050);
        let mut check = Check::default();
        let (mut from, mut count, mut pages) = (0, 0, 0);
        loop {
            let page = table.ledger(&service(), &dev, from, 200).await.unwrap();
            page.items.iter().for_each(|entry| check.next(entry));
            (count, pages) = (count + page.items.len(), pages + 1);
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!((count, pages), (1050, 6));
        assert_eq!(check.finish(Some(&state.ledger)), []);
        let tail = table.ledger_tail(&service(), &dev, 3).await.unwrap();
        assert_eq!(
            tail.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
            [1050, 1049, 1048]
        );
        let page = table.ledger(&service(), &dev, 1049, 200).await.unwrap();
        assert_eq!((page.items.len(), page.next), (2, None));
    })
    .await;
}

#[tokio::test]
async fn a_ledger_that_was_tampered_with_is_read_for_the_check_to_find() {
    with_table(async |client, name| {
        let table = Table::new(client.clone(), name.clone());
        let dev = environment("dev");
        let state = fill_ledger(&table, 4).await;
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let place = |seq: &'static str| ("SERVICE#mc-api#LEDGER#dev", seq);
        tamper(&client, &name, place("0000000002"), "by", text("mallory")).await;
        tamper(
            &client,
            &name,
            place("0000000003"),
            "seq",
            AttributeValue::N("9".to_owned()),
        )
        .await;
        tamper(
            &client,
            &name,
            place("0000000004"),
            "environment",
            text("staging"),
        )
        .await;
        let page = table.ledger(&service(), &dev, 0, 100).await.unwrap();
        let mut check = Check::default();
        page.items.iter().for_each(|entry| check.next(entry));
        let faults = check.finish(Some(&state.ledger));
        let found = format!("{faults:?}");
        for fault in ["Edited { seq: 2", "Gap { expected: 3, found: 9 }", "Foreign"] {
            assert!(found.contains(fault), "{fault}: {found}");
        }
    })
    .await;
}

#[tokio::test]
async fn two_who_record_at_once_do_not_fork_the_ledger() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        let read = fill_ledger(&table, 1).await;
        let mut first = read.clone();
        let mut transaction = Transaction::new();
        transaction.record(&mut first, record(), at(1)).update(&first);
        transaction.commit(&table).await.unwrap();
        let mut late = read;
        let mut transaction = Transaction::new();
        transaction.record(&mut late, record(), at(2)).update(&late);
        let TableError::Conflict { keys, .. } = transaction.commit(&table).await.unwrap_err() else {
            panic!()
        };
        assert!(
            keys.contains("LEDGER#dev / 0000000002") && keys.contains("ENVIRONMENT#dev"),
            "{keys}"
        );
        let page = table
            .ledger(&service(), &environment("dev"), 0, 10)
            .await
            .unwrap();
        assert_eq!(page.items.len(), 2);
    })
    .await;
}

/// 1.5 MB that does not shrink.
fn large() -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(187_500).flatten().collect()
}

#[tokio::test]
async fn a_large_blob_is_read_back_and_storing_it_again_changes_nothing() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        let content = large();
        let hash = table.put_blob(&content).await.unwrap();
        assert_eq!(table.blob(&hash).await.unwrap(), content);
        let writers = (0..3).map(|_| table.put_blob(&content));
        for again in futures::future::join_all(writers).await {
            assert_eq!(again.unwrap(), hash);
        }
        assert_eq!(table.blob(&hash).await.unwrap(), content);
        let empty = table.put_blob(b"").await.unwrap();
        assert_eq!(table.blob(&empty).await.unwrap(), b"");
        let too_large = vec![0; 17 * 1024 * 1024];
        assert!(matches!(
            table.put_blob(&too_large).await,
            Err(TableError::TooLarge { .. })
        ));
    })
    .await;
}

#[tokio::test]
async fn a_spoilt_blob_is_never_taken_for_its_content() {
    with_table(async |client, name| {
        let table = Table::new(client.clone(), name.clone());
        let hash = table.put_blob(&large()).await.unwrap();
        let other = table.put_blob(b"other content").await.unwrap();
        let partition = format!("BLOB#{hash}");
        let part = |sk: &str| {
            let request = client
                .get_item()
                .table_name(&name)
                .key("pk", AttributeValue::S(partition.clone()));
            request.key("sk", AttributeValue::S(sk.to_owned())).send()
        };
        let stored = part("0002").await.unwrap().item.unwrap();
        let what = async |expected: &str| {
            let TableError::Corrupt { key, what, .. } = table.blob(&hash).await.unwrap_err() else {
                panic!()
            };
            assert!(
                key.starts_with(&partition) && what.contains(expected),
                "{key}: {what}"
            );
        };
        // another valid part in its place
        let foreign = client
            .get_item()
            .table_name(&name)
            .key("pk", AttributeValue::S(format!("BLOB#{other}")));
        let foreign = foreign
            .key("sk", AttributeValue::S("0000".to_owned()))
            .send()
            .await
            .unwrap()
            .item
            .unwrap();
        tamper(
            &client,
            &name,
            (&partition, "0002"),
            "data",
            foreign["data"].clone(),
        )
        .await;
        what("its content hashes to").await;
        tamper(
            &client,
            &name,
            (&partition, "0002"),
            "data",
            AttributeValue::B(Blob::new("no gzip")),
        )
        .await;
        what("does not unpack").await;
        tamper(
            &client,
            &name,
            (&partition, "0002"),
            "data",
            stored["data"].clone(),
        )
        .await;
        assert_eq!(table.blob(&hash).await.unwrap(), large());
        let gone = client
            .delete_item()
            .table_name(&name)
            .key("pk", stored["pk"].clone());
        gone.key("sk", stored["sk"].clone()).send().await.unwrap();
        what("4 of 5 parts").await;
        // putting it again mends it
        assert_eq!(table.put_blob(&large()).await.unwrap(), hash);
        assert_eq!(table.blob(&hash).await.unwrap(), large());
    })
    .await;
}

#[tokio::test]
async fn a_bundle_is_named_by_its_content() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        let bundle: Bundle = serde_json::from_value(json!({
            "release": 42,
            "digest": digest(42),
            "deployments": [{
                "name": "api", "container": "api", "replicas": null, "images": {"api": "x@sha256:1"},
                "manifest": {"spec": {"template": {"cpu": 0.1, "big": u64::MAX, "empty": "", "none": null}}},
            }],
        }))
        .unwrap();
        let hash = table.put_bundle(&bundle).await.unwrap();
        assert_eq!(hash, bundle.named().unwrap().0);
        assert_eq!(table.bundle(&hash).await.unwrap(), bundle);
        let no_bundle = table.put_json(&json!({"release": "x"})).await.unwrap();
        let TableError::Corrupt { what, .. } = table.bundle(&no_bundle).await.unwrap_err() else {
            panic!()
        };
        assert!(what.starts_with("field `release`"), "{what}");
    })
    .await;
}

#[tokio::test]
async fn versions_and_requests_are_created_once() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        let version = PipelineVersion {
            hash: hash(1),
            service: service(),
            text: "service = \"mc-api\"\n# a comment\n".to_owned(),
            pipeline: json!({"service": "mc-api", "scale": 0.2, "environments": [], "none": null}),
            package: hash(2),
            applied_at: at(0),
            applied_by: "ana".to_owned(),
        };
        let request = RollbackRequest {
            id: "r-1".to_owned(),
            service: service(),
            environment: environment("dev"),
            to: None,
            reason: None,
            by: "ana".to_owned(),
            restore: false,
            expires: 1_790_000_000,
        };
        let mut transaction = Transaction::new();
        transaction.create(&version).create(&request);
        transaction.commit(&table).await.unwrap();
        assert_eq!(table.pipeline(&service(), &hash(1)).await.unwrap(), version);
        assert_eq!(
            table.request(&service(), "r-1").await.unwrap().as_ref(),
            Some(&request)
        );
        for again in [true, false] {
            let mut transaction = Transaction::new();
            if again {
                transaction.create(&version)
            } else {
                transaction.create(&request)
            };
            assert!(matches!(
                transaction.commit(&table).await,
                Err(TableError::Conflict { .. })
            ));
        }
    })
    .await;
}

#[tokio::test]
async fn a_field_that_was_spoilt_in_the_console_is_named() {
    with_table(async |client, name| {
        let table = Table::new(client.clone(), name.clone());
        create(&table, &Environment::new(service(), environment("dev"))).await;
        let number = AttributeValue::N("7".to_owned());
        tamper(
            &client,
            &name,
            ("SERVICE#mc-api", "ENVIRONMENT#dev"),
            "queue",
            number,
        )
        .await;
        let error = table
            .environment(&service(), &environment("dev"))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("item SERVICE#mc-api / ENVIRONMENT#dev cannot be read: field `queue`: "),
            "{text}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_table_that_is_not_there_is_refused_and_not_awaited() {
    let table = Table::new(Client::new(&aws::config().await), aws::unique("sluice-absent"));
    let read = table.service(&service()).await.unwrap_err();
    let written = update(&table, &Environment::new(service(), environment("dev")))
        .await
        .unwrap_err();
    for error in [read, written] {
        assert!(matches!(error, TableError::Refused { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_written_once() {
    with_table(async |_, name| {
        let (config, deaf) = aws::Deaf::config().await;
        let table = Table::new(Client::new(&config), name);
        let dev = environment("dev");
        // lost once, the SDK's repetition hears what became of it; lost every time, nobody does
        for (v, lost) in [(0, 1), (1, 2), (2, 1000)] {
            let mut read = table.environment(&service(), &dev).await.unwrap();
            assert_eq!(read.v, v);
            let mut transaction = Transaction::new();
            transaction.record(&mut read, record(), at(0)).update(&read);
            deaf.lose(lost);
            let outcome = transaction.commit(&table).await;
            assert!(deaf.left() == 0 || lost == 1000, "the answers were not lost");
            deaf.lose(0);
            match outcome {
                Ok(()) | Err(TableError::Conflict { .. }) => assert!(lost < 1000),
                Err(error) => assert!(error.is_transient() && lost == 1000, "{error:?}"),
            }
            let now = table.environment(&service(), &dev).await.unwrap();
            assert_eq!((now.v, now.ledger.seq), (v + 1, v + 1));
        }
        deaf.lose(1);
        let hash = table.put_blob(b"content").await.unwrap();
        assert_eq!(
            (table.blob(&hash).await.unwrap().as_slice(), deaf.left()),
            (b"content".as_slice(), 0)
        );
    })
    .await;
}
