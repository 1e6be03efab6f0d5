//! Writes that lose, and writes that fail.

use crate::aws::{self, with_table};
use crate::samples::{at, create, digest, environment, record, release, service, tamper, update};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use sluice_domain::environment::Environment;
use sluice_domain::ids::ReleaseNumber;
use sluice_domain::release::Release;
use sluice_table::{Table, TableError, Transaction};
use sluice_tests::alone::unique;

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
    let table = Table::new(Client::new(&aws::config().await), unique("sluice-absent"));
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
