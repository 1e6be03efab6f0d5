//! The executions adapter against the local AWS's Step Functions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod aws;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::Client;
use serde_json::{Value, json};
use sluice_domain::ids::ExecutionName;
use sluice_executions::{ExecutionStatus, Executions, Kind, MachineArn, PREEMPTED, Started, Woken};
use sluice_tests::alone::{cleaned, unique};

/// Writes its task token into the table and waits for an answer.
fn waits(table: &str) -> Value {
    let item = json!({"pk": {"S": "TOKEN"}, "sk": {"S.$": "$.name"}, "token": {"S.$": "$$.Task.Token"}});
    json!({"StartAt": "Wait", "States": {"Wait": {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:putItem.waitForTaskToken",
        "Parameters": {"TableName": table, "Item": item},
        "TimeoutSeconds": 600,
        "End": true,
    }}})
}

fn ends_at_once() -> Value {
    json!({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
}

/// Fails when its input says so; else waits for longer than any test.
fn fails_or_waits() -> Value {
    let fails = json!({"Variable": "$.fail", "BooleanEquals": true, "Next": "Fail"});
    json!({"StartAt": "Look", "States": {
        "Look": {"Type": "Choice", "Choices": [fails], "Default": "Wait"},
        "Fail": {"Type": "Fail", "Error": "Refused", "Cause": "no right"},
        "Wait": {"Type": "Wait", "Seconds": 600, "End": true},
    }})
}

fn name(text: &str) -> ExecutionName {
    ExecutionName::parse(text).unwrap()
}

/// Two machines of a test's own, deleted with what they run. The local AWS lets a machine without a role do anything.
async fn with_machines<Fut: Future<Output = ()>>(
    promotion: Value,
    rollback: Value,
    test: impl FnOnce(Client, Executions) -> Fut,
) {
    let client = Client::new(&aws::config().await);
    let mut machines = Vec::new();
    for definition in [promotion, rollback] {
        let request = client
            .create_state_machine()
            .name(unique("sluice-test"))
            .role_arn("");
        machines.push(
            request
                .definition(definition.to_string())
                .send()
                .await
                .unwrap()
                .state_machine_arn,
        );
    }
    let [first, second] = [&machines[0], &machines[1]].map(|arn| MachineArn::parse(arn).unwrap());
    let cleanup = async {
        for machine in &machines {
            let running = client
                .list_executions()
                .state_machine_arn(machine)
                .send()
                .await
                .unwrap();
            for execution in running.executions() {
                let _over_already = client
                    .stop_execution()
                    .execution_arn(execution.execution_arn())
                    .send()
                    .await;
            }
            client
                .delete_state_machine()
                .state_machine_arn(machine)
                .send()
                .await
                .unwrap();
        }
    };
    cleaned(
        test(client.clone(), Executions::new(client.clone(), first, second)),
        cleanup,
    )
    .await;
}

/// The status, once it is as wanted.
async fn until(
    executions: &Executions,
    name: &ExecutionName,
    kind: Kind,
    wanted: fn(&ExecutionStatus) -> bool,
) -> ExecutionStatus {
    let look = async || executions.status(name, kind).await.unwrap();
    aws::until(look, wanted).await
}

#[tokio::test]
async fn starting_again_is_harmless() {
    with_machines(fails_or_waits(), ends_at_once(), async |_, executions| {
        let (input, other) = (json!({"fail": false}), json!({"fail": true}));
        let first = name("mc-api-1-dev-1");
        let starts = (0..10).map(|_| executions.start_promotion(&first, &input));
        for started in futures::future::join_all(starts).await {
            assert_eq!(started.unwrap(), Started::Running);
        }
        assert_eq!(
            executions.start_promotion(&first, &other).await.unwrap(),
            Started::AlreadyThere
        );
        assert_eq!(
            executions.status(&first, Kind::Promotion).await.unwrap(),
            ExecutionStatus::Running
        );
        // the machines do not share names
        assert_eq!(
            executions.status(&first, Kind::Rollback).await.unwrap(),
            ExecutionStatus::NotFound
        );

        let back = name("mc-api-dev-r7");
        assert_eq!(
            executions.start_rollback(&back, &input).await.unwrap(),
            Started::Running
        );
        until(&executions, &back, Kind::Rollback, |status| {
            *status == ExecutionStatus::Succeeded
        })
        .await;
        assert_eq!(
            executions.start_rollback(&back, &input).await.unwrap(),
            Started::AlreadyThere
        );
    })
    .await;
}

#[tokio::test]
async fn an_end_says_how_it_ended() {
    with_machines(fails_or_waits(), ends_at_once(), async |client, executions| {
        let failing = name("mc-api-2-dev-1");
        executions
            .start_promotion(&failing, &json!({"fail": true}))
            .await
            .unwrap();
        let failed = until(&executions, &failing, Kind::Promotion, ExecutionStatus::is_over).await;
        let right = ExecutionStatus::Failed {
            error: Some("Refused".to_owned()),
            cause: Some("no right".to_owned()),
        };
        assert_eq!(failed, right);

        let stopped = name("mc-api-3-dev-1");
        executions
            .start_promotion(&stopped, &json!({"fail": false}))
            .await
            .unwrap();
        let arn = executions.arn(&stopped, Kind::Promotion);
        client.stop_execution().execution_arn(arn).send().await.unwrap();
        until(&executions, &stopped, Kind::Promotion, |status| {
            *status == ExecutionStatus::Aborted
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_token_wakes_once() {
    aws::with_table(async |dynamodb, table| {
        with_machines(waits(&table), ends_at_once(), async |_, executions| {
            for (execution, preempts) in [("mc-api-4-dev-1", false), ("mc-api-5-dev-1", true)] {
                let execution = name(execution);
                executions
                    .start_promotion(&execution, &json!({"name": execution}))
                    .await
                    .unwrap();
                let token = token_of(&dynamodb, &table, &execution).await;
                let woken = async || match preempts {
                    true => executions.preempt(&token).await.unwrap(),
                    false => executions.wake(&token).await.unwrap(),
                };
                assert_eq!(woken().await, Woken::Sent);
                let ended = until(&executions, &execution, Kind::Promotion, ExecutionStatus::is_over).await;
                match ended {
                    ExecutionStatus::Failed { error, .. } => {
                        assert_eq!((error.as_deref(), preempts), (Some(PREEMPTED), true))
                    }
                    other => assert_eq!((other, preempts), (ExecutionStatus::Succeeded, false)),
                }
                assert_eq!(woken().await, Woken::Gone);
            }
            for none in ["no token", "x"] {
                assert_eq!(executions.wake(none).await.unwrap(), Woken::Gone);
                assert_eq!(executions.preempt(none).await.unwrap(), Woken::Gone);
            }
        })
        .await;
    })
    .await;
}

/// The token, once the execution has written it.
async fn token_of(client: &aws_sdk_dynamodb::Client, table: &str, execution: &ExecutionName) -> String {
    let key = |text: &str| AttributeValue::S(text.to_owned());
    let look = async || {
        let request = client
            .get_item()
            .table_name(table)
            .key("pk", key("TOKEN"))
            .key("sk", key(execution.as_str()));
        let item = request.send().await.unwrap().item;
        item.and_then(|item| item.get("token").and_then(|token| token.as_s().ok().cloned()))
    };
    aws::until(look, Option::is_some).await.unwrap()
}
