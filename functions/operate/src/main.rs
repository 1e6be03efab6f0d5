//! The door of the `sluice` command: one request, one answer.

mod commands;
mod door;
mod error;
mod http;
mod limits;
mod making_plans;
mod place;
mod request;
#[cfg(test)]
mod samples;
mod waking;

use door::Door;
use making_plans::PlanMaker;
use sluice_alarms::Alarms;
use sluice_executions::{Executions, MachineArn};
use sluice_lambda::settings::{
    PROMOTION_MACHINE, ROLL_BACK_FUNCTION, ROLLBACK_MACHINE, RUN_HELM_FUNCTION, TABLE, required,
};
use sluice_lambda::{Failure, RuntimeError, config, logs, run};
use sluice_registry::Registry;
use sluice_rollback_call::RollBack;
use sluice_table::Table;
use sluice_transitions::{Backends, warm};

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    logs::start();
    let door = open().await?;
    warm(&door.backends.table);
    let door = &door;
    run(move |event| http::serve(door, event)).await
}

async fn open() -> Result<Door, Failure> {
    let names = [
        TABLE,
        PROMOTION_MACHINE,
        ROLLBACK_MACHINE,
        ROLL_BACK_FUNCTION,
        RUN_HELM_FUNCTION,
    ];
    let [table, promotion, rollback, roll_back, run_helm] = required(names)?;
    let config = config().await;
    let table = Table::new(aws_sdk_dynamodb::Client::new(&config), table);
    let account = account_of(&promotion)?;
    let (promotion, rollback) = (MachineArn::parse(&promotion)?, MachineArn::parse(&rollback)?);
    let backends = Backends {
        table: table.clone(),
        executions: Executions::new(aws_sdk_sfn::Client::new(&config), promotion, rollback),
        registry: Registry::new(aws_sdk_ecr::Client::new(&config)),
    };
    let lambda = aws_sdk_lambda::Client::new(&config);
    let plans = PlanMaker::new(lambda.clone(), run_helm);
    let roll_back = RollBack::new(lambda, roll_back, table);
    Ok(Door {
        backends,
        roll_back,
        plans,
        alarms: Alarms::new(&config),
        account,
    })
}

/// The account that Sluice runs in, which is that of its state machines.
fn account_of(arn: &str) -> Result<String, Failure> {
    let account = arn.split(':').nth(4).filter(|account| account.len() == 12);
    let account =
        account.ok_or_else(|| Failure::internal(format!("{PROMOTION_MACHINE} names no account: `{arn}`")))?;
    Ok(account.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_account_is_that_of_the_state_machine() {
        let arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:sluice-promotion";
        assert_eq!(account_of(arn).unwrap(), "123456789012");
        assert!(account_of("arn:aws:states").is_err());
    }
}
