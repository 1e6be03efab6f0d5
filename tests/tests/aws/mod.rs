//! The local AWS, for tests of one adapter against it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use sluice_tests::alone::{cleaned, unique};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The local AWS that `AWS_ENDPOINT_URL` names; never a real account.
pub async fn config() -> SdkConfig {
    let endpoint = std::env::var("AWS_ENDPOINT_URL").unwrap_or_default();
    let is_local = ["http://127.0.0.1:", "http://localhost:"]
        .iter()
        .any(|local| endpoint.starts_with(local));
    assert!(
        is_local,
        "AWS_ENDPOINT_URL is `{endpoint}`, and these tests want the local AWS: `make test` starts it, or `make up` and \
         the env.sh that it names"
    );
    aws_config::defaults(BehaviorVersion::latest()).load().await
}

/// A connection that loses the answer to the next request, after it took effect, when it is told to.
#[derive(Debug, Clone)]
pub struct Deaf {
    connection: SharedHttpClient,
    to_lose: Arc<AtomicU32>,
}

impl Deaf {
    /// The local AWS through such a connection.
    pub async fn config() -> (SdkConfig, Self) {
        let config = config().await;
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        let connection = aws_smithy_http_client::Builder::new()
            .tls_provider(tls)
            .build_https();
        let deaf = Self {
            connection,
            to_lose: Arc::default(),
        };
        (config.into_builder().http_client(deaf.clone()).build(), deaf)
    }

    /// Loses the next answers.
    pub fn lose(&self, answers: u32) {
        self.to_lose.store(answers, Ordering::SeqCst);
    }

    /// How many answers are still to be lost.
    pub fn left(&self) -> u32 {
        self.to_lose.load(Ordering::SeqCst)
    }
}

impl HttpClient for Deaf {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.connection.http_connector(settings, components);
        SharedHttpConnector::new(DeafConnector {
            connector,
            to_lose: self.to_lose.clone(),
        })
    }
}

#[derive(Debug)]
struct DeafConnector {
    connector: SharedHttpConnector,
    to_lose: Arc<AtomicU32>,
}

impl HttpConnector for DeafConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.connector.call(request);
        let to_lose = self.to_lose.clone();
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            let lost = to_lose
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok();
            if lost {
                Err(ConnectorError::io("the test lost the answer".into()))
            } else {
                answer
            }
        })
    }
}

/// Runs a test with a new empty table, laid out like the template's.
pub async fn with_table<T, Fut: Future<Output = T>>(test: impl FnOnce(Client, String) -> Fut) -> T {
    let client = Client::new(&config().await);
    let name = unique("sluice-test");
    create(&client, &name).await;
    let cleanup = async {
        client
            .delete_table()
            .table_name(&name)
            .send()
            .await
            .expect("deleting the test's table");
    };
    cleaned(test(client.clone(), name.clone()), cleanup).await
}

/// What is seen, once it is as wanted; fails after 20 seconds.
pub async fn until<T: std::fmt::Debug>(mut look: impl AsyncFnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let seen = look().await;
        if wanted(&seen) {
            return seen;
        }
        assert!(
            tokio::time::Instant::now() < limit,
            "after 20 s it is still {seen:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn create(client: &Client, name: &str) {
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest);
    for (attribute, key) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let text = AttributeDefinition::builder()
            .attribute_name(attribute)
            .attribute_type(ScalarAttributeType::S);
        let element = KeySchemaElement::builder()
            .attribute_name(attribute)
            .key_type(key);
        request = request
            .attribute_definitions(text.build().unwrap())
            .key_schema(element.build().unwrap());
    }
    request.send().await.expect("creating the test's table");
}
