//! Ledgers: paged, whole, and found out when tampered with.

use crate::aws::with_table;
use crate::samples::{at, environment, record, service, tamper};
use aws_sdk_dynamodb::types::AttributeValue;
use sluice_domain::environment::Environment;
use sluice_domain::ledger::Check;
use sluice_table::{Table, TableError, Transaction};

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
