//! Questions, and what answers them.

use crate::aws::with_table;
use crate::samples::{at, create, digest, environment, hash, meta, named, promotion, release, service};
use serde_json::json;
use sluice_domain::alarm::{AlarmHome, AlarmId};
use sluice_domain::environment::Environment;
use sluice_domain::ids::{PromotionId, ReleaseNumber, Repository, ServiceName};
use sluice_domain::promotion::Promotion;
use sluice_domain::service::{Meta, PipelineVersion, Removed, RollbackRequest};
use sluice_table::{Table, TableError, Transaction};

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
async fn alarms_lead_to_their_services_and_no_further_than_they_are_named() {
    with_table(async |client, name| {
        let table = Table::new(client, name);
        let alarm = |account: &str, name: &str| AlarmId {
            home: AlarmHome {
                account: account.to_owned(),
                region: "eu-west-1".to_owned(),
            },
            name: name.to_owned(),
        };
        let (errors, latency) = (alarm("111111111111", "5xx"), alarm("111111111111", "p99"));
        let elsewhere = alarm("222222222222", "5xx");
        let names = [
            ServiceName::parse("one").unwrap(),
            ServiceName::parse("two").unwrap(),
        ];
        for name in &names {
            let mut transaction = Transaction::new();
            transaction.new_service(&Meta {
                alarms: [errors.clone()].into(),
                ..meta(name)
            });
            transaction.commit(&table).await.unwrap();
        }
        let services = async |alarm: &AlarmId| table.services_of_alarm(alarm).await.unwrap();
        assert_eq!(services(&errors).await, names);
        assert_eq!(services(&elsewhere).await, []);
        // it names others, is removed and comes back: each time what leads to it is what it names
        let update = async |change: &dyn Fn(&mut Meta)| {
            let before = table.service(&names[0]).await.unwrap().unwrap();
            let mut after = before.clone();
            change(&mut after);
            let mut transaction = Transaction::new();
            transaction.update_service(&after, &before);
            transaction.commit(&table).await.unwrap();
        };
        update(&|meta| meta.alarms = [latency.clone(), elsewhere.clone()].into()).await;
        assert_eq!(services(&errors).await, names[1..]);
        assert_eq!(
            (services(&latency).await, services(&elsewhere).await),
            (names[..1].to_vec(), names[..1].to_vec())
        );
        update(&|meta| {
            meta.removed = Some(Removed {
                by: "ana".to_owned(),
                at: at(1),
            });
        })
        .await;
        assert_eq!(
            (services(&latency).await, services(&elsewhere).await),
            (vec![], vec![])
        );
        update(&|meta| {
            meta.removed = None;
            meta.alarms = [errors.clone(), latency.clone()].into();
        })
        .await;
        assert_eq!(
            (services(&errors).await, services(&latency).await),
            (names.to_vec(), names[..1].to_vec())
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
            undoes: None,
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
