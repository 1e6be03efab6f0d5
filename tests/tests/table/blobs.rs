//! Content by its hash.

use crate::aws::with_table;
use crate::samples::{digest, tamper};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use sluice_domain::bundle::Bundle;
use sluice_table::{Table, TableError};

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
