//! The two state machines, and calls that may be made again without harm.

use crate::error::ExecutionsError;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::describe_execution::{DescribeExecutionError, DescribeExecutionOutput};
use aws_sdk_sfn::operation::send_task_failure::SendTaskFailureError;
use aws_sdk_sfn::operation::send_task_success::SendTaskSuccessError;
use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use aws_sdk_sfn::types::ExecutionStatus as Reported;
use serde_json::Value;
use sluice_domain::alarm::AlarmHome;
use sluice_domain::ids::ExecutionName;
use std::fmt;

/// The error name that a preempted execution is woken with; the state machines catch it by this name.
pub const PREEMPTED: &str = "Preempted";

/// The state machines of this installation.
#[derive(Debug, Clone)]
pub struct Executions {
    client: Client,
    promotion: MachineArn,
    rollback: MachineArn,
}

/// Which state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `promotion.asl.json`.
    Promotion,
    /// `rollback.asl.json`.
    Rollback,
}

/// What came of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It runs: started now, or by an earlier call with the same input.
    Running,
    /// An execution of this name ran before and is over, or has another input. It is handled already.
    AlreadyThere,
}

/// How an execution is. Eventually consistent: a hint to look at the table, never the state of a promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutionStatus {
    /// It runs, or waits for a redrive.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended with an error.
    Failed {
        /// The error's name.
        error: Option<String>,
        /// The error's text.
        cause: Option<String>,
    },
    /// It ran longer than it may.
    TimedOut,
    /// Somebody stopped it.
    Aborted,
    /// There is none of this name, or it is too old to be remembered (90 days).
    NotFound,
}

/// What came of waking an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// It was told.
    Sent,
    /// Nobody waits on this token any more.
    Gone,
}

/// The ARN of a state machine, or of one version or alias of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineArn {
    arn: String,
    /// `arn:aws:states:eu-west-1:123456789012`
    account: String,
    name: String,
    home: AlarmHome,
}

/// A text is not the ARN of a state machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no state machine: right would be `arn:aws:states:<region>:<account>:stateMachine:<name>`"
)]
pub struct MachineArnError {
    found: String,
}

impl MachineArn {
    /// The ARN, or what is wrong with it.
    pub fn parse(arn: &str) -> Result<Self, MachineArnError> {
        let parts: Vec<_> = arn.split(':').collect();
        match parts.as_slice() {
            [
                "arn",
                partition,
                "states",
                region,
                number,
                "stateMachine",
                name,
                version @ ..,
            ] if version.len() <= 1 && !name.is_empty() => {
                let account = format!("arn:{partition}:states:{region}:{number}");
                Ok(Self {
                    arn: arn.to_owned(),
                    account,
                    name: (*name).to_owned(),
                    home: AlarmHome {
                        account: (*number).to_owned(),
                        region: (*region).to_owned(),
                    },
                })
            }
            _ => Err(MachineArnError {
                found: arn.chars().take(200).collect(),
            }),
        }
    }

    /// The ARN of one of its executions, which is the same for every version of it.
    fn execution(&self, name: &ExecutionName) -> String {
        format!("{}:execution:{}:{name}", self.account, self.name)
    }
}

impl fmt::Display for MachineArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

impl Executions {
    /// The state machines with these ARNs.
    pub fn new(client: Client, promotion: MachineArn, rollback: MachineArn) -> Self {
        Self {
            client,
            promotion,
            rollback,
        }
    }

    /// Starts a promotion's execution. To be repeated freely, as long as the input is the same.
    pub async fn start_promotion(
        &self,
        name: &ExecutionName,
        input: &Value,
    ) -> Result<Started, ExecutionsError> {
        self.start(Kind::Promotion, name, input).await
    }

    /// Starts a rollback's execution. To be repeated freely, as long as the input is the same.
    pub async fn start_rollback(
        &self,
        name: &ExecutionName,
        input: &Value,
    ) -> Result<Started, ExecutionsError> {
        self.start(Kind::Rollback, name, input).await
    }

    async fn start(
        &self,
        kind: Kind,
        name: &ExecutionName,
        input: &Value,
    ) -> Result<Started, ExecutionsError> {
        let request = self
            .client
            .start_execution()
            .state_machine_arn(self.machine(kind).to_string());
        match request.name(name.as_str()).input(input.to_string()).send().await {
            Ok(_) => Ok(Started::Running),
            Err(error) if is_there_already(error.as_service_error()) => Ok(Started::AlreadyThere),
            Err(error) => Err(ExecutionsError::of("StartExecution", error)),
        }
    }

    /// The account and region that Sluice runs in, which are those of its state machines.
    pub fn home(&self) -> &AlarmHome {
        &self.promotion.home
    }

    /// The ARN of an execution, whether or not it was started.
    pub fn arn(&self, name: &ExecutionName, kind: Kind) -> String {
        self.machine(kind).execution(name)
    }

    /// How an execution is.
    pub async fn status(&self, name: &ExecutionName, kind: Kind) -> Result<ExecutionStatus, ExecutionsError> {
        let arn = self.arn(name, kind);
        match self.client.describe_execution().execution_arn(arn).send().await {
            Ok(described) => Ok(status_of(described)),
            Err(error) if is_unknown(error.as_service_error()) => Ok(ExecutionStatus::NotFound),
            Err(error) => Err(ExecutionsError::of("DescribeExecution", error)),
        }
    }

    /// Wakes the execution that waits on this token; what it does next, its row says.
    pub async fn wake(&self, token: &str) -> Result<Woken, ExecutionsError> {
        match self
            .client
            .send_task_success()
            .task_token(token)
            .output("{}")
            .send()
            .await
        {
            Ok(_) => Ok(Woken::Sent),
            Err(error) if success_is_too_late(error.as_service_error()) => Ok(Woken::Gone),
            Err(error) => Err(ExecutionsError::of_token_call("SendTaskSuccess", error)),
        }
    }

    /// Wakes the execution that waits on this token with the error [`PREEMPTED`]: it ends and writes nothing more.
    pub async fn preempt(&self, token: &str) -> Result<Woken, ExecutionsError> {
        let request = self.client.send_task_failure().task_token(token).error(PREEMPTED);
        match request.cause("a rollback has the environment").send().await {
            Ok(_) => Ok(Woken::Sent),
            Err(error) if failure_is_too_late(error.as_service_error()) => Ok(Woken::Gone),
            Err(error) => Err(ExecutionsError::of_token_call("SendTaskFailure", error)),
        }
    }

    fn machine(&self, kind: Kind) -> &MachineArn {
        match kind {
            Kind::Promotion => &self.promotion,
            Kind::Rollback => &self.rollback,
        }
    }
}

/// The same name with the same input while it runs is no error (API reference, StartExecution).
fn is_there_already(error: Option<&StartExecutionError>) -> bool {
    matches!(error, Some(StartExecutionError::ExecutionAlreadyExists(_)))
}

fn is_unknown(error: Option<&DescribeExecutionError>) -> bool {
    matches!(error, Some(DescribeExecutionError::ExecutionDoesNotExist(_)))
}

/// `TaskTimedOut` says: the time is over, or the task was closed already (API reference, SendTaskSuccess).
fn success_is_too_late(error: Option<&SendTaskSuccessError>) -> bool {
    use SendTaskSuccessError::{InvalidToken, TaskDoesNotExist, TaskTimedOut};
    matches!(
        error,
        Some(InvalidToken(_) | TaskDoesNotExist(_) | TaskTimedOut(_))
    )
}

fn failure_is_too_late(error: Option<&SendTaskFailureError>) -> bool {
    use SendTaskFailureError::{InvalidToken, TaskDoesNotExist, TaskTimedOut};
    matches!(
        error,
        Some(InvalidToken(_) | TaskDoesNotExist(_) | TaskTimedOut(_))
    )
}

/// An unknown status counts as running: what is over must be known to be over.
fn status_of(described: DescribeExecutionOutput) -> ExecutionStatus {
    match described.status {
        Reported::Succeeded => ExecutionStatus::Succeeded,
        Reported::Failed => ExecutionStatus::Failed {
            error: described.error,
            cause: described.cause,
        },
        Reported::TimedOut => ExecutionStatus::TimedOut,
        Reported::Aborted => ExecutionStatus::Aborted,
        _ => ExecutionStatus::Running,
    }
}

impl ExecutionStatus {
    /// Whether it will do nothing more. One that cannot be found does nothing more, unless it is yet to be started.
    pub fn is_over(&self) -> bool {
        !matches!(self, Self::Running)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ARN: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:sluice-promotion";

    #[test]
    fn an_execution_has_the_same_arn_for_every_version_of_its_machine() {
        let name = ExecutionName::parse("mc-api-42-production-1").unwrap();
        let right = "arn:aws:states:eu-west-1:123456789012:execution:sluice-promotion:mc-api-42-production-1";
        for arn in [ARN.to_owned(), format!("{ARN}:7"), format!("{ARN}:live")] {
            let machine = MachineArn::parse(&arn).unwrap();
            assert_eq!(
                (machine.execution(&name).as_str(), machine.to_string()),
                (right, arn)
            );
        }
        let china = MachineArn::parse("arn:aws-cn:states:cn-north-1:123456789012:stateMachine:m").unwrap();
        assert!(
            china
                .execution(&name)
                .starts_with("arn:aws-cn:states:cn-north-1:123456789012:execution:m:")
        );
    }

    #[test]
    fn what_is_no_state_machine_is_refused() {
        let express = "arn:aws:states:eu-west-1:123456789012:express:m:e";
        for bad in [
            "",
            "sluice-promotion",
            "arn:aws:lambda:eu-west-1:1:function:f",
            express,
            &format!("{ARN}:1:2"),
        ] {
            let error = MachineArn::parse(bad).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("`{bad}` is no state machine")),
                "{error}"
            );
        }
    }

    #[test]
    fn only_what_is_known_to_be_over_is_over() {
        let described = |status| {
            let machine = DescribeExecutionOutput::builder()
                .execution_arn("e")
                .state_machine_arn("m");
            status_of(
                machine
                    .status(status)
                    .start_date(aws_sdk_sfn::primitives::DateTime::from_secs(1))
                    .build()
                    .unwrap(),
            )
        };
        for status in [
            Reported::Running,
            Reported::PendingRedrive,
            Reported::from("SOMETHING_NEW"),
        ] {
            assert!(!described(status).is_over());
        }
        for status in [
            Reported::Succeeded,
            Reported::Failed,
            Reported::TimedOut,
            Reported::Aborted,
        ] {
            assert!(described(status).is_over());
        }
    }
}
