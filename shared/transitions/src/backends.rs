//! What a function reaches.

use aws_config::SdkConfig;
use sluice_cluster::ClusterAddress;
use sluice_domain::ids::PromotionId;
use sluice_domain::pipeline::EnvironmentSpec;
use sluice_domain::wire::Step;
use sluice_executions::{Executions, MachineArn};
use sluice_lambda::{Failure, config, settings};
use sluice_registry::Registry;
use sluice_table::Table;

/// What a function reaches.
#[derive(Debug, Clone)]
pub struct Backends {
    /// The table.
    pub table: Table,
    /// The state machines.
    pub executions: Executions,
    /// The images.
    pub registry: Registry,
}

impl Backends {
    /// Those that the function's settings name, with the configuration they are reached by. The connection to the table
    /// is begun.
    pub async fn from_settings() -> Result<(Self, SdkConfig), Failure> {
        let names = [
            settings::TABLE,
            settings::PROMOTION_MACHINE,
            settings::ROLLBACK_MACHINE,
        ];
        let [table, promotion, rollback] = settings::required(names)?;
        let config = config().await;
        let (promotion, rollback) = (MachineArn::parse(&promotion)?, MachineArn::parse(&rollback)?);
        let backends = Self {
            table: Table::new(aws_sdk_dynamodb::Client::new(&config), table),
            executions: Executions::new(aws_sdk_sfn::Client::new(&config), promotion, rollback),
            registry: Registry::new(aws_sdk_ecr::Client::new(&config)),
        };
        warm(&backends.table);
        Ok((backends, config))
    }
}

/// Connects to the table beside the rest of a function's start: the first question finds the connection there, or on its
/// way. Not before the start is over: a table that is slow to answer would hold up every function past the 10 s that
/// Lambda gives the start (Lambda developer guide, "Init phase"), and it is the invocation that can say so by name.
pub fn warm(table: &Table) {
    let table = table.clone();
    tokio::spawn(async move {
        if let Err(error) = table.warm().await {
            tracing::warn!(%error, "the table was not reached at the start");
        }
    });
}

/// Which promotion a state is about.
pub fn promotion_of(step: &Step) -> Result<PromotionId, Failure> {
    let missing = || Failure::invalid("`work` names no promotion: `release` and `attempt` are missing");
    step.work.promotion_id().ok_or_else(missing)
}

/// The task token of a token state.
pub fn token_of(step: &Step) -> Result<&str, Failure> {
    let missing = || Failure::invalid("`token` is missing: this function is called with .waitForTaskToken");
    step.token
        .as_deref()
        .filter(|token| !token.is_empty())
        .ok_or_else(missing)
}

/// Where an environment is.
pub fn address_of(spec: &EnvironmentSpec) -> ClusterAddress {
    ClusterAddress {
        cluster: spec.cluster.clone(),
        region: spec.region.clone(),
        role: spec.role.clone(),
        namespace: spec.namespace.clone(),
    }
}
