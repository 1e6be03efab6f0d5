//! The proxies between functions and what they call: `sluice-local run --without-sluice -- cargo test -p
//! sluice-local`. One after another: they share the rules.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_local::Environment;
use sluice_local::faults::{Action, Faults, Rule};
use tokio::sync::{Mutex, MutexGuard};

const LIMIT: Duration = Duration::from_secs(20);
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

struct Here {
    environment: Environment,
    faults: Faults,
    client: reqwest::Client,
    _turn: MutexGuard<'static, ()>,
}

impl Here {
    async fn new() -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let environment = Environment::load().unwrap();
        let faults = environment.faults();
        faults.clear().await.unwrap();
        Self {
            environment,
            faults,
            client: reqwest::Client::new(),
            _turn: turn,
        }
    }

    /// A DynamoDB call with root's keys, through the functions' endpoint.
    fn call(&self, operation: &str, body: Value) -> tokio::task::JoinHandle<reqwest::Result<(u16, Value)>> {
        let request = self.client.post(&self.environment.functions_endpoint)
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
            .body(body.to_string());
        tokio::spawn(async move {
            let answer = request.send().await?;
            Ok((answer.status().as_u16(), answer.json().await?))
        })
    }

    async fn done(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.call(operation, body).await.unwrap().unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn table(&self, name: &str) {
        self.done(
            "CreateTable",
            json!({"TableName": name, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]}),
        )
        .await;
    }

    async fn has(&self, table: &str) -> bool {
        self.done("GetItem", key(table, "Key"))
            .await
            .get("Item")
            .is_some()
    }
}

fn key(table: &str, field: &str) -> Value {
    json!({"TableName": table, field: {"pk": {"S": "one"}}})
}

#[tokio::test]
async fn a_call_held_before_took_no_effect_and_after_it_did() {
    let here = Here::new().await;
    for (table, action, effect) in [
        ("before", Action::HoldBefore, false),
        ("after", Action::HoldAfter, true),
    ] {
        here.table(table).await;
        here.faults
            .add(Rule::aws("dynamodb", "PutItem").body(table).then(action))
            .await
            .unwrap();
        let call = here.call("PutItem", key(table, "Item"));
        let held = here.faults.wait_held(LIMIT).await.unwrap();
        assert_eq!((held.after, held.call.operation.as_str()), (effect, "PutItem"));
        assert_eq!(here.has(table).await, effect);
        here.faults.drop_call(&held).await.unwrap();
        assert!(call.await.unwrap().is_err(), "the caller gets no answer");
        assert_eq!(here.has(table).await, effect, "dropped before: never passed on");
        assert_eq!(here.faults.fired().await.unwrap().len(), 1);
        here.faults.clear().await.unwrap();
        here.done("DeleteTable", json!({"TableName": table})).await;
    }
}

#[tokio::test]
async fn a_released_call_is_answered_and_a_failed_one_never_passed_on() {
    let here = Here::new().await;
    here.table("released").await;
    here.faults
        .add(Rule::aws("dynamodb", "PutItem").then(Action::HoldBefore))
        .await
        .unwrap();
    let call = here.call("PutItem", key("released", "Item"));
    let held = here.faults.wait_held(LIMIT).await.unwrap();
    here.faults.release(&held).await.unwrap();
    assert_eq!(call.await.unwrap().unwrap().0, 200);
    let body = json!({"__type": "ThrottlingException"}).to_string();
    here.faults
        .add(Rule::aws("dynamodb", "DeleteItem").then(Action::Error { status: 400, body }))
        .await
        .unwrap();
    let (status, answer) = here
        .call("DeleteItem", key("released", "Key"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (status, answer["__type"].as_str()),
        (400, Some("ThrottlingException"))
    );
    assert!(here.has("released").await);
    here.done("DeleteTable", json!({"TableName": "released"})).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_is_no_longer_held_and_its_call_never_passed_on() {
    let here = Here::new().await;
    here.table("gone").await;
    here.faults
        .add(Rule::aws("dynamodb", "PutItem").then(Action::HoldBefore))
        .await
        .unwrap();
    let call = here.call("PutItem", key("gone", "Item"));
    here.faults.wait_held(LIMIT).await.unwrap();
    call.abort();
    while !here.faults.held().await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!here.has("gone").await);
    here.done("DeleteTable", json!({"TableName": "gone"})).await;
}

/// The identity of a role, through DescribeCluster's endpoint: what a function does, with the AWS command.
#[tokio::test]
async fn an_api_server_behind_its_proxy_knows_the_role_and_its_calls_can_be_held() {
    let here = Here::new().await;
    let cluster = here.environment.clusters[0].clone();
    let described = aws(
        &here.environment,
        &[],
        &["eks", "describe-cluster", "--name", &cluster.name],
    );
    assert_eq!(described["cluster"]["endpoint"], cluster.proxy.as_str());
    let ca = described["cluster"]["certificateAuthority"]["data"]
        .as_str()
        .unwrap();
    let ca = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, ca).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
        .build()
        .unwrap();

    let role = format!("arn:aws:iam::{}:role/sluice-readonly", here.environment.account);
    let assumed = aws(
        &here.environment,
        &[],
        &[
            "sts",
            "assume-role",
            "--role-arn",
            &role,
            "--role-session-name",
            "test",
        ],
    );
    let keys = ["AccessKeyId", "SecretAccessKey", "SessionToken"]
        .map(|field| assumed["Credentials"][field].as_str().unwrap().to_owned());
    let token = aws(
        &here.environment,
        &keys,
        &["eks", "get-token", "--cluster-name", &cluster.name],
    );
    let token = token["status"]["token"].as_str().unwrap();

    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let ask = |token: String| {
        let url = format!(
            "{}/apis/authentication.k8s.io/v1/selfsubjectreviews",
            cluster.proxy
        );
        let request = client.post(url).bearer_auth(token).json(&review);
        tokio::spawn(async move { request.send().await })
    };
    assert_eq!(
        ask(format!("{token}x")).await.unwrap().unwrap().status().as_u16(),
        401,
        "a forged token"
    );
    let answer: Value = ask(token.to_owned())
        .await
        .unwrap()
        .unwrap()
        .json()
        .await
        .unwrap();
    let groups = answer["status"]["userInfo"]["groups"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    assert!(groups.contains(&json!("sluice-readonly")), "{answer}");

    here.faults
        .add(Rule::kubernetes(&cluster.name, "POST", "selfsubjectreviews").then(Action::HoldAfter))
        .await
        .unwrap();
    let call = ask(token.to_owned());
    let held = here.faults.wait_held(LIMIT).await.unwrap();
    assert_eq!(
        (held.call.target.as_str(), held.status),
        (cluster.name.as_str(), Some(201))
    );
    here.faults.release(&held).await.unwrap();
    assert_eq!(call.await.unwrap().unwrap().status().as_u16(), 201);
    here.faults.clear().await.unwrap();
}

fn aws(environment: &Environment, keys: &[String], arguments: &[&str]) -> Value {
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    let done = Command::new(environment.sam_bin.join("aws"))
        .args(arguments)
        .args(["--output", "json"])
        .envs(environment.variables())
        .envs(names.into_iter().zip(keys))
        // A token is signed for the real STS, whose name is part of it, and nothing is called.
        .env(
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            (arguments.get(1) == Some(&"get-token")).to_string(),
        )
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "aws {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    serde_json::from_slice(&done.stdout).unwrap()
}
